"""An invented organisation, week by week, as its HR department and its training office would export it.

One seed gives one organisation for ever: everything is drawn from `random.Random`, which is the same on every machine
and every Python. A week changes a share of it that stays below the limits at which a guard would hold a run: people
join, move, leave, marry, and teams get new heads. Joiners, movers and leavers all happen in a few teams, as in a real
reorganisation; were they spread evenly, every group of the organisation would change every week.

What is written are plain CSV files; `examples/organisation/README.md` explains them field by field.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from anabranch.console.demo.names import DEPARTMENTS, FIRST, LAST, LEVELS, TEAMS, TITLES

MOST_TEAMS: Final = 340
PEOPLE_PER_TEAM: Final = 58
FIRST_DAY: Final = date(2026, 1, 5)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Person:
    """One row of people.csv. `status` is active, leave or left."""

    id: str
    first: str
    last: str
    title: str
    unit: str
    manager: str
    status: str
    phone: str
    start: date


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of units.csv, apart from its members, which follow from the people."""

    id: str
    name: str
    kind: str
    parent: str
    head: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """One row of training.csv: the highest course a person has passed, and the telephone given at registration."""

    employee: str
    level: str
    certified: date
    phone: str


@dataclass(slots=True)
class Organisation:
    """Everybody and everything at one moment, in the order of their ids."""

    people: dict[str, Person] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    next_number: int = 1
    today: date = FIRST_DAY

    def copy(self) -> Organisation:
        return replace(self, people=dict(self.people), units=dict(self.units), certificates=dict(self.certificates))

    def new_id(self) -> str:
        number = self.next_number
        self.next_number += 1
        return f"E{number:06}"


@dataclass(frozen=True, slots=True)
class Week:
    """What a week brought, in people."""

    joiners: int = 0
    movers: int = 0
    leavers: int = 0
    new_names: int = 0
    new_heads: int = 0
    new_phones: int = 0
    certificates: int = 0


