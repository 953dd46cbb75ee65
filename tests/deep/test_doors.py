"""Doors of the networks: what is refused, and in which words."""

import pytest
import torch
from small_training import rejected
from torch import nn

from relaxlib.deep.bridge import finite_sum
from relaxlib.deep.data import Examples
from relaxlib.deep.minima import loss_derivatives
from relaxlib.deep.optim import HJ, EntropySGD, Heat, Scoping, elastic_update, worker_seed
from relaxlib.deep.train import Run, evaluate, refresh_batch_norm, rows, train
from relaxlib.deep.workers import work

ONES = torch.ones(2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worker": [1.0]}, "worker = [1.0]: need type Tensor"),
        ({"center": 1.0}, "center = 1.0: need type Tensor"),
        ({"center": torch.ones(1)}, "center.shape = (1,): need (2,) as of worker; match them"),
        ({"center": ONES.double()}, "center.dtype = torch.float64: need torch.float32 as of"),
        ({"center": ONES.to("meta")}, "center.device = meta: need cpu as of worker"),
        ({"worker": ONES.half()}, "worker.dtype = torch.float16: need torch.float32 or"),
        ({"worker": ONES.bfloat16()}, "rounded away; pass worker.float(), center.float()"),
        ({"worker": ONES.long()}, "worker.dtype = torch.int64: need torch.float32 or"),
        ({"lr": -0.5}, "lr = -0.5: need 0 <= lr < inf"),
        ({"coupling": float("nan")}, "coupling = nan: need 0 <= coupling < inf"),
    ],
)
def test_a_spring_refuses(change, message):
    good = {"worker": ONES, "center": ONES, "lr": 0.5, "coupling": 0.5}
    rejected(message, lambda: elastic_update(**(good | change)))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((), "number of keys = 0: need an integer >= 1"),
        ((0, -1), "key[1] = -1: need an integer >= 0"),
        ((0.5,), "key[0] = 0.5: need an integer >= 0"),
        (("a",), "key[0] = 'a': need a real number"),
    ],
)
def test_a_key_is_of_nonnegative_integers(key, message):
    rejected(message, worker_seed, *key)


def test_zeros_at_the_end_of_a_key_count_for_nothing():
    """As `numpy.random.SeedSequence` has it, and the docstring says."""
    assert worker_seed(3, 1, 0) == worker_seed(3, 1) != worker_seed(3, 1, 1)


def leaf():
    return nn.Parameter(torch.ones(2))


TWIN = leaf()


@pytest.mark.parametrize("kind", [EntropySGD, HJ, Heat])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "params = empty: need at least one parameter; pass model.parameters(), not yet"),
        (iter([]), "params = empty: need at least one parameter"),
        (leaf(), "need an iterable of parameters or of groups; pass model.parameters()"),
        (nn.Linear(2, 1), "need an iterable of parameters or of groups; pass model.parameters()"),
        (None, "params = None: need an iterable of parameters or of groups"),
        ([1.0], "need real leaf tensors, each of them once; pass model.parameters()"),
        ([2 * leaf()], 'non-leaf Tensor": need real leaf tensors'),
        ([TWIN, TWIN], "need real leaf tensors, each of them once"),
        ([{"params": [TWIN]}, {"params": [TWIN]}], "need real leaf tensors, each of them once"),
        ([{"lr": 1.0}], "param_group = ['lr']: need an entry \"params\"; add it"),
        ([{"params": [TWIN], "rate": 1.0}], "setting = 'rate': need one of ('lr',"),
        ([torch.ones(2, dtype=torch.complex64)], "dtype = torch.complex64: need a real floating"),
    ],
)
def test_what_is_no_parameter_is_refused(kind, params, message):
    rejected(message, kind, params)


def test_groups_that_are_used_twice_stay_as_they_are():
    """What one optimizer has by default is not the setting of another."""
    groups = [{"params": [leaf()]}]
    EntropySGD(groups, inner_steps=7)
    assert list(groups[0]) == ["params"]
    assert HJ(groups).param_groups[0]["inner_steps"] == 5


