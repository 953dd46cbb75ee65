"""Sphinx extension: a drawing of the house, made from its imports whenever the book is built."""

from __future__ import annotations

from graphlib import TopologicalSorter
from html import escape

from docutils import nodes
from docutils.parsers.rst import Directive
from house import doors, room, room_imports
from sphinx.application import Sphinx

WIDTH, STORY, HEIGHT = 760, 66, 34  # of the drawing, from floor to floor, of a room; in pixels


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The floor of every room: one above the highest that it imports."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = 1 + max((found[other] for other in graph[name]), default=-1)
    return found


def reachable(graph: dict[str, set[str]], name: str) -> set[str]:
    """All rooms that a room depends on, by way of others too."""
    return graph[name].union(*(reachable(graph, other) for other in graph[name]))


def needed(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports that do not follow from others."""
    return {
        name: others - set().union(*(reachable(graph, other) for other in others))
        for name, others in graph.items()
    }


def places(graph: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """The middle of every room, the lowest floor at the bottom, above what it stands on."""
    level, below = floors(graph), needed(graph)
    top, found = max(level.values()), {}

    def leaning(name: str) -> tuple[float, str]:
        return sum(found[other][0] for other in below[name]) / max(len(below[name]), 1), name

    for floor in range(top + 1):
        rooms = sorted((name for name in graph if level[name] == floor), key=leaning)
        for k, name in enumerate(rooms):
            found[name] = (WIDTH * (k + 0.5) / len(rooms), STORY * (top - floor + 0.5))
    return found


def drawing(graph: dict[str, set[str]]) -> str:
    """The house as an SVG image in the colors of the page."""
    middle = places(graph)
    counts: dict[str, int] = {}
    for door, names in doors().items():
        counts[room(door)] = counts.get(room(door), 0) + len(names)
    height = STORY * (1 + max(floors(graph).values()))
    parts = [
        f'<svg class="house" role="img" viewBox="0 0 {WIDTH} {height}" '
        'aria-label="Rooms of relaxlib on floors; each imports from lower floors only.">'
    ]
    for name, others in needed(graph).items():
        for other in sorted(others):
            (x0, y0), (x1, y1) = middle[name], middle[other]
            y0, y1 = y0 + HEIGHT / 2, y1 - HEIGHT / 2
            bend = (y0 + y1) / 2
            parts.append(f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {bend:.0f} {x1:.0f} {bend:.0f} '
                         f'{x1:.0f} {y1:.0f}"/>')  # fmt: skip
    for name, (x, y) in middle.items():
        half = 5 + 3.7 * len(name)
        title = f"{counts[name]} public names" if name in counts else "no door"
        parts.append(
            f'<g><title>{escape(name)}: {title}</title><rect x="{x - half:.0f}" '
            f'y="{y - HEIGHT / 2:.0f}" width="{2 * half:.0f}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{x:.0f}" y="{y:.0f}">{escape(name)}</text></g>'
        )
    return "".join([*parts, "</svg>"])


class HouseDirective(Directive):
    """``{house}``: the drawing, the text of the directive its caption."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        graph = room_imports()
        figure = nodes.figure(classes=["house"])
        figure += nodes.raw("", drawing(graph), format="html")
        arrows = sum(map(len, graph.values()))
        drawn = sum(map(len, needed(graph).values()))
        facts = f"{len(graph)} rooms on {1 + max(floors(graph).values())} floors. Of {arrows} "
        facts += f"imports between rooms {drawn} are drawn: the others follow from them."
        figure += nodes.caption("", " ".join([*self.content, facts]))
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("house", HouseDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
