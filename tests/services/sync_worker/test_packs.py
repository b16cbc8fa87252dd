"""New objects of a target stay in packs until their target has them: nothing is different but how they are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import pytest
from tests.services.conftest import memory_world
from tests.services.driver import Ran, World
from tests.services.organisation import with_crm, with_phonebook

from anabranch.console.inspecting import pictures_of_csos, pictures_of_mvos
from anabranch.engine.packing import export_in
from anabranch.model.enums import CsoState, GuardPoint, JoinType
from anabranch.model.provisioning import PackLine, ProvisionPack
from anabranch.runtime.work import Task
from anabranch.store.pool import connect
from anabranch.store.state_hash import SECTIONS, state_lines
from anabranch.sync_worker import newcomers
from anabranch.sync_worker.handler import HANDLERS as SYNC

PEOPLE = ("p1,Ann,Sales,1", "p2,Bob,,2", "p3,Eve,Audit,", "p4,Kim,Sales,4")
Step = Callable[[World], Awaitable[object]]


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Switches whether a single new object makes a pack."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(newcomers, "PARTS", 10**9 if on else 1)

    switch(True)
    return switch


async def founded(world: World, *, crm: bool = False) -> World:
    with_phonebook(world.plan, world.place)
    if crm:
        with_crm(world.plan, world.place)
    await world.apply()
    return world


async def packs(world: World) -> list[ProvisionPack]:
    """All packs of the phone book."""
    async with world.store.reader() as reader:
        return await reader.provision_packs([one.id for one in await lines(world)])


async def lines(world: World) -> list[PackLine]:
    revision = await world.store.revision()
    async with world.store.reader() as reader:
        return await reader.packs_of_system(revision.registry.systems["phonebook"])


def entries(world: World) -> list[str]:
    """What the phone book's file says."""
    path = world.place / "phonebook" / "entries.csv"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def told(ran: Any) -> Any:
    if not isinstance(ran, Ran):
        return ran
    items = sorted(
        (one.key, one.change, one.detail, sorted(str(value[:3]) for value in one.values)) for one in ran.items
    )
    return [ran.profile, ran.state, ran.totals, ran.kinds(), items]


async def standing(world: World) -> list[Any]:
    """Everything that two worlds with one history have in common; objects in packs among the others."""
    csos = [
        (one.anchor, one.secondary, one.state, one.doc, one.join_type, one.join_rule, one.anchor_hash, one.failed)
        for one in await world.view.csos()
    ]
    exports = [(one.kind, one.state, one.all_rows(), one.rule, one.failure) for one in await world.exports()]
    for pack in await packs(world):
        for one in pack.objects:
            csos.append(
                (one.anchor, None, CsoState.PENDING_PROVISIONING, {}, JoinType.PROVISIONED, pack.rule, None, False)
            )
            created = export_in(pack, one)
            exports.append((created.kind, created.state, created.all_rows(), created.rule, None))
    mvos = [(one.doc, one.state, one.outbound_due) for one in (await world.mvos()).values()]
    return [sorted(some, key=str) for some in (csos, exports, mvos)] + [entries(world)]


def people(*rows: str) -> Step:
    async def step(world: World) -> None:
        world.people(*rows)

    return step


def contacts(*rows: str) -> Step:
    async def step(world: World) -> None:
        world.contacts(*rows)

    return step


LAST: WeakKeyDictionary[World, Ran] = WeakKeyDictionary()
"""The last run of a world that was held."""


def one(profile: str) -> Step:
    async def step(world: World) -> Ran:
        ran = await world.one(profile)
        if ran.state == "held":
            LAST[world] = ran
        return ran

    return step


def decided(verdict: str) -> Step:
    """Somebody decides about the run that is held, and it goes on."""

    async def step(world: World) -> Ran:
        run = LAST[world].run
        await (world.store.release_hold if verdict == "release" else world.store.reject_hold)(run, "Ada", "")
        await world.settle()
        return await world.told(run)

    return step


def days_pass(days: int) -> Step:
    async def step(world: World) -> None:
        await world.pass_time(days=days)

    return step


def planned(change: Callable[[dict[str, Any]], object]) -> Step:
    """The configuration has changed."""

    async def step(world: World) -> None:
        change(world.plan)
        await world.apply()

    return step


