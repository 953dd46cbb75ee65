"""Where optimizers live: a plain loop, and what users and trainers put around it."""

import copy
import multiprocessing
from datetime import timedelta

import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_, parameters_to_vector
from torch.optim.lr_scheduler import StepLR

from relaxlib.deep.optim import HJ, ElasticSGD, EntropySGD, GatedEntropySGD, Heat
from relaxlib.deep.train import refresh_batch_norm

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = {
    "entropysgd": lambda parameters, **own: EntropySGD(parameters, inner_steps=5, seed=1, **own),
    "hj": lambda parameters, **own: HJ(parameters, inner_steps=5, **own),
    "heat": lambda parameters, **own: Heat(parameters, inner_steps=5, seed=1, **own),
    "gate": lambda parameters, **own: GatedEntropySGD(parameters, inner_steps=5, seed=1, **own),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
ALONE = METHODS | {  # for one process: in several it would be one worker of many
    "elastic": lambda parameters, **own: ElasticSGD(parameters, inner_steps=5, seed=1, **own)
}
and_a_worker = pytest.mark.parametrize("method", ALONE.values(), ids=ALONE)
LIMIT = 120.0  # seconds, for processes that should need ten


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)


def batches(count, dtype=torch.float32):
    """Points, and the number of the largest of their first three coordinates."""
    stream = torch.Generator().manual_seed(1)
    for _ in range(count):
        inputs = torch.randn(12, 4, generator=stream, dtype=dtype)
        yield inputs, inputs[:, :3].argmax(dim=1)


def flat(model):
    return parameters_to_vector(model.parameters()).detach()


def plain_loop(model, optimizer, stream):
    for inputs, targets in stream:
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
    return loss.item()


@and_a_worker
def test_plain_loop(method):
    model = network()
    own = {} if method is METHODS["gate"] else {"momentum": 0.5}
    optimizer = method(model.parameters(), lr=1.0, **own)
    assert plain_loop(model, optimizer, batches(1)) > 1.0
    assert plain_loop(model, optimizer, batches(499)) < 0.2
    assert optimizer.back_propagations == 500


@and_a_worker
def test_closure(method):
    model, twin, stream = network(), network(), batches(60)
    optimizer = method(model.parameters())

    def closure():
        inputs, targets = next(stream)
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    for _ in range(12):
        optimizer.step(closure)
    plain_loop(twin, method(twin.parameters()), batches(60))
    assert torch.equal(flat(model), flat(twin))


@pytest.mark.parametrize(
    ("method", "own", "place"),
    [
        ("entropysgd", {"averaging": 0.0, "temperature": 0.0}, 1 - 0.9**5),
        ("hj", {}, 1 - 0.9**5),
        ("heat", {"variance": 0.0, "lr": 0.3}, 0.3),
    ],
)
def test_gradient_clipping(method, own, place):
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = METHODS[method]([x], **own)
    for _ in range(5):
        optimizer.zero_grad()
        (-50.0 * x).sum().backward()
        clip_grad_norm_([x], 1.0)
        optimizer.step()
        assert x.grad.item() == pytest.approx(-1.0, rel=1e-6)  # nothing else writes there
    assert x.item() == pytest.approx(place, rel=1e-6)


@and_a_worker
def test_gradient_accumulation(method):
    model, whole = network(torch.float64), network(torch.float64)
    optimizer = method(model.parameters())
    for inputs, targets in batches(20, torch.float64):
        optimizer.zero_grad()
        for part, labels in zip(inputs.split(3), targets.split(3), strict=True):
            (cross_entropy(model(part), labels) / 4).backward()
        optimizer.step()
    plain_loop(whole, method(whole.parameters()), batches(20, torch.float64))
    torch.testing.assert_close(flat(model), flat(whole), rtol=0.0, atol=1e-12)
    assert optimizer.back_propagations == 20


