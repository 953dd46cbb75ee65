"""Workers in one process against formulas, and in two processes against those in one."""

import math
import os
import subprocess
import sys

import elastic_worker
import numpy as np
import pytest
import torch
from elastic_worker import LOCAL, SETTINGS, back_propagate, groups, network, weights
from scipy.linalg import solve_discrete_lyapunov
from small_training import normals
from torch import distributed, nn

from relaxlib.deep.optim import (
    ElasticSGD,
    EntropySGD,
    Replicas,
    Scoping,
    elastic_update,
    worker_seed,
)

pytestmark = pytest.mark.usefixtures("one_thread")
DOUBLE = torch.float64


class Point(nn.Module):
    """A network without layers: many copies of one weight."""

    def __init__(self, value=1.0, size=1):
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), value, dtype=DOUBLE))

    def pull(self, curvature=1.5):
        """The gradient of a parabola."""
        self.weight.grad = curvature * self.weight.detach()


def points(workers, **shape):
    return [Point(**shape) for _ in range(workers)]


def advance(models, replicas, steps):
    for _ in range(steps):
        for model in models:
            model.pull()
        replicas.step()


def center(models, optimizer):
    with optimizer.at_x():
        return models[0].weight.detach().clone()


def team(workers=3, **settings):
    models = [network() for _ in range(workers)]
    return models, Replicas(models, **SETTINGS | settings)


def train(models, replicas, steps, start=0):
    for step in range(start, start + steps):
        for rank, model in enumerate(models):
            back_propagate(model, rank, step)
        replicas.step()


def everything(models, optimizer):
    """All workers, and x."""
    workers = [weights(model) for model in models]
    with optimizer.at_x():
        return torch.stack([*workers, *(weights(model) for model in models)])


def test_a_spring_pulls():
    y, x = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
    assert elastic_update(y, x, lr=0.1, coupling=2.0).tolist() == pytest.approx([2.6, -0.6])
    assert y.tolist() == [3.0, -1.0]
    assert torch.equal(elastic_update(y, x, lr=0.5, coupling=2.0), x)


def test_seeds_of_workers_are_those_of_numpy():
    assert worker_seed(5, 2) == np.random.SeedSequence([5, 2]).generate_state(1)[0]
    assert len({worker_seed(seed, rank) for seed in range(20) for rank in range(20)}) == 400


@pytest.mark.parametrize("averaging", [0.5, 0.0, "mean"])
@pytest.mark.parametrize("maximize", [False, True])
def test_replicas_against_the_formulas(averaging, maximize):
    settings = SETTINGS | {"averaging": averaging, "maximize": maximize}
    models, replicas = team(**settings)
    train(models, replicas, 11)
    assert torch.allclose(everything(models, replicas), plain(settings, 11), rtol=0, atol=1e-13)


def plain(settings, steps, workers=3):
    """The formulas of ElasticSGD, tensor by tensor."""
    s, sign = settings, -1.0 if settings["maximize"] else 1.0
    models, copies = [network() for _ in range(workers)], range(workers)
    x = [entry.detach().clone() for entry in models[0].parameters()]
    velocity, mean, buffers = {}, {}, [torch.zeros_like(entry) for entry in x]
    for step in range(steps):
        fresh = 1 / (step % s["inner_steps"] + 1)
        if s["averaging"] != "mean":
            fresh = 1 - s["averaging"]
        for i in copies:
            back_propagate(models[i], i, step)
            for k, y in enumerate(models[i].parameters()):
                if step % s["inner_steps"] == 0:
                    mean[i, k] = y.detach().clone()
                gradient = sign * y.grad + s["weight_decay"] * y.detach()
                velocity[i, k] = s["inner_momentum"] * velocity.get((i, k), 0.0) + gradient
                gradient = gradient + s["inner_momentum"] * velocity[i, k]
                y.data -= 0.1 * (gradient + (y.data - x[k]) / s["gamma"])
                deviation = math.sqrt(2 * 0.1 * s["temperature"])
                own = {"seed": worker_seed(s["seed"], i), "number": k, "count": step}
                y.data += deviation * normals(y.detach(), **own)
                mean[i, k] = (1 - fresh) * mean[i, k] + fresh * y.detach()
        if (step + 1) % s["inner_steps"] == 0:
            for k in range(len(x)):
                d = (x[k] - sum(mean[i, k] for i in copies) / workers) / s["gamma"]
                buffers[k] = s["momentum"] * buffers[k] + d
                x[k] = x[k] - s["lr"] * (d + s["momentum"] * buffers[k])
    center = nn.utils.parameters_to_vector(x)
    return torch.stack([*(weights(model) for model in models), *[center] * workers])


