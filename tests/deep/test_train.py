"""Training: killed and continued to the same weights, counted in back-propagations."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from interrupted import interrupt

from relaxlib.deep.train import Run, main, rows, train

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 10  # batches of 128 among 1280 digits


def lasting(row):
    """A row without what may differ from one time to the next."""
    return {name: value for name, value in row.items() if name != "seconds"}


STOPS = [("sgd", step) for step in (1, 2, 10, 11, 17, 30)]
STOPS += [(name, step) for name in ("adam", "entropysgd", "hj", "heat") for step in (17, 24)]
SMOOTHS = {"entropysgd", "hj", "heat"}


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
@pytest.mark.parametrize(("optimizer", "step"), STOPS)
def test_an_interrupted_run_ends_at_the_same_weights(optimizer, step, seeds, tmp_path, monkeypatch):
    """For optimizers with an inner loop, in the middle of it; dropout and noise go on."""
    scoping = 0.2 if optimizer in SMOOTHS else 0.0
    options = {"epochs": 3, "drop_every": 2, "scoping": scoping}
    runs = [Run("small_fc", optimizer, seed=seed, **options) for seed in seeds]
    expected = train(runs, folder=tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, optimizer, step)
        with pytest.raises(KeyboardInterrupt):
            train(runs, folder=tmp_path, save_every=0.0)
    assert len(list(tmp_path.glob("*.pt"))) == (step > 1)
    assert list(map(lasting, train(runs, folder=tmp_path))) == list(map(lasting, expected))


@pytest.mark.parametrize("batched", [[], ["--batched"]])
def test_a_killed_command_ends_at_the_same_weights(batched, tmp_path):
    options = ["--model", "small_lenet", "--optimizer", "sgd", "--epochs", "6", "--seeds", "2"]
    options += ["--save-every", "0", "--threads", "1", *batched, "--folder"]
    command = [sys.executable, "-m", "relaxlib.deep.train", *options, str(tmp_path / "killed")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (found := list(tmp_path.glob("killed/small_lenet-sgd-0*.pt"))):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 1 <= torch.load(found[0])["step"] < 6 * STEPS
    for folder in ("killed", "whole"):
        main([*options, str(tmp_path / folder)])
    killed, whole = (rows(tmp_path / folder / "training.jsonl") for folder in ("killed", "whole"))
    assert [row["seed"] for row in killed] == [0, 1]
    assert list(map(lasting, killed)) == list(map(lasting, whole))


def test_seeds_in_one_sweep_leave_a_row_and_weights_each(tmp_path, monkeypatch):
    """Also if the command is killed between them, or one was trained before."""
    runs = [Run("small_fc", "sgd", seed=seed) for seed in range(3)]
    ends = [tmp_path / f"{run.name('cpu')}.pt" for run in runs]
    (alone,) = train(runs[2:], folder=tmp_path)
    save = torch.save

    def killed(content, path, *arguments):
        if Path(path).name.startswith(ends[1].name):
            raise KeyboardInterrupt
        save(content, path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(runs, folder=tmp_path)
    found = train(runs, folder=tmp_path)
    assert [row["seed"] for row in found] == [0, 1, 2]
    assert [row.get("batched") for row in found] == [[0, 1, 2], [0, 1, 2], None]
    assert found[2] == alone
    assert sorted(tmp_path.glob("*.pt")) == sorted(ends)
    assert not torch.equal(*(torch.load(path)["weights"]["2.weight"] for path in ends[:2]))
    assert (
        list(map(lasting, found[:2])) == list(map(lasting, train(runs, folder=tmp_path / "b")))[:2]
    )


def test_the_batched_command_adds_a_row_for_each_seed(tmp_path):
    command = ["--model", "small_fc", "--optimizer", "entropy_sgd", "--folder", str(tmp_path)]
    main([*command, "--seeds", "1"])
    main([*command, "--seeds", "3", "--batched"])
    found = rows(tmp_path / "training.jsonl")
    assert [row["seed"] for row in found] == [0, 1, 2]
    assert {row["optimizer"] for row in found} == {"entropysgd"}
    assert [row.get("batched") for row in found] == [None, [0, 1, 2], [0, 1, 2]]


def test_a_finished_run_is_not_repeated(tmp_path, monkeypatch):
    command = ["--model", "small_fc", "--optimizer", "sgd", "--folder", str(tmp_path)]
    main(command)
    log = tmp_path / "training.jsonl"
    before = log.read_text()
    interrupt(monkeypatch, "sgd", 1)
    main(command)
    assert log.read_text() == before
    log.unlink()
    main(command)
    assert log.read_text() == before


def test_a_row_holds_what_was_trained_and_how_well(tmp_path):
    run = Run("small_fc", "sgd", seed=4, epochs=2, batch_size=100)
    (row,) = train([run], folder=tmp_path)
    assert row["back-propagations"] == 2 * 13
    assert row["parameters"] == 3594
    assert [point["effective epoch"] for point in row["curve"]] == [1, 2]
    assert row["validation error"] == row["curve"][-1]["validation error"]
    assert 0.0 < row["validation error"] < 30.0
    assert row["training loss"] < row["curve"][0]["batch loss"] < math.log(10.0)
    assert json.loads(json.dumps(row)) == row
    weights = torch.load(tmp_path / f"{run.name('cpu')}.pt")["weights"]
    assert sum(entry.numel() for name, entry in weights.items() if "running" in name) == 128


def test_the_stream_of_the_caller_is_left_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train([Run("small_fc", "sgd")], folder=tmp_path)
    assert torch.rand(1) == expected


def test_all_convolutional_twin_learns(tmp_path):
    run = Run("small_all_cnn", "adam", epochs=2, settings={"lr": 0.01})
    (row,) = train([run], folder=tmp_path)
    assert row["validation loss"] < math.log(10.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": "sgd"}, "run = 's': need type Run"),
        ({"runs": Run("small_fc", "sgd")}, r"runs = Run\(.*: need type Sequence"),
        ({"runs": []}, r"seeds = \[\]: need one or more, all different; drop repetitions"),
        ({"runs": [Run("small_fc", "sgd")] * 2}, r"seeds = \[0, 0\]: need one or more"),
        (
            {"runs": [Run("small_fc", "sgd"), Run("small_fc", "sgd", 1, epochs=2)]},
            "runs = mixed: need runs that differ in their seeds only; train the others by them",
        ),
        ({"device": "tpu"}, r"device = 'tpu': need one of \('cpu'"),
        ({"save_every": -1.0}, "save_every = -1: need 0 <= save_every < inf"),
    ],
)
def test_bad_input_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(**({"runs": [Run("small_fc", "sgd")], "folder": tmp_path} | change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "lbfgs"], "error: optimizer = 'lbfgs': need one of"),
        (["--optimizer", "sgd", "--seeds", "0"], "error: seeds = 0: need an integer >= 1"),
        (["--optimizer", "sgd", "--threads", "0"], "error: threads = 0: need an integer >= 1"),
        (
            ["--optimizer", "sgd", "--set", "lr=-1"],
            r"error: settings = .* takes \(Invalid learning rate: -1",
        ),
        (
            ["--optimizer", "sgd", "--scoping", "0.1"],
            "scoping = 0.1: need an optimizer that",
        ),
        (["--optimizer", "sgd", "--set", "lr=fast"], r"need what sgd takes \(.*'str'.*mend them"),
        (["--optimizer", "sgd", "--set", "lr=1e30"], "error: the loss of .* is not finite at"),
    ],
)
def test_the_command_says_what_is_wrong(options, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        main(["--model", "small_fc", "--folder", str(tmp_path), *options])


def test_settings_are_json_or_words(tmp_path, capsys):
    words = ["--set", "lr=0.01", "betas=[0.8, 0.9]", "maximize=false"]
    main(["--model", "small_fc", "--optimizer", "adam", "--folder", str(tmp_path), *words])
    settings = rows(tmp_path / "training.jsonl")[0]["settings"]
    assert settings["betas"] == [0.8, 0.9]
    assert settings["maximize"] is False
    with pytest.raises(SystemExit):
        main(["--model", "small_fc", "--optimizer", "adam", "--set", "lr"])
    assert "'lr' is not of the form NAME=VALUE" in capsys.readouterr().err


def test_a_line_that_a_kill_has_cut_is_replaced(tmp_path):
    command = ["--model", "small_fc", "--optimizer", "sgd", "--folder", str(tmp_path)]
    log = tmp_path / "training.jsonl"
    assert rows(log) == []
    main([*command, "--seeds", "2"])
    written = rows(log)
    assert log.read_text().count("\n") == len(written) == 2
    log.write_text(log.read_text()[:-4])
    assert rows(log) == written[:1]
    main([*command, "--seeds", "3"])
    assert [row["seed"] for row in rows(log)] == [0, 1, 2]
    assert rows(log)[:2] == written
