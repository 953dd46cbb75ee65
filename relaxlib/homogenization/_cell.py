"""Cell problems: the corrector of a function of the fast variable, and its average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from relaxlib import _checks
from relaxlib.fokker_planck import stationary
from relaxlib.operators import KolmogorovOperator

_FLAW = 1e-6  # residual of a cell problem, relative to its source


@dataclass(frozen=True, eq=False)
class Cell:
    r"""The corrector of a source h, of mean zero and of shape ``grid.shape``, with two numbers.

    They are the average :math:`\bar h` and :math:`D = \int(h - \bar h)\,\chi\,d\rho_\infty`, the
    fluctuation: a time average of h over a long time t has variance 2D/t.
    """

    corrector: np.ndarray
    average: float
    fluctuation: float


def cell_problem(operator: KolmogorovOperator, source: ArrayLike) -> Cell:
    r"""Solve :math:`-A\chi = h - \bar h` for the corrector of a source h.

    There is a solution only for :math:`\bar h = \int h\,d\rho_\infty`. SL, cell problem (C).

    Parameters
    ----------
    operator : KolmogorovOperator
        The generator of the fast variable at a frozen slow one; detailed balance is not needed.
    source : array_like of shape ``grid.shape``
        Values of h.

    Raises
    ------
    ValueError
        If the operator is absorbing, or its stationary law not unique.
    ArithmeticError
        If the residual of the solve is not small.

    Examples
    --------
    >>> from relaxlib.grid import Grid
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-6, 6, 1201)
    >>> y = grid.nodes[:, 0]
    >>> cell = cell_problem(langevin_operator(grid, y**2 / 2, temperature=1.0), y)
    >>> bool(np.allclose(cell.corrector[300:900], y[300:900], atol=2e-4))  # -A y = y
    True
    >>> round(cell.fluctuation, 3)
    1.0
    """
    density = stationary(operator)
    values = _checks.values_on(operator.grid.shape, source, "source")
    masses = (density * operator.volumes).ravel()
    average = float(masses @ values.ravel())
    excess = values.ravel() - average
    others = np.delete(np.arange(len(masses)), np.argmax(masses))  # one node is pinned to zero
    corrector = np.zeros(len(masses))
    corrector[others] = splu(csc_array(operator.matrix[others][:, others])).solve(-excess[others])
    corrector -= masses @ corrector
    residual = np.abs(operator.matrix @ corrector + excess).max()
    scale = np.abs(excess).max()
    if not residual <= _FLAW * scale:
        raise ArithmeticError(
            f"cell problem: residual {residual:.1e} of a source of size {scale:.1e}; the fast "
            "variable hardly mixes, raise the temperature or coarsen the grid"
        )
    fluctuation = float(masses @ (excess * corrector))
    return Cell(corrector.reshape(operator.grid.shape), average, fluctuation)
