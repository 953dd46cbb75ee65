"""Train three small classifiers of scikit-learn's digits; store their weights.

usage: python results/digits_plane.py    (rewrites results/digits_plane.json, a few seconds)

A network with one hidden layer of ten tanh units, 64 + 10 -> 10 -> 10, 760 weights. Two runs are
plain SGD on mini-batches of 8 from different starts; the third is L-BFGS, stopped early.
"""

from __future__ import annotations

import json
import platform
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from tqdm import tqdm

SGD = {"solver": "sgd", "batch_size": 8, "learning_rate_init": 0.1, "momentum": 0, "max_iter": 30}
RUNS = {
    "SGD, seed 1": {"random_state": 1} | SGD,
    "SGD, seed 2": {"random_state": 2} | SGD,
    "L-BFGS, 18 steps": {"random_state": 5, "solver": "lbfgs", "max_iter": 18},
}


def train(settings: dict) -> list[list]:
    """Weights [W1, b1, W2, b2] of one run, rounded to six digits."""
    inputs, labels = load_digits(return_X_y=True)
    network = MLPClassifier((10,), activation="tanh", alpha=0.0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        network.fit(inputs / 16, labels)
    (first, second), (bias, out) = network.coefs_, network.intercepts_
    return [np.round(layer, 6).tolist() for layer in (first, bias, second, out)]


def main() -> None:
    target = Path(__file__).with_suffix(".json")
    record = {
        "command": f"python results/{Path(__file__).name}",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "runs": {
            name: {"settings": settings, "weights": train(settings)}
            for name, settings in tqdm(RUNS.items(), disable=None)
        },
    }
    target.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
