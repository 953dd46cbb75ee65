"""Linear diffusions: Lyapunov, the law in time, Hörmander's rank; distances of Gaussians."""

import re

import numpy as np
import pytest
from scipy.integrate import quad_vec, solve_ivp
from scipy.linalg import expm, sqrtm
from scipy.stats import norm

from relaxlib.diffusions import ornstein_uhlenbeck
from relaxlib.gaussian import (
    chi_square_gaussian,
    covariance_at,
    hormander_rank,
    mean_at,
    stationary_covariance,
    wasserstein2_gaussian,
)
from relaxlib.paths import simulate

HYPO = (np.diag([1.0, 2.0]), np.ones((2, 2)))
KINETIC = (np.array([[0.0, -1.0], [1.0, 0.5]]), np.diag([0.0, 1.0]))
SILENT = (np.diag([1.0, 3.0]), np.diag([1.0, 0.0]))
TILTED = (np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([[1.0, 0.2], [0.2, 0.5]]))
SADDLE = (np.array([[-0.2, 1.0], [0.0, 1.0]]), np.diag([0.0, 1.0]))
ALL = [HYPO, KINETIC, SILENT, TILTED, SADDLE]
START = np.array([[0.5, 0.1], [0.1, 0.3]])


def rejects(message):
    return pytest.raises(ValueError, match="^" + re.escape(message))


def integral(drift, noise, t):
    """The covariance from a point start, by adaptive quadrature."""

    def integrand(s):
        decay = expm(-drift * s)
        return 2 * decay @ noise @ decay.T

    return quad_vec(integrand, 0, t, epsabs=1e-13, epsrel=1e-13)[0]


# --- the stationary law -----------------------------------------------------------------------


def test_closed_forms_of_lyapunovs_equation():
    hypo = stationary_covariance(*HYPO, temperature=1.0)
    np.testing.assert_allclose(hypo, [[1, 2 / 3], [2 / 3, 1 / 2]], rtol=1e-14)
    np.testing.assert_allclose(
        stationary_covariance(*KINETIC, temperature=1.0), 2 * np.eye(2), atol=1e-14
    )
    np.testing.assert_allclose(
        stationary_covariance([[1, 0], [1, 2]], [[1, 0], [0, 0]], temperature=0.5),
        [[1 / 2, -1 / 6], [-1 / 6, 1 / 12]],
        rtol=1e-14,
    )


@pytest.mark.parametrize(("drift", "noise"), ALL[:4])
def test_stationary_covariance_is_what_the_law_in_time_tends_to(drift, noise):
    limit = stationary_covariance(drift, noise, temperature=0.3)
    late = covariance_at(drift, noise, 1e3, temperature=0.3, start=START)
    np.testing.assert_allclose(late, limit, rtol=1e-12, atol=1e-14)
    kept = covariance_at(drift, noise, 0.7, temperature=0.3, start=limit)
    np.testing.assert_allclose(kept, limit, rtol=1e-12, atol=1e-14)


def test_no_stationary_law_without_decay():
    message = "least real part of drift_matrix's eigenvalues = {}: need positive real parts; there"
    with rejects(message.format("-0.2")):
        stationary_covariance(*SADDLE, temperature=1.0)
    with rejects(message.format("0")):
        stationary_covariance([[0, -1], [1, 0]], np.eye(2), temperature=1.0)


# --- the law in time --------------------------------------------------------------------------


@pytest.mark.parametrize(("drift", "noise"), ALL)
@pytest.mark.parametrize("t", [0.01, 0.7, 5.0])
def test_covariance_against_quadrature(drift, noise, t):
    decay = expm(-drift * t)
    expected = 0.3 * integral(drift, noise, t) + decay @ START @ decay.T
    found = covariance_at(drift, noise, t, temperature=0.3, start=START)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)
    assert np.array_equal(found, found.T)


def test_covariance_against_the_moment_equation():
    drift, noise = TILTED

    def rate(_, flat):
        s = flat.reshape(2, 2)
        return (-drift @ s - s @ drift.T + 0.6 * noise).ravel()

    ode = solve_ivp(rate, (0, 2), START.ravel(), rtol=1e-12, atol=1e-14).y[:, -1]
    found = covariance_at(drift, noise, 2.0, temperature=0.3, start=START)
    np.testing.assert_allclose(found.ravel(), ode, rtol=1e-9)


