"""The two-scale system beside diffrax, in one run: n = 1 and n = 64 weights, and long inner loops.

usage: python benchmarks/two_scale.py    (two minutes)

Both sides take Euler's step of the same system, float64, with the same number of steps and paths,
and both must find the same mean and spread of X. In n dimensions the loss is a sum of n double
wells. The inner loops are bursts of 1 and of 64 steps of the fast variable at a frozen slow one.

Diffrax takes its increments from a virtual Brownian tree, as in its introduction to stochastic
equations, or, where steps are fixed and nothing is differentiated, from ``UnsafeBrownianPath``,
which is 15 to 23 times faster. On four cores relaxlib was 442 and 29 times as fast at n = 1, and
154 and 7 times at n = 64, where the overhead of a step is shared by 64 weights. There a step costs
the faster path 31 ns of a core per weight and relaxlib 4.2: 1.8 for the normal, 1.9 for the drift,
0.5 for the update. A factor of 20 would leave 1.6, less than the normals alone. Numpy has one core,
the others all; on one core each, at n = 64, relaxlib takes 4.4 ns, numpy 14 and the faster path 21.
A busy machine spoils the ratios.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from timing import compare, machine

from relaxlib.diffusions import two_scale
from relaxlib.homogenization import hmm
from relaxlib.landscapes import Landscape
from relaxlib.paths import simulate

GAMMA, TEMPERATURE, EPSILON, DT = 0.5, 1 / 3, 0.1, 1e-3
MACRO_DT, MICRO_DT = 1e-3, 1e-2
GOAL = 20  # diffrax over relaxlib


def wells(n: int) -> Landscape:
    """The sum of n double wells (y^2 - 1)^2 / 4."""

    def value(y):
        total = 0.0
        for i in range(n):
            total += (y[i] * y[i] - 1.0) ** 2 / 4
        return total

    def grad(y, out):
        for i in range(n):
            out[i] = y[i] * (y[i] * y[i] - 1.0)

    if n == 1:
        return Landscape.from_functions(
            lambda y: (y * y - 1.0) ** 2 / 4, lambda y: y * (y * y - 1.0), dim=1, box=(-2.0, 2.0)
        )
    return Landscape.from_functions(value, grad, dim=n, box=([-2.0] * n, [2.0] * n))


def in_diffrax(n: int, paths: int, steps: int, tree: bool = False) -> Callable[[], np.ndarray]:
    """X of all paths after Euler's method under vmap and jit, with or without a Brownian tree."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    kick = np.sqrt(2 * TEMPERATURE / EPSILON)

    def drift(t, state, args):
        x, y = state
        spring = (x - y) / GAMMA
        return -spring, (spring - y * (y * y - 1.0)) / EPSILON

    class Fast(diffrax.AbstractTerm):
        """Noise in the fast variable only."""

        path: diffrax.AbstractPath

        def vf(self, t, state, args):
            return kick

        def contr(self, start, end, **kwargs):
            return self.path.evaluate(start, end)

        def prod(self, vf, control):
            return jnp.zeros_like(control), vf * control

    def brownian(key):
        if tree:
            return diffrax.VirtualBrownianTree(0.0, steps * DT, tol=DT / 2, shape=(n,), key=key)
        return diffrax.UnsafeBrownianPath((n,), key, diffrax.BrownianIncrement)

    def one(key):
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), Fast(brownian(key)))
        start = jnp.ones(n), jnp.zeros(n)
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, steps * DT, DT, start,
            adjoint=diffrax.DirectAdjoint(), max_steps=None,
        ).ys[0][0]  # fmt: skip

    every = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.PRNGKey(0), paths)
    return lambda: np.asarray(every(keys))


def in_numpy(n: int, paths: int, steps: int) -> Callable[[], np.ndarray]:
    """X of all paths, vectorized over paths and coordinates."""
    kick = np.sqrt(2 * TEMPERATURE / EPSILON * DT)

    def run() -> np.ndarray:
        rng = np.random.default_rng(0)
        x, y = np.ones((paths, n)), np.zeros((paths, n))
        for _ in range(steps):
            spring = (x - y) / GAMMA
            slope = y * (y * y - 1.0)
            x -= spring * DT
            y += (spring - slope) / EPSILON * DT + kick * rng.standard_normal(y.shape)
        return x

    return run


