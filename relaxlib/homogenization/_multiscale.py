"""The heterogeneous multiscale method: bursts of the fast variable, long steps of the slow one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.compilation import compiled
from relaxlib.diffusions import Diffusion
from relaxlib.landscapes import Landscape
from relaxlib.paths import Ensemble, simulate


def hmm(
    landscape: Landscape,
    x0: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    dt: float,
    steps: int,
    rng: int | np.random.Generator,
    micro_dt: float = 0.05,
    micro_steps: int = 20,
    y0: ArrayLike | None = None,
    paths: int | None = None,
    save_every: int | None = None,
) -> Ensemble:
    r"""The heterogeneous multiscale method for the two-scale system in the limit epsilon -> 0.

    In a burst of m micro steps of length h, in fast time, y moves while x is frozen, with
    averaged noise; then x moves by one macro step with the mean of y over the burst,

    .. math:: y_{j+1} = y_j - h\Bigl(\nabla f(y_j) - \frac{x-y_j}\gamma\Bigr) + \sqrt{2Th}\,\xi_j,
              \qquad x \leftarrow x - \frac{dt}\gamma\Bigl(x - \frac1m\sum_{j<m}y_j\Bigr),

    and y is carried over to the next burst. The states returned are (x, y), (k, paths, 2n).

    Parameters
    ----------
    landscape, gamma, temperature
        As in `diffusions.two_scale`.
    x0, y0 : (n,) or (paths, n) array_like
        Starts; y0 is x0 when left out.
    dt, steps : float, int
        Macro step, below 2 gamma, and their number.
    micro_dt, micro_steps : float, int
        h and m.
    rng, paths, save_every
        As in `paths.simulate`, ``save_every`` in macro steps.

    Raises
    ------
    ValueError, ArithmeticError
        As `paths.simulate`, whose step is h; and if dt >= 2 gamma.

    Notes
    -----
    The method of E and Engquist (2003). To leading order it is the two-scale system with
    :math:`\epsilon = dt/(mh)`: the mean square error is :math:`C\,dt/(mh)` with the C of
    `averaging_error`, the bias :math:`O(dt + h^2 + dt/(mh))`. Direct simulation to time t takes
    :math:`t/(\epsilon h)` gradients, this takes :math:`mt/dt`, however small epsilon is.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> run = hmm(
    ...     quadratic(), 1.0, gamma=0.5, temperature=0.5, dt=0.05, steps=20, micro_steps=40,
    ...     paths=1000, rng=1
    ... )
    >>> bool(abs(run.paths[-1, :, 0].mean() - np.exp(-2 / 3)) < 0.03)
    True
    """
    _checks.kind("landscape", landscape, Landscape)
    n = landscape.dim
    x = _checks.starts("x0", x0, n, paths)
    y = x if y0 is None else _checks.starts("y0", y0, n, len(x))
    gamma, temperature = _checks.positives(gamma=gamma, temperature=temperature)
    dt, steps = _checks.positive("dt", dt), _checks.count("steps", steps)
    micro_dt = _checks.positive("micro_dt", micro_dt)
    micro_steps = _checks.count("micro_steps", micro_steps)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    if dt >= 2 * gamma:
        need = f"dt < 2 gamma = {2 * gamma:g}, the bound of a macro step"
        _checks.reject("dt", f"{dt:g}", need, "take a smaller dt")
    noise = np.kron([[0.0], [np.sqrt(2 * temperature)], [0.0]], np.eye(n))
    params = np.concatenate([[gamma, micro_dt, micro_steps, dt], landscape.params])
    drift = _bursts(landscape.formula.grad, n)
    bursts = Diffusion(
        drift=drift, noise=noise, params=params, dim=3 * n, rank=n, temperature=temperature
    )
    start = np.hstack([x, y, np.zeros_like(x)])
    clock: dict[str, Any] = {"dt": micro_dt, "steps": steps * micro_steps}
    clock["save_every"] = every * micro_steps or None
    run = simulate(bursts, start, rng=rng, scheme="leimkuhler-matthews", **clock)
    bursts_done = np.round(run.times / (micro_dt * micro_steps))
    return Ensemble(dt * bursts_done, np.ascontiguousarray(run.paths[..., : 2 * n]))


@lru_cache(maxsize=64)
def _bursts(grad: Callable, n: int) -> Callable:
    """Drift of (x, y, sum of y / m): x and the sum move at the last micro step of a burst."""
    grad = compiled(grad)

    def drift(state, t, params, out):
        gamma, micro_dt, burst, dt = params[0], params[1], params[2], params[3]
        grad(state[n : 2 * n], params[4:], out[n : 2 * n])
        bursts = np.floor(t / micro_dt + 1.5) / burst
        last = 1.0 if bursts == np.floor(bursts) else 0.0
        for i in range(n):
            x, y, partial = state[i], state[n + i], state[2 * n + i]
            mean = partial + y / burst
            out[i] = last * dt / gamma * (mean - x) / micro_dt
            out[n + i] = (x - y) / gamma - out[n + i]
            out[2 * n + i] = ((1.0 - last) * mean - partial) / micro_dt

    return drift
