"""Mean exit times: on a grid, by quadrature, by bounds, and by Kramers' law."""

# The pair of both bounds stays importable for scripts from before they were two functions.
from relaxlib.exit_times._bounds import Bounds as Bounds
from relaxlib.exit_times._bounds import exit_time_bounds as exit_time_bounds
from relaxlib.exit_times._bounds import exit_time_lower_bound, exit_time_upper_bound
from relaxlib.exit_times._equations import feynman_kac, mean_exit_time
from relaxlib.exit_times._kramers import Saddle, kramers, relevant_saddle
from relaxlib.exit_times._quadrature import interval_exit_time, radial_exit_time

__all__ = [
    "Saddle",
    "exit_time_lower_bound",
    "exit_time_upper_bound",
    "feynman_kac",
    "interval_exit_time",
    "kramers",
    "mean_exit_time",
    "radial_exit_time",
    "relevant_saddle",
]
