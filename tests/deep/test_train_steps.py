"""Training step by step: what is counted, where networks are judged, several seeds in one sweep."""

import math
from contextlib import contextmanager

import pytest
import torch
from interrupted import interrupt
from torch import nn
from torch.nn.functional import dropout

from relaxlib.deep.data import digits
from relaxlib.deep.nets import NETWORKS, lenet, mnist_fc
from relaxlib.deep.train import Run, train

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 10  # batches of 128 among 1280 digits
SMOOTHS = ["entropysgd", "heat", "hj"]


@pytest.fixture
def enter(monkeypatch):
    """Put a network under the name "plain" among those that can be trained on the digits."""

    def put(build):
        monkeypatch.setitem(NETWORKS, "plain", NETWORKS["small_fc"]._replace(build=build))

    return put


def weights(run, folder):
    """What a finished run has left."""
    return torch.load(folder / f"{run.name('cpu')}.pt")["weights"]


def checkpoint(runs, folder, monkeypatch, *, done):
    """The state that is kept after so many back-propagations."""
    with monkeypatch.context() as patch:
        interrupt(patch, runs[0].optimizer, done + 1)
        with pytest.raises(KeyboardInterrupt):
            train(runs, folder=folder, save_every=0.0)
    (path,) = folder.glob("*.pt")
    return torch.load(path)


@pytest.mark.parametrize("optimizer", SMOOTHS)
def test_back_propagations_are_counted_and_gamma_shrinks_with_every_loop(
    optimizer, tmp_path, monkeypatch
):
    run = Run("small_fc", optimizer, epochs=3, scoping=0.1)
    state = checkpoint([run], tmp_path, monkeypatch, done=3 * STEPS - 1)
    group = state["optimizer"]["param_groups"][0]
    assert state["step"] == group["back_propagations"] == 3 * STEPS - 1
    assert group["outer_step"] == (3 * STEPS - 1) // group["inner_steps"]
    assert group[run.scoped] == run.settings[run.scoped] * 0.9 ** group["outer_step"]
    assert train([run], folder=tmp_path)[0]["back-propagations"] == 3 * STEPS


class Watched(nn.Module):
    """A dense network that keeps what it sees in training."""

    def __init__(self):
        super().__init__()
        self.layers = mnist_fc(inputs=64, width=16, dropout=0.0, normalize=False)
        self.seen = []

    def forward(self, inputs):
        if self.training:
            self.seen.append(inputs.clone())
        return self.layers(inputs)


@pytest.fixture
def watched(enter):
    """Networks that are watched, in the order in which they were built."""
    made = []
    enter(lambda: made.append(Watched()) or made[-1])
    return made


@pytest.mark.parametrize("seed", [0, 1])
def test_every_epoch_is_one_pass_over_the_examples(seed, watched, tmp_path, monkeypatch):
    run = Run("plain", "sgd", seed=seed, epochs=2, batch_size=100)
    train([run], folder=tmp_path / "whole")
    batches = watched[0].seen
    assert [len(inputs) for inputs in batches] == ([100] * 12 + [80]) * 2
    expected = digits().training.inputs.flatten(1)
    for epoch in (batches[:13], batches[13:]):
        images = torch.cat(epoch).flatten(1)
        torch.testing.assert_close(images.sort(dim=0).values, expected.sort(dim=0).values)
    assert not torch.equal(batches[0], batches[13])
    checkpoint([run], tmp_path, monkeypatch, done=17)
    train([run], folder=tmp_path)
    continued = watched[2].seen
    assert len(continued) == 26 - 17
    assert all(torch.equal(one, other) for one, other in zip(continued, batches[17:], strict=True))


def test_runs_of_equal_seed_share_weights_and_batches_and_others_do_not(
    watched, tmp_path, monkeypatch
):
    settings = {"lr": 1e-30}
    for number, (optimizer, seed) in enumerate((("sgd", 0), ("adam", 0), ("sgd", 1))):
        train([Run("plain", optimizer, seed=seed, settings=settings)], folder=tmp_path)
        assert len(watched) == number + 1
    first, second, other = (
        (network.layers[2].weight.detach(), network.seen[0]) for network in watched
    )
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))


