"""Sphinx extension: an anchor at every cell that checks a claim, and the table of all claims."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from relaxlib.ledger import Claim, claims

CHECK = re.compile(r"""\bcheck\(\s*["']([^"']+)["']""")
IN_PRINT = {
    "ok": "right as printed",
    "typo": "misprint",
    "convention": "other convention",
    "not-sharp": "not sharp",
    "wrong": "corrected",
}


class claim_link(nodes.inline, nodes.Element):
    """Stands for a link to the cell that checks ``claim``, until all pages are read."""


class ClaimsDirective(Directive):
    """``{claims} DR``: the table of the claims of one paper."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        paper = self.arguments[0]
        chosen = [claim for claim in claims().values() if claim.id.startswith(f"{paper}.")]
        self.state.document.settings.env.ledger_pages.add(self.state.document.settings.env.docname)
        table = nodes.table(classes=["ledger"])
        group = nodes.tgroup(cols=3)
        table += group
        for width in (20, 45, 35):
            group += nodes.colspec(colwidth=width)
        head = nodes.thead()
        group += head
        head += self.row("Claim", "Statement", "In print")
        body = nodes.tbody()
        group += body
        for claim in chosen:
            body += self.row(self.name_of(claim), claim.statement, self.verdict_on(claim))
        return [table]

    def name_of(self, claim: Claim) -> nodes.Node:
        link = claim_link(claim=claim.id)
        place = nodes.inline("", claim.place, classes=["ledger-place"])
        return nodes.paragraph("", "", link, nodes.Text(" "), place)

    def verdict_on(self, claim: Claim) -> str:
        verdict = IN_PRINT[claim.in_print]
        if claim.fault != "statement":
            verdict += f" ({claim.fault} only)"
        return f"**{verdict}.** {claim.erratum}" if claim.erratum else verdict

    def row(self, *contents: nodes.Node | str) -> nodes.row:
        row = nodes.row()
        for content in contents:
            entry = nodes.entry()
            row += entry
            if isinstance(content, str):
                self.state.nested_parse([content], self.content_offset, entry)
            else:
                entry += content
        return row


def anchor(claim_id: str) -> str:
    return f"check-{nodes.make_id(claim_id)}"


def mark_checks(app: Sphinx, doctree: nodes.document) -> None:
    """Give each cell that checks a claim an anchor, and remember where it is."""
    for claim_id, cell in checking_cells(doctree):
        cell["ids"].append(anchor(claim_id))
        app.env.ledger_cells[claim_id] = app.env.docname


def checking_cells(doctree: nodes.document) -> Iterator[tuple[str, nodes.Element]]:
    for cell in doctree.findall(nodes.container):
        if "cell" in cell.get("classes", []):
            for source in cell.findall(nodes.literal_block):
                for claim_id in CHECK.findall(source.astext()):
                    yield claim_id, cell


def link_claims(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn each placeholder into a link to the checking cell."""
    for placeholder in list(doctree.findall(claim_link)):
        claim_id = placeholder["claim"]
        text = nodes.strong("", claim_id)
        page = app.env.ledger_cells.get(claim_id)
        if page is None:
            placeholder.replace_self(text)
            continue
        uri = f"{app.builder.get_relative_uri(docname, page)}#{anchor(claim_id)}"
        placeholder.replace_self(nodes.reference("", "", text, refuri=uri, internal=True))


def prepare(app: Sphinx) -> None:
    for name, empty in (("ledger_cells", {}), ("ledger_pages", set())):
        if not hasattr(app.env, name):
            setattr(app.env, name, empty)


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    env.ledger_cells = {k: page for k, page in env.ledger_cells.items() if page != docname}
    env.ledger_pages.discard(docname)


def pages_to_write(app: Sphinx, env: BuildEnvironment) -> list[str]:
    return sorted(env.ledger_pages)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(claim_link)
    app.add_directive("claims", ClaimsDirective)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", mark_checks)
    app.connect("env-updated", pages_to_write)
    app.connect("doctree-resolved", link_claims)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
