"""The results of one batch, packed.

A row for each object and step would be most of what a run writes, and hardly anyone reads one; so a batch's results
are one compressed row for each space, found by the range of ids it covers, with counts beside it for those who only
want to know how many. Errors and warnings stand in rows of their own.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from anabranch.model.changes import Item
from anabranch.model.errors import Permanent

_LEVEL: Final = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Item])


class ItemPack(msgspec.Struct, frozen=True):
    """One packed row: the least and greatest object id in it, how many items of each change, the items themselves."""

    space: str
    lo_id: int
    hi_id: int
    counts: dict[str, int]
    packed: bytes


def pack_items(space: str, items: Sequence[Item]) -> ItemPack:
    """The items (at least one) as a row, in order of object id."""
    ordered = sorted(items, key=lambda item: item.object_id)
    return ItemPack(
        space,
        ordered[0].object_id,
        ordered[-1].object_id,
        dict(Counter(item.change for item in ordered)),
        zlib.compress(_encoder.encode(ordered), _LEVEL),
    )


def unpack_items(packed: bytes) -> list[Item]:
    """The items of a packed row, in order of object id. Raises Permanent when the bytes are no such row."""
    try:
        return [item.spelled_out() for item in _decoder.decode(zlib.decompress(packed))]
    except (zlib.error, msgspec.DecodeError) as error:
        raise Permanent(f"a packed row of run items cannot be read ({error}); restore it from a backup") from error
