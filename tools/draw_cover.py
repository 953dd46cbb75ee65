"""Draw the picture of the README: one rugged loss, relaxed in two ways.

usage: python tools/draw_cover.py    (rewrites _static/cover.png)
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from relaxlib.grid import Grid
from relaxlib.hamilton_jacobi import hopf_lax
from relaxlib.landscapes import rugged
from relaxlib.plotting import LOSS, plot_profile
from relaxlib.smoothing import local_entropy


def main() -> None:
    plt.style.use("relaxlib.book")
    line = Grid.box(-6.0, 6.0, 2401)
    loss = line.sample(rugged().value)
    fig, ax = plt.subplots(figsize=(7.2, 2.6))
    plot_profile(ax, line, loss, **LOSS, label="loss")
    smooth = local_entropy(rugged(), line.nodes, gamma=1.0, temperature=0.5)
    plot_profile(ax, line, smooth, color="C0", label="local entropy (viscous)")
    sharp = hopf_lax(line, loss, t=1.0)
    plot_profile(ax, line, sharp, color="C1", label="Hopf–Lax (inviscid)")
    ax.set(ylim=(-0.8, 6), xlabel="", xticks=(), yticks=())
    ax.legend(loc="upper center")
    fig.savefig(Path(__file__).resolve().parent.parent / "_static" / "cover.png")


if __name__ == "__main__":
    main()
