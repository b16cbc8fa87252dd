"""A sync of another system overlaps with an export: what is being written is not changed under the writer, and the end
is the one that the export before the sync would have had (FLT-15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tests.services.driver import World

from anabranch.connectors.ldif import LdifConnector
from anabranch.export_worker import rowwise
from anabranch.model.enums import CsoState, ExportKind
from anabranch.model.identity import RunId

Event = Callable[[], Awaitable[object]]
SALES = {"attribute": "dept", "operator": "equals", "value": "Sales"}


def once(patch: pytest.MonkeyPatch, owner: object, name: str, event: Event, *, first: bool) -> None:
    """The first call of the asynchronous `owner.name` meets the event: before its work, or when that is done."""
    original = getattr(owner, name)
    left = [event]

    async def met(*args: object, **named: object) -> object:
        if first and left:
            await left.pop()()
        answer = await original(*args, **named)
        if left:
            await left.pop()()
        return answer

    patch.setattr(owner, name, met)


def synced(world: World, *people: str) -> Event:
    """HR holds these people now, and an import and a sync have been asked for."""

    async def event() -> None:
        world.people(*people)
        await world.one("import")
        await world.one("sync")

    return event


async def written(world: World, *people: str) -> None:
    """The directory has got these people."""
    await synced(world, *people)()
    await world.one("export")


async def in_file(world: World) -> None:
    """A file that vouches for itself, for people of Sales."""
    world.plan["systems"]["directory"]["options"]["self-confirming"] = True
    world.plan["rules"]["account"]["scope"] = SALES
    await world.apply()


async def in_journal(world: World) -> None:
    """Change records, for people of Sales."""
    world.plan["systems"]["directory"]["options"] = {"path": str(world.place / "journal"), "mode": "changes"}
    world.plan["rules"]["account"]["scope"] = SALES
    await world.apply()


async def names(world: World) -> dict[str, object]:
    """What our picture of the directory says: anchor to common name."""
    return {anchor: cso.doc.get("cn") for anchor, cso in (await world.csos("account")).items()}


def held(world: World) -> dict[str, object]:
    """What the directory's file says."""
    return {anchor: entry["cn"][0] for anchor, entry in world.target().items()}


# --- a target that is one file


