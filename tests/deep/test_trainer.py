"""Training step by step: what is counted, where networks are judged, several seeds at once."""

import math
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from relaxlib.deep._training import trainer as module
from relaxlib.deep._training.trainer import Trainer
from relaxlib.deep.nets import NETWORKS, Network, mnist_fc
from relaxlib.deep.train import Run

CPU = torch.device("cpu")
STEPS = 10  # batches of 128 among 1280 digits
SMOOTHS = ["entropysgd", "heat", "hj"]


@pytest.fixture(autouse=True)
def one_thread_and_a_stream_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(before)


def finished(*runs):
    """A trainer after its last step."""
    trainer = Trainer(runs, CPU)
    for batch in trainer.batches():
        trainer.advance(*batch)
    return trainer


@pytest.mark.parametrize("optimizer", SMOOTHS)
def test_back_propagations_are_counted_and_gamma_shrinks_with_every_loop(optimizer):
    run = Run("small_fc", optimizer, epochs=3, scoping=0.1)
    trainer = finished(run)
    group = trainer.optimizer.param_groups[0]
    assert trainer.step == trainer.optimizer.back_propagations == 3 * STEPS
    assert group["outer_step"] == 3 * STEPS // group["inner_steps"]
    assert group[run.scoped] == run.settings[run.scoped] * 0.9 ** group["outer_step"]


@pytest.mark.parametrize("seed", [0, 1])
def test_every_epoch_is_one_pass_over_the_examples(seed):
    trainer = Trainer([Run("small_fc", "sgd", seed=seed, epochs=2, batch_size=100)], CPU)
    batches = list(trainer.batches())
    assert [len(targets) for _, targets in batches] == ([100] * 12 + [80]) * 2
    for epoch in (batches[:13], batches[13:]):
        images = torch.cat([inputs for inputs, _ in epoch]).flatten(1)
        expected = trainer.training.inputs.flatten(1)
        torch.testing.assert_close(images.sort(dim=0).values, expected.sort(dim=0).values)
    assert not torch.equal(batches[0][0], batches[13][0])
    trainer.step = 17
    continued = next(trainer.batches())
    assert torch.equal(continued[0], batches[17][0])
    assert torch.equal(continued[1], batches[17][1])


def test_runs_of_equal_seed_share_weights_and_batches_and_others_do_not():
    def start(optimizer, seed):
        trainer = Trainer([Run("small_fc", optimizer, seed=seed)], CPU)
        return trainer.model[2].weight.detach(), next(trainer.batches())[0]

    for first, second in zip(start("sgd", 0), start("adam", 0), strict=True):
        assert torch.equal(first, second)
    for first, second in zip(start("sgd", 0), start("sgd", 1), strict=True):
        assert not torch.equal(first, second)


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
def test_networks_are_judged_where_the_optimizer_stands(seeds, monkeypatch):
    monkeypatch.setattr(torch.optim, "Inner", Inner, raising=False)
    monkeypatch.setattr(Inner, "steps", 0)
    trainer = finished(
        *(Run("small_fc", "inner", seed=seed, epochs=2, settings={"lr": 0.1}) for seed in seeds)
    )
    results = trainer.results()
    assert len(results) == len(seeds)
    for result in results:
        row = result["row"]
        assert Inner.steps == row["back-propagations"] == 2 * STEPS
        losses = [point["validation loss"] for point in row["curve"]]
        assert [*losses, row["training loss"]] == [pytest.approx(math.log(10))] * 3
        assert row["curve"][1]["batch loss"] < 1.5
        assert not result["weights"]["2.weight"].any()


def test_the_learning_rate_drops():
    kept = finished(Run("small_fc", "sgd", epochs=3))
    stopped = finished(Run("small_fc", "sgd", epochs=3, drop_every=2, drop_factor=1e30))
    losses = [[point["validation loss"] for point in entry.curves[0]] for entry in (kept, stopped)]
    assert losses[0][:2] == losses[1][:2]
    assert losses[1][2] == losses[1][1]
    assert losses[0][2] != losses[0][1]


class Double(nn.Module):
    def forward(self, inputs):
        return inputs.double()


def plain(dropout=0.0):
    """A dense network in double precision."""
    return nn.Sequential(Double(), *mnist_fc(inputs=64, width=16, dropout=dropout).double())


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setitem(NETWORKS, "plain", Network(plain, "digits"))


