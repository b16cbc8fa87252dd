"""What an import has read, as sorted columns of identities.

A page leaves one packed row: the sorted 16-byte hashes of the anchors it held. Put together they answer, without a row
for any unchanged object, which identities came twice and which did not come at all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anabranch.model.identity import RunId, TypeId
from anabranch.store.port import Reader

Hashes = npt.NDArray[np.bytes_]


async def seen_hashes(reader: Reader, run: RunId, partition: str | None = None) -> dict[TypeId, Hashes]:
    """The sorted anchor hashes the run has read, by object type; of one partition when it is named."""
    parts: dict[TypeId, list[bytes]] = {}
    async for name, type_id, packed in reader.import_seen(run):
        if partition is None or name == partition:
            parts.setdefault(type_id, []).append(packed)
    return {type_id: np.sort(np.frombuffer(b"".join(packed), dtype="S16")) for type_id, packed in parts.items()}


def are_seen(hashes: list[bytes], seen: Hashes | None) -> npt.NDArray[np.bool_]:
    """For each hash whether it is among the sorted `seen` ones."""
    wanted = np.array(hashes, dtype="S16")
    if seen is None or not len(seen):
        return np.zeros(len(wanted), dtype=np.bool_)
    places = np.searchsorted(seen, wanted)
    places[places == len(seen)] = 0
    found: npt.NDArray[np.bool_] = seen[places] == wanted
    return found