@pytest.mark.behaviour("FLT-15", "EXP-8")
async def test_who_leaves_while_the_file_is_written_leaves_it_with_the_next(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_file(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Ann,Sales", "p3,Eve,Sales")()
    once(monkeypatch, LdifConnector, "replace", synced(world, "p1,Ann,Sales"), first=False)
    assert (await world.one("export")).totals["exported"] == 1
    assert held(world) == {"p1": "Ann", "p3": "Eve"} == await names(world)
    assert [one.kind for one in await world.exports()] == [ExportKind.DELETE]
    await world.one("export")
    assert held(world) == {"p1": "Ann"} == await names(world)


@pytest.mark.behaviour("FLT-15")
@pytest.mark.parametrize("first", [True, False], ids=["before the file is written", "when it is in place"])
async def test_a_value_that_goes_back_while_the_file_is_written_is_written_again(
    any_world: World, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    world = any_world
    await in_file(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Anna,Sales")()
    once(monkeypatch, LdifConnector, "replace", synced(world, "p1,Ann,Sales"), first=first)
    assert (await world.one("export")).totals["exported"] == 1
    assert held(world) == {"p1": "Anna"} == await names(world)
    await world.one("export")
    assert held(world) == {"p1": "Ann"} == await names(world)


@pytest.mark.behaviour("FLT-15", "EXP-8")
async def test_who_comes_back_while_the_file_is_written_without_her_is_provisioned_anew(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_file(world)
    await written(world, "p1,Ann,Sales", "p2,Bob,Sales")
    await synced(world, "p1,Ann,Audit", "p2,Bob,Sales")()
    once(monkeypatch, LdifConnector, "replace", synced(world, "p1,Ann,Sales", "p2,Bob,Sales"), first=False)
    assert (await world.one("export")).totals["deprovisioned"] == 1
    assert held(world) == {"p2": "Bob"}
    await world.one("export")
    assert held(world) == {"p1": "Ann", "p2": "Bob"} == await names(world)
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-37")
@pytest.mark.parametrize("first", [True, False], ids=["before the file is written", "when it is in place"])
async def test_a_cancel_waits_until_a_file_that_was_begun_is_recorded(
    any_world: World, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    world = any_world
    await in_file(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Ann,Sales", "p3,Eve,Sales")()

    claimed: list[RunId] = []
    world.on_claim = lambda batch: claimed.append(batch.run)

    async def cancel() -> None:
        await world.store.cancel_run(claimed[-1], "tester", "too late")

    once(monkeypatch, LdifConnector, "replace", cancel, first=first)
    ran = await world.one("export")
    assert (ran.state, ran.message) == ("cancelled", "cancelled by tester: too late")
    assert held(world) == {"p1": "Ann", "p3": "Eve"} == await names(world)
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-37", "AUD-10")
async def test_a_deadline_waits_until_a_file_that_was_begun_is_recorded(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_file(world)
    world.people("p1,Ann,Sales")
    await synced(world, "p1,Ann,Sales")()

    async def late() -> None:
        await world.pass_time(days=30)
        await world.store.sweep(timedelta(days=60).total_seconds())

    once(monkeypatch, LdifConnector, "replace", late, first=False)
    await world.one("export")
    assert held(world) == {"p1": "Ann"} == await names(world)
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-25", "EXP-37")
async def test_a_run_that_is_ending_puts_no_file_in_place(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = any_world
    await in_file(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Anna,Sales")()

    async def ending(*_: object) -> bool:
        return True

    reader = world.store.reader()
    async with reader as opened:
        monkeypatch.setattr(type(opened), "is_ending", ending)
    ran = await world.one("export")
    assert world.put_off
    assert "the file in place stays as it was" in world.put_off[0]
    assert (ran.state, held(world)) == ("running", {"p1": "Ann"})


# --- a target that is written object by object


def journals(world: World) -> str:
    files = sorted((world.place / "journal").glob("*.ldif"), key=lambda one: [int(n) for n in one.stem.split("-")])
    return "\n".join(one.read_text() for one in files)


@pytest.mark.behaviour("EXP-7")
@pytest.mark.parametrize("then", ["p1,Anneke,Sales", "p1,Ann,Sales"], ids=["changed further", "changed back"])
async def test_a_value_that_changes_while_it_is_sent_is_sent_after_it(
    any_world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    world = any_world
    await in_journal(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Anna,Sales")()
    once(monkeypatch, LdifConnector, "apply", synced(world, then), first=False)
    assert (await world.one("export")).state == "completed"
    assert await names(world) == {"p1": "Anna"}
    await world.one("sync")
    assert (await world.one("export")).totals["exported"] == 1
    name = then.split(",")[1]
    assert await names(world) == {"p1": name}
    assert journals(world).rindex("cn: Anna\n") < journals(world).rindex(f"cn: {name}\n")


@pytest.mark.behaviour("EXP-7", "EXP-8")
async def test_a_delete_that_is_wished_while_a_change_is_sent_is_sent_after_it(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_journal(world)
    await written(world, "p1,Ann,Sales")
    await synced(world, "p1,Anna,Sales")()
    once(monkeypatch, LdifConnector, "apply", synced(world, "p1,Anna,Audit"), first=False)
    ran = await world.one("export")
    assert (ran.state, ran.changed("deprovisioned")) == ("completed", [])
    assert await names(world) == {"p1": "Anna"}
    await world.one("sync")
    assert [one.kind for one in await world.exports()] == [ExportKind.DELETE]


@pytest.mark.behaviour("EXP-8", "SYN-61")
async def test_who_leaves_while_her_account_is_created_loses_it_afterwards(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_journal(world)
    await synced(world, "p1,Ann,Sales", "p2,Eve,Sales")()
    once(monkeypatch, LdifConnector, "apply", synced(world, "p1,Ann,Sales"), first=False)
    assert (await world.one("export")).state == "completed"
    csos = await world.csos("account")
    assert {anchor: cso.state for anchor, cso in csos.items()} == dict.fromkeys(("p1", "p2"), CsoState.NORMAL)
    await world.one("housekeeping")
    assert [(one.kind, one.cso_id) for one in await world.exports()] == [(ExportKind.DELETE, csos["p2"].id)]


@pytest.mark.behaviour("EXP-47", "GRD-3")
async def test_an_export_that_turned_into_a_delete_after_it_was_counted_waits(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await in_journal(world)
    await written(world, "p1,Ann,Sales", "p2,Bob,Sales")
    await synced(world, "p1,Anna,Sales", "p2,Bobo,Sales")()
    once(monkeypatch, rowwise, "_take", synced(world, "p1,Anna,Audit", "p2,Bobo,Sales"), first=True)
    ran = await world.one("export")
    assert (ran.state, ran.totals["exported"], ran.totals["waiting"]) == ("completed", 1, 1)
    assert "changetype: delete" not in journals(world)
    assert [one.kind for one in await world.exports()] == [ExportKind.DELETE]
