"""Errors of a network, and the statistics of its batch normalization."""

import math

import pytest
import torch
from torch import nn

from relaxlib.deep.data import Examples
from relaxlib.deep.train import evaluate, refresh_batch_norm

pytestmark = pytest.mark.usefixtures("one_thread")


def test_loss_and_error_by_hand():
    """700 images, three parts: logits 0 but for one class, every seventh answer wrong."""
    targets = torch.arange(700) % 7
    logits = 3.0 * nn.functional.one_hot(targets.where(targets > 0, 1), 10).float()
    model = nn.Sequential(nn.Dropout(0.5))
    loss, error = evaluate(model, Examples(logits, targets))
    total = math.log(9.0 + math.exp(3.0))
    assert error == pytest.approx(100 / 7)
    assert loss == pytest.approx(total - 3.0 * 6 / 7, rel=1e-12)
    assert model.training


@pytest.mark.parametrize("drop", [nn.Dropout, nn.Dropout1d, nn.AlphaDropout])
def test_batch_statistics_are_those_of_the_weights_without_dropout(drop):
    torch.manual_seed(0)
    dropout, norm = drop(0.5), nn.BatchNorm1d(3)
    model = nn.Sequential(dropout, nn.Linear(2, 3), norm)
    model(torch.randn(8, 2))
    batches = torch.randn(4, 20, 2)
    refresh_batch_norm(model, batches)
    values = model[1](batches).detach()
    torch.testing.assert_close(norm.running_mean, values.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.running_var, values.var(dim=1).mean(dim=0))
    assert dropout.p == 0.5
    assert norm.momentum == 0.1
    assert model.training


def test_statistics_stay_where_there_is_no_batch():
    """A generator that has been used up, say."""
    model = nn.BatchNorm1d(3)
    model.running_mean += 1.0
    with pytest.raises(ValueError, match="batches = empty: need at least one batch; pass some"):
        refresh_batch_norm(model, iter([]))
    assert (model.running_mean == 1.0).all()


def test_dropout_is_back_when_the_batches_fail():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(RuntimeError):
        refresh_batch_norm(model, [torch.zeros(4, 7)])
    assert model[0].p == 0.5