def phone_of_the_department(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["mappings"]["phone"]["from"] = {"attribute": "dept"}


def with_references(plan: dict[str, Any]) -> None:
    plan["systems"]["phonebook"]["object-types"]["entry"]["attributes"]["superior"] = {
        "type": "reference",
        "to": ["entry"],
    }


def few_creates(plan: dict[str, Any]) -> None:
    limit = {"creates": True, "max-percent": 10, "percent-floor": 2}
    plan["systems"]["phonebook"]["guards"] = {"export-writes": limit}


def nobody_is_deleted(plan: dict[str, Any]) -> None:
    """Not without somebody's consent; and only who has a telephone is in the book."""
    plan["metaverse"]["person"]["guards"] = {"metaverse-deletions": {"max-count": 0}}
    plan["rules"]["entry"]["scope"] = {"attribute": "phone", "operator": "present"}


def everybody_has_a_manager(plan: dict[str, Any]) -> None:
    nobody_is_deleted(plan)
    plan["rules"]["hr-person"]["mappings"]["manager"] = {"to": "manager", "from": {"attribute": "manager"}}


def a_day_of_grace(plan: dict[str, Any]) -> None:
    nobody_is_deleted(plan)
    plan["metaverse"]["person"]["deletion"]["grace"] = "1d"


def the_book_is_not_selected(plan: dict[str, Any]) -> None:
    plan["systems"]["phonebook"]["object-types"]["entry"]["selected"] = False


def the_book_is_selected(plan: dict[str, Any]) -> None:
    del plan["systems"]["phonebook"]["object-types"]["entry"]["selected"]


async def already_there(world: World) -> None:
    """The phone book holds an entry that nobody knows of."""
    world.write("phonebook/entries.csv", "id,name,phone", "p2,Other,0")


FOUNDED = [
    people("p1,Ann,,", "p2,Bob,,,p1", "p3,Eve,,3,p1"), contacts(), one("import"), one("crm-import"), one("sync"),
    one("crm-sync"), one("export"),
]  # fmt: skip
P1_LEAVES = [people("p2,Bob,,,p1", "p3,Eve,,3,p1"), one("import"), one("sync")]
LOADED = [people(*PEOPLE), one("import"), one("sync")]
STORIES: dict[str, list[Step]] = {
    "a first load": [*LOADED, one("export"), one("export")],
    "a second sync before the export": [*LOADED, people(*PEOPLE[:3], "p4,Kim,Sales,40"), one("import"), one("sync"),
                                        one("export")],
    "somebody leaves before the export": [*LOADED, people(*PEOPLE[1:]), one("import"), one("sync"), one("export")],
    "another source knows more": [*LOADED, contacts("c1,p3,333"), one("crm-import"), one("crm-sync"), one("export")],
    "housekeeping comes first": [*LOADED, one("housekeeping"), one("export")],
    "a full sync follows": [*LOADED, one("full-sync"), one("export")],
    "other rules before the export": [*LOADED, planned(phone_of_the_department), one("export"), one("full-sync"),
                                      one("export")],
    "references are declared before the export": [*LOADED, planned(with_references), one("export")],
    "the target is imported first": [*LOADED, already_there, one("confirm"), one("export"), one("full-sync"),
                                     one("export")],
    "two that differ in case alone": [people("p1,Ann", "P1,Anna", "p2,Bob"), one("import"), one("sync"), one("export"),
                                      one("export")],
    "what the file cannot hold": [people("p1,Ann", "p2,Bo\0b", "p3,Eve"), one("import"), one("sync"), one("export"),
                                  people("p1,Ann", "p2,Bob", "p3,Eve"), one("import"), one("sync"), one("export")],
    "a held export is released after housekeeping": [planned(few_creates), *LOADED, one("export"), one("housekeeping"),
                                                     decided("release"), one("export")],
    "a held export is rejected after housekeeping": [planned(few_creates), *LOADED, one("export"), one("housekeeping"),
                                                     decided("reject"), one("export")],
    "a held sync goes on after another one": [planned(nobody_is_deleted), *FOUNDED, *P1_LEAVES,
                                              contacts("c1,p1,111", "c2,p2,222"), one("crm-import"), one("crm-sync"),
                                              decided("release"), one("export"), one("export")],
    "a held sync concerns whom another one has served": [planned(everybody_has_a_manager), *FOUNDED, *P1_LEAVES,
                                                         contacts("c2,p2,222"), one("crm-import"), one("crm-sync"),
                                                         decided("release"), one("sync"), one("export")],
    "held housekeeping goes on after a sync": [planned(a_day_of_grace), *FOUNDED, *P1_LEAVES, days_pass(2),
                                               one("housekeeping"), contacts("c1,p1,111"), one("crm-import"),
                                               one("crm-sync"), decided("release"), one("export"), one("export")],
    "a type that is not selected": [planned(the_book_is_not_selected), *LOADED, one("export"),
                                    planned(the_book_is_selected), one("full-sync"), one("export")],
    "a type is not selected any more": [*LOADED, planned(the_book_is_not_selected), one("export"),
                                        planned(the_book_is_selected), one("export")],
    "more people join later": [people(*PEOPLE[:2]), one("import"), one("sync"), one("export"), people(*PEOPLE),
                               one("import"), one("sync"), one("export")],
}  # fmt: skip


NEVER_PACKED = {"a type that is not selected"}


async def compare(world: World, packing: Callable[[bool], None], story: str) -> None:
    """After each step of the story it stands as it does where nothing is packed."""
    await founded(world, crm=True)
    plain = await founded(memory_world(world.place / "plain"), crm=True)
    packed = 0
    for n, step in enumerate(STORIES[story]):
        packing(True)
        ran = told(await step(world))
        packed += bool(await lines(world))
        packing(False)
        assert (ran, await standing(world)) == (told(await step(plain)), await standing(plain)), f"step {n}"
        assert not await lines(plain)
    assert packed or story in NEVER_PACKED
    assert not await lines(world)


@pytest.mark.behaviour("EXP-14", "EXP-28", "SYN-69", "SYN-71")
@pytest.mark.parametrize("story", STORIES)
async def test_a_history_is_the_same_with_packs_and_without(
    world: World, packing: Callable[[bool], None], story: str
) -> None:
    await compare(world, packing, story)


@pytest.mark.behaviour("EXP-14", "EXP-28")
@pytest.mark.parametrize(
    "story",
    [
        "another source knows more",
        "other rules before the export",
        "what the file cannot hold",
        "a held export is rejected after housekeeping",
        "a held sync concerns whom another one has served",
    ],
)
async def test_so_it_is_in_postgresql(postgres_world: World, packing: Callable[[bool], None], story: str) -> None:
    await compare(postgres_world, packing, story)


@pytest.mark.behaviour("EXP-15", "FLT-15")
@pytest.mark.parametrize("earlier", [(), ("p0,Zoe",)], ids=["creates alone", "an update beside them"])
async def test_a_sync_that_unpacks_what_an_export_has_counted_leaves_it_to_the_export(
    any_world: World, packing: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch, earlier: tuple[str, ...]
) -> None:
    """The sync has the turn and is about to look for packs while the export counts them."""
    packing(True)
    world = await founded(any_world, crm=True)
    if earlier:
        await people(*earlier)(world)
        for profile in ("import", "sync", "export"):
            await world.one(profile)
    await people(*PEOPLE, *(f"{one}a" for one in earlier))(world)
    await contacts()(world)
    for profile in ("import", "sync", "crm-import"):
        await world.one(profile)
    assert await lines(world)
    unpack = SYNC.plans["unpack"]
    exports: list[Ran | None] = []

    async def meets_an_export(task: Task) -> None:
        if not exports:
            exports.append(None)
            exports.append(await world.one("export"))
        await unpack(task)

    monkeypatch.setitem(SYNC.plans, "unpack", meets_an_export)
    assert (await world.one("crm-sync")).state == "completed"
    assert exports[1] is not None
    export = await world.told(exports[1].run)
    count = len(PEOPLE) + len(earlier)
    assert (export.state, export.totals["selected"], export.totals["exported"]) == ("completed", count, count)
    assert len(entries(world)) == 1 + count


@pytest.mark.behaviour("GRD-1")
async def test_what_is_packed_is_counted_where_joined_objects_are(
    any_world: World, packing: Callable[[bool], None]
) -> None:
    """The guards of a sync measure against all objects that are joined, in packs or not."""
    found = []
    for on in (True, False):
        packing(on)
        world = await founded(any_world if on else memory_world(any_world.place / "plain"))
        world.people(*PEOPLE)
        await world.one("import")
        await world.one("sync")
        assert bool(await lines(world)) is on
        ran = await world.one("sync")
        entry = (await world.store.revision()).registry.object_types["phonebook", "entry"]
        async with world.store.reader() as reader:
            found.append((await reader.populations(ran.run, GuardPoint.OUTBOUND_RELEASES))[entry])
    assert found == [4, 4]


@pytest.mark.behaviour("GRD-2", "GRD-5", "GRD-6", "EXP-15")
@pytest.mark.parametrize("verdict", ["release", "reject"])
@pytest.mark.usefixtures("packing")
async def test_creates_in_packs_are_judged_and_held_like_others(any_world: World, verdict: str) -> None:
    world = await founded(any_world)
    world.plan["systems"]["phonebook"]["guards"] = {
        "export-writes": {"creates": True, "max-percent": 10, "percent-floor": 2}
    }
    await world.apply()
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")
    held = await world.one("export")
    message = "held: export_writes of entry: 4 create of 0, more than max_percent 10 % (from percent_floor 2)"
    assert (held.state, held.message) == ("held", message)
    decide = world.store.release_hold if verdict == "release" else world.store.reject_hold
    await decide(held.run, "Ada", "")
    await world.settle()
    ran = await world.told(held.run)
    if verdict == "release":
        assert (ran.totals["selected"], ran.totals["exported"], len(entries(world))) == (4, 4, 5)
    else:
        assert (ran.totals["selected"], ran.totals["held_back"], entries(world)) == (4, 4, [])
        assert [line.objects for line in await lines(world)] == [4]
        again = await world.one("export")
        assert again.state == "held"


@pytest.mark.usefixtures("packing")
async def test_a_large_batch_is_cut_into_packs_in_order_of_anchor(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anabranch.engine.packing.OBJECTS_A_PACK", 2)
    world = await founded(any_world)
    world.people("p3,Eve", "p1,Ann", "p5,Joy", "p4,Kim", "p2,Bob")
    await world.one("import")
    await world.one("sync")
    assert [[one.anchor for one in pack.objects] for pack in await packs(world)] == [["p1", "p2"], ["p3", "p4"], ["p5"]]
    assert [line.lo_anchor for line in await lines(world)] == ["p1", "p3", "p5"]
    ran = await world.one("export")
    assert ran.changed("exported") == ["p1", "p2", "p3", "p4", "p5"]
    assert entries(world) == ["id,name,phone", "p1,Ann,", "p2,Bob,", "p3,Eve,", "p4,Kim,", "p5,Joy,"]


async def test_few_of_a_large_batch_are_written_as_rows(world: World) -> None:
    world.plan["run-profiles"]["sync"]["batch-size"] = 3 * newcomers.PARTS
    await founded(world)
    for people, packed in ((["p1,Ann", "p2,Bob"], 0), (["p1,Ann", "p2,Bob", "p3,Eve", "p4,Kim", "p5,Joy"], 3)):
        world.people(*people)
        await world.one("import")
        await world.one("sync")
        assert (sum(one.objects for one in await lines(world)), len(await world.csos("entry"))) == (packed, 2)


@pytest.mark.usefixtures("packing")
async def test_a_sync_needs_no_secrets_of_a_target(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are missing it writes rows, and the export, which has them, takes those."""
    await founded(world)
    world.plan["systems"]["phonebook"]["options"]["directory"] = "${env:PHONEBOOK_DIRECTORY}"
    await world.apply()
    world.people(*PEOPLE)
    await world.one("import")
    assert (await world.one("sync")).state == "completed"
    assert (await lines(world), len(await world.csos("entry"))) == ([], 4)
    monkeypatch.setenv("PHONEBOOK_DIRECTORY", str(world.place / "phonebook"))
    assert (await world.one("export")).state == "completed"
    assert len(entries(world)) == 5


async def test_the_state_hash_does_not_tell_packs_from_rows(
    clocked_database: str, postgres_world: World, packing: Callable[[bool], None]
) -> None:
    world = await founded(postgres_world)
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")
    assert await lines(world)
    connection = await asyncpg.connect(clocked_database)
    try:
        before = {name: await state_lines(connection, name) for name in SECTIONS}
        await world.one("housekeeping")
        assert not await lines(world)
        assert {name: await state_lines(connection, name) for name in SECTIONS} == before
    finally:
        await connection.close()


@pytest.mark.usefixtures("packing")
async def test_an_operator_sees_an_object_that_stands_in_a_pack(clocked_database: str, postgres_world: World) -> None:
    world = await founded(postgres_world)
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")
    assert await lines(world)
    revision = await world.store.revision()
    entry, person = revision.registry.object_types["phonebook", "entry"], revision.registry.metaverse_types["person"]
    connection = await connect(clocked_database, "inspector")
    try:
        (account,) = await pictures_of_csos(connection, revision, entry, "p3")
        (mvo,) = await pictures_of_mvos(connection, revision, person, "p3")
        assert await pictures_of_csos(connection, revision, entry, "p33") == []
    finally:
        await connection.close()
    assert (account.name, account.state) == ("phonebook/entry/anchor=p3", "pending_provisioning")
    assert [join["object"] for join in account.joins] == ["mv/person/hr/person/p3"]
    assert account.exports == mvo.exports
    assert [(one["kind"], one["state"], one["changes"]) for one in mvo.exports] == [
        ("create", "ready", ["set id=p3 (staged)", "set name=Eve (staged)"])
    ]
    assert [join["object"] for join in mvo.joins] == ["hr/person/anchor=p3", "phonebook/entry/anchor=p3"]
