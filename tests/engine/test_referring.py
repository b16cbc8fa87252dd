"""Which metaverse objects a reference attribute names."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.builders import an_mvo_ref
from tests.engine.site import Site, a_configuration, a_mapping, a_rule, a_system, an_object_type, attributes

from anabranch.engine.referring import Offer, elect_references
from anabranch.model.enums import MultiValuePolicy, ValueType
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import CsoRef, MvoRef

ME = MvoId(1)
HR, SECOND = CsoId(11), CsoId(12)
BOTH_JOINED = (HR, SECOND)
REFERENCE = {"type": ValueType.REFERENCE, "to": ("person",)}
MANY = REFERENCE | {"multi_valued": True}


def a_site(policy: MultiValuePolicy = MultiValuePolicy.WINNER_TAKES_ALL, *, enabled: bool = True) -> Site:
    """`hr` (mappings 1 and 2) ranks before `second` (3 and 4)."""
    known = attributes(manager=REFERENCE, members=MANY | {"multi_value_policy": policy})
    systems = [a_system(key, an_object_type(attributes(manager=REFERENCE, members=MANY))) for key in ("hr", "second")]
    rules = [
        a_rule("hr", a_mapping("manager", priority=1), a_mapping("members", priority=1), enabled=enabled),
        a_rule("second", a_mapping("manager", priority=2), a_mapping("members", priority=2)),
    ]
    return Site(a_configuration(known, systems, rules))


def a_ref(raw: str, *, mvo: int | None = None, cso: int | None = None, attr: str = "manager") -> CsoRef:
    """A reference that resolved to a joined CSO (`mvo`), to an unjoined one (`cso`), or to nothing."""
    target = cso if cso is not None else (None if mvo is None else 100 + mvo)
    return CsoRef(HR, attr, raw, None if target is None else CsoId(target), None if mvo is None else MvoId(mvo))


def an_offer(*refs: CsoRef, by: CsoId = HR, mapping: int = 1, attr: str = "manager", asserts: bool = False) -> Offer:
    return Offer(by, mapping, attr, refs, asserts)


def standing(target: int, raw: str, *, by: CsoId = HR, mapping: int = 1, attr: str = "manager") -> MvoRef:
    return an_mvo_ref(1, target, attr=attr, contributor=by, mapping_id=mapping, raw=raw)


def elected(
    offers: list[Offer], present: list[MvoRef], site: Site | None = None, joined: tuple[CsoId, ...] = BOTH_JOINED
) -> set[tuple[int, int]]:
    """(target, mapping) of the rows that stand afterwards."""
    add, remove = elect_references((site or a_site()).side, ME, offers, present, joined)
    after = (set(present) - set(remove)) | set(add)
    return {(int(row.target_mvo_id), row.mapping_id) for row in after}


@pytest.mark.behaviour("SYN-50")
@pytest.mark.parametrize("target", [2, 1], ids=["another", "itself"])
def test_a_resolved_reference_names_the_metaverse_object(target: int) -> None:
    assert elected([an_offer(a_ref("m", mvo=target))], []) == {(target, 1)}


@pytest.mark.behaviour("SYN-51")
@pytest.mark.parametrize("ref", [a_ref("m"), a_ref("m", cso=50)], ids=["unknown", "not joined"])
def test_a_reference_that_leads_nowhere_yet_waits(ref: CsoRef) -> None:
    assert elected([an_offer(ref)], []) == set()


def test_what_stands_already_is_not_written_again() -> None:
    assert elect_references(a_site().side, ME, [an_offer(a_ref("m", mvo=2))], [standing(2, "m")], (HR,)) == ([], [])


@pytest.mark.behaviour("SYN-52", "MOD-47")
def test_an_unresolved_reference_keeps_what_it_led_to() -> None:
    assert elected([an_offer(a_ref("m"))], [standing(2, "m")]) == {(2, 1)}


@pytest.mark.behaviour("SYN-52")
@pytest.mark.parametrize(
    "refs",
    [(), (a_ref("other"),), (a_ref("m", cso=50),)],
    ids=["the value went", "another value, unresolved", "its target was disconnected"],
)
def test_what_it_led_to_goes_with_the_source_value_or_its_target(refs: tuple[CsoRef, ...]) -> None:
    assert elected([an_offer(*refs)], [standing(2, "m")]) == set()


@pytest.mark.behaviour("SYN-43", "SYN-46")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((a_ref("m", mvo=2),), (a_ref("n", mvo=3),), {(2, 1)}),
        ((), (a_ref("n", mvo=3),), {(3, 3)}),
        ((a_ref("m"),), (a_ref("n", mvo=3),), {(3, 3)}),
    ],
    ids=["the best", "the next takes over", "an unresolved one has no value yet"],
)
def test_references_go_by_rank_like_any_value(
    first: tuple[CsoRef, ...], second: tuple[CsoRef, ...], expected: set[tuple[int, int]]
) -> None:
    offers = [an_offer(*second, by=SECOND, mapping=3), an_offer(*first)]

    assert elected(offers, []) == expected


@pytest.mark.behaviour("SYN-47", "TRAP-22")
def test_provenance_follows_a_reference_to_its_new_contributor() -> None:
    offers = [an_offer(), an_offer(a_ref("n", mvo=2), by=SECOND, mapping=3)]

    assert elected(offers, [standing(2, "m")]) == {(2, 3)}


@pytest.mark.behaviour("SYN-44")
def test_an_asserted_null_blocks_the_lower_ranks() -> None:
    offers = [an_offer(asserts=True), an_offer(a_ref("n", mvo=3), by=SECOND, mapping=3)]

    assert elected(offers, [standing(2, "m")]) == set()


@pytest.mark.behaviour("SYN-48")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (MultiValuePolicy.WINNER_TAKES_ALL, {(2, 2), (3, 2)}),
        (MultiValuePolicy.UNION, {(2, 2), (3, 2), (4, 4)}),
    ],
)
def test_a_set_of_references_goes_whole_or_is_the_union(
    policy: MultiValuePolicy, expected: set[tuple[int, int]]
) -> None:
    offers = [
        an_offer(
            a_ref("c", mvo=3, attr="members"), a_ref("d", mvo=4, attr="members"), by=SECOND, mapping=4, attr="members"
        ),
        an_offer(a_ref("b", mvo=2, attr="members"), a_ref("c", mvo=3, attr="members"), mapping=2, attr="members"),
    ]

    assert elected(offers, [], a_site(policy)) == expected


@pytest.mark.behaviour("SYN-50")
def test_the_order_of_offers_and_references_does_not_matter() -> None:
    refs = [a_ref(raw, mvo=mvo, attr="members") for raw, mvo in (("b", 2), ("c", 3), ("d", 4))]

    outcomes = {
        frozenset(elected([an_offer(*some, mapping=2, attr="members")], [standing(9, "x", mapping=2, attr="members")]))
        for some in permutations(refs)
    }

    assert outcomes == {frozenset({(2, 2), (3, 2), (4, 2)})}


@pytest.mark.behaviour("SYN-41", "SYN-44")
@pytest.mark.parametrize(("second", "expected"), [((), {(2, 1)}), ((a_ref("n", mvo=3),), {(3, 3)})])
def test_what_a_disabled_rule_wrote_stays_until_a_living_contributor_wins(
    second: tuple[CsoRef, ...], expected: set[tuple[int, int]]
) -> None:
    offers = [an_offer(*second, by=SECOND, mapping=3)]

    assert elected(offers, [standing(2, "m")], a_site(enabled=False)) == expected


@pytest.mark.behaviour("SYN-59")
def test_during_grace_the_references_of_who_left_stay() -> None:
    assert elected([an_offer(by=SECOND, mapping=3)], [standing(2, "m")], joined=(SECOND,)) == {(2, 1)}


@pytest.mark.behaviour("SYN-45")
def test_the_references_of_a_joined_object_out_of_scope_go() -> None:
    assert elected([], [standing(2, "m")]) == set()
