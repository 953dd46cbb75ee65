"""Simulated paths of a diffusion, the times at which they leave a region, and means over time."""

from relaxlib.paths._simulate import Ensemble, Estimate, ExitSample, estimate, first_exits, simulate
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
