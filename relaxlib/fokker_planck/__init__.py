"""Densities in time and for ever: flow, equilibrium, spectrum, entropies and distances."""

from relaxlib.fokker_planck._distances import (
    wasserstein,
    wasserstein2_to_line,
    weighted_oscillation,
)
from relaxlib.fokker_planck._entropies import (
    chi_square,
    entropy_production,
    fisher_information,
    free_energy,
    poincare_constant,
    relative_entropy,
)
from relaxlib.fokker_planck._evolution import (
    backward,
    eigenvalues,
    evolve,
    expectation,
    gibbs,
    mass,
    spectral_gap,
    stationary,
)

__all__ = [
    "backward",
    "chi_square",
    "eigenvalues",
    "entropy_production",
    "evolve",
    "expectation",
    "fisher_information",
    "free_energy",
    "gibbs",
    "mass",
    "poincare_constant",
    "relative_entropy",
    "spectral_gap",
    "stationary",
    "wasserstein",
    "wasserstein2_to_line",
    "weighted_oscillation",
]
