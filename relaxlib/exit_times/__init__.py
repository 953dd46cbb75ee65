"""Mean exit times: on a grid, by quadrature, by bounds, and by Kramers' law."""

from relaxlib.exit_times._bounds import Bounds, exit_time_bounds
from relaxlib.exit_times._equations import feynman_kac, mean_exit_time
from relaxlib.exit_times._kramers import Saddle, kramers, relevant_saddle
from relaxlib.exit_times._quadrature import interval_exit_time, radial_exit_time

__all__ = [
    "Bounds",
    "Saddle",
    "exit_time_bounds",
    "feynman_kac",
    "interval_exit_time",
    "kramers",
    "mean_exit_time",
    "radial_exit_time",
    "relevant_saddle",
]
