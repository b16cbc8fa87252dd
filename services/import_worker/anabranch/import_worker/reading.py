"""The step `import`: a source is read page by page, and only what is new or changed is staged.

One partition is one batch. Each page commits its staged rows together with its resume token, so a lost worker costs two
pages at most; an unchanged object costs neither a row written nor a row touched. Pages in which nothing has changed are
cheap to read again, so up to eight of them share a commit. A source that changed while it was read is read again from
its beginning, and what the broken read had staged is discarded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from anabranch.connectors.port import (
    Connector,
    IncompleteRead,
    Page,
    ReadRequest,
    SourceChanged,
    Token,
)
from anabranch.import_worker.staging import Staging
from anabranch.model.changes import Changes
from anabranch.model.errors import Permanent, Retryable
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import TypeId
from anabranch.runtime.clock import monotonic
from anabranch.runtime.connecting import open_connector
from anabranch.runtime.pipelining import OneBehind
from anabranch.runtime.work import Task, plan

_READS = 4
"""How often one attempt begins a read that its source interrupts by changing."""
_TOGETHER = 8
_TOGETHER_SECONDS = 1.0
"""How many pages without a change share a commit, and how long the first of them waits for it."""


async def plan_import(task: Task) -> None:
    """Every partition of the source is one batch. A source of changes alone is refused: absence would mean nothing."""
    async with open_connector(task) as source:
        if not source.capabilities.full:
            system = task.compiled.system_of(task.claimed).key
            raise Permanent(
                f"{system} gives changes only, and a full import needs everything; read a source of content"
            )
        partitions = await source.partitions()
    batches = [
        NewBatch(n=n, payload={"partition": one.key, "types": list(one.object_types)})
        for n, one in enumerate(sorted(partitions, key=lambda one: one.key), start=1)
        if any(task.compiled.object_types[type_id][1].selected for type_id in _type_ids(task, one.object_types))
    ]
    await plan(task, batches)


class _Position(msgspec.Struct):
    """Where a read stands: the cursor it would be resumed from. `counted` is what the pages since its beginning have
    added to the batch's counters; a read that begins anew takes that back with its first page."""

    token: Token | None
    page: int
    seq: int
    counted: dict[str, int]
    restart: bool = False


async def read_partition(task: Task) -> None:
    """The partition is staged to its end, page by page from where the last worker stopped."""
    async with open_connector(task) as source:
        resumed = task.claimed.cursor
        at = _Position(None, 0, await _seq_now(task), {}) if resumed is None else msgspec.convert(resumed, _Position)
        for _ in range(_READS):
            try:
                await _read_from(task, source, at)
            except SourceChanged as fault:
                change = fault
                at = _Position(None, 0, await _seq_now(task), at.counted, restart=True)
            else:
                return
    raise Retryable(f"{change}; that happened {_READS} times in a row, and it is tried again later") from change


async def _seq_now(task: Task) -> int:
    async with task.store.reader() as reader:
        return await reader.change_seq_now()


async def _read_from(task: Task, source: Connector, at: _Position) -> None:
    """The rest of the partition is staged; `at` moves with every page that is committed. One page is committed while
    the next is read and compared; pages are committed in their order."""
    partition: str = task.claimed.payload["partition"]
    request = ReadRequest(
        partition=partition,
        page_size=task.claimed.page_size,
        token=at.token,
        object_types=tuple(task.claimed.payload["types"]),
        records=True,
    )
    staging = Staging(task, partition, at.seq, whole=at.token is None)
    pages: AsyncIterator[Page] = source.read(request)
    here = msgspec.structs.replace(at)
    waiting = _Waiting()
    async with OneBehind() as commits:
        async for page in pages:
            task.hold.check()
            changes = await staging.stage(here.page, page)
            counted = dict(changes.counters)
            if here.restart:
                changes.discard_partitions.append(partition)
                for name, earlier in here.counted.items():
                    changes.count(name, -earlier)
            else:
                before = here.counted
                counted = {name: before.get(name, 0) + counted.get(name, 0) for name in before.keys() | counted}
            here = _Position(page.next_token, here.page + 1, here.seq, counted)
            if page.complete:
                changes.proposal_packs += staging.met_again()
            if waiting.add(changes) or page.complete:
                await commits.follow(_commit(task, waiting.take(), at, here, complete=page.complete))
            if page.complete:
                return
    raise IncompleteRead(f"{partition}: the source ended before its end was reached; check the file and run again")


class _Waiting:
    """Pages read and not yet committed: any number in which nothing has changed, and one that ends their waiting."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._pages = 0
        self._since = 0.0

    def add(self, page: Changes) -> bool:
        """The page waits with those before it; True when they are to be committed now."""
        self._since = self._since if self._pages else monotonic()
        self._pages += 1
        self._changes.discard_partitions += page.discard_partitions
        self._changes.import_rows += page.import_rows
        self._changes.import_seen += page.import_seen
        self._changes.proposal_packs += page.proposal_packs
        self._changes.errors += page.errors
        for name, n in page.counters.items():
            self._changes.count(name, n)
        changed = page.discard_partitions or page.import_rows or page.errors
        return bool(changed) or self._pages >= _TOGETHER or monotonic() - self._since >= _TOGETHER_SECONDS

    def take(self) -> Changes:
        """What the waiting pages change; none waits any more."""
        changes, self._changes, self._pages = self._changes, Changes(), 0
        return changes


async def _commit(task: Task, changes: Changes, at: _Position, following: _Position, *, complete: bool) -> None:
    async with task.store.unit(task.claimed) as unit:
        await unit.persist(changes)
        if complete:
            await unit.done(changes.counters)
        else:
            await unit.advance(msgspec.to_builtins(following), changes.counters)
    at.token, at.page, at.counted, at.restart = following.token, following.page, following.counted, False
    task.hold.progress()


def _type_ids(task: Task, names: Sequence[str]) -> list[TypeId]:
    system = task.compiled.system_of(task.claimed)
    return [task.compiled.registry.object_types[(system.key, name)] for name in names]
