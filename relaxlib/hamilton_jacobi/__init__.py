"""Hamilton–Jacobi smoothing: the Hopf–Lax formula, a monotone scheme, the proximal map."""

from relaxlib.hamilton_jacobi._equation import hopf_lax, solve_hj
from relaxlib.hamilton_jacobi._prox import Prox, prox

__all__ = ["Prox", "hopf_lax", "prox", "solve_hj"]
