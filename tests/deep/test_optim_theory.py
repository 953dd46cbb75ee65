"""What an optimizer does to a loss that theory can solve, in numbers of the theory."""

import math

import numpy as np
import pytest
import torch
from small_training import normals, outer_step

from relaxlib import smoothing
from relaxlib.deep.optim import HJ, EntropySGD, Heat
from relaxlib.diffusions import Diffusion
from relaxlib.homogenization import hmm
from relaxlib.landscapes import lipschitz_double_well, quadratic
from relaxlib.paths import simulate

pytestmark = pytest.mark.usefixtures("one_thread")

DOUBLE = torch.float64


def at(value=1.0, size=1):
    return torch.nn.Parameter(torch.full((size,), value, dtype=DOUBLE))


def quadratic_step(kind, *, curvature=1.5, start=1.0, **settings):
    x = at(start)
    outer_step(kind([x], **settings), lambda: (curvature * x**2 / 2).sum())
    return x.item()


def test_entropic_gradient_of_a_quadratic():
    x = quadratic_step(EntropySGD, lr=0.1, gamma=0.5, inner_steps=500, temperature=0.0)
    assert x == pytest.approx(1.0 - 0.1 * 1.5 / (1 + 0.5 * 1.5), abs=1e-12)
    slope = smoothing.local_entropy_grad(quadratic(1.5), 1.0, gamma=0.5, temperature=1.0)
    assert x == pytest.approx(1.0 - 0.1 * slope[0], abs=1e-12)


def test_forward_looking_average_of_twenty_steps():
    c, gamma, h, steps, alpha = 1.5, 0.5, 0.1, 20, 0.75
    q, limit = 1 - h * (c + 1 / gamma), 1 / (1 + gamma * c)
    tail = alpha**steps + (1 - alpha) * q * (alpha**steps - q**steps) / (alpha - q)
    mean = quadratic_step(EntropySGD, lr=gamma, gamma=gamma, temperature=0.0)
    assert mean == pytest.approx(limit + (1 - limit) * tail, abs=1e-12)
    assert mean == pytest.approx(0.574870, abs=5e-7)


def test_arithmetic_average_leaves_the_start_out():
    settings = {"lr": 0.5, "gamma": 0.5, "inner_steps": 3, "temperature": 0.0}
    q = 1 - 0.1 * (1.5 + 2.0)
    iterates = [4 / 7 + 3 / 7 * q**k for k in (1, 2, 3)]
    mean = quadratic_step(EntropySGD, averaging="mean", **settings)
    assert mean == pytest.approx(np.mean(iterates), abs=1e-14)


def test_averaging_is_the_weight_of_the_past():
    settings = {"lr": 1.0, "gamma": 1.0, "inner_steps": 1, "temperature": 0.0}
    x = quadratic_step(EntropySGD, averaging=0.9, **settings)
    assert x == pytest.approx(0.9 * 1.0 + 0.1 * (1.0 - 0.1 * 1.5), abs=1e-15)


def test_averaging_weighs_toward_the_end():
    """The formula of the docstring, from the inner iterates themselves."""
    x, iterates = at(), []
    optimizer = EntropySGD([x], lr=1.0, gamma=1.0, temperature=0.1, seed=1)

    def loss():
        iterates.append(x.item())
        return (1.5 * x**2 / 2).sum()

    outer_step(optimizer, loss)
    noise = math.sqrt(2 * 0.1 * 0.1) * normals(1, seed=1, count=19).item()
    start, last = iterates[0], iterates[-1]
    iterates.append(last - 0.1 * (1.5 * last + last - start) + noise)
    weights = 0.25 * 0.75 ** np.arange(19, -1, -1)
    assert x.item() == pytest.approx(0.75**20 * start + weights @ iterates[1:], abs=1e-14)


def test_hopf_lax_gradient_after_five_steps():
    x = quadratic_step(HJ, lr=1.0, gamma=0.5)
    assert 1.0 - x == pytest.approx(0.757689375, abs=1e-12)
    exact = 1.5 / (1 + 0.5 * 1.5)
    assert 1.0 - x == pytest.approx(exact * (1 - (1 - 0.1 * (1.5 + 1 / 0.5)) ** 5), abs=1e-12)
    assert quadratic_step(HJ, lr=0.5, gamma=0.5, inner_steps=300) == pytest.approx(4 / 7, abs=1e-12)


