"""The velocities that the fast variable offers to a learning rate that sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from relaxlib import _checks
from relaxlib.landscapes import Landscape
from relaxlib.learning_rates._two_scale import control_interval

_CUTOFF = 46.0  # exponents beyond this, weights below 1e-20, count nothing
_END = 3.2  # of the substitution that clusters nodes at the ends of a half-line
_AGREEMENT = 1e-6  # of two rules, the second of which then errs by its square
_COARSEST, _FINEST = (128, 32), 2048  # intervals on a half-line, by dimension


def support_function(
    landscape: Landscape,
    x: ArrayLike,
    p: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> float:
    r"""Support function of the set F(x) of effective velocities.

    .. math:: \sigma(x, p) = \max_{v \in F(x)} p\cdot v
              = \frac1\gamma\int\max_{a \le u \le b} u\,(y-x)\cdot p\;\rho_\infty(dy; x)

    Parameters
    ----------
    landscape : Landscape
        f, with one or two coordinates.
    x, p : (d,) array_like
        Position and direction.
    gamma, temperature : float
        As in `smoothing.local_entropy`.
    controls : (float, float)
        The interval [a, b] of learning rates.

    Returns
    -------
    float
        In units of p x per unit of time, to about 1e-10.

    Raises
    ------
    ValueError
        If a parameter is out of range, the Gibbs integral diverges, or d > 2.
    ArithmeticError
        If the quadrature does not converge.

    Notes
    -----
    BK (3.8). The law has a density, so that F(x) is convex also when u takes the values a and b
    only (Lyapunov).

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> round(support_function(quadratic(), 1.0, -1.0, gamma=0.5, temperature=0.5), 9)
    0.761993939
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    position = _checks.point("x", x, landscape.dim)
    return velocities.support(position, _checks.point("p", p, landscape.dim))


