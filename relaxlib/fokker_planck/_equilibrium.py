"""Equilibrium and spectrum of a Markov chain on a grid, from its sparse generator."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.sparse.linalg import eigs, eigsh

from relaxlib import _checks
from relaxlib.fokker_planck._elimination import null_masses
from relaxlib.operators import KolmogorovOperator

_BALANCE = 1e-8  # relative error in detailed balance that counts as rounding
_NO_MASS = 1e-16  # masses below this share of the largest are rounding


def conservative(operator: KolmogorovOperator, fix: str = "let it reflect") -> csr_array:
    """The matrix of an operator that keeps its mass."""
    _checks.kind("operator", operator, KolmogorovOperator)
    _checks.keeps_mass(operator.boundary, fix)
    return operator.matrix


def log_weights(matrix: csr_array) -> np.ndarray | None:
    """Logarithms of weights in detailed balance, w_i M_ij = w_j M_ji, or None if there are none.

    Products of ratios along a tree, so that no weight overflows; every other edge is checked.
    """
    rates = _jumps(matrix)
    back = _reversed(rates)
    there, behind = (np.append(jumps.indptr, jumps.indices) for jumps in (rates, back))
    if not np.array_equal(there, behind):
        return None
    ratio = rates.copy()
    ratio.data = np.log(rates.data) - np.log(back.data)
    order, parents = breadth_first_order(rates, 0, directed=False)
    if len(order) < matrix.shape[0]:
        return None
    logs = np.zeros(len(order))
    steps = np.asarray(ratio[parents[order[1:]], order[1:]]).ravel()
    for node, parent, step in zip(order[1:], parents[order[1:]], steps, strict=True):
        logs[node] = logs[parent] + step
    rows, columns = rates.tocoo().coords
    flaw = np.abs(logs[columns] - logs[rows] - ratio.data)
    scale = 1.0 + np.abs(logs).max()
    return logs - logs.max() if flaw.max(initial=0.0) <= _BALANCE * scale else None


def is_reversible(matrix: csr_array) -> bool:
    """Whether there are weights in detailed balance."""
    return log_weights(matrix) is not None


def stationary_masses(matrix: csr_array) -> np.ndarray:
    """The probability vector p with M^T p = 0.

    Raises
    ------
    ValueError
        If the chain has more than one closed class.
    ArithmeticError
        If a rate of leaving underflows, as in `null_masses`.
    """
    closed = _closed_classes(matrix)
    if len(closed) > 1:
        need = "one, for the stationary density to be unique"
        _checks.reject("closed classes of nodes", len(closed), need, "start from a density: evolve")
    masses = np.zeros(matrix.shape[0])
    masses[closed[0]] = _irreducible_masses(matrix[closed[0]][:, closed[0]])
    return masses


def _irreducible_masses(matrix: csr_array) -> np.ndarray:
    """The probability vector of a chain whose nodes all reach each other."""
    if matrix.shape[0] == 1:
        return np.ones(1)
    logs = log_weights(matrix)
    if logs is not None:
        weights = np.exp(logs)
        return weights / weights.sum()
    return null_masses(_jumps(matrix))


def spectrum(matrix: csr_array, count: int, *, reversible: bool) -> np.ndarray:
    """The ``count`` eigenvalues of largest real part, decreasing; real if reversible."""
    nodes, diagonal = matrix.shape[0], matrix.diagonal()
    fastest = np.abs(diagonal).max()
    if fastest == 0.0:
        return np.zeros(count)
    how = {"v0": np.random.default_rng(0).random(nodes), "return_eigenvectors": False}
    if not reversible:
        more = min(count + 2, nodes - 2)  # else half of a conjugate pair may be lost
        values = eigs(csc_array(matrix), more, sigma=1e-6 * fastest, **how)
        decay = np.round(-values.real, 9)  # the two of a pair compare equal
        return values[np.lexsort((values.imag, decay))][:count]
    rates = _jumps(matrix)
    symmetric = rates.copy()
    symmetric.data = np.sqrt(rates.data * _reversed(rates).data)
    rows, columns = rates.tocoo().coords
    if np.abs(rows - columns).max(initial=0) == 1:
        last = {"select": "i", "select_range": (nodes - count, nodes - 1)}
        return eigh_tridiagonal(diagonal, symmetric.diagonal(1), True, **last)[::-1]
    symmetric.setdiag(diagonal)
    return np.sort(eigsh(csc_array(symmetric), count, sigma=1e-9 * fastest, **how))[::-1]


def slowest_rate(matrix: csr_array, name: str, *, reversible: bool) -> float:
    """Minus the second largest real part in the spectrum of a chain that keeps its mass.

    Raises
    ------
    ArithmeticError
        If it is below 1e-14 of the largest rate: rounding reaches about 1e-16 of that rate.
    """
    rate = 0.0 - float(spectrum(matrix, 2, reversible=reversible)[1].real)
    level = 1e-14 * float(np.abs(matrix.diagonal()).max())
    if not rate > level:
        raise ArithmeticError(
            f"{name}: {rate:.1e} <= {level:.1e}, where rounding may be all there is; "
            "raise the temperature, or coarsen the grid"
        )
    return rate


def reversible_part(matrix: csr_array) -> csr_array:
    """The mean of a chain and its reversal in time, where there is mass to more than rounding."""
    if is_reversible(matrix):
        return matrix
    masses = stationary_masses(matrix)
    charged = masses > _NO_MASS * masses.max()
    weights = masses[charged]
    flows = diags_array(weights) @ _jumps(matrix)[charged][:, charged]
    rates = csr_array(diags_array(0.5 / weights) @ (flows + flows.T))
    rates.setdiag(-rates.sum(axis=1))
    return rates


def _jumps(matrix: csr_array) -> csr_array:
    """The rates of the jumps: the matrix off its diagonal, without zeros."""
    rates = matrix.copy()
    rates.setdiag(0.0)
    rates.eliminate_zeros()
    rates.sort_indices()
    return rates


def _reversed(rates: csr_array) -> csr_array:
    """The rates of the jumps back."""
    back = rates.T.tocsr()
    back.sort_indices()
    return back


def _closed_classes(matrix: csr_array) -> list[np.ndarray]:
    """The nodes of every class that the chain cannot leave."""
    rates = _jumps(matrix)
    count, label = connected_components(rates, connection="strong")
    rows, columns = rates.tocoo().coords
    leaving = label[rows] != label[columns]
    closed = np.setdiff1d(np.arange(count), label[rows[leaving]])
    return [np.flatnonzero(label == k) for k in closed]
