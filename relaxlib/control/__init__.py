"""Stochastic control: values, feedbacks, and what the limit of two scales assumes."""

from relaxlib.control._assumptions import Finding, Report, check_assumptions
from relaxlib.control._hjb import solve_hjb
from relaxlib.control._problem import ControlProblem
from relaxlib.control._steering import SteeredFlow, cole_hopf, feedback, forward_backward, steered

__all__ = [
    "ControlProblem",
    "Finding",
    "Report",
    "SteeredFlow",
    "check_assumptions",
    "cole_hopf",
    "feedback",
    "forward_backward",
    "solve_hjb",
    "steered",
]
