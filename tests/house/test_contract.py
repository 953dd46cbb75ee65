"""Names that readers and other programs rely on, and where they import them from."""

import importlib

import pytest

CONTRACT = {
    "action": "minimum_action",
    "asymptotics": "GaussianMixture committor gaussian_mixture well_masses",
    "control": "ControlProblem Finding Report check_assumptions cole_hopf solve_hjb",
    "deep.bridge": "finite_sum",
    "deep.optim": "ElasticSGD EntropySGD GatedEntropySGD HJ Heat Replicas Scoping elastic_update",
    "deep.train": "Run rows train",
    "deep.workers": "work",
    "diffusions": "Diffusion langevin ornstein_uhlenbeck two_scale underdamped",
    "exit_times": "exit_time_bounds feynman_kac interval_exit_time kramers mean_exit_time "
    "radial_exit_time relevant_saddle",
    "fokker_planck": "eigenvalues evolve mass relative_entropy spectral_gap stationary wasserstein",
    "gaussian": "covariance_at hormander_rank stationary_covariance wasserstein2_gaussian",
    "grid": "DensityFlow Grid ValueFunction",
    "hamilton_jacobi": "hopf_lax prox solve_hj",
    "homogenization": "averaging_error cell_problem effective_drift hmm",
    "landscapes": "Landscape crossed_valleys double_well double_well_2d exponential_ramp "
    "lipschitz_double_well mueller_brown quadratic radial_power rugged wide_and_narrow",
    "learning_rates": "effective_hamiltonian extended_value standard_value two_scale_value "
    "velocity_set",
    "ledger": "check claims",
    "multigrid": "solve",
    "operators": "KolmogorovOperator kolmogorov langevin_operator",
    "paths": "Ensemble Estimate ExitSample estimate first_exits simulate time_average",
    "rare_events": "mean_exit_time_splitting",
    "regions": "Ball Box",
    "sgd": "FiniteSum diffusion least_squares noise_covariance sgd_moments sgd_paths",
    "smoothing": "gibbs_moments heat_smoothing local_entropy local_entropy_grad "
    "local_entropy_on_grid",
}


@pytest.mark.parametrize("door", CONTRACT)
def test_names_of_the_contract_are_where_they_were_promised(door):
    module = importlib.import_module(f"relaxlib.{door}")
    assert [name for name in CONTRACT[door].split() if not hasattr(module, name)] == []
