"""Runs are checked before anything is trained, and found again among rows."""

import ast
import json
from dataclasses import asdict

import numpy as np
import pytest

from relaxlib.deep.train import Run


def test_optimizers_go_by_small_letters_and_need_no_closure():
    with pytest.raises(ValueError) as error:
        Run("small_fc", "lbfgs")
    found = ast.literal_eval(str(error.value).partition("need one of ")[2].partition(";")[0])
    assert {"sgd", "adam", "adamw", "rmsprop", "entropysgd", "hj", "heat"} < set(found)
    assert "gatedentropysgd" in found
    others = {"lbfgs", "sparseadam", "optimizer", "innerloop", "elasticsgd", "replicas"}
    assert others.isdisjoint(found)
    for name in found:
        assert Run("small_fc", name).settings["lr"] is not None


def test_a_run_says_all_its_settings():
    settings = Run("small_fc", "sgd", settings={"lr": 0.05}).settings
    assert settings["lr"] == 0.05
    assert settings["momentum"] == 0.9
    assert settings["nesterov"] is True
    assert settings["weight_decay"] == 0
    assert Run("small_fc", "adam").settings["betas"] == [0.9, 0.999]


@pytest.mark.parametrize("name", ["entropysgd", "entropy_sgd", "EntropySGD"])
def test_capitals_and_underscores_of_an_optimizer_do_not_matter(name):
    assert Run("mnist_fc", name) == Run("mnist_fc", "entropysgd")


def test_numbers_are_stored_in_their_plain_form():
    given = {"seed": np.int64(3), "epochs": 2.0, "drop_factor": 5, "batch_size": np.int32(64)}
    run = Run("small_fc", "sgd", **given)
    assert run.name("cpu") == Run("small_fc", "sgd", 3, 2, 64, drop_factor=5.0).name("cpu")
    assert [type(entry) for entry in (run.seed, run.epochs, run.drop_factor)] == [int, int, float]


def test_a_row_is_found_by_its_run():
    runs = [Run("small_fc", "sgd", seed=seed) for seed in range(3)]
    found = json.loads(json.dumps([asdict(run) | {"seconds": run.seed} for run in runs[:2]]))
    assert runs[1].find(found)["seconds"] == 1
    assert runs[2].find(found) is None
    assert Run("small_fc", "sgd", settings={"lr": 0.2}).find(found) is None
    for row in found:
        del row["settings"]["maximize"]  # as if torch had learned it since
    assert runs[1].find(found)["seconds"] == 1
    assert Run("small_fc", "sgd", settings={"maximize": True}).find(found) is None


def test_equal_runs_have_equal_names_and_others_do_not():
    first = Run("small_fc", "sgd")
    same = Run("small_fc", "sgd", settings={"lr": 0.1})
    assert first.name("cpu") == same.name("cpu")
    assert first.name("cpu").startswith("small_fc-sgd-0-")
    others = [
        Run("small_fc", "sgd", seed=1),
        Run("small_fc", "sgd", epochs=2),
        Run("small_fc", "sgd", batch_size=64),
        Run("small_fc", "sgd", drop_every=1),
        Run("small_fc", "sgd", settings={"lr": 0.2}),
        Run("small_fc", "hj"),
        Run("small_fc", "hj", scoping=0.1),
    ]
    names = {run.name("cpu") for run in (first, *others)} | {first.name("cuda")}
    assert len(names) == 9


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [("entropysgd", "gamma"), ("hj", "gamma"), ("heat", "variance"), ("adam", None)],
)
def test_what_scoping_shrinks(optimizer, name):
    assert Run("small_fc", optimizer).scoped == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "vgg"}, r"model = 'vgg': need one of \('mnist_fc', .*choose one"),
        ({"optimizer": "lbfgs"}, r"optimizer = 'lbfgs': need one of \(.*'sgd'"),
        ({"optimizer": 1}, "optimizer = 1: need type str"),
        ({"seed": -1}, "seed = -1: need an integer >= 0"),
        ({"epochs": 0}, "epochs = 0: need an integer >= 1"),
        ({"batch_size": 0.5}, "batch_size = 0.5: need an integer >= 1"),
        ({"drop_every": -1}, "drop_every = -1: need an integer >= 0"),
        ({"drop_factor": 0.0}, "drop_factor = 0: need 0 < drop_factor < inf"),
        ({"scoping": 1.0}, "scoping = 1.0: need 0 <= scoping < 1; pass a small part"),
        ({"scoping": -0.1}, "scoping = -0.1: need 0 <= scoping < 1"),
        ({"scoping": 0.1}, "scoping = 0.1: need an optimizer that smooths; leave it out"),
        ({"settings": 0.1}, "settings = 0.1: need type dict"),
        (
            {"settings": {"rate": 1}},
            r"settings = {'rate': 1} \(.*unexpected.*'rate'\): need among \('lr', .*; mend them",
        ),
        ({"settings": {"lr": {0.1}}}, r"settings = .* \(.*not JSON.*\): need among"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Run(**({"model": "small_fc", "optimizer": "sgd"} | change))
