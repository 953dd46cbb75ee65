"""Euler–Maruyama paths beside C, numpy, numba with np.random, diffrax and torchsde, in one run."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from timing import compare, machine

from relaxlib.diffusions import langevin, ornstein_uhlenbeck, two_scale
from relaxlib.landscapes import double_well, lipschitz_double_well
from relaxlib.paths import simulate

PATHS, STEPS, DT, TEMPERATURE = 100_000, 1000, 1e-3, 0.1
SLOW = 20  # slow rivals do this many times fewer steps; all times are per path and step
FLAGS = ("-O3", "-march=native", "-fopenmp", "-ffp-contract=fast", "-fno-math-errno")


def in_c() -> Callable[[], object]:
    """The same algorithm, compiled by gcc now."""
    source = Path(__file__).with_name("euler_maruyama.c")
    folder = tempfile.mkdtemp()
    library = f"{folder}/euler_maruyama.so"
    subprocess.run(
        ["gcc", *FLAGS, "-shared", "-fPIC", str(source), "-o", library, "-lm"], check=True
    )
    run = ctypes.CDLL(library).run
    pointer, whole, real = ctypes.c_void_p, ctypes.c_long, ctypes.c_double
    run.argtypes = [pointer, whole, whole, real, real, ctypes.c_uint64]
    blocks = -(-PATHS // 64)
    x = np.empty(blocks * 64)

    def once() -> np.ndarray:
        x[:] = 0.5
        run(x.ctypes.data, blocks, STEPS, DT, TEMPERATURE, 0)
        return x[:PATHS]

    return once


def in_numpy() -> None:
    """Vectorized over paths."""
    rng, x = np.random.default_rng(0), np.full(PATHS, 0.5)
    for _ in range(STEPS // SLOW):
        x += -x * (x * x - 1.0) * DT + np.sqrt(2 * TEMPERATURE * DT) * rng.standard_normal(PATHS)


def _walk(x, steps, dt, kick):
    for i in numba.prange(len(x)):
        y = x[i]
        for _ in range(steps):
            y += -y * (y * y - 1.0) * dt + kick * np.random.standard_normal()  # noqa: NPY002
        x[i] = y


def in_numba(parallel: bool) -> Callable[[], object]:
    """A loop over paths with numba's own generator, serial or parallel."""
    walk = numba.njit(parallel=parallel)(_walk)
    kick = np.sqrt(2 * TEMPERATURE * DT)
    return lambda: walk(np.full(PATHS, 0.5), STEPS // SLOW, DT, kick)


def in_diffrax() -> Callable[[], object]:
    """Euler's method under vmap and jit, float64."""
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    steps, paths = STEPS // SLOW, PATHS // 10
    kick = np.sqrt(2 * TEMPERATURE)

    def one(key: object) -> object:
        noise = diffrax.UnsafeBrownianPath((), key, diffrax.BrownianIncrement)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, args: -y * (y * y - 1.0)),
            diffrax.ControlTerm(lambda t, y, args: kick, noise),
        )
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, steps * DT, DT, 0.5,
            adjoint=diffrax.DirectAdjoint(), max_steps=None,
        ).ys  # fmt: skip

    every = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.PRNGKey(0), paths)
    return lambda: every(keys).block_until_ready()


def in_torchsde() -> Callable[[], object]:
    """Euler's method on a batch, float64."""
    import torch
    import torchsde

    class Well(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: object, y: torch.Tensor) -> torch.Tensor:
            return -y * (y * y - 1.0)

        def g(self, t: object, y: torch.Tensor) -> torch.Tensor:
            return torch.full_like(y, np.sqrt(2 * TEMPERATURE))

    start = torch.full((PATHS // 10, 1), 0.5, dtype=torch.float64)
    times = torch.tensor([0.0, STEPS // SLOW * DT], dtype=torch.float64)
    return lambda: torchsde.sdeint(Well(), start, times, dt=DT, method="euler")


def beside_peers() -> None:
    """Print nanoseconds per path and step, and ratios to relaxlib."""
    process = langevin(double_well(), temperature=TEMPERATURE)

    def ours() -> object:
        return simulate(process, 0.5, dt=DT, steps=STEPS, rng=0, paths=PATHS)

    whole, part = PATHS * STEPS, PATHS * STEPS // SLOW
    rivals = {
        "relaxlib": (ours, whole),
        "numpy": (in_numpy, part),
        "numba": (in_numba(parallel=False), part),
        "numba, all cores": (in_numba(parallel=True), part),
    }
    for name, build, work in (
        ("C", in_c, whole),
        ("diffrax", in_diffrax, part // 10),
        ("torchsde", in_torchsde, part // 10),
    ):
        try:
            rivals[name] = build(), work
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"  {name} missing: {error}")
    seconds = compare({name: run for name, (run, _) in rivals.items()}, repeats=5)
    cost = {name: 1e9 * seconds[name] / work for name, (_, work) in rivals.items()}
    for name, each in cost.items():
        print(f"  {name:<17}{each:8.2f} ns per path and step; ratio {each / cost['relaxlib']:.2f}")
    if "C" in rivals:
        gap = np.abs(in_c()() - ours().paths.ravel()).max()
        print(f"  largest distance between a path of relaxlib and that of C: {gap:.1e}")


def two_scales() -> None:
    """The two-scale system with n = 1 beside numpy."""
    process = two_scale(lipschitz_double_well(), gamma=0.5, temperature=1 / 3, epsilon=0.1)
    kick, steps = np.sqrt(2 / 3 / 0.1 * DT), STEPS // SLOW

    def plain() -> None:
        rng, x, y = np.random.default_rng(0), np.ones(PATHS), np.zeros(PATHS)
        for _ in range(steps):
            spring = (x - y) / 0.5
            slope = y - np.tanh(2 * y) - 0.1
            x -= spring * DT
            y += (spring - slope) / 0.1 * DT + kick * rng.standard_normal(PATHS)

    def ours() -> object:
        return simulate(process, [1.0, 0.0], dt=DT, steps=STEPS, rng=0, paths=PATHS)

    seconds = compare({"relaxlib": ours, "numpy": plain}, repeats=5)
    own, theirs = seconds["relaxlib"] / STEPS, seconds["numpy"] / steps
    print(f"  relaxlib {1e9 * own / PATHS:.2f} ns, numpy {1e9 * theirs / PATHS:.2f} ns;"
          f" ratio {theirs / own:.1f}")  # fmt: skip


def growth() -> None:
    """Cost per path, step and coordinate as each of them grows."""
    for name, sizes in (("paths", (1_000, 10_000, 100_000, 1_000_000)), ("steps", (100, 10_000)),
                        ("dim", (1, 2, 4, 16, 64))):  # fmt: skip
        for size in sizes:
            work = {"paths": 20_000, "steps": 500, "dim": 1} | {name: size}
            process = ornstein_uhlenbeck(*[np.eye(work["dim"])] * 2, temperature=0.5)
            start = np.zeros(work["dim"])
            run = {"run": lambda p=process, s=start, w=work: simulate(
                p, s, dt=1e-3, steps=w["steps"], rng=0, paths=w["paths"])}  # fmt: skip
            each = 1e9 * compare(run, repeats=3)["run"] / (np.prod(list(work.values())))
            print(f"  {name} = {size:<8} {each:6.2f} ns per path, step and coordinate")


def main() -> None:
    print(f"{PATHS} paths x {STEPS} steps in a double well ({machine()})")
    beside_peers()
    print("two-scale system, n = 1")
    two_scales()
    print("growth, Ornstein–Uhlenbeck")
    growth()


if __name__ == "__main__":
    main()
