"""The step `unpack`: objects that are still in packs become rows of their own, for whoever has to see them.

Nothing is decided here, and nothing is different afterwards but how it is stored. Whoever unpacks a pack locks it; who
comes second finds it gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.engine.packing import cso_in, export_in, in_batches
from anabranch.model.changes import Changes
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import PackId
from anabranch.model.provisioning import PackLine, ProvisionPack
from anabranch.runtime.work import Task, decide_and_commit
from anabranch.store.port import Reader


def batches_over(lines: Sequence[PackLine], size: int) -> list[NewBatch]:
    """Batches of whole packs, of about `size` objects each."""
    return [
        batch_of(n, [(line.id, line.objects) for line in some])
        for n, some in enumerate(in_batches(lines, lambda line: line.objects, size), start=1)
    ]


def batch_of(n: int, packs: Sequence[tuple[PackId, int]]) -> NewBatch:
    """The batch of these packs, each named with the number of its objects."""
    return NewBatch(n=n, payload={"packs": [list(one) for one in packs]}, total=sum(objects for _, objects in packs))


def packs_of(task: Task) -> list[PackId]:
    """The packs a batch is about."""
    return [PackId(number) for number, _ in task.claimed.payload["packs"]]


async def unpack_range(task: Task) -> None:
    """The objects of the batch's packs stand by themselves."""

    async def load(reader: Reader) -> list[ProvisionPack]:
        return await reader.provision_packs(packs_of(task))

    await decide_and_commit(task, load, spread)


def spread(packs: Sequence[ProvisionPack]) -> Changes:
    """Rows in place of the packs."""
    changes = Changes()
    for pack in packs:
        changes.unpacked.append(pack.id)
        changes.new_csos += [cso_in(pack, one) for one in pack.objects]
        changes.exports += [export_in(pack, one) for one in pack.objects]
    return changes
