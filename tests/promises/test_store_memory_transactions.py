"""What the memory keeper's transactions mean: layers over tables, row locks, and a fence before both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_new_cso
from tests.promises.fleet_keepers import LEASE, start, take, try_claim
from tests.promises.memory_keepers import MemoryFleetKeeper, memory_fleet

from anabranch.model.changes import Changes
from anabranch.model.enums import JoinType, WorkerKind
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId, CsoId, MvoId, RunId, WorkerId
from anabranch.store.faults import Contended
from anabranch.store.memory_tables import RowLocks, Table
from anabranch.store.memory_unit import MemoryDataUnit
from anabranch.store.port import Collision

ONE, TWO = ("cso", 1), ("cso", 2)


@pytest.fixture
async def keeper() -> AsyncIterator[MemoryFleetKeeper]:
    async with memory_fleet() as made:
        yield made


# --- layers

_OPERATIONS = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.integers(0, 4), st.integers(1, 9)), max_size=12)


def _play(table: Table[int, int], model: dict[int, int], operations: list[tuple[str, int, int]]) -> None:
    for what, key, value in operations:
        if what == "put":
            table.put(key, value)
            model[key] = value
        else:
            table.remove(key)
            model.pop(key, None)


@given(before=_OPERATIONS, within=_OPERATIONS)
def test_a_layer_is_the_table_it_would_become(
    before: list[tuple[str, int, int]], within: list[tuple[str, int, int]]
) -> None:
    table: Table[int, int] = Table()
    committed: dict[int, int] = {}
    _play(table, committed, before)
    layer, inside = table.layer(), dict(committed)
    _play(layer, inside, within)
    assert dict(layer.items()) == inside
    assert dict(table.items()) == committed
    layer.lay_down()
    assert dict(table.items()) == inside


def test_the_committed_table_is_nobodys_layer() -> None:
    with pytest.raises(ValueError, match="nothing to be laid into"):
        Table[int, int]().lay_down()


# --- locks


async def test_a_row_is_waited_for_until_its_holder_lets_go() -> None:
    locks = RowLocks()
    await locks.take(ONE, "first")
    waiting = asyncio.create_task(locks.take(ONE, "second"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await locks.let_go("first")
    await waiting
    assert not locks.try_take(ONE, "first")


async def test_a_wait_has_an_end() -> None:
    locks = RowLocks()
    await locks.take(ONE, "first")
    with pytest.raises(Contended, match="was not free"):
        await locks.take(ONE, "second", 0.01)
    await locks.let_go("first")
    assert locks.free(ONE)


@pytest.mark.behaviour("FLT-12")
async def test_two_that_wait_for_one_another_are_told_apart() -> None:
    locks = RowLocks()
    await locks.take(ONE, "first")
    await locks.take(TWO, "second")
    waiting = asyncio.create_task(locks.take(TWO, "first"))
    await asyncio.sleep(0)
    with pytest.raises(Contended, match="wait for one another"):
        await locks.take(ONE, "second")
    await locks.let_go("second")
    await waiting


# --- units


@pytest.mark.behaviour("FLT-5")
async def test_a_unit_that_fails_leaves_nothing_behind(keeper: MemoryFleetKeeper) -> None:
    run = await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)

    async def a_unit_that_fails_at_its_end() -> None:
        async with keeper.store.unit(claimed) as unit:
            await unit.persist(Changes(new_csos=[a_new_cso()]))
            await unit.add_batches([NewBatch(n=1, payload={})])
            await unit.seal()
            await unit.done({"read": 1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await a_unit_that_fails_at_its_end()
    assert await keeper.states(run) == {"leased": 1}
    assert len(keeper.memory.tables.csos) == 0
    assert keeper.memory.locks.free(("batch", claimed.batch))


async def test_nobody_sees_what_a_unit_writes_before_it_commits(keeper: MemoryFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    async with keeper.store.unit(claimed) as unit, keeper.store.reader() as reader:
        await unit.persist(Changes(new_csos=[a_new_cso()]))
        assert await reader.csos([CsoId(1)]) == []
        assert len(await unit.csos([CsoId(1)])) == 1
        await unit.advance({}, {})
        assert await reader.csos([CsoId(1)]) == []
    async with keeper.store.reader() as reader:
        assert len(await reader.csos([CsoId(1)])) == 1


async def test_a_document_is_kept_as_json_says_it_and_as_it_was(keeper: MemoryFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    doc = {"mails": ("b", "a")}
    async with keeper.store.unit(await take(keeper.store)) as unit:
        await unit.persist(Changes(new_csos=[a_new_cso(doc=doc)]))
        doc.clear()
        await unit.advance({}, {})
    assert keeper.memory.tables.csos[CsoId(1)].doc == {"mails": ["b", "a"]}


async def test_a_batch_in_its_commit_is_not_to_be_had(keeper: MemoryFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    async with keeper.store.unit(claimed) as unit:
        await keeper.pass_time(LEASE + 1)
        assert await try_claim(keeper.store, WorkerKind.IMPORT) is None
        assert await try_claim(keeper.store, WorkerKind.IMPORT, claimed.batch) is None
        await unit.advance({}, {})
    assert await try_claim(keeper.store, WorkerKind.IMPORT, claimed.batch) is not None


@pytest.mark.behaviour("FLT-6")
async def test_a_heartbeat_takes_a_batch_in_its_commit_for_held(keeper: MemoryFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    heart = await keeper.store.open_heart()
    async with keeper.store.unit(claimed) as unit:
        beat = await heart.beat(WorkerId("w1"), [claimed.claim], LEASE)
        await unit.advance({}, {})
    assert (beat.held, beat.lost) == (frozenset({claimed.claim}), frozenset())


@pytest.mark.behaviour("FLT-24")
async def test_the_end_of_a_run_waits_for_a_commit_under_way(keeper: MemoryFleetKeeper) -> None:
    run = await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    async with keeper.store.unit(claimed) as unit:
        await keeper.store.cancel_run(run, "tester")
        await keeper.pass_time(LEASE + 1)
        assert (await keeper.store.sweep(LEASE)).runs_ended == ()
        await unit.add_batches([NewBatch(n=1, payload={})])
        await unit.seal()
        await unit.done({})
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)
    assert await keeper.states(run) == {"done": 1, "cancelled": 1}


async def test_of_two_that_want_one_slot_at_once_the_second_collides(keeper: MemoryFleetKeeper) -> None:
    first, second = (MemoryDataUnit(keeper.memory, RunId(1), 1, BatchId(n)) for n in (1, 2))
    slot = {"mvo_id": MvoId(5), "join_type": JoinType.PROJECTED}
    await first.persist(Changes(new_csos=[a_new_cso(1, **slot)]))
    waiting = asyncio.create_task(second.persist(Changes(new_csos=[a_new_cso(2, **slot)])))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.lay_down()
    await keeper.memory.locks.let_go(first)
    with pytest.raises(Collision, match="cso_sync"):
        await waiting
