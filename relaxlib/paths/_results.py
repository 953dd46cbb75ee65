"""What simulations return: estimates with errors, positions in time, exits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo mean with its standard error.

    Parameters
    ----------
    mean, stderr : float
    n : int
        Number of independent samples.

    Examples
    --------
    >>> print(Estimate(1.28419, 0.00583, 20000))
    1.284 +/- 0.006 (n=20000)
    """

    mean: float
    stderr: float
    n: int

    def __str__(self) -> str:
        digits = 0
        if 0.0 < self.stderr < np.inf:
            digits = max(0, -int(np.floor(np.log10(self.stderr))))
        return f"{self.mean:.{digits}f} +/- {self.stderr:.{digits}f} (n={self.n})"


def estimate(samples: ArrayLike) -> Estimate:
    """Mean of independent samples (n,) with its standard error.

    >>> estimate([1.0, 2.0, 3.0, 2.0]).mean
    2.0
    """
    values = _checks.array("samples", samples).ravel()
    _checks.count("number of samples", values.size, least=2)
    _checks.finite("samples", values)
    stderr = values.std(ddof=1) / np.sqrt(values.size)
    return Estimate(float(values.mean()), float(stderr), values.size)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Positions of many paths at the saved times.

    Parameters
    ----------
    times : (k,) float64
    paths : (k, n, d) float64
    """

    times: np.ndarray
    paths: np.ndarray


@dataclass(frozen=True, eq=False)
class ExitSample:
    """When and where paths first left a region.

    Parameters
    ----------
    times : (n,) float64
        Exit times; the time at the last step where ``censored``.
    points : (n, d) float64
        Exit points on the boundary; the last position where ``censored``.
    censored : (n,) bool
        True for a path that was still inside after the last step.
    """

    times: np.ndarray
    points: np.ndarray
    censored: np.ndarray

    def mean(self) -> Estimate:
        """Mean exit time; a ValueError if a path is censored, for then it would be too small."""
        left = int(self.censored.sum())
        if left:
            need = "every path to have left the region"
            _checks.reject("censored paths", left, need, "raise max_steps")
        return estimate(self.times)