def test_a_direction_that_noise_reaches_through_the_drift_opens_like_the_cube_of_time():
    for t in (1e-4, 1e-3):
        lowest = np.linalg.eigvalsh(covariance_at(*KINETIC, t, temperature=1.0))[0]
        assert lowest / (2 * t**3 / 12) == pytest.approx(1, rel=5e-3)


def test_a_direction_without_noise_keeps_no_variance():
    late = covariance_at(*SILENT, 1e3, temperature=1.0, start=START)
    np.testing.assert_allclose(late, [[1, 0], [0, 0]], atol=1e-14)


def test_growing_modes_for_a_long_time():
    late = covariance_at(-0.3, 1.0, 1e3, temperature=1.0)[0, 0]
    assert late == pytest.approx(np.expm1(600.0) / 0.3, rel=1e-11)
    assert covariance_at(0.0, 2.0, 1e3, temperature=0.5)[0, 0] == pytest.approx(2e3, rel=1e-14)
    defective = covariance_at([[0, -1], [0, 0]], np.diag([0, 1.0]), 1e3, temperature=0.5)
    np.testing.assert_allclose(defective, [[1e9 / 3, 5e5], [5e5, 1e3]], rtol=1e-12)


def test_stiff_drift_and_large_noise_lose_no_digits():
    stiff, loud = np.diag([1.0, 1e6]), np.diag([1e12, 1.0])
    found = covariance_at(stiff, loud, 2.0, temperature=1.0)
    expected = [1e12 * -np.expm1(-4.0), 1e-6]
    np.testing.assert_allclose(np.diag(found), expected, rtol=1e-9)


@pytest.mark.parametrize("drift", [SADDLE[0], [[1.0, 0.0], [0.0, -1.0]]])
def test_times_past_overflow_are_refused(drift):
    growth = 2 * -np.linalg.eigvals(np.array(drift)).real.min()
    late = 701 / growth
    message = f"t = {late:g}: need t <= {700 / growth:.4g}, before floats overflow; drift_matrix"
    with rejects(message):
        covariance_at(drift, np.eye(2), late, temperature=1.0)
    with rejects(message):
        mean_at(drift, late, start=[1.0, 0.0])
    assert np.isfinite(covariance_at(drift, np.eye(2), 699 / growth, temperature=1.0)).all()


def test_time_zero_and_temperature_zero():
    assert np.array_equal(covariance_at(*TILTED, 0.0, temperature=1.0), np.zeros((2, 2)))
    np.testing.assert_allclose(covariance_at(*TILTED, 0, temperature=1, start=START), START)
    frozen = covariance_at(1.0, 1.0, 0.5, temperature=0.0, start=2.0)
    assert frozen[0, 0] == pytest.approx(2 * np.exp(-1), rel=1e-14)


def test_mean_decays_and_a_defective_drift_bends_it():
    moved = mean_at([[1, 1], [0, 1]], 3.0, start=[0.0, 1.0])
    np.testing.assert_allclose(moved, [-3 * np.exp(-3), np.exp(-3)], rtol=1e-12)
    assert mean_at(2.0, 0.5, start=3.0) == pytest.approx(3 * np.exp(-1))


def test_law_agrees_with_paths():
    process = ornstein_uhlenbeck(*TILTED, temperature=0.3)
    cloud = simulate(process, [1.0, -1.0], dt=1e-3, steps=500, rng=1, paths=40_000).paths[-1]
    mean = mean_at(TILTED[0], 0.5, start=[1.0, -1.0])
    covariance = covariance_at(*TILTED, 0.5, temperature=0.3)
    np.testing.assert_allclose(cloud.mean(axis=0), mean, atol=4 * np.sqrt(0.2 / 40_000))
    np.testing.assert_allclose(np.cov(cloud.T), covariance, atol=5e-3)


