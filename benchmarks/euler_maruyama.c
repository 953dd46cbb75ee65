/* The algorithm of relaxlib's paths in C: xoshiro256+ and Box-Muller in blocks of 64 lanes, with
   the same polynomials; dX = -(X^3 - X) dt + sqrt(2 T) dW. Built by paths.py at run time. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 64

static inline double as_double(uint64_t bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline uint64_t as_bits(double x) { uint64_t bits; memcpy(&bits, &x, 8); return bits; }

static inline uint64_t scramble(uint64_t b) {
    b = (b ^ (b >> 30)) * 0xBF58476D1CE4E5B9u;
    b = (b ^ (b >> 27)) * 0x94D049BB133111EBu;
    return b ^ (b >> 31);
}

static inline double logarithm(double u) {
    uint64_t shifted = as_bits(u) + (0x3FF0000000000000u - 0x3FE6A09E00000000u);
    double k = as_double((shifted >> 52) | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
    double f = as_double((shifted & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E00000000u) - 1.0;
    double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double tail = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01
        + z * (2.857142874366239149e-01 + z * (2.222219843214978396e-01
        + z * (1.818357216161805012e-01 + z * (1.531383769920937332e-01
        + z * 1.479819860511658591e-01))))));
    return k * 6.93147180369123816490e-01
        - ((half - (s * (half + tail) + k * 1.90821492927058770002e-10)) - f);
}

static void normal_pair(uint64_t s[4][LANES], double *cosines, double *sines) {
    for (int i = 0; i < LANES; i++) {
        uint64_t raw[2];
        uint64_t s0 = s[0][i], s1 = s[1][i], s2 = s[2][i], s3 = s[3][i];
        for (int k = 0; k < 2; k++) {
            raw[k] = s0 + s3;
            uint64_t t = s1 << 17;
            s2 ^= s0; s3 ^= s1; s1 ^= s2; s0 ^= s3; s2 ^= t;
            s3 = (s3 << 45) | (s3 >> 19);
        }
        s[0][i] = s0; s[1][i] = s1; s[2][i] = s2; s[3][i] = s3;
        double u = 2.0 - as_double((raw[0] >> 12) | 0x3FF0000000000000u);
        double radius = sqrt(-2.0 * logarithm(u));
        uint64_t quarter = raw[1] >> 62;
        double x = 1.5707963267948966
            * (as_double(((raw[1] << 2) >> 12) | 0x3FF0000000000000u) - 1.5);
        double z = x * x;
        double sine = x + x * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03
            + z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06
            + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
        double cosine = 1.0 - 0.5 * z + z * z * (4.16666666666666019037e-02
            + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05
            + z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09
            - z * 1.13596475577881948265e-11)))));
        double first = (quarter & 1) ? sine : cosine, second = (quarter & 1) ? cosine : sine;
        cosines[i] = as_double(as_bits(first * radius) ^ (((quarter ^ (quarter >> 1)) & 1) << 63));
        sines[i] = as_double(as_bits(second * radius) ^ ((quarter >> 1) << 63));
    }
}

void run(double *x, long blocks, long steps, double dt, double temperature, uint64_t seed) {
    double kick = sqrt(2.0 * temperature * dt);
    #pragma omp parallel for schedule(static)
    for (long b = 0; b < blocks; b++) {
        uint64_t stream[4][LANES];
        double cosines[LANES], sines[LANES], *y = x + b * LANES;
        for (int i = 0; i < LANES; i++) {
            uint64_t path = (uint64_t)(b * LANES + i) * 0xD1342543DE82EF95u;
            uint64_t state = scramble(scramble(seed) ^ path);
            for (int k = 0; k < 4; k++) stream[k][i] = scramble(state += 0x9E3779B97F4A7C15u);
        }
        for (long n = 0; n < steps; n++) {
            if (n % 2 == 0) normal_pair(stream, cosines, sines);
            double *normals = n % 2 == 0 ? cosines : sines;
            for (int i = 0; i < LANES; i++)
                y[i] += -y[i] * (y[i] * y[i] - 1.0) * dt + kick * normals[i];
        }
    }
}
