"""Let SGD leave a ball around a minimum of the book's small network; store how long it takes.

usage: python results/escape.py    (adds the missing rows of results/escape.json, ~10 minutes)

The loss is the cross-entropy of 500 digits plus decay/2 |x|^2, d = 1210 weights. SGD starts at
its minimum with batches of one and stops where |x - minimum| > radius; times are steps times lr.
From there the gradient descends again, to see whether it returns to the same valley. Beside it
run two linear chains with the Hessian of the minimum and its noise frozen: the kicks of the real
digits, and Gaussians of the same covariance (for the largest rates only, they take too long).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import solve_continuous_lyapunov
from scipy.optimize import minimize
from torch.func import grad, hessian, vmap
from tqdm import tqdm

from relaxlib.deep.nets import small_network
from relaxlib.paths import estimate

TARGET = Path(__file__).with_suffix(".json")
DECAY, RADIUS, REPLICAS = 0.01, 1.2, 64
DESCENT = 1000  # steps of length 0.5 along the gradient
GAUSSIAN_RATES = (0.14, 0.12)
RATES = (0.14, 0.12, 0.1, 0.09, 0.08, 0.07)  # T = lr / 2 for batches of one


def network_losses() -> tuple[Callable, Callable, int]:
    """The regularized loss of one example, loss(x, i), that of all, loss(x), and their number."""
    network = small_network()
    inputs, targets = network.inputs, network.targets
    layers = [(entry.shape, entry.numel()) for entry in network.model.parameters()]

    def outputs(x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        parts = torch.split(x, [size for _, size in layers])
        first, bias, second, out = (
            part.reshape(shape) for part, (shape, _) in zip(parts, layers, strict=True)
        )
        return torch.tanh(batch @ first.T + bias) @ second.T + out

    def loss(x: torch.Tensor, batch: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        data = torch.nn.functional.cross_entropy(outputs(x, batch), labels)
        return data + DECAY / 2 * (x**2).sum()

    def of_one(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        one = i.reshape(1)
        return loss(x, inputs.index_select(0, one), targets.index_select(0, one))

    return of_one, lambda x: loss(x, inputs, targets), len(inputs)


def find_minimum(of_all: Callable) -> np.ndarray:
    """The minimum below the trained weights, rounded to nine digits."""
    slope = grad(of_all)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.as_tensor(x)
        return float(of_all(weights)), slope(weights).numpy()

    options = {"maxiter": 20_000, "maxfun": 40_000, "gtol": 1e-9, "ftol": 1e-15, "maxcor": 50}
    start = small_network().weights
    return np.round(minimize(objective, start, jac=True, options=options, method="L-BFGS-B").x, 9)


def leave(step: Callable, dim: int, lr: float, name: str) -> tuple[np.ndarray, torch.Tensor]:
    """Times at which displacements from the minimum leave the ball, and where."""
    x = torch.zeros(REPLICAS, dim, dtype=torch.float64)
    times, points = np.zeros(REPLICAS), torch.zeros_like(x)
    inside, count = np.ones(REPLICAS, bool), 0
    with tqdm(total=REPLICAS, desc=f"{name}, lr = {lr}", disable=None) as bar:
        while inside.any():
            x, count = step(x), count + 1
            out = inside & (x.norm(dim=1) > RADIUS).numpy()
            times[out], points[out] = count * lr, x[out]
            inside &= ~out
            bar.update(int(out.sum()))
    return times, points


def rounded(times: np.ndarray) -> dict:
    mean = estimate(times)
    return {"mean": round(mean.mean, 3), "stderr": round(mean.stderr, 3)}


def facts(minimum: torch.Tensor, of_all: Callable, gradients: Callable) -> dict:
    """Noise Q, Hessian H and the covariance K per temperature, HK + KH = 2Q, at the minimum."""
    centered = centered_noise(gradients, minimum)
    noise, curvature = (centered.T @ centered).numpy(), hessian(of_all)(minimum).numpy()
    cloud = np.linalg.eigvalsh(solve_continuous_lyapunov(curvature, 2 * noise))
    heights = np.linalg.eigvalsh(curvature)
    values = {
        "trace of Q": np.trace(noise),
        "largest eigenvalue of Q": np.linalg.eigvalsh(noise)[-1],
        "least eigenvalue of H": heights[0],
        "largest eigenvalue of H": heights[-1],
        "trace of K": cloud.sum(),
        "largest eigenvalue of K": cloud[-1],
    }
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def centered_noise(gradients: Callable, x: torch.Tensor) -> torch.Tensor:
    """The factor (N, d) of Q at x."""
    every = gradients(x)
    return (every - every.mean(dim=0)) / len(every) ** 0.5


def save(path: Path, stored: dict) -> None:
    """Write what is stored so far, with its date and machine."""
    stored["date"] = date.today().isoformat()
    stored["machine"] = f"{platform.machine()}, {platform.system()}, torch {torch.__version__}"
    path.write_text(json.dumps(stored, separators=(",", ":")) + "\n")


def main() -> None:
    of_one, of_all, size = network_losses()
    stored = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    minimum = torch.tensor(stored.get("minimum") or find_minimum(of_all), dtype=torch.float64)
    per_example = vmap(grad(of_one), (None, 0))

    def gradients(x: torch.Tensor) -> torch.Tensor:
        return per_example(x, torch.arange(size))

    if not stored:
        stored = {"command": f"python results/{Path(__file__).name}"}
        stored |= {"decay": DECAY, "radius": RADIUS, "replicas": REPLICAS}
        stored |= {"facts": facts(minimum, of_all, gradients), "rows": []}
        stored["minimum"] = minimum.tolist()
    one_step, slope = vmap(grad(of_one)), vmap(grad(of_all))
    heights, axes = torch.linalg.eigh(hessian(of_all)(minimum))
    every = gradients(minimum)
    kicks = (every - every.mean(dim=0)) @ axes  # in the axes of H, where the drift is diagonal
    for lr in RATES[len(stored["rows"]) :]:
        random = torch.Generator().manual_seed(round(1000 * lr))

        def batch(random=random) -> torch.Tensor:
            return torch.randint(size, (REPLICAS,), generator=random)

        def sgd(x: torch.Tensor, lr=lr, batch=batch) -> torch.Tensor:
            return x - lr * one_step(minimum + x, batch())

        def frozen(x: torch.Tensor, lr=lr, batch=batch) -> torch.Tensor:
            return x * (1 - lr * heights) - lr * kicks[batch()]

        def gaussian(x: torch.Tensor, lr=lr, random=random) -> torch.Tensor:
            draws = torch.randn(REPLICAS, size, generator=random, dtype=torch.float64)
            return x * (1 - lr * heights) - lr * draws @ kicks / size**0.5

        times, points = leave(sgd, len(minimum), lr, "SGD")
        points = minimum + points
        noise = np.mean([float((centered_noise(gradients, x) ** 2).sum()) for x in points])
        for _ in tqdm(range(DESCENT), desc="descent", disable=None):
            points = points - 0.5 * slope(points)
        returned = vmap(of_all)(points) - of_all(minimum) < 1e-3
        row = {"lr": lr, "temperature": lr / 2} | rounded(times)
        row |= {"trace of Q at the exit": round(noise, 3), "returned": int(returned.sum())}
        row["frozen"] = rounded(leave(frozen, len(minimum), lr, "frozen")[0])
        if lr in GAUSSIAN_RATES:
            row["gaussian"] = rounded(leave(gaussian, len(minimum), lr, "Gaussian")[0])
        stored["rows"].append(row)
        save(TARGET, stored)


if __name__ == "__main__":
    main()