def test_one_worker_begins_like_entropy_sgd():
    alone, entropic = network(), network()
    optimizers = (
        ElasticSGD(alone.parameters(), **SETTINGS),
        EntropySGD(entropic.parameters(), **SETTINGS | {"seed": worker_seed(7, 0)}),
    )
    for step in range(3):
        for model, optimizer in zip((alone, entropic), optimizers, strict=True):
            back_propagate(model, 0, step)
            optimizer.step()
        if step < 2:
            assert torch.equal(weights(alone), weights(entropic))
    with optimizers[0].at_x():
        assert torch.allclose(weights(alone), weights(entropic), rtol=0, atol=1e-15)
    assert (weights(alone) - weights(entropic)).norm() > 1e-3


def test_one_worker_is_entropy_sgd_where_x_jumps_to_it():
    settings = SETTINGS | {"lr": 0.5, "averaging": 0.0, "momentum": 0.0, "inner_momentum": 0.0}
    alone, entropic = network(), network()
    optimizers = (
        ElasticSGD(alone.parameters(), **settings),
        EntropySGD(entropic.parameters(), **settings | {"seed": worker_seed(7, 0)}),
    )
    for step in range(30):
        for model, optimizer in zip((alone, entropic), optimizers, strict=True):
            back_propagate(model, 0, step)
            optimizer.step()
    assert torch.allclose(weights(alone), weights(entropic), rtol=0, atol=1e-12)


def test_one_replica_is_a_worker_alone():
    (replica,), replicas = team(1)
    alone = network()
    optimizer = ElasticSGD(groups(alone), **SETTINGS)
    for step in range(10):
        for model, method in ((replica, replicas), (alone, optimizer)):
            back_propagate(model, 0, step)
            method.step()
    assert torch.equal(everything([replica], replicas), everything([alone], optimizer))


@pytest.mark.parametrize("inner_steps", [1, 4])
def test_workers_and_center_of_a_parabola(inner_steps):
    c, gamma, h, lr, loops = 1.5, 0.5, 0.1, 0.2, 6
    settings = {"gamma": gamma, "lr": lr, "averaging": 0.0, "temperature": 0.0}
    models = points(2)
    replicas = Replicas(models, inner_steps=inner_steps, **settings)
    advance(models, replicas, inner_steps * loops)
    worker = np.array([[1.0, 0.0], [h / gamma, 1 - h * (c + 1 / gamma)]])
    meeting = np.array([[1 - lr / gamma, lr / gamma], [0.0, 1.0]])
    loop = meeting @ np.linalg.matrix_power(worker, inner_steps)
    x, y = np.linalg.matrix_power(loop, loops) @ [1.0, 1.0]
    assert center(models, replicas).item() == pytest.approx(x, abs=1e-13)
    assert models[1].weight.item() == pytest.approx(y, abs=1e-13)


def test_x_descends_the_local_entropy_as_the_times_separate():
    c, gamma, errors = 1.5, 0.5, []
    for lr in (0.02, 0.01, 0.005):  # epsilon = 2 lr, also with one step from meeting to meeting
        models = points(2)
        settings = {"gamma": gamma, "averaging": 0.0, "temperature": 0.0, "inner_steps": 5}
        replicas = Replicas(models, lr=lr, **settings)
        advance(models, replicas, round(5 / lr))
        errors.append(center(models, replicas).item() - math.exp(-c / (1 + gamma * c)))
    assert errors[2] < 5e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2.0, abs=0.05)


