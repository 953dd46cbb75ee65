"""Kernels behind the book Relaxation: what stochastic gradient descent really does.

A landscape is a loss with its derivatives; smoothing and Hamilton–Jacobi act on it.

=================== ==================================================================
``grid``            ``Grid`` and ``ValueFunction``, arrays on the nodes of a box
``regions``         ``Ball`` and ``Box`` with their signed distances
``ledger``          ``check``: every numbered statement of the papers, held to account
``landscapes``      ``Landscape`` and the catalogue
``smoothing``       local entropy, heat smoothing, Gibbs moments
``hamilton_jacobi`` Hopf–Lax, the proximal map, a monotone scheme
``plotting``        figures of the results; the only module that draws
=================== ==================================================================
"""

__version__ = "0.1.0"
