"""The ledger's door, and that every claim of a chapter is checked there exactly once."""

import collections

import nbformat
import pytest
from chapters_on_disk import checked_ids, notebooks, toc_pages

from relaxlib import ledger
from relaxlib.ledger import Claim, check, claims

KINDS = {"ok", "typo", "convention", "not-sharp", "wrong"}


@pytest.fixture
def invented(monkeypatch):
    """A ledger of four claims, one of each kind that `check` distinguishes."""
    entries = [
        Claim("X.right", "p. 1", "s", "ok", "", "c"),
        Claim("X.wrong", "p. 2", "s", "wrong", "e", "c"),
        Claim("X.proof", "p. 3", "s", "wrong", "e", "c", fault="proof"),
        Claim("X.loose", "p. 4", "s", "not-sharp", "e", "c"),
    ]
    monkeypatch.setattr(ledger, "claims", lambda: {claim.id: claim for claim in entries})


def test_a_claim_that_holds_prints_one_line(invented, capsys):
    check("X.right", True, "1 < 2")
    check("X.loose", True, "1 < 2")
    check("X.proof", True, "1 < 2")
    verdicts = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert verdicts == [
        ["X.right", "holds", "1", "<", "2"],
        ["X.loose", "sharpened", "1", "<", "2"],
        ["X.proof", "holds", "1", "<", "2"],
    ]


def test_a_claim_that_fails_raises_with_the_line(invented):
    with pytest.raises(AssertionError, match=r"X\.right +fails +2 < 1"):
        check("X.right", False, "2 < 1")


def test_a_wrong_print_is_shown_beside_the_truth(invented, capsys):
    check("X.wrong", True, "1.445 <= 3.437; as printed 0.941", printed=False)
    name, verdict, message = capsys.readouterr().out.split(maxsplit=2)
    assert (name, verdict) == ("X.wrong", "corrected")
    assert message == "1.445 <= 3.437; as printed 0.941: fails\n"


def test_a_wrong_print_without_a_number_is_said_to_fail(invented, capsys):
    check("X.wrong", True, "1.445 <= 3.437", printed=False)
    check("X.wrong", True, "1.445 <= 3.437; that it is less, as printed,", printed=False)
    unsaid, said = capsys.readouterr().out.splitlines()
    assert unsaid.endswith("1.445 <= 3.437; as printed it fails")
    assert said.endswith("that it is less, as printed: fails")


def test_a_wrong_print_needs_its_counterexample(invented):
    with pytest.raises(ValueError, match=r"printed = None: need a verdict, since X\.wrong"):
        check("X.wrong", True, "1 < 2")
    with pytest.raises(AssertionError, match="the printed statement holds too"):
        check("X.wrong", True, "1 < 2", printed=True)


def test_a_right_print_takes_no_counterexample(invented):
    with pytest.raises(ValueError, match=r"None, since X\.right is right in print"):
        check("X.right", True, "1 < 2", printed=False)


def test_an_unknown_id_is_refused_with_its_neighbors(invented):
    with pytest.raises(ValueError, match=r"'X\.rihgt': need an id of the ledger; did you mean"):
        check("X.rihgt", True, "")
    with pytest.raises(ValueError, match="see relaxlib/claims"):
        check("nothing like it", True, "")


def test_entries_are_complete():
    for claim in claims().values():
        assert claim.in_print in KINDS, claim.id
        assert claim.fault in {"statement", "proof", "scope"}, claim.id
        assert claim.place, claim.id
        assert claim.statement, claim.id
        assert claim.erratum or claim.in_print == "ok", f"{claim.id}: say what the print has"


def test_every_claim_of_a_chapter_is_checked_there_exactly_once():
    pages = {page.rpartition("/")[2] for page in toc_pages()}
    expected = collections.Counter(
        (claim.chapter, claim.id) for claim in claims().values() if claim.chapter in pages
    )
    found = collections.Counter(
        (path.stem, claim_id)
        for path in notebooks()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for claim_id in checked_ids(cell.source)
    )
    assert found == expected
