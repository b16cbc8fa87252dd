"""What stands for an object's whole content, so that an import sees a change without comparing values (IMP-18)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec


def content_fingerprint(doc: Mapping[str, Any], refs: Mapping[str, list[str]], schema: str) -> bytes:
    """16 bytes over names and canonical values, free of order, bound to the schema (IMP-18)."""
    named = {name: sorted(set(raws)) if len(raws) > 1 else raws for name, raws in refs.items() if raws} if refs else {}
    return blake2b(_ENCODER.encode((doc, named)), digest_size=16, person=_schema_key(schema)).digest()


_ENCODER = msgspec.json.Encoder(order="deterministic")


@lru_cache(maxsize=256)
def _schema_key(schema: str) -> bytes:
    return blake2b(schema.encode(), digest_size=blake2b.PERSON_SIZE).digest()
