"""What all optimizers with an inner loop do: doors, interruptions, resuming, groups, precisions."""

import copy
import io
import pickle

import pytest
import torch
from small_training import METHODS, Training, every_method, every_precision, one_weight, rejected
from torch import nn
from torch.nn.functional import cross_entropy

from relaxlib.deep.optim import HJ, ElasticSGD, EntropySGD, Heat, Replicas, Scoping

pytestmark = pytest.mark.usefixtures("one_thread")


@every_method
@every_precision
def test_both_doors_lead_to_the_same_weights(method, dtype):
    one, two = Training(method, dtype), Training(method, dtype)
    start = one.weights()
    for _ in range(5):
        one.optimizer.step(one.closure)
        two.micro_steps(two.inner_steps)
    assert torch.equal(one.weights(), two.weights())
    assert (one.weights() - start).norm() > 0.1


@every_method
def test_a_closure_is_called_once_for_each_inner_step(method):
    training = Training(method)
    first = Training(method).losses()[0].item()
    loss = training.optimizer.step(training.closure)
    assert loss.item() == first  # at x, on the first batch
    training.optimizer.step(training.closure)
    assert training.drawn == 2 * training.inner_steps == training.optimizer.back_propagations


def test_back_propagations_of_three_steps_as_published():
    for kind, expected in ((EntropySGD, 60), (Heat, 60), (HJ, 15)):
        x = nn.Parameter(torch.ones(1))
        optimizer, calls = kind([x]), []
        for _ in range(3):
            optimizer.step(lambda calls=calls: calls.append(1))
        assert len(calls) == expected == optimizer.back_propagations


@every_method
def test_gradients_are_left_as_they_are(method):
    training = Training(method)
    for group in training.optimizer.param_groups:
        group["maximize"], group["weight_decay"] = True, 0.1
    for _ in range(training.inner_steps):
        training.closure()
        before = [entry.grad.clone() for entry in training.model.parameters()]
        training.optimizer.step()
        after = [entry.grad for entry in training.model.parameters()]
        assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def test_a_closure_needs_no_gradients_switched_on():
    training = Training()
    with torch.no_grad():
        training.optimizer.step(training.closure)
    assert training.drawn == 4


@every_method
@every_precision
@pytest.mark.parametrize("done", [0, 4, 6, 12])
def test_it_resumes_bit_for_bit_also_within_a_loop(method, dtype, done):
    training = Training(method, dtype)
    training.micro_steps(done)
    file = io.BytesIO()
    states = [part.state_dict() for part in (*training.models, training.optimizer)]
    torch.save((states, training.batches.get_state()), file)
    training.micro_steps(7)
    file.seek(0)
    states, batches = torch.load(file)
    fresh = Training(method, dtype, lr=0.9)
    for part, state in zip((*fresh.models, fresh.optimizer), states, strict=True):
        part.load_state_dict(state)
    fresh.batches.set_state(batches)
    fresh.micro_steps(7)
    assert torch.equal(fresh.weights(), training.weights())
    assert torch.equal(fresh.center(), training.center())
    assert fresh.optimizer.back_propagations == done + 7


def hand_over(source, target):
    """Let one training go on from where another is."""
    pairs = zip((*source.models, source.optimizer), (*target.models, target.optimizer), strict=True)
    for one, other in pairs:
        other.load_state_dict(one.state_dict())


@every_method
def test_twins_of_one_state_go_their_own_ways(method):
    """What was loaded shares no tensor with its source."""
    source, twin = Training(method), Training(method)
    source.micro_steps(5)
    hand_over(source, twin)
    before = copy.deepcopy(source.optimizer.state_dict()["state"])
    twin.micro_steps(4)
    torch.testing.assert_close(source.optimizer.state_dict()["state"], before, rtol=0, atol=0)


@every_method
def test_a_state_goes_on_in_another_precision(method):
    single, double = Training(method), Training(method, torch.float64)
    single.micro_steps(5)
    hand_over(single, double)
    tensors = [entry for state in double.optimizer.state.values() for entry in state.values()]
    assert {entry.dtype for entry in tensors if torch.is_tensor(entry)} == {torch.float64}
    inputs, targets = torch.randn(8, 3), torch.arange(8) % 2
    for _ in range(4):
        for training in (single, double):
            training.optimizer.zero_grad()
            for model in training.models:
                cross_entropy(model(inputs.to(training.dtype)), targets).backward()
            training.optimizer.step()
    assert double.weights().dtype == torch.float64
    torch.testing.assert_close(double.weights().float(), single.weights(), rtol=0, atol=1e-6)


def test_a_state_can_be_loaded_again():
    training = Training()
    for _ in range(2):
        training.micro_steps(1)
        training.optimizer.load_state_dict(training.optimizer.state_dict())
    assert training.optimizer.back_propagations == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.optim.SGD, "state_dict = without gamma, temperature, inner_lr, inner_steps, "),
        (Heat, "inner_lr, averaging, inner_momentum: need the settings of HJ; load it where"),
        (HJ, "shape = (2,): need (1,) as parameter 0; load it where it comes from"),
    ],
)
def test_a_state_of_something_else_is_rejected(source, message):
    """Another optimizer, other shapes; and the optimizer goes on as before."""
    x, optimizer = one_weight(inner_steps=2)
    other = nn.Parameter(torch.ones(2))
    other.grad = torch.ones(2)
    found = source([other])
    for each in (found, optimizer):
        each.step()
    rejected(message, optimizer.load_state_dict, found.state_dict())
    optimizer.step()
    assert x.item() == pytest.approx(-0.19)


