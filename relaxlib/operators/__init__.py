"""The generator of a diffusion on a grid: a sparse Markov chain whose jumps are never negative."""

from relaxlib.operators._kolmogorov import (
    KolmogorovOperator,
    bernoulli,
    kolmogorov,
    langevin_operator,
)

__all__ = ["KolmogorovOperator", "bernoulli", "kolmogorov", "langevin_operator"]
