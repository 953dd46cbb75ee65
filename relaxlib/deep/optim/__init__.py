"""Torch optimizers with an inner loop: what they descend is a smoothed loss."""

from relaxlib.deep.optim._elastic import ElasticSGD, Replicas, elastic_update, worker_seed
from relaxlib.deep.optim._gated import GatedEntropySGD
from relaxlib.deep.optim._inner_loop import InnerLoop
from relaxlib.deep.optim._scoping import Scoping
from relaxlib.deep.optim._smoothed import HJ, EntropySGD, Heat

__all__ = [
    "HJ",
    "ElasticSGD",
    "EntropySGD",
    "GatedEntropySGD",
    "Heat",
    "InnerLoop",
    "Replicas",
    "Scoping",
    "elastic_update",
    "worker_seed",
]
