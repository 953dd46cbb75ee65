"""Kernels behind the book Relaxation: what stochastic gradient descent really does.

A landscape is a loss with its derivatives; smoothing and Hamilton–Jacobi act on it, or on its
values on a grid. A diffusion is built from a landscape, a matrix or a finite sum, and is asked
through its paths or through its operator.

=================== ==================================================================
``landscapes``      `Landscape`, the catalogue of losses, and your own functions
``smoothing``       local entropy, heat smoothing, Gibbs moments
``hamilton_jacobi`` Hopf–Lax, the proximal map, a monotone scheme
``diffusions``      `Diffusion`: Langevin, Ornstein–Uhlenbeck, two-scale, with momentum
``paths``           simulated ensembles, first exits, means over time
``operators``       the generator on a grid, a Markov chain
``fokker_planck``   densities in time, equilibrium, spectrum, entropies, distances
``exit_times``      mean exit times on grids, by quadrature, bounds, Kramers' law
``rare_events``     exits too rare to be simulated, by splitting
``action``          the cheapest path against a drift
``multigrid``       boundary-value problems in the plane, in linear time
``gaussian``        laws of linear diffusions, exact in time
``asymptotics``     well masses, committors, mixtures at low temperature
``homogenization``  effective drift, correctors, averaging error, multiscale integration
``control``         Hamilton–Jacobi–Bellman equations, steered diffusions, assumptions
``learning_rates``  values of controlled learning rates, standard, extended, two-scale
``sgd``             losses that are means over examples, SGD, and its diffusion
``deep``            networks in torch; not imported by anything else
``grid``            `Grid`, `ValueFunction` and `DensityFlow`, arrays on the nodes of a box
``regions``         `Ball` and `Box` with their signed distances
``ledger``          `check`: every numbered statement of the papers, held to account
``plotting``        figures of results; the only module that draws
=================== ==================================================================

Each is entered by its own door: what its ``__all__`` names is public, every name has one door, and
files that begin with an underscore belong to their package alone. Underneath, ``_lanes`` is the
compiled engine of paths, ``_checks`` words the errors and ``_files`` replaces files at once.
"""

__version__ = "0.6.0"
