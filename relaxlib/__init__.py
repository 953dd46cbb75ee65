"""Kernels behind the book Relaxation: what stochastic gradient descent really does.

A landscape is a loss with its derivatives; smoothing and Hamilton–Jacobi act on it, or on its
values on a grid. A diffusion is built from a landscape, a matrix or a finite sum, and is asked
through its paths or through its operator.

=================== ==================================================================
``landscapes``      `Landscape` and the catalogue of losses with known facts
``smoothing``       local entropy, heat smoothing, Gibbs moments
``hamilton_jacobi`` Hopf–Lax, the proximal map, a monotone scheme
``diffusions``      `Diffusion`: Langevin, Ornstein–Uhlenbeck, two-scale, with momentum
``paths``           simulated ensembles and first exits
``operators``       the generator on a grid, a Markov chain
``fokker_planck``   densities in time, equilibrium, spectrum
``entropies``       entropies of densities, their production, Poincaré's constant
``exit_times``      mean exit times, discounted problems, bounds, Kramers' law
``exit_quadrature`` exit times on the line and on balls, to all digits
``action``          the cheapest path against a drift
``rare_events``     exits too rare to be simulated, by splitting
``multigrid``       boundary-value problems in the plane, in linear time
``gaussian``        laws of linear diffusions, exact in time
``asymptotics``     well masses, committors, mixtures at low temperature
``distances``       Wasserstein distances of densities, weighted oscillation of functions
``homogenization``  effective drift, correctors, averaging error, multiscale integration
``time_averages``   means over time along simulated paths
``control``         Hamilton–Jacobi–Bellman equations, steered diffusions, assumptions
``learning_rates``  values of controlled learning rates, standard, extended, two-scale
``finite_sums``     losses that are means over examples, and the noise of batches
``sgd``             SGD itself, and the diffusion that stands for it
``sgd_moments``     exact moments of both on quadratic losses
``deep``            networks in torch; not imported by anything else
``grid``            `Grid`, `ValueFunction` and `DensityFlow`, arrays on the nodes of a box
``regions``         `Ball` and `Box` with their signed distances
``ledger``          `check`: every numbered statement of the papers, held to account
``plotting``        figures of results; the only module that draws
=================== ==================================================================

Underneath, ``landscape``, ``formulas`` and ``custom`` make landscapes, ``diffusion`` and ``drifts``
diffusions; ``random``, ``blocks``, ``euler`` and ``exits`` are the compiled paths, ``elementary``
their functions, ``slices`` their clock; ``selling``, ``chains`` and ``exponentials`` serve the
operators, ``cut_cells`` their exits; ``exit_bounds`` and ``kramers_law`` belong to the exit times,
``splitting`` to the rare events, ``black_box`` to multigrid, ``steering``, ``control_problem`` and
``assumptions`` to control; ``quadrature``, ``log_convolution`` and ``envelopes`` are the other
compiled loops; ``_checks`` words the errors.
"""

__version__ = "0.5.1"