# --- Hörmander's condition --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drift", "noise", "rank"),
    [
        (*HYPO, 2),
        (*KINETIC, 2),
        (*SILENT, 1),
        ([[1, 1], [0, 2]], np.diag([1, 0]), 1),  # no eigenvector of C in the kernel: not enough
        ([[1, 0], [1, 2]], np.diag([1, 0]), 2),  # one of C, but none of its transpose
        (np.eye(3), np.ones((3, 3)), 1),
        (np.eye(3), np.eye(3), 3),
        (np.zeros((2, 2)), np.diag([3.0, 0.0]), 1),
        (TILTED[0], np.zeros((2, 2)), 0),
        (2.0, 1.0, 1),
    ],
)
def test_hormander_rank(drift, noise, rank):
    assert hormander_rank(drift, noise) == rank


def test_noise_travels_down_a_chain_of_twenty():
    chain = 1e3 * (2 * np.eye(20) - np.eye(20, k=-1))
    noise = np.zeros((20, 20))
    noise[0, 0] = 1e-6
    assert hormander_rank(chain, noise) == 20
    assert hormander_rank(chain.T, noise) == 1


# --- distances --------------------------------------------------------------------------------


def test_wasserstein_against_gelbrichs_formula():
    root = sqrtm(START)
    cross = sqrtm(root @ TILTED[1] @ root).real
    expected = np.sqrt(5 + np.trace(START + TILTED[1] - 2 * cross))
    assert wasserstein2_gaussian([1, 2], START, [0, 0], TILTED[1]) == pytest.approx(expected)


def test_wasserstein_of_singular_laws():
    flat, upright = np.diag([1.0, 0.0]), np.diag([0.0, 4.0])
    assert wasserstein2_gaussian([0, 0], flat, [0, 0], upright) == pytest.approx(np.sqrt(5))
    assert wasserstein2_gaussian([3, 0], np.zeros((2, 2)), [0, 4], np.zeros((2, 2))) == 5.0
    assert wasserstein2_gaussian(1.0, 4.0, 1.0, 1.0) == pytest.approx(1.0)


def test_wasserstein_of_close_laws_keeps_its_digits():
    assert wasserstein2_gaussian([0, 0], START, [0, 0], START) < 1e-15
    close = (1 + 1e-10) ** 2 * START
    expected = 1e-10 * np.sqrt(np.trace(START))
    assert wasserstein2_gaussian([0, 0], START, [0, 0], close) == pytest.approx(expected, rel=1e-4)


def test_chi_square_against_quadrature():
    x = np.linspace(-20, 20, 400_001)
    first, second = norm.pdf(x, 0.7, 0.9), norm.pdf(x, 0.0, 1.2)
    expected = np.trapezoid((first / second - 1) ** 2 * second, x)
    assert chi_square_gaussian(0.7, 0.81, 0.0, 1.44) == pytest.approx(expected, rel=1e-9)


def test_chi_square_multiplies_over_independent_directions_and_ignores_turns():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    one, two = chi_square_gaussian(0.5, 0.8, 0, 1), chi_square_gaussian(0.1, 3.0, 0, 2)
    found = chi_square_gaussian(
        turn @ [0.5, 0.1],
        turn @ np.diag([0.8, 3.0]) @ turn.T,
        [0, 0],
        turn @ np.diag([1, 2]) @ turn.T,
    )
    assert found == pytest.approx((1 + one) * (1 + two) - 1, rel=1e-12)


def test_chi_square_of_close_laws_keeps_its_digits():
    assert chi_square_gaussian([1e-9, 0], START, [0, 0], START) == pytest.approx(
        1e-18 * np.linalg.inv(START)[0, 0], rel=1e-9
    )


def test_chi_square_is_infinite_where_it_must_be():
    flat = np.diag([1.0, 0.0])
    assert chi_square_gaussian(0.0, 2.0, 0.0, 1.0) == np.inf  # tails too heavy
    assert chi_square_gaussian([0, 0], np.eye(2), [0, 0], flat) == np.inf
    assert chi_square_gaussian([0, 1e-3], flat, [0, 0], flat) == np.inf
    assert chi_square_gaussian([0, 0], flat, [0, 0], np.eye(2)) == np.inf
    assert chi_square_gaussian([0, 0], flat / 2, [0, 0], flat) == pytest.approx(np.sqrt(4 / 3) - 1)
    assert chi_square_gaussian([1, 0], 0 * flat, [1, 0], 0 * flat) == 0.0


