"""Exits beyond the reach of direct simulation, by adaptive multilevel splitting."""

from relaxlib.rare_events._estimates import exit_probability, mean_exit_time_splitting

__all__ = ["exit_probability", "mean_exit_time_splitting"]