def test_workers_at_a_frozen_center_are_independent():
    size, a = 20_000, 1.5 + 1 / 0.4
    models = points(2, value=0.0, size=size)
    replicas = Replicas(models, lr=0.0, gamma=0.4, temperature=0.5, seed=1)
    advance(models, replicas, 60)
    cov = np.cov([model.weight.detach().numpy() for model in models])
    exact = 0.5 / (a * (1 - 0.1 * a / 2))
    assert np.abs(np.diag(cov) / exact - 1).max() < 4 * math.sqrt(2 / size)
    assert abs(cov[0, 1]) < 4 * exact / math.sqrt(size)
    assert torch.equal(center(models, replicas), torch.zeros(size, dtype=DOUBLE))


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_divide_the_variance_of_x(workers):
    c, gamma, h, lr, T, size = 1.5, 0.5, 0.1, 0.1, 0.5, 20_000
    models = points(workers, value=0.0, size=size)
    settings = {"lr": lr, "gamma": gamma, "temperature": T, "averaging": 0.0, "inner_steps": 1}
    replicas = Replicas(models, seed=2, **settings)
    advance(models, replicas, 120)
    kick = np.array([[lr / gamma], [1.0]])
    loop = np.array([[1 - lr / gamma, lr / gamma], [0, 1]]) @ [
        [1, 0],
        [h / gamma, 1 - h * (c + 1 / gamma)],
    ]
    exact = solve_discrete_lyapunov(loop, 2 * h * T * kick @ kick.T)[0, 0] / workers
    assert center(models, replicas).var().item() == pytest.approx(
        exact, rel=4 * math.sqrt(2 / size)
    )


@pytest.mark.parametrize(("workers", "gamma"), [(1, 0.5), (4, 0.5), (4, 2.0)])
def test_workers_tied_to_their_mean_sample(workers, gamma):
    c, h, T, size = 1.5, 0.1, 0.5, 20_000
    models = points(workers, value=0.0, size=size)
    settings = {"lr": gamma, "gamma": gamma, "temperature": T, "averaging": 0.0, "inner_steps": 1}
    replicas = Replicas(models, seed=3, **settings)
    advance(models, replicas, 60)
    x = center(models, replicas)
    mean = torch.stack([model.weight.detach() for model in models]).mean(dim=0)
    assert torch.allclose(x, mean, rtol=0, atol=1e-14)
    exact = T / (workers * c * (1 - h * c / 2))  # whatever gamma: the Gibbs law at T/n
    assert x.var().item() == pytest.approx(exact, rel=4 * math.sqrt(2 / size))


def test_x_is_seen_at_any_time_and_workers_stay():
    models, replicas = team()
    start = weights(models[0])
    for step in range(4):
        assert replicas.synchronized == (step % 3 == 0)
        with replicas.at_x():
            seen = [weights(model) for model in models]
        assert torch.equal(seen[0], seen[1])
        assert torch.equal(seen[0], start) == (step < 3)
        before = weights(models[1])
        assert torch.equal(before, start) == (step == 0)
        train(models, replicas, 1, start=step)
        if step == 2:
            after = weights(models[1])
            assert (after - start).norm() > 1e-3  # at the end of a loop it is not at x
            with replicas.at_x():
                assert (weights(models[1]) - after).norm() > 1e-3


def test_all_replicas_start_from_the_first():
    models = [network(seed) for seed in range(3)]
    start = weights(models[0])
    replicas = Replicas(models, **SETTINGS)
    assert all(torch.equal(weights(model), start) for model in models)
    train(models, replicas, 2)
    assert not torch.equal(weights(models[0]), weights(models[1]))


def test_a_worker_that_joins_starts_from_x():
    models, replicas = team(2)
    train(models, replicas, 3)
    with replicas.at_x():
        x = weights(models[0])
    models.append(network(5))
    replicas.add_param_group({"params": list(models[2].parameters())})
    assert torch.equal(weights(models[2]), x)
    train(models, replicas, 3, start=3)
    with replicas.at_x():
        assert torch.equal(weights(models[2]), weights(models[0]))


def test_replicas_of_different_networks_are_rejected():
    message = r"parameters = \[\(2,\)\]: need \[\(1,\)\] as in the first; pass copies of one"
    with pytest.raises(ValueError, match=message):
        Replicas([Point(), Point(size=2)])
    replicas = Replicas(points(2))
    with pytest.raises(ValueError, match=message):
        replicas.add_param_group({"params": list(Point(size=2).parameters())})
    assert len(replicas.param_groups) == 2


def test_replicas_of_something_else_are_rejected():
    layers = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))  # one network, not two
    for models, message in ((layers, "models = Sequential.* need type"), (["a"], "model = 'a'")):
        with pytest.raises(ValueError, match=message):
            Replicas(models)


