"""How curved the minima are that each optimizer has found on the digits; stored.

usage: python results/curvature.py    (adds the missing rows of curvature.json, ~20 minutes)

One row for each run of `small_fc` in the comparison of training.py, whose weights are trained
again where runs/ does not hold them: the loss on the training images, the least and the greatest
eigenvalue of its Hessian, the harmonic mean of the 100 greatest, the norm of the weights, and the
local entropy to second order at the gamma and temperature below, less the loss.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from escape import save
from scipy.stats import hmean
from tqdm import tqdm
from training import RUNS, TARGET

from relaxlib.deep.data import digits
from relaxlib.deep.minima import loss_derivatives, second_order_local_entropy
from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.train import Run, evaluate, rows, train

OUTPUT = Path(__file__).with_suffix(".json")
GAMMA, TEMPERATURE, LARGEST = 1.0, 1e-3, 100


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def measure(run: Run) -> dict[str, float]:
    """What kind of minimum a run has ended in."""
    train([run], folder=RUNS)  # or what it has stored
    model = NETWORKS["small_fc"].build()
    model.load_state_dict(torch.load(RUNS / f"{run.name('cpu')}.pt")["weights"])
    examples = digits().training
    loss, _ = evaluate(model, examples)
    gradient, hessian = loss_derivatives(model, examples)
    eigenvalues = np.linalg.eigvalsh(hessian)
    entropy = second_order_local_entropy(
        0.0, gradient, hessian, gamma=GAMMA, temperature=TEMPERATURE
    )
    norm = torch.nn.utils.parameters_to_vector(model.parameters()).norm().item()
    return {
        "loss": rounded(loss),
        "norm": rounded(norm),
        "gradient": rounded(np.linalg.norm(gradient)),
        "least": rounded(eigenvalues[0]),
        "greatest": rounded(eigenvalues[-1]),
        "harmonic mean": rounded(hmean(eigenvalues[-LARGEST:])),
        "local entropy": rounded(entropy),
    }


def main() -> None:
    torch.set_num_threads(1)
    stored = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {"rows": []}
    stored |= {"model": "small_fc", "gamma": GAMMA, "temperature": TEMPERATURE}
    stored |= {"eigenvalues in the mean": LARGEST}
    known = {(row["optimizer"], row["weights"]) for row in stored["rows"]}
    found = [row for row in rows(TARGET) if row["purpose"] == "comparison"]
    for row in tqdm([row for row in found if row["model"] == "small_fc"], disable=None):
        if (row["optimizer"], row["weights"]) in known:
            continue
        names = set(Run.__dataclass_fields__)
        run = Run(**{name: entry for name, entry in row.items() if name in names})
        key = {name: row[name] for name in ("optimizer", "settings", "seed", "weights")}
        stored["rows"].append(key | measure(run))
        save(OUTPUT, stored)


if __name__ == "__main__":
    main()
