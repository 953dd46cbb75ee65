"""Kernels behind the book Relaxation: what stochastic gradient descent really does.

A landscape is a loss with its derivatives; smoothing and Hamilton–Jacobi act on it, or on its
values on a grid.

=================== ==================================================================
``landscapes``      `Landscape` and the catalogue of losses with known facts
``smoothing``       local entropy, heat smoothing, Gibbs moments
``hamilton_jacobi`` Hopf–Lax, the proximal map, a monotone scheme
``grid``            `Grid` and `ValueFunction`, arrays on the nodes of a box
``regions``         `Ball` and `Box` with their signed distances
``ledger``          `check`: every numbered statement of the papers, held to account
``plotting``        figures of results; the only module that draws
=================== ==================================================================

Underneath, ``landscape``, ``formulas`` and ``custom`` make landscapes; ``quadrature``,
``log_convolution`` and ``envelopes`` are the compiled loops; ``_checks`` words the errors.
"""

__version__ = "0.1.0"
