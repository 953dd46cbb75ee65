"""The stored training runs: complete, small, tuned on other seeds; and the script itself."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
import torch

from relaxlib.deep.train import rows

SCRIPT = Path(__file__).parents[2] / "results" / "training.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("results_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(script, monkeypatch, tmp_path):
    """The script with a plan of a few back-propagations, and a folder of its own."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(script, "TARGET", tmp_path / "training.jsonl")
    monkeypatch.setattr(script, "RUNS", tmp_path / "runs")
    candidates = tuple({"lr": lr} for lr in (1e-6, 0.1, 1e30))
    methods = (script.Method("sgd", candidates), script.Method("adam", ({},)))
    short, long = script.Course(3, 2, (100, 101)), script.Course(3, 2, tuple(range(6)))
    models = "small_fc", "lenet"
    plans = tuple(script.Plan(model, 640, short, long, methods) for model in models)
    monkeypatch.setattr(script, "PLANS", plans)
    monkeypatch.delenv("RELAXLIB_DATA", raising=False)
    yield script
    torch.set_num_threads(threads)


def test_the_best_on_other_seeds_is_run_on_six(small, capsys):
    small.main()
    stored = rows(small.TARGET)
    assert Counter((row["purpose"], row["optimizer"]) for row in stored) == {
        ("tuning", "sgd"): 6,
        ("comparison", "sgd"): 6,
        ("comparison", "adam"): 6,
    }
    tuning, comparison = stored[:6], stored[6:]
    assert [row["seed"] for row in tuning] == [100, 101] * 3
    assert ["failed" in row for row in tuning] == [False] * 4 + [True] * 2
    assert "not finite at back-propagation 2 of 6" in tuning[-1]["failed"]
    assert all("curve" not in row for row in tuning)
    assert [row["seed"] for row in comparison] == [seed for seed in range(6) for _ in range(2)]
    assert {row["settings"]["lr"] for row in comparison[::2]} == {0.1}
    for row in comparison:
        epoch, _, loss, error = row["curve"][-1]
        assert epoch == len(row["curve"]) == 3
        assert [loss, error] == [
            pytest.approx(row[f"validation {name}"], rel=1e-3) for name in ("loss", "error")
        ]
    written = capsys.readouterr().out
    assert "lenet: skipped, RELAXLIB_DATA names no folder with mnist" in written
    assert "small_fc sgd {'lr': 0.1} seed 5: " in written


def test_what_is_stored_is_not_trained_again(small, monkeypatch):
    small.main()
    before = small.TARGET.read_text()
    lines = before.splitlines(keepends=True)
    small.TARGET.write_text("".join(lines[:8]))
    small.main()  # from the checkpoints
    assert small.TARGET.read_text() == before
    monkeypatch.setattr(small, "train", None)
    small.main()
    assert small.TARGET.read_text() == before


def test_a_comparison_that_fails_is_an_error(small, monkeypatch):
    methods = (small.Method("sgd", ({"lr": 1e30},)),)
    plan = small.PLANS[0]._replace(methods=methods)
    monkeypatch.setattr(small, "PLANS", (plan,))
    with pytest.raises(ArithmeticError, match="seed 0, is not finite"):
        small.main()
    assert not rows(small.TARGET)


@pytest.mark.parametrize(("length", "kept"), [(3, [1, 2, 3]), (250, range(1, 251, 3))])
def test_curves_are_thinned_from_the_end(script, length, kept):
    curve = [{"effective epoch": k, "batch loss": 1 / 3} for k in range(1, length + 1)]
    assert script.compact(curve) == [[k, 0.3333] for k in kept]


def test_every_digits_run_of_the_plan_is_stored_once(script, monkeypatch):
    """The choice among candidates comes out again from the rows, and nothing is trained."""
    monkeypatch.setattr(script, "train", None)
    stored = rows(script.TARGET)
    for plan in script.PLANS:
        if plan.model not in ("small_fc", "small_lenet"):
            continue
        for method in plan.methods:
            settings = script.best(plan, method)
            for seed in plan.comparison.seeds:
                row = found(stored, plan.run("comparison", method, settings, seed), "comparison")
                assert row["back-propagations"] == plan.comparison.epochs * 40
                assert row["curve"][-1][0] == plan.comparison.epochs


def test_stored_mnist_runs_are_those_of_the_plan(script, monkeypatch):
    monkeypatch.setattr(script, "train", None)
    stored = [row for row in rows(script.TARGET) if row["model"] in ("mnist_fc", "lenet")]
    compared = {(row["model"], row["optimizer"], row["seed"]): row for row in stored}
    assert compared
    for plan in script.PLANS:
        for method in plan.methods if plan.model in ("mnist_fc", "lenet") else ():
            settings = script.best(plan, method)
            for seed in plan.comparison.seeds:
                row = compared.pop((plan.model, method.optimizer, seed), None)
                if row:
                    assert plan.run("comparison", method, settings, seed).find([row])
                    assert row["back-propagations"] == 40 * 469
    assert {row["purpose"] for row in compared.values()} == {"tuning"}


def found(stored, run, purpose):
    """The one row of a run."""
    (row,) = [row for row in stored if row["purpose"] == purpose and run.find([row])]
    return row


def test_no_run_is_stored_twice_and_the_file_is_small(script):
    stored = rows(script.TARGET)
    keys = Counter(
        (row["purpose"], row["model"], row["optimizer"], row["seed"], str(row["settings"]))
        for row in stored
    )
    assert set(keys.values()) == {1}
    assert script.TARGET.stat().st_size < 1e6
    for plan in script.PLANS:
        assert not set(plan.rehearsal.seeds) & set(plan.comparison.seeds)