def test_chi_square_sees_every_direction_that_both_charge():
    expected = 4 / np.sqrt(7) - 1  # of variances 1 and 4
    for small in (1e-3, 1e-13, 1e-200):
        laws = np.diag([1.0, small]), np.diag([1.0, 4 * small])
        found = chi_square_gaussian([0, 0], laws[0], [0, 0], laws[1])
        assert found == pytest.approx(expected, rel=1e-12)
        shift = [0, np.sqrt(small)]
        moved = chi_square_gaussian(shift, laws[0], [0, 0], laws[1])
        assert moved == pytest.approx((1 + expected) * np.exp(1 / 7) - 1, rel=1e-12)
    assert chi_square_gaussian([0, 1e-9], np.diag([1, 0]), [0, 0], np.diag([1, 0])) == np.inf


def test_chi_square_of_turned_flat_laws_is_that_of_the_line():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    one, two = (turn @ np.diag([v, 0.0]) @ turn.T for v in (1.0, 4.0))
    expected = 4 / np.sqrt(7) - 1
    assert chi_square_gaussian([0, 0], one, [0, 0], two) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("small", [1e-13, 1e-14])
def test_chi_square_refuses_where_rounding_decides(small):
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    one, two = (turn @ np.diag([1.0, v]) @ turn.T for v in (small, 4 * small))
    with pytest.raises(ArithmeticError, match=r"chi-square: a variance is .* rounding may be"):
        chi_square_gaussian([0, 0], one, [0, 0], two)
    with pytest.raises(ArithmeticError, match=r"chi-square: a distance from K_0 = 0"):
        chi_square_gaussian([0, 0], np.diag([1, small]), [0, 0], np.eye(2))


def test_chi_square_beyond_floats_is_refused():
    with pytest.raises(ArithmeticError, match=r"chi-square e\^900 overflows"):
        chi_square_gaussian(30.0, 1.0, 0.0, 1.0)


# --- bad input --------------------------------------------------------------------------------


def test_matrices_are_checked():
    eye = np.eye(2)
    with rejects("drift_matrix.shape = (2, 3): need drift_matrix.shape = (2, 2); pass a square"):
        hormander_rank(np.ones((2, 3)), eye)
    with rejects("drift_matrix[0, 1] = nan: need finite entries"):
        mean_at([[1, np.nan], [0, 1]], 1.0, start=[0, 0])
    with rejects("noise_cov.shape = (3, 3): need noise_cov.shape = (2, 2); pass a square"):
        stationary_covariance(eye, np.eye(3), temperature=1.0)
    with rejects("|noise_cov - noise_cov^T| = 1: need noise_cov symmetric"):
        stationary_covariance(eye, [[1, 1], [0, 1]], temperature=1.0)
    with rejects("least eigenvalue of noise_cov = -1: need noise_cov >= 0; it is a covariance"):
        covariance_at(eye, np.diag([1, -1]), 1.0, temperature=1.0)
    with rejects("least eigenvalue of start = -1: need start >= 0; it is a covariance"):
        covariance_at(eye, eye, 1.0, temperature=1.0, start=np.diag([1, -1]))
    with rejects("cov1.shape = (1, 1): need cov1.shape = (2, 2); pass a square"):
        wasserstein2_gaussian([0, 0], eye, [0, 0], 1.0)
    with rejects("mean1.shape = (3,): need a trailing axis of length 2"):
        chi_square_gaussian([0, 0], eye, [0, 0, 0], eye)
    with rejects("start.shape = (3,): need a trailing axis of length 2"):
        mean_at(eye, 1.0, start=[1, 2, 3])


def test_numbers_are_checked():
    with rejects("temperature = -1: need 0 <= temperature < inf"):
        stationary_covariance(1.0, 1.0, temperature=-1.0)
    with rejects("t = -1: need 0 <= t < inf"):
        covariance_at(1.0, 1.0, -1.0, temperature=1.0)
    with rejects("t = nan: need 0 <= t < inf"):
        mean_at(1.0, np.nan, start=0.0)
