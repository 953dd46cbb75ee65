"""Two time scales: the averaged flow, correctors, the error of averaging, and an integrator."""

from relaxlib.homogenization._averaging import (
    AveragingError,
    Cell,
    averaging_error,
    cell_problem,
    effective_drift,
    effective_flow,
    hmm,
)

__all__ = [
    "AveragingError",
    "Cell",
    "averaging_error",
    "cell_problem",
    "effective_drift",
    "effective_flow",
    "hmm",
]
