"""How a raw identifier finds the object it names.

A reference may hold an anchor or a secondary id of one of the types it may point to. Both are hashed under the case
rule of those types, so that resolving is a comparison of hashes, made in PostgreSQL for a whole range at once.
"""

from __future__ import annotations

from functools import lru_cache

from anabranch.engine.values import TEXTS, ValueProblem, anchor_key, fold, folds, parse_value, text_hash
from anabranch.model.configuration import Attribute, ObjectType


def reference_hashes(raw: str, target: ObjectType) -> tuple[bytes, bytes]:
    """The hashes under which an object of `target` would be found: by anchor, and by secondary id (the anchor's again
    where the type has none)."""
    anchor = target.attributes[target.anchor]
    by_anchor = _hash(raw, anchor)
    if target.secondary is None:
        return by_anchor, by_anchor
    secondary = target.attributes[target.secondary]
    if anchor.type in TEXTS and secondary.type in TEXTS and folds(anchor) is folds(secondary):
        return by_anchor, by_anchor
    return by_anchor, _hash(raw, secondary)


@lru_cache(maxsize=32_768)  # the same object is referred to again and again
def _text_hash(raw: str, folded: bool) -> bytes:
    return text_hash(fold(raw) if folded else raw)


def _hash(raw: str, attribute: Attribute) -> bytes:
    if attribute.type in TEXTS and raw.isprintable():
        return _text_hash(raw, folds(attribute))
    try:
        value = parse_value(raw, attribute)
    except ValueProblem:
        value = None
    return anchor_key(value, attribute)[1] if value is not None else text_hash(raw)