def test_groups_may_be_named_and_take_a_rate_to_start_from():
    groups = [{"params": [leaf()], "name": "first", "initial_lr": 0.1}]
    assert EntropySGD(groups).param_groups[0]["name"] == "first"
    named = EntropySGD(nn.Linear(2, 1).named_parameters())
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]


def test_a_schedule_goes_on_from_its_own_state_only():
    optimizer = EntropySGD([leaf()])
    scoping, other = Scoping(optimizer), Scoping(optimizer, "temperature")
    rejected("key = temperature: need gamma as here", scoping.load_state_dict, other.state_dict())
    rejected("state = ['last_epoch']: need the entries", scoping.load_state_dict, {"last_epoch": 1})
    rejected("state = None: need type dict", scoping.load_state_dict, None)


def labeled(inputs=3, targets=(0, 1, 1)):
    return Examples(torch.ones(inputs, 2), torch.tensor(targets))


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ((torch.ones(1, 2), torch.zeros(1)), "need type Examples"),
        (Examples([1.0], torch.tensor([0])), "examples.inputs = [1.0]: need type Tensor"),
        (Examples(torch.ones(0, 2), torch.tensor([]).long()), "number of examples = 0: need an"),
        (labeled(4), "targets.shape = (3,): need (4,), one label for each input; match"),
        (labeled(3, (0.0, 1.0, 1.0)), "targets = torch.float32: need torch.int64 labels; pass"),
        (Examples(torch.ones(1, 2), torch.tensor([0]).to("meta")), "targets.device = meta: need"),
    ],
)
def test_what_is_no_labeled_examples_is_refused(examples, message):
    model = nn.Linear(2, 2)
    rejected(message, evaluate, model, examples)
    rejected(message, loss_derivatives, model, examples)


def test_what_does_not_classify_the_examples_is_refused():
    model = nn.Linear(2, 2)
    rejected("model = 'net': need type Module", evaluate, "net", labeled())
    message = "target = 7: need 0 <= target < 2 logits; match data and model"
    rejected(message, evaluate, model, labeled(3, (0, 1, 7)))
    rejected("target = -1: need 0 <= target < 2", evaluate, model, labeled(3, (0, 1, -1)))
    rejected("logits.shape = (6,): need (3, classes)", evaluate, nn.Flatten(0), labeled())


def test_logits_that_are_not_finite_are_wrong_answers():
    """An answer that is not a number is not the class where it stands."""
    logits = torch.tensor([[torch.nan, 0.0], [torch.inf, 0.0], [1.0, 0.0]])
    _, error = evaluate(nn.Identity(), Examples(logits, torch.tensor([0, 0, 0])))
    assert error == pytest.approx(200 / 3)