OPTIMIZERS = {
    "sgd": {},
    "adam": {"lr": 0.01},
    "entropysgd": {"temperature": 0.0, "momentum": 0.5, "inner_momentum": 0.9},
    "hj": {"momentum": 0.5},
    "heat": {"variance": 1e-30},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_seeds_in_one_sweep_are_what_they_are_alone(optimizer, quiet):
    """Without dropout and noise, to rounding: weights, batch statistics, losses, errors."""
    scoping = 0.1 if optimizer in SMOOTHS else 0.0
    options = {"epochs": 3, "batch_size": 90, "drop_every": 2, "scoping": scoping}
    options["settings"] = OPTIMIZERS[optimizer]
    runs = [Run("plain", optimizer, seed, **options) for seed in (3, 8)]
    for run, together in zip(runs, finished(*runs).results(), strict=True):
        (alone,) = finished(run).results()
        for name, entry in together["weights"].items():
            torch.testing.assert_close(entry, alone["weights"][name], rtol=1e-9, atol=1e-9)
        found, expected = together["row"], alone["row"]
        assert found.pop("batched") == [3, 8]
        assert found.keys() == expected.keys()
        assert (found["seed"], found["back-propagations"]) == (run.seed, 3 * 15)
        points = zip(found.pop("curve"), expected.pop("curve"), strict=True)
        for first, second in (*points, (found, expected)):  # batch losses in single precision
            errors = {
                name: value for name, value in second.items() if "oss" in name or "err" in name
            }
            assert {name: first[name] for name in errors} == pytest.approx(errors, rel=1e-6)


def test_seeds_in_one_sweep_agree_in_single_precision(monkeypatch):
    network = Network(lambda: mnist_fc(inputs=64, width=32, dropout=0.0), "digits")
    monkeypatch.setitem(NETWORKS, "plain", network)
    runs = [Run("plain", "sgd", seed, batch_size=320) for seed in range(2)]
    for run, together in zip(runs, finished(*runs).results(), strict=True):
        (alone,) = finished(run).results()
        for name, entry in together["weights"].items():
            torch.testing.assert_close(entry, alone["weights"][name], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "settings", "deviation"),
    [
        ("entropysgd", {"temperature": 1.0, "inner_lr": 0.1}, math.sqrt(0.2)),
        ("heat", {"variance": 1.0}, math.sqrt(20 / 19)),
    ],
)
def test_each_seed_has_noise_of_its_own(optimizer, settings, deviation, quiet):
    def first_step(settings):
        runs = [Run("plain", optimizer, seed, settings=settings) for seed in (0, 1)]
        trainer = Trainer(runs, CPU)
        trainer.advance(*next(trainer.batches()))
        return trainer.model.weights["3.weight"].detach()

    still = dict.fromkeys(settings, 0.0) | {k: v for k, v in settings.items() if k == "inner_lr"}
    first, second = first_step(settings) - first_step(still)
    assert first.std() == pytest.approx(deviation, rel=0.1)
    assert second.std() == pytest.approx(deviation, rel=0.1)
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.1


@pytest.mark.parametrize("step", [1, 7, 10, 24])
def test_a_loss_that_is_not_finite_names_its_step(step, monkeypatch):
    calls, cross_entropy = [], module.cross_entropy

    def failing(*arguments):
        calls.append(None)
        return cross_entropy(*arguments) * (math.nan if len(calls) == step else 1.0)

    monkeypatch.setattr(module, "cross_entropy", failing)
    message = (
        "the loss of small_fc under sgd, seed 0, is not finite at back-propagation "
        f"{step} of 30: need a stable method; try a smaller lr than 0.1"
    )
    with pytest.raises(ArithmeticError, match=message):
        finished(Run("small_fc", "sgd", epochs=3))
    assert len(calls) <= step + module.INSPECT


def test_the_first_seed_that_fails_is_named(monkeypatch):
    """Seed 7 meets a weight that is not finite at step 13, seed 4 one step later."""
    advance = Trainer.advance

    def spoiled(trainer, *batch):
        if trainer.step in (12, 13):
            trainer.model.weights["2.weight"].data[13 - trainer.step].fill_(math.nan)
        advance(trainer, *batch)

    monkeypatch.setattr(Trainer, "advance", spoiled)
    with pytest.raises(ArithmeticError, match="seed 7, is not finite at back-propagation 13 of 20"):
        finished(*(Run("small_fc", "sgd", seed, epochs=2) for seed in (4, 7, 5)))


def test_weights_that_blow_up_in_the_last_step_are_no_result(monkeypatch):
    monkeypatch.setattr(module, "evaluate", lambda *_: (math.nan, 90.0))
    with pytest.raises(ArithmeticError, match="seed 0, is not finite at back-propagation 10 of 10"):
        finished(Run("small_fc", "sgd"))


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
def test_bad_input_is_refused(runs, message):
    with pytest.raises(ValueError, match=message):
        Trainer(runs, CPU)
