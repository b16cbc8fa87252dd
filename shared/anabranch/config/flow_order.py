"""The order in which mappings flow, and the circles that have none (MOD-39).

A mapping that reads `mv["x"]` waits for the mappings that write `x` in the same evaluation: those of all rules from
one object type to one metaverse type. Two mappings that wait for each other would each need the other's result first,
so a circle is refused, with the whole way round in the message.
"""

from __future__ import annotations

from anabranch.config.checker import Checker
from anabranch.config.declaration import NodePath
from anabranch.config.expression_reads import reads_of
from anabranch.model.configuration import Mapping, Rule
from anabranch.model.enums import Direction

Edge = dict[str, dict[str, NodePath]]
"""Written attribute to the attributes it needs, each with the place of the mapping that needs it."""


def check_flow_order(checker: Checker) -> None:
    flows: dict[tuple[str, str, str], Edge] = {}
    for rule in checker.configuration.rules.values():
        if rule.direction is Direction.INBOUND:
            edges = flows.setdefault((rule.system, rule.object_type, rule.metaverse_type), {})
            for mapping in rule.mappings.values():
                _collect(checker, rule, mapping, edges)
    for edges in flows.values():
        for circle in _circles(edges):
            at = edges[circle[0]][circle[1]]
            way = " -> ".join(f'mv["{name}"]' for name in circle)
            checker.fault(at, f"mappings wait for each other in a circle: {way}; break it at one of them")


def _collect(checker: Checker, rule: Rule, mapping: Mapping, edges: Edge) -> None:
    if mapping.source.expression is None:
        return
    at: NodePath = ("rules", rule.key, "mappings", mapping.key, "from", "expression")
    for name in sorted(reads_of(mapping.source.expression).mv):
        if name == mapping.to:
            checker.fault(at, f'the mapping reads mv["{name}"], which it computes itself')
        else:
            edges.setdefault(mapping.to, {}).setdefault(name, at)


def _circles(edges: Edge) -> list[list[str]]:
    """One circle for each group of attributes that wait for each other, from its lowest name round to it again."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in sorted(edges):
        if start in done:
            continue
        way = _way_back(edges, start)
        if way is not None:
            found.append(way)
            done.update(way)
    return found


def _way_back(edges: Edge, start: str) -> list[str] | None:
    """The shortest way from an attribute over what it needs back to itself, or None."""
    frontier = [[start]]
    seen: set[str] = set()
    while frontier:
        longer = []
        for way in frontier:
            for name in sorted(edges.get(way[-1], ())):
                if name == start:
                    return [*way, start]
                if name not in seen:
                    seen.add(name)
                    longer.append([*way, name])
        frontier = longer
    return None
