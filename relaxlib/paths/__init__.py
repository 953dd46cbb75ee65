"""Simulated paths of a diffusion, the times at which they leave a region, and means over time."""

from relaxlib.paths._results import Ensemble, Estimate, ExitSample, estimate
from relaxlib.paths._simulate import first_exits, simulate
from relaxlib.paths._time_average import TimeAverage, time_average

__all__ = [
    "Ensemble",
    "Estimate",
    "ExitSample",
    "TimeAverage",
    "estimate",
    "first_exits",
    "simulate",
    "time_average",
]
