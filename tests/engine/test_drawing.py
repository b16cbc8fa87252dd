"""Unique values: the first free candidate, whoever asks first in canonical order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.site import a_mapping, a_record, attributes, one_source

from anabranch.engine.drawing import Drawing, Need
from anabranch.engine.expressions.functions_identity import candidates, numbered
from anabranch.engine.keys import key_hash
from anabranch.model.identity import MvoId

ANN, BOB = MvoId(1), MvoId(2)
CANDIDATES = ("ann", "ann2", "ann3")


def a_drawing(*candidates: str) -> Drawing:
    """These candidates have been looked up, and nobody holds them."""
    drawing = Drawing()
    drawing.looked_up("login", [key_hash(one) for one in candidates or CANDIDATES])
    return drawing


@pytest.mark.behaviour("SYN-64")
def test_the_first_free_candidate_is_drawn() -> None:
    drawing = a_drawing()

    assert drawing.draw("login", CANDIDATES, ANN) == "ann"
    assert drawing.drawn == [("login", "ann", ANN)]


@pytest.mark.behaviour("SYN-65", "SYN-66")
def test_what_another_has_drawn_is_taken() -> None:
    drawing = a_drawing()
    drawing.draw("login", CANDIDATES, ANN)

    assert drawing.draw("login", CANDIDATES, BOB) == "ann2"


@pytest.mark.behaviour("SYN-65")
@pytest.mark.parametrize(
    ("holder", "drawn"),
    [(BOB, "ann2"), (None, "ann2"), (ANN, "ann")],
    ids=["another MVO", "a target object of nobody", "the MVO itself"],
)
def test_a_candidate_is_free_unless_somebody_else_holds_it(holder: MvoId | None, drawn: str) -> None:
    drawing = a_drawing()
    drawing.hold("login", key_hash("ann"), holder)

    assert drawing.draw("login", CANDIDATES, ANN) == drawn


@pytest.mark.behaviour("SYN-65")
def test_a_candidate_held_by_the_mvo_and_by_somebody_else_is_taken() -> None:
    drawing = a_drawing()
    drawing.hold("login", key_hash("ann"), ANN)
    drawing.hold("login", key_hash("ann"), BOB)

    assert drawing.draw("login", CANDIDATES, ANN) == "ann2"


@pytest.mark.behaviour("SYN-67")
def test_two_records_of_one_mvo_draw_one_value() -> None:
    drawing = a_drawing()

    assert [drawing.draw("login", some, ANN) for some in (CANDIDATES, ("lee",))] == ["ann", "ann"]
    assert len(drawing.drawn) == 1


@pytest.mark.behaviour("SYN-65")
def test_candidates_compare_without_case() -> None:
    drawing = a_drawing("ann", "ANN", "ann2")
    drawing.draw("login", ("ann",), BOB)

    assert drawing.draw("login", ("ANN", "ann2"), ANN) == "ann2"


@pytest.mark.behaviour("SYN-65")
def test_names_of_unique_values_know_nothing_of_each_other() -> None:
    drawing = a_drawing()
    drawing.looked_up("mail", [key_hash("ann")])
    drawing.draw("login", CANDIDATES, ANN)

    assert drawing.draw("mail", ("ann",), BOB) == "ann"


def test_a_candidate_nobody_looked_up_is_asked_for_and_stops_the_draw() -> None:
    drawing = Drawing()

    assert drawing.draw("login", CANDIDATES, ANN) is None
    assert drawing.needs >= {Need("login", "ann")}
    assert drawing.drawn == []


@pytest.mark.behaviour("SYN-68")
def test_when_all_candidates_are_taken_nothing_is_drawn_and_nothing_asked() -> None:
    drawing = a_drawing()
    for one in CANDIDATES:
        drawing.hold("login", key_hash(one), BOB)

    assert drawing.draw("login", CANDIDATES, ANN) is None
    assert (drawing.needs, drawing.drawn) == (set(), [])


@pytest.mark.behaviour("SYN-68")
def test_what_a_failed_evaluation_drew_is_free_again() -> None:
    drawing = a_drawing()
    drawing.draw("login", CANDIDATES, ANN)

    drawing.forget(ANN)

    assert drawing.draw("login", CANDIDATES, BOB) == "ann"
    assert drawing.drawn == [("login", "ann", BOB)]


@pytest.mark.behaviour("SYN-66")
def test_rounds_of_look_ups_end_as_if_everything_had_been_known() -> None:
    drawing, drawn = Drawing(), []
    for _ in CANDIDATES:
        trial = drawing.fresh()
        drawn = [trial.draw("login", CANDIDATES, mvo) for mvo in (ANN, BOB)]
        drawing.looked_up("login", [key_hash(need.candidate) for need in trial.needs])

    assert drawn == ["ann", "ann2"]


@pytest.mark.behaviour("SYN-64")
@pytest.mark.parametrize(
    ("base", "offered"),
    [("ann", ("ann", "ann2", "ann3")), ("ann@x.org", ("ann@x.org", "ann2@x.org", "ann3@x.org"))],
)
def test_numbered_candidates_count_at_the_end_or_before_an_at_sign(base: str, offered: tuple[str, ...]) -> None:
    asked: list[tuple[str, ...]] = []

    def draw(_name: str, candidates: tuple[str, ...]) -> str:
        asked.append(candidates)
        return candidates[0]

    known = attributes("name")
    site = one_source(known, known, a_mapping("name", expression='join_text(numbered(cs["name"], 2, 3), " ")'))

    assert site.flow(a_record(name=base), draw=draw).doc == {"name": " ".join(offered)}


@given(
    base=st.text(st.sampled_from("a@. x1"), min_size=1, max_size=6).filter(lambda text: not text.isspace()),
    first=st.integers(-3, 12),
    many=st.integers(0, 9),
    cut=st.slices(12),
)
def test_candidates_made_one_by_one_are_those_of_the_list(base: str, first: int, many: int, cut: slice) -> None:
    one_by_one, listed = candidates(base, first, first + many - 1), numbered(base, first, first + many - 1)

    assert list(one_by_one) == listed
    assert [one_by_one[place] for place in range(len(one_by_one))] == listed
    assert one_by_one[cut] == listed[cut]
    assert len(set(listed)) == len(listed)
    assert all(one.strip() for one in listed)


@pytest.mark.behaviour("SYN-68")
def test_no_candidate_beyond_the_limit_is_drawn_or_asked_for() -> None:
    drawing = a_drawing("ann")
    drawing.hold("login", key_hash("ann"), BOB)

    assert drawing.draw("login", CANDIDATES, ANN, 1) is None
    assert drawing.needs == set()
    assert drawing.draw("login", CANDIDATES, ANN, 2) is None
    assert drawing.needs == {Need("login", "ann2")}