def test_replicas_of_different_settings_are_rejected():
    """They would disagree about x."""
    models, replicas = team(2)
    Scoping(replicas, factor=0.5)
    train(models, replicas, 3)
    for group in replicas.param_groups:
        group["gamma"] = 0.25
    message = "gamma = 0.5: need 0.25 as in the first group; groups move together"
    with pytest.raises(ValueError, match=message):
        replicas.add_param_group({"params": list(network().parameters())})
    assert len(replicas.param_groups) == 2
    replicas.param_groups[1]["lr"] = 0.1
    with pytest.raises(ValueError, match=r"lr = 0.1: need 0.3 as in the first group"):
        train(models, replicas, 1)


def test_a_group_of_one_process_is_none(tmp_path):
    place = f"file://{tmp_path}/meeting"
    models, alone = [network()], [network()]
    distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    try:
        optimizer = ElasticSGD(models[0].parameters(), **SETTINGS)
        train(models, optimizer, 7)
    finally:
        distributed.destroy_process_group()
    other = ElasticSGD(alone[0].parameters(), **SETTINGS)
    train(alone, other, 7)
    assert torch.equal(everything(models, optimizer), everything(alone, other))


class Broken:
    """A group of two in which the other one is lost after a number of operations."""

    def __init__(self, monkeypatch, left):
        self.left = left
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(distributed, "get_rank", lambda: 0)
        monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
        for name in ("all_reduce", "broadcast"):
            monkeypatch.setattr(distributed, name, lambda vector, src=0: self.operate())
        monkeypatch.setattr(distributed, "all_gather_object", self.gather)

    def gather(self, facts, fact):
        self.operate()
        facts[:] = [fact, fact]

    def operate(self):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("[file.cc:5] Connection closed by peer. See the manual.")


@pytest.mark.parametrize("left", range(4))
def test_a_lost_worker_is_an_error_wherever_it_is_noticed(monkeypatch, left):
    """Shapes, weights of the start, settings and the mean: four operations."""
    Broken(monkeypatch, left)
    x = nn.Parameter(torch.ones(1))
    x.grad = torch.ones(1)
    message = (
        "rank 0 has lost others of 2 workers: need all of them in each meeting; "
        "start all again from the last checkpoint (Connection closed by peer)"
    )
    with pytest.raises(ConnectionError) as error:
        ElasticSGD([x], inner_steps=1, seed=0).step()
    assert str(error.value) == message


def test_one_operation_for_each_meeting(monkeypatch):
    broken = Broken(monkeypatch, 10)
    model = network()
    optimizer = ElasticSGD(groups(model), **SETTINGS)
    assert broken.left == 10 - 2 * 2
    for step in range(9):
        back_propagate(model, 0, step)
        optimizer.step()
        assert broken.left == 5 - (step + 1) // 3


def test_two_processes_equal_two_replicas(tmp_path):
    script, environment = elastic_worker.__file__, os.environ | LOCAL
    started = [
        subprocess.Popen([sys.executable, script, str(rank), tmp_path], env=environment)
        for rank in range(2)
    ]
    try:
        codes = [process.wait(timeout=55) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert codes == [0, 17]
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    models, replicas = team(2)
    train(models, replicas, 10)
    workers, centers = everything(models, replicas).split(2)
    for rank, (worker, x) in enumerate(other["trained"] for other in found):
        assert torch.allclose(worker, workers[rank], rtol=0, atol=1e-12)
        assert torch.allclose(x, centers[rank], rtol=0, atol=1e-12)
    assert torch.equal(found[0]["trained"][1], found[1]["trained"][1])
    messages = {
        "sizes": "parameters on rank 1 = [(3,)]: need [(2,)] as on rank 0; match them",
        "settings": "lr on rank 1 = [2.0]: need [1.0] as on rank 0; match them",
        "places": "sha256(x) on rank 1 = '",
        "schedules": "initial_lr on rank 1 = [1.0]: need None as on rank 0; match them",
    }
    for name, message in messages.items():
        assert found[0][name].startswith(message)
        assert found[1][name] == found[0][name]
    error = torch.load(tmp_path / "lost.pt")
    assert error.startswith("rank 0 has lost others of 2 workers: need all of them")