def effective_hamiltonian(
    landscape: Landscape,
    x: ArrayLike,
    p: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> float:
    r"""Effective Hamiltonian of the minimization problem.

    .. math:: \bar H(x, p) = \int\max_{a \le u \le b} u\,\frac{x-y}\gamma\cdot p\;\rho_\infty(dy; x)
              = \sigma(x, -p)

    Parameters, shapes and errors are those of `support_function`. BK (2.9).

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> round(effective_hamiltonian(quadratic(), 1.0, 1.0, gamma=0.5, temperature=0.5), 9)
    0.761993939
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    position = _checks.point("x", x, landscape.dim)
    return velocities.support(position, -_checks.point("p", p, landscape.dim))


def velocity_set(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    r"""The interval F(x) of effective velocities on the line, (v_min, v_max).

    .. math:: v_{\max} = \frac1\gamma\int\bigl(b\,(y-x)^+ - a\,(y-x)^-\bigr)\,\rho_\infty(dy; x),
              \qquad v_{\min} + v_{\max} = -(a + b)\,f_\gamma'(x)

    Parameters, shapes and errors are those of `support_function`; in the plane that is the
    description of F(x), and a ValueError says so.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> v = velocity_set(lipschitz_double_well(), -0.8, gamma=0.5, temperature=1 / 3)
    >>> [round(end, 8) for end in v]
    [-0.26681917, 0.32117246]
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    on_the_line(landscape, "use support_function")
    position, ahead = _checks.point("x", x, 1), np.array([1.0])
    return -velocities.support(position, -ahead), velocities.support(position, ahead)


class Velocities:
    """The sets F(x) of a loss in one or two coordinates; its parameters are checked here, once."""

    def __init__(
        self, landscape: Landscape, gamma: float, temperature: float, controls: tuple[float, float]
    ) -> None:
        _checks.kind("landscape", landscape, Landscape)
        self.landscape = landscape
        self.gamma, self.temperature = _checks.positives(gamma=gamma, temperature=temperature)
        self.rates = np.array(control_interval(controls))[::-1]  # ahead of x, and behind it
        if landscape.dim > 2:
            fix = "average along paths instead"
            _checks.reject("landscape.dim", landscape.dim, "dim <= 2", fix)

    def support(self, x: np.ndarray, p: np.ndarray) -> float:
        """sigma(x, p), for a vector p of any length."""
        length = float(np.hypot.reduce(p))  # where squares overflow, too
        return length * float(self.pull(x, p / length)[0] @ (p / length)) if length else 0.0

    def pull(self, x: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The velocity of F(x) farthest along a unit vector e, and the gradient of sigma in x."""
        mass, first, second = self._half_moments(x, e)
        spread = self.rates @ (second - np.outer(first @ e, first.sum(axis=0)))
        by_law = spread / (self.gamma * self.temperature)
        return self.rates @ first / self.gamma, (by_law - (self.rates @ mass) * e) / self.gamma

    def _half_moments(self, x: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, ...]:
        """Integrals of 1, v and v (v.e), v = y - x, over v.e > 0 and < 0: (2,), (2, d), (2, d)."""
        along, across = self._window(x, e)
        count, residual = _COARSEST[len(x) - 1], np.inf
        while residual > _AGREEMENT and count < _FINEST:
            count *= 2
            _, _, v, weights = _half_line_rule(e, along, across, count)
            weights = weights * np.exp(-self._excess(x, v))
            shifts = (v @ e)[..., None]
            parts = np.concatenate([np.ones_like(shifts), v, v * shifts], axis=-1)
            parts *= weights[..., None]
            fine, coarse = parts.sum(axis=(1, 2)), parts[:, ::2, ::2].sum(axis=(1, 2))
            fine /= fine[:, 0].sum()
            coarse /= max(coarse[:, 0].sum(), np.finfo(np.float64).tiny)
            residual = np.abs(fine - coarse).max() / np.abs(fine).max()
        if not residual <= _AGREEMENT:
            raise ArithmeticError(
                f"half-moments at x = {x.tolist()}: residual {residual:.1e} > {_AGREEMENT:g}; the "
                "loss is too rough or narrow there: mend it, or raise gamma or temperature"
            )
        return fine[:, 0], fine[:, 1 : 1 + len(x)], fine[:, 1 + len(x) :]

    def _window(self, x: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the law has weight: distances along e on both sides (2, 2), and across it (2,)."""
        reach = float(self.landscape.reach(x, gamma=self.gamma, excess=_CUTOFF * self.temperature))
        along, across = np.array([[0.0, reach]] * 2), (len(x) - 1) * np.array([-reach, reach])
        size, smaller = np.inf, reach
        while smaller < 0.7 * size:
            size = smaller
            z, w, v, _ = _half_line_rule(e, along, across, _COARSEST[len(x) - 1])
            low = self._excess(x, v) < _CUTOFF
            for half in np.flatnonzero(low.any(axis=(1, 2))):
                along[half] = _around(np.abs(z[half]), low[half].any(axis=1), along[half, 0])
            across = _around(w, low.any(axis=(0, 1)), across[0])
            smaller = np.ptp(across) + sum(np.ptp(along[low.any(axis=(1, 2))], axis=1))
        return along, across

    def _excess(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(Phi - min Phi)/T at y = x + v, for the potential Phi of the fast variable."""
        phi = self.landscape.value(x + v) + (v**2).sum(axis=-1) / (2.0 * self.gamma)
        return (phi - phi.min()) / self.temperature


def _half_line_rule(
    e: np.ndarray, along: np.ndarray, across: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nodes z (2, k), w (m,), v = z e + w e' (2, k, m, d) and weights for the two half-spaces.

    Along e nodes cluster at the ends of each half-line, across it they are evenly spaced: for
    smooth laws that vanish at the far ends both rules converge exponentially.
    """
    places = np.linspace(-_END, _END, count + 1)
    shares = expit(np.pi * np.sinh(places))
    near, length = along[:, :1], np.diff(along)
    weights = length * np.pi * np.cosh(places) * shares * (1.0 - shares)
    z = np.array([[1.0], [-1.0]]) * (near + length * shares)
    v = z[:, :, None, None] * e
    w = np.zeros(1)
    if len(e) == 2:
        w = np.linspace(across[0], across[1], count // 2 + 1)
        v = v + w[:, None] * np.array([-e[1], e[0]])
    return z, w, v, weights[:, :, None]


def _around(nodes: np.ndarray, low: np.ndarray | np.bool, start: float) -> np.ndarray:
    """The interval between the neighbors of the low nodes; it may begin at ``start``."""
    first, last = np.flatnonzero(low)[[0, -1]]
    lower = nodes[first - 1] if first > 0 else start
    return np.array([lower, nodes[min(last + 1, len(nodes) - 1)]])


def on_the_line(landscape: Landscape, fix: str) -> None:
    """Reject a loss with more than one coordinate."""
    if landscape.dim != 1:
        _checks.reject("landscape.dim", landscape.dim, "a loss on the line", fix)
