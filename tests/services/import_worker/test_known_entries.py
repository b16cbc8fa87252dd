"""Entries of a directory whose bytes have not changed are not taken apart again; the others are, of whatever type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.services.driver import World

from anabranch.connectors.ldif_unread import LdifRecords
from anabranch.connectors.port import Entry, EntryError

ANN = "dn: uid=ann,ou=people,dc=x\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\n"
BOB = "dn: uid=bob,ou=people,dc=x\nobjectClass: inetOrgPerson\nuid: bob\ncn: Bob\n"
CHOIR = "dn: cn=choir,ou=teams,dc=x\nobjectClass: groupOfNames\ncn: choir\nmember: uid=ann,ou=people,dc=x\n"
UNIT = "dn: ou=people,dc=x\nobjectClass: organizationalUnit\nou: people\n"


@pytest.fixture
def taken_apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first lines of the records that were read."""
    found: list[str] = []
    read = LdifRecords.read

    def telling(records: LdifRecords, numbers: Iterable[int]) -> Iterator[Entry | EntryError | None]:
        some = list(numbers)
        found.extend(records.raw[n].decode().split("\n")[0] for n in some)
        return read(records, some)

    monkeypatch.setattr(LdifRecords, "read", telling)
    return found


def write(place: Path, *entries: str) -> None:
    (place / "directory.ldif").write_text("version: 1\n\n" + "\n".join(entries), encoding="utf-8")


@pytest.mark.behaviour("IMP-18")
async def test_an_entry_is_known_by_its_bytes_wherever_it_stands(any_world: World, taken_apart: list[str]) -> None:
    world = any_world
    await world.apply()
    write(world.place, ANN, UNIT, BOB, CHOIR)
    first = await world.one("confirm")
    assert (first.totals["read"], first.totals["added"]) == (3, 3)
    taken_apart.clear()
    write(world.place, CHOIR, BOB.replace("Bob", "Bobby"), ANN)
    second = await world.one("confirm")
    assert taken_apart == ["dn: uid=bob,ou=people,dc=x"]
    assert (second.totals["read"], second.totals["unchanged"], second.totals["updated"]) == (3, 2, 1)
    assert second.changed("obsoleted") == []


@pytest.mark.behaviour("IMP-18")
async def test_an_entry_of_no_declared_type_is_not_counted_however_often_it_comes(world: World) -> None:
    await world.apply()
    write(world.place, ANN, UNIT)
    for _ in range(2):
        assert (await world.one("confirm")).totals["read"] == 1


@pytest.mark.behaviour("IMP-18")
async def test_a_changed_schema_of_one_type_makes_its_entries_be_read_and_no_others(
    world: World, taken_apart: list[str]
) -> None:
    await world.apply()
    write(world.place, ANN, CHOIR)
    await world.one("confirm")
    world.plan["systems"]["directory"]["object-types"]["account"]["attributes"]["mail"] = {"type": "text"}
    await world.apply()
    taken_apart.clear()
    await world.one("confirm")
    assert taken_apart == ["dn: uid=ann,ou=people,dc=x"]
    taken_apart.clear()
    await world.one("confirm")
    assert taken_apart == []


@pytest.mark.behaviour("IMP-9", "IMP-11", "IMP-13")
async def test_duplicates_and_broken_entries_are_told_beside_known_ones(world: World) -> None:
    await world.apply()
    write(world.place, UNIT, ANN, BOB, CHOIR)
    await world.one("confirm")
    write(world.place, UNIT, ANN, ANN.replace("cn: Ann", "cn: Anna"), BOB + "cn:: *\n", CHOIR)
    ran = await world.one("confirm")
    assert ran.kinds() == [("connector_object_error", "directory.ldif:21"), ("duplicate_anchor", "ann")]
    assert (ran.changed("obsoleted"), ran.changed("updated")) == ([], [])
    assert (ran.totals["read"], ran.totals["rejected"], ran.totals["unchanged"]) == (4, 3, 1)
