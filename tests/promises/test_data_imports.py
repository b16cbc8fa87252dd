"""What an import keeps while it works, and what it asks of a keeper before it decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from tests.builders import (
    PERSON,
    RUN,
    a_claimed,
    a_cso_write,
    a_new_cso,
    a_ref_change,
    a_staged_row,
    id_hash,
)
from tests.promises.data_keepers import DataKeeper, write

from anabranch.model.changes import Changes, SeenHashes, Verdict
from anabranch.model.enums import CsoState, StepState
from anabranch.model.errors import Permanent
from anabranch.model.identity import CsoId, RunId, SystemId, TypeId
from anabranch.model.objects import Proposal, SourceDigests
from anabranch.store.port import IdRange, SecondaryConflict

ALWAYS = 10**9


async def test_ids_are_never_given_twice(data_keeper: DataKeeper) -> None:
    async with data_keeper.reader() as reader:
        first, second = await reader.new_ids("cso", 1_500), await reader.new_ids("cso", 2)
        assert len(first) == len(set(first)) == 1_500
        assert list(first) == sorted(first)
        assert first[999] - first[0] == 999
        assert not set(first) & set(second)
        assert list(await reader.new_ids("mvo", 0)) == []
        with pytest.raises(Permanent, match="'run'"):
            await reader.new_ids("run", 1)


@pytest.mark.behaviour("IMP-18", "IMP-22")
async def test_fingerprints_are_those_of_normal_csos_of_the_partition(data_keeper: DataKeeper) -> None:
    csos = [
        a_new_cso(1, fingerprint=b"1", partition="p"),
        a_new_cso(2, fingerprint=b"2", partition="q"),
        a_new_cso(3, fingerprint=b"3", partition="p", state=CsoState.OBSOLETE),
        a_new_cso(4, partition="p"),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    async with data_keeper.reader() as reader:
        found = await reader.fingerprints(PERSON, "p", [id_hash(f"a{n}") for n in range(9)])
    assert found == {id_hash("a1"): b"1"}


async def test_staged_rows_come_back_by_ranges_until_the_run_has_ended_and_is_purged(data_keeper: DataKeeper) -> None:
    refs = {"manager": ["a2"]}
    rows = [a_staged_row(n, refs=refs, kept=("x",), secondary="s", fingerprint=b"f") for n in (3, 5, 8)]
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.persist(Changes(import_rows=rows, verdicts=[Verdict(PERSON, id_hash("a3"), "kind", "why")]))
        await unit.persist(Changes(proposals=[Proposal("match", 1, "k", {})]))
        await unit.persist(Changes(import_seen=[SeenHashes("", 1, PERSON, b"0" * 16)]))
        assert await unit.import_row_ranges(RUN, 2) == [IdRange(3, 5, 2), IdRange(8, 8, 1)]
        assert await unit.import_rows(RUN, 3, 7) == rows[:2]
        assert await unit.import_rows(RunId(2), 3, 7) == []
        await data_keeper.a_run(RunId(2), SystemId(1), "purge", StepState.CLOSED, ended=True)
        await unit.purge_finished_runs()
        assert await unit.import_row_ranges(RUN, 9) == [IdRange(3, 8, 3)]
        await data_keeper.a_run(RUN, SystemId(1), "purge", StepState.CLOSED, ended=True)
        await unit.purge_finished_runs()
        assert await unit.import_row_ranges(RUN, 9) == []
        assert await unit.verdicts(RUN, [id_hash("a3")]) == {}
        assert [page async for page in unit.import_seen(RUN)] == []
        assert list((await unit.proposed_contests(RUN, "match"))[0]) == []


@pytest.mark.behaviour("IMP-3")
async def test_a_discarded_partition_loses_what_was_staged_before_and_keeps_what_comes_with_it(
    data_keeper: DataKeeper,
) -> None:
    seen = [SeenHashes(p, 1, PERSON, p.encode() * 16) for p in ("a", "b")]
    await write(data_keeper, Changes(import_rows=[a_staged_row(n, partition=p) for n, p in ((1, "a"), (2, "b"))]))
    await write(data_keeper, Changes(import_seen=seen))
    again = Changes(import_rows=[a_staged_row(3, partition="a")], import_seen=seen[:1], discard_partitions=["a"])
    await write(data_keeper, again)
    async with data_keeper.reader() as reader:
        assert [row.id for row in await reader.import_rows(RUN, 1, 9)] == [2, 3]
        assert [page[0] async for page in reader.import_seen(RUN)] == ["a", "b"]


async def test_what_was_seen_comes_page_by_page_in_order(data_keeper: DataKeeper) -> None:
    pages = [SeenHashes(p, n, PERSON, f"{p}{n:015}".encode()) for p in ("b", "a") for n in range(20, 0, -1)]
    await write(data_keeper, Changes(import_seen=[*pages, SeenHashes("a", 1, TypeId(2), b"x" * 16)]))
    async with data_keeper.reader() as reader:
        seen = [page async for page in reader.import_seen(RUN)]
    assert seen[:2] == [("a", PERSON, b"a000000000000001"), ("a", 2, b"x" * 16)]
    assert len(seen) == 41
    assert seen[-1] == ("b", PERSON, b"b000000000000020")


async def test_the_first_verdict_about_an_identity_stands_and_rejected_rows_are_counted(
    data_keeper: DataKeeper,
) -> None:
    first, second = (Verdict(PERSON, id_hash("a1"), kind, kind) for kind in ("one", "two"))
    rows = [a_staged_row(1), a_staged_row(2, anchor="a1"), a_staged_row(3)]
    await write(data_keeper, Changes(verdicts=[first], import_rows=rows))
    await write(data_keeper, Changes(verdicts=[second]))
    async with data_keeper.reader() as reader:
        assert await reader.verdicts(RUN, [id_hash("a1"), id_hash("a2")]) == {(PERSON, id_hash("a1")): ("one", "one")}
        assert await reader.count_rejected_rows(RUN) == {"one": 2}


@pytest.mark.behaviour("IMP-20", "IMP-22")
async def test_candidates_for_absence_are_normal_csos_no_other_run_has_changed(data_keeper: DataKeeper) -> None:
    csos = [
        a_new_cso(1, partition="p"),
        a_new_cso(2, partition="q"),
        a_new_cso(3, partition="p", state=CsoState.PENDING_PROVISIONING),
        a_new_cso(4, partition="p"),
        a_new_cso(5, partition="p", type_id=TypeId(2)),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    async with data_keeper.reader() as reader:
        start = await reader.change_seq_now()
    await write(data_keeper, Changes(csos=[a_cso_write(4, partition="p")]))
    async with data_keeper.reader() as reader:
        assert apart(await reader.present_hashes(PERSON, "p", start), 24) == packed(1)
        assert apart(await reader.present_hashes(PERSON, None, ALWAYS), 24) == packed(1, 2, 4)
        assert await reader.present_hashes(TypeId(3), None, ALWAYS) == []


def packed(*ids: int) -> list[bytes]:
    return [n.to_bytes(8, "big") + id_hash(f"a{n}") for n in ids]


def apart(portions: Iterable[bytes], width: int) -> list[bytes]:
    """What was packed, in order, though the keeper gives it in none."""
    joined = b"".join(portions)
    return sorted(joined[at : at + width] for at in range(0, len(joined), width))


@pytest.mark.behaviour("IMP-18", "IMP-22")
async def test_digests_of_source_bytes_are_those_of_normal_csos_of_the_partition_that_have_one(
    data_keeper: DataKeeper,
) -> None:
    whole = [b"%016d" % n + b"%016d" % (n + 100) for n in range(9)]
    csos = [
        a_new_cso(1, fingerprint=whole[1], partition="p"),
        a_new_cso(2, fingerprint=whole[2], partition="q"),
        a_new_cso(3, fingerprint=whole[3], partition="p", state=CsoState.OBSOLETE),
        a_new_cso(4, fingerprint=whole[4][:16], partition="p"),
        a_new_cso(5, partition="p"),
        a_new_cso(6, fingerprint=whole[6], partition="p", type_id=TypeId(2)),
        a_new_cso(7, fingerprint=whole[7], partition="p"),
        a_new_cso(8, fingerprint=whole[8], partition="p"),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    async with data_keeper.reader() as reader:
        found = await reader.source_digests(PERSON, "p", 9)
        assert apart([found.packed], 32) == sorted(whole[n][16:] + id_hash(f"a{n}") for n in (1, 7, 8))
        stored = await reader.csos([CsoId(n) for n in (1, 4, 5, 7, 8)])
        assert (found.objects, found.latest) == (5, max(one.change_seq for one in stored))
        some = await reader.source_digests(PERSON, "p", 2)
        assert some.objects == 2
        assert set(apart([some.packed], 32)) < set(apart([found.packed], 32))
        assert await reader.source_digests(PERSON, "r", 9) == SourceDigests(b"", 0, 0)


@pytest.mark.behaviour("IMP-32")
async def test_csos_are_found_by_anchor_and_waiting_creates_by_secondary_id(data_keeper: DataKeeper) -> None:
    waiting = a_new_cso(1, anchor=None, secondary="s", state=CsoState.PENDING_PROVISIONING)
    await write(data_keeper, Changes(new_csos=[waiting, a_new_cso(2, secondary="s"), a_new_cso(3)]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.csos_by_secondary(PERSON, [id_hash("s")])] == [1]
        assert [one.id for one in await reader.csos_by_anchor(PERSON, [id_hash("a3"), id_hash("a2")])] == [2, 3]


@pytest.mark.behaviour("IMP-30")
async def test_references_that_stay_unresolved_are_counted_for_the_rows_a_run_staged(data_keeper: DataKeeper) -> None:
    refs = [a_ref_change(1, "x", "y"), a_ref_change(2, "z"), a_ref_change(3, "w")]
    rows = [a_staged_row(1), a_staged_row(2, change="delete")]
    await write(data_keeper, Changes(new_csos=[a_new_cso(n) for n in (1, 2, 3)], cso_refs=refs, import_rows=rows))
    async with data_keeper.reader() as reader:
        assert await reader.unresolved_of_run(RUN) == [(PERSON, "manager", 2, "x")]


async def conflicts(keeper: DataKeeper, rows: Sequence[Any], **lists: Any) -> list[tuple[bytes, bytes | None]]:
    await write(keeper, Changes(import_rows=list(rows), **lists))
    async with keeper.reader() as reader:
        found = await reader.secondary_conflicts(RUN, [PERSON])
    assert found == sorted(found, key=lambda one: (one.type_id, one.anchor_hash, one.holder is None, one.holder))
    return [(one.anchor_hash, one.holder) for one in found]


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_exchange_secondary_ids_do_not_conflict(data_keeper: DataKeeper) -> None:
    csos = [a_new_cso(1, secondary="s"), a_new_cso(2, secondary="t")]
    rows = [a_staged_row(1, secondary="t"), a_staged_row(2, secondary="s")]
    assert await conflicts(data_keeper, rows, new_csos=csos) == []


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_end_with_one_secondary_id_conflict_until_all_are_rejected(data_keeper: DataKeeper) -> None:
    # 1 takes s, 2 takes s as well; 3 wants t, which 2 would have given up.
    csos = [a_new_cso(2, secondary="t")]
    rows = [a_staged_row(1, secondary="s"), a_staged_row(2, secondary="s"), a_staged_row(3, secondary="t")]
    first = await conflicts(data_keeper, rows, new_csos=csos)
    assert sorted(first, key=str) == sorted([(id_hash("a1"), None), (id_hash("a2"), None)], key=str)
    rejected = [Verdict(PERSON, anchor, "secondary_id_conflict", "") for anchor, _ in first]
    assert await conflicts(data_keeper, [], verdicts=rejected) == [(id_hash("a3"), id_hash("a2"))]
    rejected = [Verdict(PERSON, id_hash("a3"), "secondary_id_conflict", "")]
    assert await conflicts(data_keeper, [], verdicts=rejected) == []


@pytest.mark.behaviour("IMP-34")
async def test_a_deleted_object_gives_its_secondary_id_up_and_an_unread_one_is_named(data_keeper: DataKeeper) -> None:
    csos = [a_new_cso(1, secondary="s"), a_new_cso(2, secondary="t"), a_new_cso(3, secondary="u")]
    rows = [
        a_staged_row(1, change="delete"),
        a_staged_row(4, secondary="s"),
        a_staged_row(5, secondary="t"),
        a_staged_row(3, change="partial"),
        a_staged_row(6, secondary="u"),
    ]
    found = await conflicts(data_keeper, rows, new_csos=csos)
    assert set(found) == {(id_hash("a5"), id_hash("a2")), (id_hash("a3"), None), (id_hash("a6"), None)}


async def test_a_conflict_belongs_to_one_object_type(data_keeper: DataKeeper) -> None:
    rows = [a_staged_row(1, secondary="s"), a_staged_row(2, secondary="s", type_id=TypeId(2))]
    await write(data_keeper, Changes(import_rows=rows))
    async with data_keeper.reader() as reader:
        assert await reader.secondary_conflicts(RUN, [PERSON, TypeId(2)]) == []


def test_conflicts_have_an_order() -> None:
    assert SecondaryConflict(PERSON, b"a") < SecondaryConflict(PERSON, b"b")
