"""Hamilton–Jacobi smoothing: the Hopf–Lax formula, a monotone scheme, the proximal map."""

from relaxlib.hamilton_jacobi._equation import Prox, hopf_lax, prox, solve_hj

__all__ = ["Prox", "hopf_lax", "prox", "solve_hj"]