@and_a_worker
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_with_a_gradient_scaler(method, dtype):
    """One loss of 21 is infinite: its back-propagation is skipped and not counted."""
    model, twin = network(), network()
    optimizer, scaler = method(model.parameters()), torch.amp.GradScaler("cpu", init_scale=1024.0)
    for number, (inputs, targets) in enumerate([*batches(7), *batches(1), *list(batches(20))[7:]]):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = cross_entropy(model(inputs), targets)
        scaler.scale(torch.inf * loss if number == 7 else loss).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(model.parameters(), 10.0)
        scaler.step(optimizer)
        scaler.update()
    plain_loop(twin, method(twin.parameters()), batches(20))
    assert scaler.get_scale() == 512.0
    assert optimizer.back_propagations == 20
    assert (flat(twin) - flat(network())).norm() > 0.1
    torch.testing.assert_close(flat(model), flat(twin), rtol=0.0, atol=0.01)


@and_a_worker
def test_a_scheduler_of_torch(method):
    """The rate halves every ten calls, that is, after two steps of the weights."""
    model = network()
    optimizer = method(model.parameters(), lr=0.8)
    schedule, rates = StepLR(optimizer, 10, gamma=0.5), []
    twin = copy.deepcopy(model)
    for inputs, targets in batches(30):
        plain_loop(model, optimizer, [(inputs, targets)])
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert rates == [0.8] * 9 + [0.4] * 10 + [0.2] * 10 + [0.1]
    by_hand, stream = method(twin.parameters(), lr=0.0), batches(30)
    for rate in (0.8, 0.8, 0.4, 0.4, 0.2, 0.2):
        by_hand.param_groups[0]["lr"] = rate
        plain_loop(twin, by_hand, [next(stream) for _ in range(5)])
    assert torch.equal(flat(model), flat(twin))


@every_method
def test_batch_statistics_at_the_weights(method):
    """Within a loop: statistics are those of x, and then the inner variable is back."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))
    optimizer, everything = method(model.parameters()), list(batches(10))
    plain_loop(model, optimizer, everything[:5])
    weights = copy.deepcopy(model)
    plain_loop(model, optimizer, everything[5:8])
    inner, inputs = flat(model), [entry for entry, _ in everything]
    with optimizer.at_x():
        refresh_batch_norm(model, inputs)
        assert torch.equal(flat(model), flat(weights))
    assert torch.equal(flat(model), inner)
    refresh_batch_norm(weights, inputs)
    assert torch.equal(model[1].running_mean, weights[1].running_mean)
    assert torch.equal(model[1].running_var, weights[1].running_var)
    assert not torch.equal(flat(model), flat(weights))


def one_of_two(rank, folder):
    """Every second example of each batch; the gradients are averaged over both processes."""
    torch.set_num_threads(1)
    place, limit = f"file://{folder}/meeting", timedelta(seconds=LIMIT / 2)
    distributed.init_process_group(
        "gloo", init_method=place, rank=rank, world_size=2, timeout=limit
    )
    for name, method in METHODS.items():
        model = DistributedDataParallel(network(torch.float64))
        halves = ((a[rank::2], b[rank::2]) for a, b in batches(12, torch.float64))
        plain_loop(model, method(model.parameters()), halves)
        torch.save(flat(model), f"{folder}/{name}-{rank}.pt")
    with pytest.raises(ValueError) as error:
        EntropySGD(model.parameters())
    torch.save(str(error.value), f"{folder}/no-seed-{rank}.pt")
    distributed.destroy_process_group()


def test_data_parallel_processes(tmp_path):
    """Two processes, each with half of a batch, are one with all of it, noise included."""
    start = multiprocessing.get_context("spawn").Process
    processes = [start(target=one_of_two, args=(rank, str(tmp_path))) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(LIMIT)
        assert [process.exitcode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.join()
    for name, method in METHODS.items():
        alone = network(torch.float64)
        plain_loop(alone, method(alone.parameters()), batches(12, torch.float64))
        first, second = (torch.load(tmp_path / f"{name}-{rank}.pt") for rank in range(2))
        assert torch.equal(first, second)
        torch.testing.assert_close(first, flat(alone), rtol=0.0, atol=1e-12)
    message = "seed = None: need one seed on all 2 ranks; pass one seed to all"
    assert [torch.load(tmp_path / f"no-seed-{rank}.pt") for rank in range(2)] == [message] * 2
