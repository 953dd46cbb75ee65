"""Stochastic gradient descent on a finite sum, the diffusion that stands for it, exact moments."""

from relaxlib.sgd._diffusion import sgd_diffusion
from relaxlib.sgd._diffusion import sgd_diffusion as diffusion  # noqa: F401, its first name
from relaxlib.sgd._examples import least_squares, logistic, quadratics
from relaxlib.sgd._finite_sums import FiniteSum, from_example, noise_covariance, noise_rank
from relaxlib.sgd._moments import diffusion_moments, sgd_moments, stationary_moments
from relaxlib.sgd._paths import sgd_paths

__all__ = [
    "FiniteSum",
    "diffusion_moments",
    "from_example",
    "least_squares",
    "logistic",
    "noise_covariance",
    "noise_rank",
    "quadratics",
    "sgd_diffusion",
    "sgd_moments",
    "sgd_paths",
    "stationary_moments",
]