@every_method
@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_copies_go_on_alike(method, twin_of):
    training = Training(method)
    training.micro_steps(5)
    twin = Training(method)
    twin.models, twin.optimizer = twin_of((training.models, training.optimizer))
    twin.batches.set_state(training.batches.get_state())
    training.micro_steps(4)
    twin.micro_steps(4)
    assert torch.equal(twin.weights(), training.weights())


@every_method
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("calls", [1, 3])
def test_an_interrupted_loop_leaves_the_weights(method, failure, calls):
    training = Training(method)
    training.optimizer.step(training.closure)
    center, target = training.center(), training.drawn + calls

    def closure():
        if training.drawn + 1 == target:
            raise failure
        return training.closure()

    with pytest.raises(failure):
        training.optimizer.step(closure)
    assert torch.equal(training.weights(), center)  # workers on springs start from x again
    assert torch.equal(training.center(), center)
    assert training.optimizer.synchronized
    assert training.optimizer.back_propagations == training.inner_steps
    if isinstance(training.optimizer, ElasticSGD):
        return
    calm = Training(method)
    calm.optimizer.step(calm.closure)
    calm.batches.set_state(training.batches.get_state())
    for other in (training, calm):
        other.optimizer.step(other.closure)
    assert torch.equal(training.weights(), calm.weights())


@every_method
def test_the_weights_can_be_seen_within_a_loop(method):
    training = Training(method)
    training.micro_steps(training.inner_steps)
    center = training.center()
    assert training.optimizer.synchronized
    stays_away = isinstance(training.optimizer, ElasticSGD)  # also where the workers have met
    assert torch.equal(training.weights(), center) is not stays_away
    training.micro_steps(2)
    inner = training.weights()
    assert not training.optimizer.synchronized
    with training.optimizer.at_x():
        assert torch.equal(training.weights(), center)
        assert torch.is_grad_enabled()
    assert torch.equal(training.weights(), inner)
    assert (inner != center).any(dim=1).all()
    with pytest.raises(ZeroDivisionError), training.optimizer.at_x():
        raise ZeroDivisionError
    assert torch.equal(training.weights(), inner)
    training.micro_steps(training.inner_steps - 2)
    assert not torch.equal(training.center(), center)


def test_the_seed_is_drawn_from_torch():
    seeds = []
    for state in (1, 1, 2):
        torch.manual_seed(state)
        optimizer = Heat([nn.Parameter(torch.zeros(1))])
        seeds.append(optimizer.param_groups[0]["seed"])
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_loop_is_finished_by_the_door_it_came_in():
    _, optimizer = one_weight()
    optimizer.step()
    message = (
        "inner_step = 1: need parameters at x, inner_step = 0; finish the inner loop with step()"
    )
    rejected(message, optimizer.step, lambda: None)
    rejected(message, optimizer.add_param_group, {"params": [nn.Parameter(torch.ones(1))]})


def test_settings_are_looked_at_before_each_loop():
    _, optimizer = one_weight(inner_steps=2)
    optimizer.step()
    optimizer.param_groups[0]["gamma"] = 0.01
    optimizer.step()
    rejected("inner_lr/gamma = 10: need", optimizer.step)
    assert optimizer.synchronized


@pytest.mark.parametrize("lr", [-1.0, float("nan")])
def test_the_rate_is_looked_at_before_it_is_used(lr):
    """A scheduler may spoil it within a loop; with another one the loop goes on."""
    x, optimizer = one_weight(inner_steps=2)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = lr
    inner = x.item()
    rejected("lr = ", optimizer.step)
    assert x.item() == inner
    assert not optimizer.synchronized
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    assert x.item() == pytest.approx(-0.19)


def test_what_is_no_gradient_or_closure_is_rejected():
    x, optimizer = one_weight()
    rejected("closure = 3: need a function of no arguments", optimizer.step, 3)
    x.grad = torch.ones(1, dtype=torch.float64).to_sparse()
    rejected("grad = sparse: need dense gradients", optimizer.step)
    assert optimizer.back_propagations == 0


@every_method
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)]
)
def test_other_precisions_are_close_to_double(method, dtype, tolerance):
    """Of parabolas, with all kinds of momentum that there are, but without noise."""
    kind, settings = METHODS[method]
    calm = {"temperature": 0.0, "variance": 0.0}
    settings = settings | {name: calm[name] for name in calm.keys() & settings.keys()}
    places = []
    for precision in (torch.float64, dtype):
        copies = [Parabola().to(precision) for _ in range(2)]
        optimizer = kind(copies if kind is Replicas else copies[0].parameters(), **settings)
        for _ in range(7):
            for copy_ in copies:
                copy_.weight.grad = 1.5 * copy_.weight.detach()
            optimizer.step()
        assert copies[0].weight.dtype == precision
        inner = copies[0].weight.detach().clone()
        with optimizer.at_x():
            places.append(torch.stack([inner, copies[0].weight.detach()]).double())
    torch.testing.assert_close(*places, rtol=0.0, atol=tolerance)
    assert (places[0] < 0.9).all()


class Parabola(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))


@every_method
def test_what_is_smoothed_over_shrinks_from_step_to_step(method):
    training = Training(method)
    key = "variance" if method == "heat" else "gamma"
    start = training.optimizer.param_groups[0][key]
    scoping, values = Scoping(training.optimizer, key, 0.5, minimum=0.2 * start), []
    for _ in range(4 * training.inner_steps):
        training.micro_steps(1)
        scoping.step()
        values.append(scoping.get_last_value())
    loops = [values[k] for k in range(training.inner_steps - 1, len(values), training.inner_steps)]
    assert [loop[0] / start for loop in loops] == [0.5, 0.25, 0.2, 0.2]
    assert values[0][0] == values[training.inner_steps - 2][0] == start
    assert len(values[0]) == len(training.optimizer.param_groups)
