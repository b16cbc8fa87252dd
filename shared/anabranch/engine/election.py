"""Who gives an MVO attribute its value.

Every joined, in-scope CSO offers contributions; the best-ranked one with a value or an asserted null wins (SYN-43). The
choice is a function of the contributions present, never of who came last, so it is made again over stored ones whenever
one of them changes. A value that nobody living gives any more is dropped, unless it is kept (SYN-44), and a kept value
ranks below every living contribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from anabranch.engine.values import canonical_set, same_values
from anabranch.model.configuration import Attribute
from anabranch.model.enums import MultiValuePolicy
from anabranch.model.identity import RunId
from anabranch.model.objects import Document, Provenance

ABSENT = msgspec.UNSET
"""A contributor's answer when it has no opinion (SYN-44); None is an asserted null."""

NULL_MARK = "null"
KEPT_MARK = "kept"


class Ranking(msgspec.Struct, frozen=True):
    """The mappings that can feed one MVO attribute, best first; `known` also names disabled ones (SYN-41, SYN-42)."""

    attribute: Attribute
    mappings: tuple[int, ...]
    known: frozenset[int]

    @property
    def is_contested(self) -> bool:
        """True when more than one mapping can contribute, so that contributions must be stored (MOD-47)."""
        return len(self.known) > 1

    @property
    def is_union(self) -> bool:
        """True when every contributor's values count together."""
        return self.attribute.multi_valued and self.attribute.multi_value_policy is MultiValuePolicy.UNION


class Elected(msgspec.Struct, frozen=True):
    """The outcome for one attribute: its value and its provenance entry (None: none), and whether either is new."""

    value: Any
    provenance: list[Any] | None
    value_changed: bool
    provenance_changed: bool


def elect(
    ranking: Ranking,
    offers: Mapping[int, Any],
    current: Any,
    provenance: list[Any] | None,
    run: RunId,
    *,
    keep: bool = False,
) -> Elected:
    """What `offers` (mapping id to stored value, None: an asserted null) lead to (SYN-43, SYN-44, SYN-47, SYN-48).

    `keep` says that a value without a living contribution stays as it is (grace, a connector that does not recall).
    """
    value, winner = _choose(ranking, offers)
    if winner is None:
        if current is None and provenance is None:
            return Elected(None, None, False, False)
        if current is not None and (keep or _stays(ranking, provenance)):
            kept = [*provenance[:2], KEPT_MARK] if provenance else None
            return Elected(current, kept, False, kept != provenance)
        return Elected(None, None, current is not None, provenance is not None)
    entry = _entry(winner, value, provenance, run)
    if value is not None and current is not None and same_values(value, current, ranking.attribute):
        same = provenance is not None and provenance[0] == winner and len(provenance) == 2
        return Elected(current, provenance if same else [winner, run], False, not same)
    changed = value is not None or current is not None
    if not changed:
        same = provenance is not None and provenance[0] == winner and provenance[2:] == [NULL_MARK]
        return Elected(None, provenance if same else entry, False, not same)
    return Elected(value, entry, True, True)


def _entry(winner: int, value: Any, provenance: list[Any] | None, run: RunId) -> list[Any]:
    return [winner, run] if value is not None else [winner, run, NULL_MARK]


def _stays(ranking: Ranking, provenance: list[Any] | None) -> bool:
    """A disabled or removed mapping neither flows nor clears: what it wrote stays (SYN-41); so does what was kept."""
    if provenance is None:
        return False
    return provenance[2:] == [KEPT_MARK] or provenance[0] not in ranking.mappings


def _choose(ranking: Ranking, offers: Mapping[int, Any]) -> tuple[Any, int | None]:
    if ranking.is_union:
        return _union(ranking, offers)
    for mapping in ranking.mappings:
        if mapping in offers:
            return offers[mapping], mapping
    return None, None


def _union(ranking: Ranking, offers: Mapping[int, Any]) -> tuple[Any, int | None]:
    """Every contributor's values together; the best-ranked one that gives any stands as the provenance, and where none
    gives any, the best-ranked one that asserts null."""
    together: list[Any] = []
    winner: int | None = None
    for mapping in ranking.mappings:
        value = offers.get(mapping)
        if value:
            winner = mapping if winner is None else winner
            together.extend(value)
    if winner is None:
        asserting = next((mapping for mapping in ranking.mappings if mapping in offers), None)
        return None, asserting
    return canonical_set(together, ranking.attribute), winner


def apply_elections(
    rankings: Iterable[tuple[str, Ranking]],
    offers: Mapping[str, Mapping[int, Any]],
    doc: Document,
    provenance: Provenance,
    run: RunId,
    *,
    keep: bool = False,
) -> tuple[Document, Provenance, list[tuple[str, Any, Any, int | None]]]:
    """A document with each named attribute elected anew; the arguments are left as they are.

    Returns the new document and provenance (the same objects when nothing changed) and the value changes as
    (attribute, old, new, winning mapping).
    """
    new_doc, new_provenance = doc, provenance
    changes: list[tuple[str, Any, Any, int | None]] = []
    for attr, ranking in rankings:
        old = new_doc.get(attr)
        entry = new_provenance.get(attr)
        result = elect(ranking, offers.get(attr, {}), old, entry, run, keep=keep)
        if result.value_changed:
            new_doc = _with(new_doc, doc, attr, result.value)
            changes.append((attr, old, result.value, result.provenance[0] if result.provenance else None))
        if result.provenance_changed:
            new_provenance = _with(new_provenance, provenance, attr, result.provenance)
    return new_doc, new_provenance, changes


def _with(present: dict[str, Any], original: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    copy = dict(present) if present is original else present
    if value is None:
        copy.pop(name, None)
    else:
        copy[name] = value
    return copy
