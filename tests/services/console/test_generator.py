"""The invented organisation: always the same, and never so restless that a guard would hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.console.demo.generator import Organisation, found, members_of, next_week, write

PEOPLE = 3_000


@pytest.fixture(scope="module")
def first() -> Organisation:
    return found(PEOPLE, seed=7)


def _written(organisation: Organisation, directory: Path) -> dict[str, bytes]:
    write(organisation, directory)
    return {str(file.relative_to(directory)): file.read_bytes() for file in sorted(directory.rglob("*.csv"))}


def test_one_seed_writes_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, _ = next_week(found(500, seed=7), 7, 2, new_phones=0.1)
    two, _ = next_week(found(500, seed=7), 7, 2, new_phones=0.1)
    assert _written(one, tmp_path / "one") == _written(two, tmp_path / "two")


def test_another_seed_is_another_organisation(tmp_path: Path) -> None:
    assert _written(found(500, seed=7), tmp_path / "one") != _written(found(500, seed=8), tmp_path / "two")


def test_the_organisation_has_twenty_thousand_people_in_four_hundred_units() -> None:
    organisation = found(20_000, seed=1)
    assert (len(organisation.people), len(organisation.units)) == (20_000, 400)


def test_many_people_share_a_name(first: Organisation) -> None:
    names = [(person.first, person.last) for person in first.people.values()]
    assert len(names) - len(set(names)) > 50


def test_names_have_accents_apostrophes_hyphens_and_spaces(first: Organisation) -> None:
    names = "".join(person.first + person.last for person in first.people.values())
    assert all(sign in names for sign in "éøß'- ")


@pytest.mark.parametrize("week", [2, 3])
def test_a_week_leaves_nobody_with_a_manager_or_unit_that_is_gone(first: Organisation, week: int) -> None:
    organisation, _ = next_week(first, 7, week)
    present = {person.id for person in organisation.people.values() if person.status != "left"}
    lost = [
        person.id
        for person in organisation.people.values()
        if person.id in present
        and ((person.manager and person.manager not in present) or person.unit not in organisation.units)
    ]
    assert lost == []


def test_a_week_has_joiners_movers_leavers_marriages_and_new_heads(first: Organisation) -> None:
    _, week = next_week(first, 7, 2, new_phones=0.08)
    assert min(week.joiners, week.movers, week.leavers, week.new_names, week.new_heads, week.new_phones) > 0


@pytest.mark.parametrize("people", [100, 300, 1_000, PEOPLE])
def test_a_week_changes_less_than_a_fifth_of_the_people(people: int) -> None:
    before = found(people, seed=7)
    after, _ = next_week(before, 7, 2, new_phones=0.08)
    changed = {key for key, person in after.people.items() if before.people.get(key) != person}
    changed |= {key for key, one in after.certificates.items() if before.certificates.get(key) != one}
    assert len(changed & before.people.keys()) < 0.2 * people


def test_a_week_changes_less_than_a_fifth_of_the_units(first: Organisation) -> None:
    organisation, _ = next_week(first, 7, 2, new_phones=0.08)
    before, after = members_of(first), members_of(organisation)
    units = sum(before[key] != after[key] or first.units[key] != organisation.units[key] for key in after)
    assert units < 0.2 * len(first.units)


def test_who_left_vanishes_from_the_export_a_week_later(first: Organisation) -> None:
    second, _ = next_week(first, 7, 2)
    left = {person.id for person in second.people.values() if person.status == "left"}
    third, _ = next_week(second, 7, 3)
    assert left
    assert not left & third.people.keys()


def test_a_week_leaves_the_one_before_as_it_was(first: Organisation) -> None:
    people = dict(first.people)
    next_week(first, 7, 2)
    assert first.people == people


def test_an_organisation_needs_ten_people() -> None:
    with pytest.raises(ValueError, match="10 or more"):
        found(9, seed=1)