@pytest.mark.parametrize("gamma", [0.2, 1.0, 1e4])
def test_one_inner_step_is_gradient_descent(gamma):
    x = quadratic_step(HJ, lr=0.3, gamma=gamma, inner_steps=1)
    assert x == pytest.approx(1.0 - 0.3 * 0.1 / gamma * 1.5, abs=1e-12)


def test_an_outer_rate_of_gamma_is_stochastic_gradient_descent():
    """20 steps with Nesterov's momentum inside, no force: torch's SGD from the same start."""
    x, other = at(), at()
    settings = {"gamma": 1e12, "lr": 1e12, "inner_momentum": 0.9, "weight_decay": 0.1}
    outer_step(HJ([x], inner_steps=20, **settings), lambda: -x.cos().sum())
    plain = torch.optim.SGD([other], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    for _ in range(20):
        outer_step(plain, lambda: -other.cos().sum())
    assert x.item() == pytest.approx(other.item(), abs=1e-10)
    assert other.item() < 0.2


def test_closed_form_of_one_step_with_its_noise():
    """On a quadratic everything is linear, so the very noise can be summed by hand."""
    c, gamma, h, heat, steps = 1.5, 0.5, 0.1, 0.3, 8
    q, limit = 1 - h * (c + 1 / gamma), 1 / (1 + gamma * c)
    noise = [normals(1, seed=7, count=k).item() for k in range(steps)]
    bent = sum(q ** (steps - 1 - k) * noise[k] for k in range(steps))
    y = limit + (1 - limit) * q**steps + math.sqrt(2 * h * heat) * bent
    own = {"gamma": gamma, "inner_steps": steps, "seed": 7}
    x = quadratic_step(EntropySGD, lr=0.2, temperature=heat, averaging=0.0, **own)
    assert x == pytest.approx(1.0 - 0.2 * (1.0 - y) / gamma, abs=1e-12)
    wide = math.sqrt(heat * steps / (steps - 1)) * sum(noise[:-1]) / steps
    x = quadratic_step(Heat, lr=0.2, variance=heat, inner_steps=steps, seed=7)
    assert x == pytest.approx(1.0 - 0.2 * c * (1.0 + wide), abs=1e-12)


def test_noise_has_variance_two_h_temperature():
    y, size = at(0.0, 100_000), 100_000
    optimizer = EntropySGD([y], temperature=0.5, inner_lr=0.1, seed=1)
    y.grad = torch.zeros_like(y)
    optimizer.step()
    assert abs(y.var().item() / (2 * 0.1 * 0.5) - 1) < 4 * math.sqrt(2 / size)


def test_stationary_variance_of_the_inner_loop():
    size, a = 20_000, 1.5 + 1 / 0.4
    settings = {"gamma": 0.4, "lr": 0.4, "temperature": 0.5, "averaging": 0.0, "seed": 1}
    y = at(0.0, size)
    outer_step(EntropySGD([y], inner_steps=60, **settings), lambda: (1.5 * y**2 / 2).sum())
    expected = 0.5 / (a * (1 - 0.1 * a / 2))
    assert expected == 0.15625
    assert abs(y.var().item() / expected - 1) < 4 * math.sqrt(2 / size)


def test_momentum_of_nesterov_on_the_weights():
    q, delta = 0.1, 0.9  # effective step, momentum
    x = at()
    optimizer = HJ([x], lr=q / (0.1 / 1.0), gamma=1.0, inner_steps=1, momentum=delta)
    z = old = 1.0
    for _ in range(40):
        outer_step(optimizer, lambda: (x**2 / 2).sum())
        new = z - q * z
        z, old = new + delta * (new - old), new
    assert new == pytest.approx(0.0149653, abs=5e-8)
    assert x.item() == pytest.approx(z, abs=1e-12)


def test_heat_smooths_a_cosine():
    size, variance, steps = 50_000, 0.5 / 4, 20
    x = at(1.0, size)
    outer_step(Heat([x], lr=1.0, variance=variance, seed=1), lambda: x.cos().sum())
    gradients = 1.0 - x.detach().numpy()
    error = 4 * gradients.std() / math.sqrt(size)
    wide = math.exp(-variance * steps / (steps - 1) / 2)
    assert abs(gradients.mean() + math.sin(1) * (1 + (steps - 1) * wide) / steps) < error
    heat = -math.sin(1) * math.exp(-variance / 2)
    assert heat == pytest.approx(-0.790489, abs=5e-7)
    assert abs(gradients.mean() - heat) < error + variance**2 / (8 * (steps - 1))
    assert abs(gradients.mean() + 0.655338) > 100 * error  # variance gamma, as printed


def test_points_of_heat_have_its_variance():
    x, squares = at(2.0, 20_000), []

    def loss():
        squares.append(((x.detach() - 2.0) ** 2).mean().item())
        return (0.0 * x).sum()

    outer_step(Heat([x], variance=0.3, inner_steps=5, seed=1), loss)
    assert squares[0] == 0.0
    assert np.mean(squares) == pytest.approx(0.3, rel=4 * math.sqrt(2 / 80_000))
    assert torch.equal(x, at(2.0, 20_000))


def test_heat_without_variance_is_gradient_descent():
    x = quadratic_step(Heat, lr=0.1, variance=0.0, weight_decay=0.5)
    assert x == pytest.approx(1.0 - 0.1 * (1.5 + 0.5), abs=1e-14)
    assert quadratic_step(Heat, lr=0.1, inner_steps=1) == pytest.approx(1.0 - 0.1 * 1.5)


WELL, GAMMA, STEPS, H = lipschitz_double_well(), 0.5, 12, 0.05


def downhill(optimizer, x, noise=()):
    """One step of the weights with the gradient of a landscape of the library, and noise on it."""
    added = iter(noise)

    def closure():
        x.grad = torch.from_numpy(WELL.grad(x.detach().numpy()) + next(added, 0.0))

    optimizer.step(closure)


def averaged_noise(seed, steps):
    """The normals that `hmm` uses, from a Brownian path of its seed and step."""

    def still(x, t, params, out):
        out[0] = 0.0

    facts = {"params": np.zeros(1), "temperature": 0.5}
    brownian = Diffusion(drift=still, noise=np.ones((1, 1)), dim=1, rank=1, **facts)
    how = {"dt": H, "steps": steps, "rng": seed, "save_every": 1}
    run = simulate(brownian, 0.0, scheme="leimkuhler-matthews", **how)
    return np.diff(run.paths[:, 0, 0]) / math.sqrt(H)


def test_entropy_sgd_is_the_multiscale_integrator():
    """With the normals of `hmm` in its gradients, restarted at x: a mean from one iterate on."""
    temperature, lr, x, place = 1 / 3, 0.3, at(-1.4), -1.4
    own = {"lr": lr, "gamma": GAMMA, "inner_lr": H, "inner_steps": STEPS}
    optimizer = EntropySGD([x], temperature=0.0, averaging="mean", **own)
    bursts = {"micro_dt": H, "micro_steps": STEPS + 1, "steps": 1}
    for seed in range(10):
        noise = averaged_noise(seed, STEPS + 1)[:STEPS]
        downhill(optimizer, x, -math.sqrt(2 * temperature / H) * noise)
        how = {"dt": lr * (STEPS + 1) / STEPS, "rng": seed, "gamma": GAMMA}
        run = hmm(WELL, place, temperature=temperature, **how, **bursts)
        assert abs(run.paths[-1, 0, 0] - place) > 1e-3
        place = run.paths[-1, 0, 0]
        assert x.item() == pytest.approx(place, abs=1e-12)


def test_hopf_lax_is_the_multiscale_integrator_without_noise():
    """Its fast variable at the end of a burst; a temperature of zero is not for `hmm`."""
    x, place = at(-1.4), -1.4
    optimizer = HJ([x], lr=0.3, gamma=GAMMA, inner_lr=H, inner_steps=STEPS)
    bursts = {"micro_dt": H, "micro_steps": STEPS, "steps": 1, "dt": 0.1, "rng": 0}
    for _ in range(10):
        downhill(optimizer, x)
        run = hmm(WELL, place, gamma=GAMMA, temperature=1e-300, **bursts)
        place -= 0.3 / GAMMA * (place - run.paths[-1, 0, 1])
        assert x.item() == pytest.approx(place, abs=1e-12)
    assert place > -1.2


def test_heat_averages_the_gradient_of_a_landscape():
    x, place = at(-1.4), -1.4
    optimizer = Heat([x], lr=0.3, variance=0.1, inner_steps=STEPS, seed=3)
    for outer in range(10):
        downhill(optimizer, x)
        counts = range(STEPS * outer, STEPS * (outer + 1) - 1)
        noise = [normals(1, seed=3, count=count).item() for count in counts]
        points = place + math.sqrt(0.1 * STEPS / (STEPS - 1)) * np.array([0.0, *noise])
        place -= 0.3 * WELL.grad(points[:, None]).mean()
        assert x.item() == pytest.approx(place, abs=1e-12)