class Inner(torch.optim.SGD):
    """SGD that answers for the zero vector, and counts its steps."""

    steps = 0

    def step(self, closure=None):
        Inner.steps += 1
        return super().step(closure)

    @contextmanager
    def at_x(self):
        parameters = [p for group in self.param_groups for p in group["params"]]
        inner = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p in parameters:
                p.zero_()
        yield
        with torch.no_grad():
            for p, value in zip(parameters, inner, strict=True):
                p.copy_(value)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_networks_are_judged_where_the_optimizer_stands(seeds, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.optim, "Inner", Inner, raising=False)
    monkeypatch.setattr(Inner, "steps", 0)
    settings = {"lr": 0.1}
    runs = [Run("small_fc", "inner", seed=seed, epochs=2, settings=settings) for seed in seeds]
    rows = train(runs, folder=tmp_path)
    assert len(rows) == len(seeds)
    for run, row in zip(runs, rows, strict=True):
        assert Inner.steps == row["back-propagations"] == 2 * STEPS
        losses = [point["validation loss"] for point in row["curve"]]
        assert [*losses, row["training loss"]] == [pytest.approx(math.log(10))] * 3
        assert row["curve"][1]["batch loss"] < 1.5
        assert not weights(run, tmp_path)["2.weight"].any()


def test_the_learning_rate_drops(tmp_path):
    kept = Run("small_fc", "sgd", epochs=3)
    stopped = Run("small_fc", "sgd", epochs=3, drop_every=2, drop_factor=1e30)
    curves = [train([run], folder=tmp_path)[0]["curve"] for run in (kept, stopped)]
    losses = [[point["validation loss"] for point in curve] for curve in curves]
    assert losses[0][:2] == losses[1][:2]
    assert losses[1][2] == losses[1][1]
    assert losses[0][2] != losses[0][1]


class Double(nn.Module):
    def forward(self, inputs):
        return inputs.double()


def dense():
    return nn.Sequential(Double(), *mnist_fc(inputs=64, width=16, dropout=0.0).double())


def convolutions():
    small = {"side": 8, "channels": (2, 3), "kernel": 3, "pools": (2, 1), "width": 5}
    return nn.Sequential(Double(), *lenet(**small, dropout=0.0).double())


OPTIMIZERS = {
    "sgd": {},
    "adam": {"lr": 0.01},
    "entropysgd": {"temperature": 0.0, "momentum": 0.5, "inner_momentum": 0.9},
    "hj": {"momentum": 0.5},
    "heat": {"variance": 1e-30},
}


@pytest.mark.parametrize(
    ("build", "optimizer"), [(dense, name) for name in OPTIMIZERS] + [(convolutions, "sgd")]
)
def test_seeds_in_one_sweep_are_what_they_are_alone(build, optimizer, enter, tmp_path):
    """Without dropout and noise, to rounding: weights, batch statistics, losses, errors."""
    enter(build)
    scoping = 0.1 if optimizer in SMOOTHS else 0.0
    options = {"epochs": 3, "batch_size": 90, "drop_every": 2, "scoping": scoping}
    options["settings"] = OPTIMIZERS[optimizer]
    runs = [Run("plain", optimizer, seed, **options) for seed in (3, 8)]
    sweep, single = tmp_path / "sweep", tmp_path / "single"
    for run, found in zip(runs, train(runs, folder=sweep), strict=True):
        (expected,) = train([run], folder=single)
        together, alone = weights(run, sweep), weights(run, single)
        assert together.keys() == alone.keys()
        for name, entry in together.items():
            torch.testing.assert_close(entry, alone[name], rtol=1e-9, atol=1e-9)
        assert found.pop("batched") == [3, 8]
        assert found.keys() == expected.keys()
        assert (found["seed"], found["back-propagations"]) == (run.seed, 3 * 15)
        points = zip(found.pop("curve"), expected.pop("curve"), strict=True)
        for first, second in (*points, (found, expected)):  # batch losses in single precision
            errors = {
                name: value for name, value in second.items() if "oss" in name or "err" in name
            }
            assert {name: first[name] for name in errors} == pytest.approx(errors, rel=1e-6)


def test_seeds_in_one_sweep_agree_in_single_precision(enter, tmp_path):
    enter(lambda: mnist_fc(inputs=64, width=32, dropout=0.0))
    runs = [Run("plain", "sgd", seed, batch_size=320) for seed in range(2)]
    train(runs, folder=tmp_path / "sweep")
    for run in runs:
        train([run], folder=tmp_path)
        alone = weights(run, tmp_path)
        for name, entry in weights(run, tmp_path / "sweep").items():
            torch.testing.assert_close(entry, alone[name], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "settings", "deviation"),
    [
        ("entropysgd", {"temperature": 1.0, "inner_lr": 0.1}, math.sqrt(0.2)),
        ("heat", {"variance": 1.0}, math.sqrt(20 / 19)),
    ],
)
def test_each_seed_has_noise_of_its_own(
    optimizer, settings, deviation, enter, tmp_path, monkeypatch
):
    enter(dense)

    def first_step(folder, settings):
        runs = [Run("plain", optimizer, seed, settings=settings) for seed in (0, 1)]
        return checkpoint(runs, folder, monkeypatch, done=1)["model"]["3.weight"]

    still = dict.fromkeys(settings, 0.0) | {k: v for k, v in settings.items() if k == "inner_lr"}
    first, second = first_step(tmp_path / "a", settings) - first_step(tmp_path / "b", still)
    assert first.std() == pytest.approx(deviation, rel=0.1)
    assert second.std() == pytest.approx(deviation, rel=0.1)
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.1


