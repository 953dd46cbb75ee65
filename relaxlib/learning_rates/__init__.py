r"""The learning rate as a control: the two-scale problem, and what is left of it in the limit.

Below the loss f, :math:`\rho_\infty(dy; x) \propto e^{-(f(y) + |x-y|^2/(2\gamma))/T}dy` is the law
of the fast variable around x. A control that sees it moves x with any velocity of the convex set
:math:`F(x) = \{\int\frac{y-x}\gamma\nu(y)\,\rho_\infty(dy; x) : \nu(y) \in [a, b]\}`.
"""

from relaxlib.learning_rates._effective import (
    Trajectory,
    extended_value,
    optimal_trajectory,
    reachable_set,
    standard_value,
)
from relaxlib.learning_rates._two_scale import controlled_two_scale, two_scale_value
from relaxlib.learning_rates._velocities import (
    effective_hamiltonian,
    support_function,
    velocity_set,
)

__all__ = [
    "Trajectory",
    "controlled_two_scale",
    "effective_hamiltonian",
    "extended_value",
    "optimal_trajectory",
    "reachable_set",
    "standard_value",
    "support_function",
    "two_scale_value",
    "velocity_set",
]