def found(people: int, seed: int) -> Organisation:
    """The organisation on its first day: `people` persons in up to 400 departments and teams. ValueError below 10."""
    if people < 10:
        raise ValueError(f"an organisation of {people} people has no teams; ask for 10 or more")
    random = Random(f"{seed}/0")  # noqa: S311 - invented data, not a secret
    made = Organisation()
    teams = min(MOST_TEAMS, max(2, round(people / PEOPLE_PER_TEAM)))
    departments = max(1, round(teams * 60 / MOST_TEAMS))
    _make_units(made, departments, teams)
    _make_people(made, people, random)
    for person in made.people.values():
        if random.random() < 0.6:
            made.certificates[person.id] = _certificate(person, random, made.today - timedelta(random.randrange(1500)))
    for number in range(max(1, people // 400)):  # the training office also teaches guests, whom HR does not know
        guest = f"G{number + 1:05}"
        made.certificates[guest] = Certificate(guest, random.choice(LEVELS), made.today, "")
    return made


def _make_units(made: Organisation, departments: int, teams: int) -> None:
    for n in range(departments):
        made.units[f"D{n + 1:03}"] = Unit(f"D{n + 1:03}", DEPARTMENTS[n % len(DEPARTMENTS)], "department", "", "")
    for n in range(teams):
        parent = made.units[f"D{n % departments + 1:03}"]
        name = f"{parent.name} {TEAMS[n // departments % len(TEAMS)]}"
        made.units[f"T{n + 1:03}"] = Unit(f"T{n + 1:03}", name, "team", parent.id, "")


def _make_people(made: Organisation, people: int, random: Random) -> None:
    teams = [unit.id for unit in made.units.values() if unit.kind == "team"]
    departments = [unit.id for unit in made.units.values() if unit.kind == "department"]
    heads_of = {}
    for unit in [*departments, *teams][:people]:
        person = _person(made, unit, "Head", random)
        made.people[person.id] = person
        heads_of[unit] = person.id
        made.units[unit] = replace(made.units[unit], head=person.id)
    chief = heads_of[departments[0]]
    for unit, head in heads_of.items():
        above = heads_of.get(made.units[unit].parent, chief)
        made.people[head] = replace(made.people[head], manager="" if head == chief else above)
    while len(made.people) < people:
        unit = random.choice(teams)
        person = _person(made, unit, random.choice(TITLES), random)
        made.people[person.id] = replace(person, manager=made.units[unit].head)


def _person(made: Organisation, unit: str, title: str, random: Random) -> Person:
    identifier = made.new_id()
    extension = int(identifier[1:])
    return Person(
        id=identifier,
        first=_common(FIRST, random),
        last=_common(LAST, random),
        title=title,
        unit=unit,
        manager="",
        status="leave" if random.random() < 0.02 else "active",
        phone=f"+49 30 23125 {extension:05}" if random.random() < 0.88 else "",
        start=made.today - timedelta(random.randrange(7000)),
    )


def _common(words: Sequence[str], random: Random) -> str:
    """A word of the list; those at its beginning come up to three times as often as the others."""
    return words[int(len(words) * random.random() ** 1.3)]


def _certificate(person: Person, random: Random, day: date) -> Certificate:
    mobile = f"+49 151 5550 {int(person.id[1:]):05}" if random.random() < 0.3 else ""
    return Certificate(person.id, random.choice(LEVELS), day, mobile)


def next_week(before: Organisation, seed: int, week: int, *, new_phones: float = 0.0) -> tuple[Organisation, Week]:
    """The organisation a week later; `before` stays as it is. `new_phones` is the share that gets another number."""
    random = Random(f"{seed}/{week}")  # noqa: S311 - invented data, not a secret
    made = before.copy()
    made.today = before.today + timedelta(7)
    for person in before.people.values():  # a person who left stays in the export for one week
        if person.status == "left":
            del made.people[person.id]
            made.certificates.pop(person.id, None)
    teams = sorted(unit.id for unit in made.units.values() if unit.kind == "team" and unit.head)
    touched = random.sample(teams, max(1, len(teams) // 9))
    heads = _new_heads(made, touched, random)
    staff = _staff_of(made, touched)
    leavers = _some(staff, len(made.people) * 0.012, 0.2, random)
    for identifier in leavers:
        made.people[identifier] = replace(made.people[identifier], status="left")
    for identifier in leavers[: len(leavers) // 4]:  # and some vanish from it at once
        del made.people[identifier]
    gone = set(leavers)
    movers = _movers(made, [one for one in staff if one not in gone], touched, random)
    joiners = _joiners(made, before, touched, random)
    names = _new_names(made, random)
    phones = _new_phones(made, new_phones, random)
    courses = _courses(made, joiners, random)
    return made, Week(len(joiners), movers, len(leavers), names, heads, phones, courses)


def _staff_of(made: Organisation, teams: Sequence[str]) -> list[str]:
    """Who works in these teams and heads no unit, by id."""
    wanted, heads = set(teams), {unit.head for unit in made.units.values()}
    staff = (one for one in made.people.values() if one.unit in wanted and one.status != "left")
    return [one.id for one in staff if one.id not in heads]


def _some(those: Sequence[T], wish: float, most: float, random: Random) -> list[T]:
    """About `wish` of them, at least one, never more than the share `most`."""
    return random.sample(those, min(max(1, round(wish)), int(len(those) * most)))


def _new_heads(made: Organisation, teams: Sequence[str], random: Random) -> int:
    """Every fourth of the teams gets a new head out of its own staff; the old one stays as a member.

    A team that is a large part of a small organisation keeps its own.
    """
    changed = 0
    for unit_id in teams[::4]:
        staff = _staff_of(made, [unit_id])
        if not 0 < len(staff) < 0.07 * len(made.people):  # all of them get another manager
            continue
        unit, new = made.units[unit_id], made.people[random.choice(staff)]
        old = made.people[unit.head]
        made.units[unit_id] = replace(unit, head=new.id)
        for identifier in staff:
            made.people[identifier] = replace(made.people[identifier], manager=new.id)
        made.people[new.id] = replace(made.people[new.id], manager=old.manager, title="Head")
        made.people[old.id] = replace(old, manager=new.id, title="Consultant")
        changed += 1
    return changed


def _movers(made: Organisation, staff: Sequence[str], teams: Sequence[str], random: Random) -> int:
    chosen = _some(staff, len(made.people) * 0.015, 0.3, random)
    moved = 0
    for identifier in chosen:
        unit = made.units[random.choice(teams)]
        person = made.people[identifier]
        if person.unit != unit.id:
            moved += 1
        made.people[identifier] = replace(person, unit=unit.id, manager=unit.head, title=random.choice(TITLES))
    return moved


def _joiners(made: Organisation, before: Organisation, teams: Sequence[str], random: Random) -> list[str]:
    joined = []
    for _ in range(max(1, round(len(before.people) * 0.02))):
        unit = made.units[random.choice(teams)]
        person = replace(
            _person(made, unit.id, random.choice(TITLES), random), manager=unit.head, start=made.today, status="active"
        )
        made.people[person.id] = person
        joined.append(person.id)
    return joined


def _new_names(made: Organisation, random: Random) -> int:
    """People marry: they take another last name, or put it behind their own."""
    staying = [one.id for one in made.people.values() if one.status != "left"]
    changed = 0
    for identifier in random.sample(staying, max(1, len(staying) // 125)):
        person, other = made.people[identifier], _common(LAST, random)
        name = f"{person.last}-{other}" if random.random() < 0.3 and "-" not in person.last else other
        changed += name != person.last
        made.people[identifier] = replace(person, last=name)
    return changed


def _new_phones(made: Organisation, share: float, random: Random) -> int:
    staying = [one.id for one in made.people.values() if one.status != "left" and one.phone]
    chosen = random.sample(staying, int(len(staying) * share))
    for identifier in chosen:
        person = made.people[identifier]
        made.people[identifier] = replace(person, phone=f"+49 30 23126 {person.phone[-5:]}")
    return len(chosen)


def _courses(made: Organisation, joiners: Sequence[str], random: Random) -> int:
    """Everyone who joined learns the foundations; a few others renew theirs."""
    staying = [one for one in made.people.values() if one.status != "left" and one.id in made.certificates]
    for person in random.sample(staying, len(staying) // 80):
        made.certificates[person.id] = replace(
            made.certificates[person.id], level=random.choice(LEVELS), certified=made.today
        )
    for identifier in joiners:
        made.certificates[identifier] = replace(
            _certificate(made.people[identifier], random, made.today), level=LEVELS[0]
        )
    return len(staying) // 80 + len(joiners)


def members_of(made: Organisation) -> dict[str, list[str]]:
    """Unit to the ids of its members: a team's people; a department's own people and the heads of its teams."""
    members: dict[str, set[str]] = {unit: set() for unit in made.units}
    for person in made.people.values():
        if person.status != "left":
            members[person.unit].add(person.id)
    for unit in made.units.values():
        if unit.parent and unit.head:
            members[unit.parent].add(unit.head)
    return {unit: sorted(those) for unit, those in members.items()}


def write(made: Organisation, directory: Path) -> None:
    """people.csv and units.csv stand in `directory/hr`, training.csv in `directory/training`, each replaced whole."""
    members = members_of(made)
    _write_file(
        directory / "hr" / "people.csv",
        ["id", "first", "last", "title", "unit", "manager", "status", "phone", "start"],
        (
            (p.id, p.first, p.last, p.title, p.unit, p.manager, p.status, p.phone, p.start.isoformat())
            for p in made.people.values()
        ),
    )
    _write_file(
        directory / "hr" / "units.csv",
        ["id", "name", "kind", "parent", "head", "members"],
        ((one.id, one.name, one.kind, one.parent, one.head, ";".join(members[one.id])) for one in made.units.values()),
    )
    _write_file(
        directory / "training" / "training.csv",
        ["employee", "level", "certified", "phone"],
        ((one.employee, one.level, one.certified.isoformat(), one.phone) for one in made.certificates.values()),
    )


def _write_file(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(chain([header], rows))
    os.replace(fresh, path)
