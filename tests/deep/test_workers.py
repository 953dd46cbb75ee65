"""The job behind torchrun: equal to replicas in one process, mortal, and resumed."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import elastic_worker
import numpy as np
import pytest
import torch
from elastic_worker import LOCAL
from torch import distributed, nn
from torch.nn.functional import cross_entropy

from relaxlib.deep import workers
from relaxlib.deep.data import digits
from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.optim import Replicas, worker_seed
from relaxlib.deep.train import evaluate, refresh_batch_norm
from relaxlib.deep.workers import work

pytestmark = pytest.mark.usefixtures("one_thread")
MORTAL = str(Path(elastic_worker.__file__).with_name("mortal_worker.py"))
SETTINGS = {"lr": 0.5, "gamma": 1.0, "temperature": 1e-4, "inner_steps": 5, "momentum": 0.5}
JOB = ["--model", "small_fc", "--seed", "3", "--batch-size", "32", "--save-every", "1"]
JOB += ["--settings", json.dumps(SETTINGS)]


def torchrun(*command):
    """Start two processes, and return how they ended and what they said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
         "--nproc-per-node=2", *command],
        env=os.environ | LOCAL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=55)
    except subprocess.TimeoutExpired:
        process.terminate()  # with its workers
        process.communicate()
        raise
    print(errors)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def replicas(steps):
    """The job of two workers in this process; the network at x.

    At every step a worker draws 32 digits with replacement by seed, rank and step, and dropout by
    seed, rank and number of the step.
    """
    torch.manual_seed(3)
    models = [NETWORKS["small_fc"].build() for _ in range(2)]
    optimizer, (inputs, targets) = Replicas(models, seed=3, **SETTINGS), digits().training
    for step in range(steps):
        optimizer.zero_grad()
        for rank, model in enumerate(models):
            drawn = np.random.default_rng([3, rank, step]).integers(1280, size=32)
            torch.manual_seed(worker_seed(3, rank, step + 1))
            cross_entropy(model(inputs[drawn]), targets[drawn]).backward()
        optimizer.step()
    with optimizer.at_x():
        return copy.deepcopy(models[0])


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def test_a_worker_dies_and_the_job_goes_on_from_its_checkpoint(tmp_path):
    checkpoint = tmp_path / "folder" / "job.pt"
    job = [*JOB, "--checkpoint", str(checkpoint)]
    dead = torchrun(MORTAL, "dies", "13", *job, "--steps", "20000")
    assert dead.returncode == 1
    assert "exitcode  : 17" in dead.stderr  # torchrun says which worker it was
    saved = torch.load(checkpoint)["workers"]
    assert [state[1]["param_groups"][0]["outer_step"] for state in saved] == [2, 2]
    alive = torchrun("-m", "relaxlib.deep.workers", *job, "--steps", "23")
    assert alive.returncode == 0
    saved, center = torch.load(checkpoint), replicas(23)
    model = NETWORKS["small_fc"].build()
    model.load_state_dict(saved["x"])
    assert (weights(model) - weights(center)).abs().max() < 1e-6
    done = [state[1]["param_groups"][0]["back_propagations"] for state in saved["workers"]]
    assert done == [23, 23]
    training, validation = digits()
    refresh_batch_norm(center, training.inputs.split(320))
    row, found = json.loads(alive.stdout), evaluate(center, training) + evaluate(center, validation)
    names = [f"{half} {what}" for half in ("training", "validation") for what in ("loss", "error")]
    assert row == {name: pytest.approx(v, abs=1e-4) for name, v in zip(names, found, strict=True)}


def test_a_silent_worker_is_not_waited_for(tmp_path):
    """Beyond the patience of the others, who say so and end."""
    job = [*JOB, "--checkpoint", str(tmp_path / "job.pt")]
    dead = torchrun(MORTAL, "hangs", "13", *job, "--steps", "20000")
    assert dead.returncode == 1
    assert "error: rank 0 has lost others of 2 workers: need all of them" in dead.stderr
    assert len(torch.load(tmp_path / "job.pt")["workers"]) == 2


@pytest.fixture
def alone(tmp_path):
    """A group of one process, and a place for its checkpoint."""
    place = f"file://{tmp_path}/meeting"
    distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    yield tmp_path / "job.pt"
    distributed.destroy_process_group()


def test_it_resumes_bit_for_bit_also_within_a_loop(alone):
    settings = {"model": "small_all_cnn", "settings": SETTINGS, "batch_size": 8}
    whole = work(**settings, steps=12, checkpoint=alone)
    part = alone.with_name("part.pt")
    assert work(**settings, steps=7, checkpoint=part) != whole
    assert work(**settings, steps=12, checkpoint=part) == whole
    assert work(**settings, steps=12, checkpoint=part) == whole  # nothing is left to do
    with pytest.raises(ValueError, match=r"steps = 9: need steps >= 12, which .*part.pt has made"):
        work(**settings, steps=9, checkpoint=part)
    one, two = torch.load(alone)["workers"][0], torch.load(part)["workers"][0]
    assert all(torch.equal(entry, two[0][name]) for name, entry in one[0].items())


def test_a_diverging_job_keeps_its_checkpoint(alone):
    settings = SETTINGS | {"gamma": 1e30, "inner_lr": 1e25, "inner_steps": 1}
    message = "the loss of rank 0 is not finite at back-propagation 2 of 9: need a stable method"
    with pytest.raises(ArithmeticError, match=message):
        work("small_fc", settings=settings, steps=9, checkpoint=alone, save_every=1)
    assert torch.load(alone)["workers"][0][1]["param_groups"][0]["outer_step"] == 1


def test_a_worker_lost_while_saving_is_an_error(alone, monkeypatch):
    def gather(own, found):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed, "gather_object", gather)
    with pytest.raises(ConnectionError, match="rank 0 has lost others"):
        work("small_fc", steps=1, checkpoint=alone)
    assert not alone.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "big"}, "model = 'big': need one of"),
        ({"steps": 0}, "steps = 0: need an integer >= 1"),
        ({"batch_size": 1}, "batch_size = 1: need an integer >= 2"),
        ({"seed": -1}, "seed = -1: need an integer >= 0"),
        ({"save_every": 0}, "save_every = 0: need an integer >= 1"),
        ({"settings": {"speed": 1}}, "settings = {'speed': 1}: need what ElasticSGD takes"),
        ({"settings": {"lr": -1.0}}, "lr = -1: need 0 <= lr < inf"),
    ],
)
def test_bad_arguments_are_rejected(alone, arguments, message):
    with pytest.raises(ValueError) as error:
        work(**{"model": "small_fc", "steps": 1, "checkpoint": alone} | arguments)
    assert str(error.value).startswith(message)


def test_a_checkpoint_of_more_workers_is_rejected(alone):
    torch.save({"workers": [None, None]}, alone)
    message = f"workers = 1: need 2 workers as in {alone}; start as many, or name another file"
    with pytest.raises(ValueError) as error:
        work("small_fc", steps=1, checkpoint=alone)
    assert str(error.value) == message


def test_without_torchrun_there_is_nothing_to_do(capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SystemExit):
        workers.main(["--model", "small_fc", "--steps", "1"])
    assert "error: start it by torchrun" in capsys.readouterr().err
