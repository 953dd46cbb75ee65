"""Every numbered statement of the papers, and the door through which it is held to account."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources

import yaml

from relaxlib import _checks

__all__ = ["Claim", "check", "claims"]

VERDICTS = {"convention": "translated", "not-sharp": "sharpened", "wrong": "corrected"}


@dataclass(frozen=True)
class Claim:
    """A statement of one of the papers, in the convention of this book.

    Parameters
    ----------
    id : str
        Paper and number, such as ``DR.Lemma1``.
    place : str
        Where it stands in the paper.
    statement : str
        What is true, in Markdown with LaTeX.
    in_print : str
        ``ok``, ``typo``, ``convention``, ``not-sharp`` or ``wrong``.
    erratum : str
        What the print says instead; empty when it is right.
    chapter : str
        The chapter that checks it.
    fault : str
        Which part of the print is at fault: its ``statement``, or only its ``proof`` or ``scope``.
    """

    id: str
    place: str
    statement: str
    in_print: str
    erratum: str
    chapter: str
    fault: str = "statement"

    @property
    def verdict(self) -> str:
        """Word for a check that passes, ``holds`` or what had to be done to the print."""
        return VERDICTS.get(self.in_print, "holds") if self.fault == "statement" else "holds"

    @property
    def wrong(self) -> bool:
        """Whether the statement itself is wrong as printed, not only its proof or scope."""
        return self.in_print == "wrong" and self.fault == "statement"


@cache
def claims() -> dict[str, Claim]:
    """Every claim of the ledger by its id, in the order of the papers.

    >>> claims()["DR.Lemma1"].place
    'Lemma 1'
    """
    folder = resources.files("relaxlib") / "claims"
    entries = [
        Claim(**entry)
        for paper in ("DR", "BK", "BBI")
        for entry in yaml.safe_load((folder / f"{paper}.yml").read_text(encoding="utf-8"))
    ]
    return {claim.id: claim for claim in entries}


def check(claim_id: str, ok: bool, message: str, *, printed: bool | None = None) -> None:
    """Print one line that says how a claim stands, or fail with it.

    Parameters
    ----------
    claim_id : str
        An id of the ledger, written as a literal so that tools can find it.
    ok : bool
        Whether the statement of the ledger holds on this instance.
    message : str
        The numbers behind it.
    printed : bool, optional
        Whether the statement as printed holds on the same instance. Required, and required to be
        False, where the ledger says that the print is wrong.

    Raises
    ------
    AssertionError
        If the claim fails, or if the printed statement holds where the ledger calls it wrong.
    ValueError
        If the id is unknown, or ``printed`` is missing, or given where the print is right.

    Examples
    --------
    >>> check("DR.Lemma1", abs(-1) < 2, "|-1| < 2")
    DR.Lemma1             holds       |-1| < 2
    >>> check("DR.Eq12", True, "slope -0.467; as printed +0.467", printed=False)
    DR.Eq12               corrected   slope -0.467; as printed +0.467: fails
    """
    claim = _find(claim_id)
    if claim.wrong and printed is None:
        fix = "pass printed=<truth value of the printed statement on the same instance>"
        _checks.reject("printed", None, f"a verdict, since {claim_id} is wrong in print", fix)
    if printed is not None and claim.in_print == "ok":
        _checks.reject("printed", printed, f"None, since {claim_id} is right in print", "drop it")
    if ok and printed:
        message += "; but here the printed statement holds too, so it shows no error"
    if printed or not ok:
        raise AssertionError(_line(claim_id, "fails", message))
    if printed is not None:
        told = "as printed" in message
        message = message.rstrip(",") + ": fails" if told else f"{message}; as printed it fails"
    print(_line(claim_id, claim.verdict, message))


def _find(claim_id: str) -> Claim:
    if claim_id not in claims():
        near = get_close_matches(claim_id, claims(), n=3)
        fix = f"did you mean {' or '.join(near)}?" if near else "see relaxlib/claims"
        _checks.reject("claim_id", repr(claim_id), "an id of the ledger", fix)
    return claims()[claim_id]


def _line(claim_id: str, verdict: str, message: str) -> str:
    return f"{claim_id:<21} {verdict:<12}{message}"
