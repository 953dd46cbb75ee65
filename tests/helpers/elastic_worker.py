"""What one of two processes does for test_elastic: python elastic_worker.py RANK FOLDER."""

import os
import socket
import sys
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR

from relaxlib.deep.optim import ElasticSGD, worker_seed

LOOPBACK = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
LOCAL = {"GLOO_SOCKET_IFNAME": LOOPBACK, "OMP_NUM_THREADS": "1"}  # no network, no more threads
SETTINGS = {
    "lr": 0.3, "gamma": 0.5, "temperature": 1e-3, "inner_steps": 3, "averaging": 0.5,
    "momentum": 0.5, "inner_momentum": 0.5, "weight_decay": 1e-2, "seed": 7,
}  # fmt: skip


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def back_propagate(model, rank, step):
    """The loss of a batch that worker and step determine."""
    stream = torch.Generator().manual_seed(worker_seed(1, rank, step))
    inputs = torch.randn(8, 3, generator=stream, dtype=torch.float64)
    model.zero_grad()
    loss = cross_entropy(model(inputs), (inputs.sum(dim=1) > 0).long())
    loss.backward()
    return loss


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def groups(model):
    return [{"params": layer.parameters()} for layer in (model[0], model[2])]


def trained(rank):
    """Workers that start from different places: y and x after three meetings and a step."""
    model = network(rank)
    optimizer = ElasticSGD(groups(model), **SETTINGS)
    for step in range(10):
        back_propagate(model, rank, step)
        optimizer.step()
    worker = weights(model)
    with optimizer.at_x():
        return worker, weights(model)


def rejected(action):
    try:
        action()
    except ValueError as error:
        return str(error)


def one_step(rank, *, lr=1.0, shift=0.0, schedule=False):
    x = nn.Parameter(torch.ones(1))
    optimizer = ElasticSGD([x], lr=lr, seed=0)
    if schedule:
        StepLR(optimizer, 1)
    x.data += shift
    x.grad = torch.ones(1)
    optimizer.step()


def main(rank, folder):
    place = f"file://{folder}/meeting"
    patience = timedelta(hours=1)  # beyond that of the test: a death must be noticed by itself
    distributed.init_process_group(
        "gloo", init_method=place, rank=rank, world_size=2, timeout=patience
    )
    sizes = [nn.Parameter(torch.zeros(2 + rank))]
    found = {
        "trained": trained(rank),
        "sizes": rejected(lambda: ElasticSGD(sizes, seed=0)),
        "settings": rejected(lambda: one_step(rank, lr=1.0 + rank)),
        "places": rejected(lambda: one_step(rank, shift=rank)),
        "schedules": rejected(lambda: one_step(rank, schedule=rank == 1)),
    }
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.barrier()
    if rank == 1:
        os._exit(17)
    try:
        one_step(rank)
    except ConnectionError as error:
        torch.save(str(error), f"{folder}/lost.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