def in_relaxlib(n: int, paths: int, steps: int) -> Callable[[], np.ndarray]:
    """X of all paths."""
    facts = {"gamma": GAMMA, "temperature": TEMPERATURE, "epsilon": EPSILON}
    pair, start = two_scale(wells(n), **facts), np.repeat([1.0, 0.0], n)
    how = {"dt": DT, "steps": steps, "rng": 0, "paths": paths}
    return lambda: simulate(pair, start, **how).paths[-1, :, :n]


def pairs(n: int, paths: int, steps: int) -> None:
    """Time the rivals on the pair, each on the same work, and compare their answers."""
    rivals = {"relaxlib": in_relaxlib(n, paths, steps), "numpy": in_numpy(n, paths, steps)}
    try:
        rivals["diffrax"] = in_diffrax(n, paths, steps)
        rivals["diffrax, tree"] = in_diffrax(n, paths, steps, tree=True)
    except ImportError as error:
        print(f"  diffrax missing: {error}")
    report(rivals, paths * steps * n)


def bursts_in_diffrax(burst: int, paths: int, rounds: int) -> Callable[[], np.ndarray]:
    """X of all paths after rounds of ``burst`` fast steps at a frozen x, then one slow step."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    kick = jnp.array([np.sqrt(2 * TEMPERATURE), 0.0])

    def drift(t, state, x):
        y = state[0]
        return jnp.stack([(x - y) / GAMMA - y * (y * y - 1.0), y])

    def one(key):
        def round_of(state, key):
            x, y = state
            noise = diffrax.UnsafeBrownianPath((), key, diffrax.BrownianIncrement)
            terms = diffrax.MultiTerm(
                diffrax.ODETerm(drift), diffrax.ControlTerm(lambda t, y, args: kick, noise)
            )
            y, total = diffrax.diffeqsolve(
                terms, diffrax.Euler(), 0.0, burst * MICRO_DT, MICRO_DT, jnp.stack([y, 0.0]),
                args=x, adjoint=diffrax.DirectAdjoint(), max_steps=None,
            ).ys[0]  # fmt: skip
            return (x - MACRO_DT / GAMMA * (x - total / (burst * MICRO_DT)), y), None

        return jax.lax.scan(round_of, (1.0, 0.0), jax.random.split(key, rounds))[0][0]

    every = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.PRNGKey(0), paths)
    return lambda: np.asarray(every(keys))


def bursts_in_relaxlib(burst: int, paths: int, rounds: int) -> Callable[[], np.ndarray]:
    """X of all paths, by `hmm`."""
    how = {"gamma": GAMMA, "temperature": TEMPERATURE, "dt": MACRO_DT, "steps": rounds}
    how |= {"micro_dt": MICRO_DT, "micro_steps": burst, "paths": paths, "rng": 0}
    loss = wells(1)
    return lambda: hmm(loss, 1.0, y0=0.0, **how).paths[-1, :, 0]


def inner_loops(burst: int, paths: int, rounds: int) -> None:
    """Time inner loops of ``burst`` fast steps beside the same loops in diffrax."""
    rivals = {"relaxlib": bursts_in_relaxlib(burst, paths, rounds)}
    try:
        rivals["diffrax"] = bursts_in_diffrax(burst, paths, rounds)
    except ImportError as error:
        print(f"  diffrax missing: {error}")
    report(rivals, paths * rounds * burst)


def report(rivals: dict[str, Callable[[], np.ndarray]], work: int) -> None:
    seconds = compare(rivals, repeats=3)
    for name, run in rivals.items():
        x, ratio = run(), seconds[name] / seconds["relaxlib"]
        each = 1e9 * seconds[name] / work
        error = x.std() / np.sqrt(x.size)
        print(
            f"  {name:<13}{each:8.2f} ns per path, fast step and weight; ratio {ratio:7.1f};"
            f" X {x.mean():.4f} +/- {error:.4f}, spread {x.std():.4f}"
        )
    for name in (name for name in rivals if name.startswith("diffrax")):
        reached = seconds[name] >= GOAL * seconds["relaxlib"]
        print(f"  {GOAL} times {name}: {'reached' if reached else 'NOT reached'}")


def main() -> None:
    print(f"two-scale system, Euler's step of {DT:g} at epsilon = {EPSILON:g} ({machine()})")
    for n, paths, steps in ((1, 100_000, 200), (64, 4000, 200)):
        print(f" n = {n}: {paths} paths x {steps} steps")
        pairs(n, paths, steps)
    for burst, paths, rounds in ((1, 20_000, 640), (64, 20_000, 10)):
        print(f" inner loops of {burst}: {paths} paths x {rounds} rounds")
        inner_loops(burst, paths, rounds)


if __name__ == "__main__":
    main()