class Thinned(nn.Module):
    """A matrix of zeros that loses half of its entries, others at each evaluation."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(10, 64))

    def forward(self, inputs):
        return inputs.flatten(1) @ dropout(self.matrix, 0.5, self.training).T


def test_each_seed_has_dropout_of_its_own(enter, tmp_path, monkeypatch):
    enter(Thinned)
    runs = [Run("plain", "sgd", seed) for seed in (0, 1)]
    matrices = checkpoint(runs, tmp_path, monkeypatch, done=1)["model"]["matrix"]
    inked = digits().training.inputs.flatten(1).mean(dim=0) > 0.1
    first, second = matrices[:, :, inked] != 0.0
    assert first.double().mean() == pytest.approx(0.5, abs=0.1)
    assert second.double().mean() == pytest.approx(0.5, abs=0.1)
    assert 0.3 < (first != second).double().mean() < 0.7


class Fused(nn.Module):
    """A dense network whose output in training is no number after some evaluations."""

    def __init__(self, evaluations):
        super().__init__()
        self.layers = mnist_fc(inputs=64, width=16, dropout=0.0, normalize=False)
        self.register_buffer("left", torch.tensor(float(evaluations)))

    def forward(self, inputs):
        if self.training:
            self.left.sub_(1.0)
        return self.layers(inputs) * torch.where(self.left < 0.0, math.nan, 1.0)


@pytest.mark.parametrize("step", [1, 7, 10, 24])
def test_a_loss_that_is_not_finite_names_its_step_and_is_in_no_checkpoint(
    step, enter, tmp_path, monkeypatch
):
    enter(lambda: Fused(step - 1))
    message = (
        "the loss of plain under sgd, seed 0, is not finite at back-propagation "
        f"{step} of 30: need a stable method; try a smaller lr than 0.1"
    )
    with monkeypatch.context() as patch:
        interrupt(patch, "sgd", step + STEPS)  # where it would be too late
        with pytest.raises(ArithmeticError, match=message):
            train([Run("plain", "sgd", epochs=3)], folder=tmp_path / "silent")
    with pytest.raises(ArithmeticError, match=message):
        train([Run("plain", "sgd", epochs=3)], folder=tmp_path, save_every=0.0)
    saved = list(tmp_path.glob("*.pt"))
    assert len(saved) == (step > 1)
    assert all(torch.load(path)["step"] == step - 1 for path in saved)


def test_the_first_seed_that_fails_is_named(enter, tmp_path):
    """Seed 7 at step 13, seed 4 one step later."""
    fuses = iter([13, 12, 99])
    enter(lambda: Fused(next(fuses)))
    with pytest.raises(ArithmeticError, match="seed 7, is not finite at back-propagation 13 of 20"):
        train([Run("plain", "sgd", seed, epochs=2) for seed in (4, 7, 5)], folder=tmp_path)


class Unsound(nn.Module):
    """A dense network that has no output outside of training."""

    def __init__(self):
        super().__init__()
        self.layers = mnist_fc(inputs=64, width=16, dropout=0.0, normalize=False)

    def forward(self, inputs):
        return self.layers(inputs) * (1.0 if self.training else math.nan)


def test_weights_that_blow_up_in_the_last_step_are_no_result(enter, tmp_path):
    enter(Unsound)
    with pytest.raises(ArithmeticError, match="seed 0, is not finite at back-propagation 10 of 10"):
        train([Run("plain", "sgd")], folder=tmp_path)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (
            [Run("small_fc", "sgd", batch_size=1279)],
            "batch_size = 1279: need no batch of one among 1280 examples; one has no variance",
        ),
        ([Run("small_fc", "sgd", batch_size=1)], "batch_size = 1: need no batch of one"),
        (
            [Run("small_fc", "muon", seed) for seed in range(2)],
            "optimizer = muon: need an optimizer that moves each weight by itself; train one seed",
        ),
        ([Run("small_fc", "adafactor", seed) for seed in range(2)], "optimizer = adafactor"),
        ([Run("small_fc", "gatedentropysgd", k) for k in range(2)], "optimizer = gatedentropysgd"),
        (
            [Run("small_fc", "sgd", settings={"lr": -1.0})],
            r"settings = .* need what sgd takes \(Invalid learning rate: -1.*; mend them",
        ),
    ],
)
def test_bad_input_is_refused(runs, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(runs, folder=tmp_path)