@pytest.mark.parametrize("fails", [False, True])
def test_layers_keep_their_mode(fails):
    """Also a layer that somebody has frozen, and where a batch fails."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    model[1].eval()
    modes = [layer.training for layer in model.modules()]
    for action in (
        lambda: evaluate(model, Examples(torch.ones(4, 3 if fails else 2), torch.zeros(4).long())),
        lambda: refresh_batch_norm(model, [torch.randn(4, 2), torch.randn(4, 3 if fails else 2)]),
    ):
        before = [entry.clone() for entry in model.buffers()]
        if fails:
            with pytest.raises(RuntimeError):
                action()
            assert all(torch.equal(*pair) for pair in zip(before, model.buffers(), strict=True))
        else:
            action()
        assert [layer.training for layer in model.modules()] == modes
        assert model[2].momentum == 0.1


def test_what_is_no_batches_is_refused():
    rejected("batches = 3: need type", refresh_batch_norm, nn.BatchNorm1d(2), 3)
    rejected("model = None: need type Module", refresh_batch_norm, None, [torch.ones(2, 2)])


@pytest.mark.parametrize("line", [b'{"seed": 0', b"[1, 2]", b"\xff\xfe", b"3"])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"seed": 0}\n' + line + b'\n{"seed": 2}\n')
    rejected(f"{path}, line 2 = b", rows, path)
    rejected("need a JSON object; mend or remove the line", rows, str(path))
    rejected("need a file of JSON lines, not a folder", rows, tmp_path)
    rejected("path = 3: need type str or Path", rows, 3)


def test_jobs_without_a_group_or_with_other_arguments_are_refused(tmp_path):
    place = tmp_path / "job.pt"
    message = "torch.distributed = uninitialized: need a process group, of one process at least"
    rejected(message, lambda: work("small_fc", steps=1, checkpoint=place))
    rejected("checkpoint = 3: need type str", lambda: work("small_fc", steps=1, checkpoint=3))
    refused = {"steps": 1, "settings": [1], "checkpoint": place}
    rejected("settings = [1]: need type dict", lambda: work("small_fc", **refused))
    run = Run(model="small_fc", optimizer="sgd", seed=0, epochs=1, batch_size=64)
    rejected("folder = 3: need type str or Path", lambda: train([run], folder=3))


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "list", "folder"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    run = Run(model="small_fc", optimizer="sgd", seed=0, epochs=1, batch_size=640)
    train([run], folder=tmp_path)
    (path,) = tmp_path.glob("*.pt")
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "list":
        torch.save([1, 2], path)
    else:
        path.write_bytes({"empty": b"", "cut": content[:-500], "text": b"weights"}[damage])
    found = "a list" if damage == "list" else "damaged ("
    with pytest.raises(ValueError) as error:
        train([run], folder=tmp_path)
    assert str(error.value).startswith(f"{path} = {found}")
    assert str(error.value).endswith("move the file away to start anew, or name another one")
    assert "\n" not in str(error.value)


class Fading(nn.Linear):
    """A layer whose outputs are halved whenever it is asked."""

    def __init__(self):
        super().__init__(2, 2, dtype=torch.float64)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, inputs):
        self.scale = self.scale / 2
        return self.scale * super().forward(inputs)


def test_a_model_that_changes_as_it_is_asked_is_left_as_it_was():
    """Each evaluation begins with the buffers that the model has."""
    inputs, targets = torch.randn(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])
    model = Fading()
    total = finite_sum(model, nn.functional.cross_entropy, inputs, targets)
    x = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    found = [total.loss(x) for _ in range(2)]
    assert model.scale == 1.0
    expected = nn.functional.cross_entropy(model(inputs), targets).item()
    assert found == pytest.approx([expected] * 2, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": torch.ones(3, 2).to("meta")}, "inputs.device = meta: need all on the CPU"),
        ({"targets": torch.ones(3).to("meta")}, "targets.device = meta: need all on the CPU; call"),
        ({"inputs": torch.ones(3, 2).bfloat16()}, "inputs = torch.bfloat16: need torch.float64"),
        ({"inputs": torch.ones(3, 2).cfloat()}, "torch.complex64, torch.strided: need real"),
        ({"inputs": torch.eye(3).double().to_sparse()}, "torch.sparse_coo: need real numbers in"),
        ({"model": nn.Linear(2, 2).double().to("meta")}, "weight.device = meta: need all on"),
        ({"model": nn.LazyLinear(2)}, "weight = uninitialized: need parameters of known shape"),
        (
            {"model": nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)).eval()},
            "need running statistics, which keep examples from mixing; pass track_running_stats",
        ),
        (
            {"loss": lambda out, y: nn.functional.cross_entropy(out.float(), y)},
            "loss of one example = float32: need float64, as the outputs",
        ),
        ({"inputs": torch.ones(3, 2).long()}, "loss of one example = "),
    ],
)
def test_the_bridge_refuses(change, message):
    good = {
        "model": nn.Linear(2, 2).double(),
        "loss": nn.functional.cross_entropy,
        "inputs": torch.ones(3, 2, dtype=torch.float64),
        "targets": torch.tensor([0, 1, 1]),
    }
    rejected(message, lambda: finite_sum(**(good | change)))
