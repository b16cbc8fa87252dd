"""Look-up keys: how objects are found by value.

A key is the text of a value; its hash is taken over the folded text, so that one index serves comparisons with and
without case. Whoever looks up by hash compares the real keys afterwards, under the attribute's own case rule: a hash
finds candidates, it never decides.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from anabranch.engine.values import fold
from anabranch.model.changes import KeyChange
from anabranch.model.identity import TypeId
from anabranch.model.objects import Document


@lru_cache(maxsize=32_768)
def key_hash(key: str) -> bytes:
    """The 8-byte look-up hash of a key: BLAKE2b over its folded text."""
    return blake2b(fold(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def keys_of(value: Any) -> list[str]:
    """The keys of a stored value or list of values; blank text is no key (SYN-26)."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value] if value and not value.isspace() else []
    values = value if isinstance(value, list) else [value]
    keys = (str(one).lower() if isinstance(one, bool) else str(one) for one in values)
    return [key for key in keys if key.strip()]


def first_keys(type_id: TypeId, attr: str, object_id: int, value: Any) -> KeyChange | None:
    """The keys of an object that has none of the attribute yet; None where its value gives none."""
    keys = {key_hash(key): key for key in keys_of(value)}
    return KeyChange(type_id, attr, object_id, tuple(keys.items()), ()) if keys else None


def key_changes(
    type_id: TypeId, attrs: frozenset[str], object_id: int, old: Document, new: Document
) -> list[KeyChange]:
    """What must change in the look-up index when a document goes from `old` to `new`."""
    changes: list[KeyChange] = []
    for attr in sorted(attrs):
        before, after = old.get(attr), new.get(attr)
        if before == after:
            continue
        had, has = set(keys_of(before)), set(keys_of(after))
        gone_hashes = {key_hash(key): key for key in sorted(had - has)}
        new_hashes = {key_hash(key): key for key in sorted(has)}
        add = tuple((h, k) for h, k in new_hashes.items() if k not in had)
        remove = tuple((h, k) for h, k in gone_hashes.items())
        if add or remove:
            changes.append(KeyChange(type_id, attr, object_id, add, remove))
    return changes
