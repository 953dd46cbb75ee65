"""Records of formulas that travel to other processes."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields

from numba.core import serialize


@dataclass(frozen=True, eq=False, repr=False, init=False)
class FormulaRecord:
    """A record that pickles with its formulas, closures by value, and without machine code."""

    def __getstate__(self) -> bytes:
        return serialize.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    def __setstate__(self, state: bytes) -> None:
        vars(self).update(pickle.loads(state))
