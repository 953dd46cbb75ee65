"""Stochastic gradient descent on a finite sum, the diffusion that stands for it, exact moments."""

from relaxlib.sgd._finite_sums import (
    Example,
    FiniteSum,
    Quadratic,
    from_example,
    least_squares,
    logistic,
    noise_covariance,
    noise_rank,
    quadratics,
)
from relaxlib.sgd._moments import diffusion_moments, sgd_moments, stationary_moments
from relaxlib.sgd._paths import diffusion, sgd_paths

__all__ = [
    "Example",
    "FiniteSum",
    "Quadratic",
    "diffusion",
    "diffusion_moments",
    "from_example",
    "least_squares",
    "logistic",
    "noise_covariance",
    "noise_rank",
    "quadratics",
    "sgd_moments",
    "sgd_paths",
    "stationary_moments",
]
