"""Two time scales: the averaged flow, correctors, the error of averaging, and an integrator."""

from relaxlib.homogenization._averaging import (
    AveragingError,
    averaging_error,
    effective_drift,
    effective_flow,
)
from relaxlib.homogenization._cell import Cell, cell_problem
from relaxlib.homogenization._multiscale import hmm

__all__ = [
    "AveragingError",
    "Cell",
    "averaging_error",
    "cell_problem",
    "effective_drift",
    "effective_flow",
    "hmm",
]
