"""The drawing of the house shows its rooms above what they import, and hides no dependence."""

import re

from house import room_imports
from house_drawing import drawing, floors, needed, places, reachable


def test_every_room_stands_above_what_it_imports():
    graph, level = room_imports(), floors(room_imports())
    assert all(level[name] > level[other] for name in graph for other in graph[name])
    assert re.findall(r"<title>(\w+):", drawing(graph)) == list(places(graph))
    assert sorted(places(graph)) == sorted(graph)


def test_arrows_that_are_left_out_follow_from_those_drawn():
    graph = room_imports()
    drawn = needed(graph)
    assert all(reachable(drawn, name) == reachable(graph, name) for name in graph)
    assert drawing(graph).count("<path") == sum(map(len, drawn.values()))


def test_a_detour_is_enough():
    assert needed({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
