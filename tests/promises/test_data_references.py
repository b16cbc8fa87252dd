"""What a keeper promises about references: when they resolve, to what, and what their target's fate means for them."""

from __future__ import annotations

import pytest
from tests.builders import (
    PERSON,
    a_claimed,
    a_link_of,
    a_new_cso,
    a_new_mvo,
    a_ref_change,
    altered,
)
from tests.promises.data_keepers import DataKeeper, cso, joined, write

from anabranch.model.changes import Changes, NewCso
from anabranch.model.enums import CsoState
from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import RawRef
from anabranch.store.port import ReferenceTargets

TO_PERSON = ReferenceTargets({(PERSON, "manager"): (PERSON,)})


@pytest.mark.behaviour("IMP-28", "IMP-29")
async def test_a_reference_resolves_when_its_target_has_come(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)], cso_refs=[a_ref_change(1, "a2")]))
    async with data_keeper.unit(a_claimed()) as unit:
        assert await unit.unresolved_reference_ranges(TO_PERSON, 10) == []
        assert await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9)) == 0
    await write(data_keeper, Changes(new_csos=[a_new_cso(2)], links=[a_link_of(await cso(data_keeper))]))
    before = await cso(data_keeper)
    async with data_keeper.unit(a_claimed()) as unit:
        (found,) = await unit.unresolved_reference_ranges(TO_PERSON, 10)
        assert (found.lo, found.hi, found.total) == (1, 1, 1)
        assert await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9)) == 1
        assert await unit.unresolved_reference_ranges(TO_PERSON, 10) == []
    after = await cso(data_keeper)
    assert after.change_seq > before.change_seq
    assert not after.refs_due, "a CSO that is not joined has no reference to flow"
    async with data_keeper.reader() as reader:
        (ref,) = await reader.cso_refs([CsoId(1)])
    assert (ref.attr, ref.raw, ref.target_cso_id, ref.target_mvo_id) == ("manager", "a2", 2, None)


@pytest.mark.behaviour("IMP-31")
async def test_resolution_touches_only_who_was_quiet_and_marks_who_is_joined(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    refs = [a_ref_change(1, "a3"), a_ref_change(2, "a3")]
    await write(data_keeper, Changes(new_csos=[a_new_cso(2), a_new_cso(3)], cso_refs=refs))
    quiet, due = await cso(data_keeper, 1), await cso(data_keeper, 2)
    async with data_keeper.unit(a_claimed()) as unit:
        assert await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9)) == 2
    assert (await cso(data_keeper, 2)) == due
    after = await cso(data_keeper, 1)
    assert after.refs_due
    assert after.change_seq > quiet.change_seq


@pytest.mark.behaviour("IMP-28", "IMP-31")
@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([a_new_cso(2, anchor="x"), a_new_cso(3, secondary="x")], 2),
        ([a_new_cso(2, anchor="x", state=CsoState.OBSOLETE), a_new_cso(3, secondary="x")], 3),
        ([a_new_cso(2, anchor="x", state=CsoState.OBSOLETE)], 2),
        ([a_new_cso(2, secondary="x"), a_new_cso(3, secondary="x")], None),
        ([a_new_cso(2, secondary="x"), a_new_cso(3, secondary="x", state=CsoState.OBSOLETE)], 2),
        ([a_new_cso(2, anchor="x", type_id=TypeId(2))], None),
    ],
    ids=["anchor first", "living first", "obsolete at last", "ambiguous", "one living", "undeclared type"],
)
async def test_a_reference_leads_to_the_best_single_candidate(
    data_keeper: DataKeeper, candidates: list[NewCso], chosen: int | None
) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1), *candidates], cso_refs=[a_ref_change(1, "x")]))
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9))
        (ref,) = await unit.cso_refs([CsoId(1)])
    assert ref.target_cso_id == chosen


@pytest.mark.behaviour("IMP-31")
async def test_who_referred_to_a_removed_cso_falls_back_to_the_identifier(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1, 2)
    await write(data_keeper, Changes(new_csos=[a_new_cso(3)], cso_refs=[a_ref_change(n, "a2") for n in (1, 2, 3)]))
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9))
    referring = await cso(data_keeper, 1)
    await write(data_keeper, Changes(links=[a_link_of(referring, 1)]))
    # The same commit writes the link of a referring CSO: the mark stays all the same.
    await write(data_keeper, Changes(gone_csos=[CsoId(2)], links=[a_link_of(referring, 1)]))
    async with data_keeper.reader() as reader:
        left = await reader.cso_refs([CsoId(1), CsoId(2), CsoId(3)])
    assert [(ref.cso_id, ref.raw, ref.target_cso_id) for ref in left] == [(1, "a2", None), (3, "a2", None)]
    after, unjoined = await cso(data_keeper, 1), await cso(data_keeper, 3)
    assert after.change_seq > referring.change_seq
    assert after.refs_due
    assert not unjoined.refs_due


@pytest.mark.behaviour("SYN-51")
async def test_a_join_makes_joined_referrers_due(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    refs = [a_ref_change(1, "a3"), a_ref_change(2, "a3")]
    await write(data_keeper, Changes(new_csos=[a_new_cso(2), a_new_cso(3)], cso_refs=refs, new_mvos=[a_new_mvo(3)]))
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.resolve_references(TO_PERSON, CsoId(1), CsoId(9))
    await write(data_keeper, Changes(links=[a_link_of(await cso(data_keeper, 1), 1)]))
    before = await cso(data_keeper, 1)
    await write(data_keeper, Changes(links=[a_link_of(await cso(data_keeper, 3), 3)], joined_csos=[CsoId(3)]))
    after = await cso(data_keeper, 1)
    assert after == altered(before, refs_due=True, link_version=before.link_version + 1)
    assert not (await cso(data_keeper, 2)).refs_due
    async with data_keeper.reader() as reader:
        assert [ref.target_mvo_id for ref in await reader.cso_refs([CsoId(1)])] == [3]


async def test_single_reference_values_are_added_and_taken_away(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)], cso_refs=[a_ref_change(1, "x", "y", "z")]))
    await write(data_keeper, Changes(cso_refs=[a_ref_change(1, "w", remove=("x", "z"))]))
    async with data_keeper.reader() as reader:
        assert [ref.raw for ref in await reader.cso_refs([CsoId(1)])] == ["w", "y"]
        assert await reader.raw_refs([CsoId(1), CsoId(2)], ["manager", "unit"]) == [
            RawRef(CsoId(1), "manager", "w"),
            RawRef(CsoId(1), "manager", "y"),
        ]
        assert await reader.raw_refs([CsoId(1)], ["unit"]) == []
