"""Paths that leave the finite numbers: how loops see them, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import LOOP


class Failure(NamedTuple):
    """A path whose next position is not finite."""

    path: int
    step: int
    position: np.ndarray  # (d,) the last finite one

    def stop(self, reason: str) -> NoReturn:
        """Say which path failed, where, and why."""
        place = ", ".join(f"{entry:.4g}" for entry in self.position)
        raise ArithmeticError(
            f"path {self.path} is not finite after step {self.step + 1}, from x = [{place}]{reason}"
        )

    def stop_euler(self, step_bound: Callable[[np.ndarray], np.ndarray]) -> NoReturn:
        """The same of Euler's step, which is stable below a bound at that position."""
        bound = float(step_bound(self.position))
        stable = f"Euler's step is stable for dt < {bound:.3g}"
        self.stop(f", where {stable if bound else 'the drift is not finite'}; take a smaller dt")


@njit(**LOOP)
def first_flaw(x, used):
    """The first of the ``used`` lanes with a position that is not finite, or -1."""
    for lane in range(used):
        for i in range(len(x)):
            if not np.isfinite(x[i, lane]):
                return lane
    return -1
