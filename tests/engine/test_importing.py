"""What an imported object changes in the connector space."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import a_cso, a_staged_row, an_attribute

from anabranch.engine.importing import settle
from anabranch.model.enums import CsoState, ValueType
from anabranch.model.identity import CsoId
from anabranch.model.objects import CsoRef, Document

ATTRIBUTES = {
    "id": an_attribute("id"),
    "name": an_attribute("name", case_sensitive=False),
    "age": an_attribute("age", type=ValueType.INTEGER),
    "tags": an_attribute("tags", multi_valued=True),
}
STORED: Document = {"id": "a1", "name": "Ann", "tags": ["a", "b"]}


def settled(
    doc: Document | None = None, *, stored: Document | None = STORED, held: tuple[str, ...] = (), **fields: Any
) -> Any:
    """The outcome for a row with `doc` beside a CSO with `stored` (None: no CSO) whose managers are `held`."""
    state, fingerprint = fields.pop("state", CsoState.NORMAL), fields.pop("known", None)
    defaults: dict[str, Any] = {"doc": STORED if doc is None else doc, "seq_before_read": 1}
    row = a_staged_row(**(defaults | fields))
    cso = None if stored is None else a_cso(1, doc=stored, state=state, fingerprint=fingerprint)
    return settle(row, cso, [CsoRef(CsoId(1), "manager", raw, None, None) for raw in held], ATTRIBUTES)


# --- identity decides


@pytest.mark.behaviour("IMP-8")
@pytest.mark.parametrize("change", ["complete", "partial"])
def test_an_unknown_object_is_added_whatever_the_source_calls_it(change: str) -> None:
    outcome = settled({"id": "a1", "name": "Ann"}, stored=None, change=change)

    assert (outcome.change, outcome.doc, outcome.write) == ("added", {"id": "a1", "name": "Ann"}, True)
    assert outcome.values == (("id", None, "a1"), ("name", None, "Ann"))


@pytest.mark.behaviour("IMP-8")
def test_a_known_object_is_updated() -> None:
    outcome = settled(STORED | {"name": "Bob"})

    assert (outcome.change, outcome.values) == ("updated", (("name", "Ann", "Bob"),))
    assert (outcome.write, outcome.touch) == (True, True)


@pytest.mark.behaviour("IMP-8", "IMP-25")
@pytest.mark.parametrize(
    ("stored", "state", "change"),
    [
        (None, CsoState.NORMAL, "ignored"),
        (STORED, CsoState.NORMAL, "obsoleted"),
        (STORED, CsoState.OBSOLETE, "ignored"),
        (STORED, CsoState.PENDING_PROVISIONING, "ignored"),
    ],
)
def test_a_delete_concerns_a_known_object_only(stored: Document | None, state: CsoState, change: str) -> None:
    outcome = settled(stored=stored, state=state, change="delete")

    assert (outcome.change, outcome.write) == (change, False)


# --- differences


@pytest.mark.behaviour("IMP-17")
def test_the_same_content_again_changes_nothing() -> None:
    outcome = settled(dict(STORED), known=b"f", fingerprint=b"f")

    assert (outcome.change, outcome.values, outcome.write, outcome.touch) == ("unchanged", (), False, False)


@pytest.mark.behaviour("IMP-14")
@pytest.mark.parametrize("doc", [STORED | {"name": "ANN"}, dict(reversed(STORED.items()))])
def test_differences_that_the_types_call_equal_are_none(doc: Document) -> None:
    outcome = settled(doc)

    assert (outcome.change, outcome.doc) == ("unchanged", STORED)


@pytest.mark.behaviour("IMP-17", "IMP-19")
@pytest.mark.parametrize("fields", [{"fingerprint": b"new"}, {"partition": "other"}, {"secondary": "cn=ann"}])
def test_what_is_only_remembered_is_written_without_a_new_number(fields: dict[str, Any]) -> None:
    outcome = settled(known=b"old", **fields)

    assert (outcome.change, outcome.write, outcome.touch) == ("unchanged", True, False)


@pytest.mark.behaviour("IMP-15")
def test_what_a_complete_object_lacks_has_no_value() -> None:
    outcome = settled({"id": "a1"})

    assert outcome.doc == {"id": "a1"}
    assert outcome.values == (("name", "Ann", None), ("tags", ["a", "b"], None))


@pytest.mark.behaviour("IMP-15")
def test_in_a_partial_object_only_the_named_attributes_change() -> None:
    outcome = settled({"name": "Bob"}, change="partial")

    assert outcome.doc == STORED | {"name": "Bob"}


@pytest.mark.behaviour("IMP-12", "TRAP-19")
def test_an_attribute_that_could_not_be_read_keeps_what_is_stored() -> None:
    outcome = settled({"id": "a1", "name": "Bob"}, stored=STORED | {"age": 40}, kept=("age", "tags"))

    assert outcome.doc == {"id": "a1", "name": "Bob", "age": 40, "tags": ["a", "b"]}


@pytest.mark.behaviour("IMP-12", "IMP-14", "IMP-15")
@pytest.mark.parametrize(
    ("fields", "add", "remove"),
    [
        ({"refs": {"manager": ["x", "z"]}}, {"manager": ("z",)}, {"manager": ("y",)}),
        ({"refs": {"manager": ["y", "x"]}}, {}, {}),
        ({"refs": {}}, {}, {"manager": ("x", "y")}),
        ({"refs": {}, "kept": ("manager",)}, {}, {}),
        ({"refs": {}, "change": "partial"}, {}, {}),
        ({"refs": {"manager": []}, "change": "partial"}, {}, {"manager": ("x", "y")}),
    ],
)
def test_references_are_added_and_removed_one_by_one(
    fields: dict[str, Any], add: dict[str, tuple[str, ...]], remove: dict[str, tuple[str, ...]]
) -> None:
    outcome = settled(held=("x", "y"), **fields)

    assert (outcome.add_refs, outcome.remove_refs) == (add, remove)
    assert outcome.change == ("updated" if add or remove else "unchanged")


# --- states


@pytest.mark.behaviour("IMP-26")
def test_an_obsolete_object_that_is_read_again_is_revived_and_takes_a_new_number() -> None:
    outcome = settled(state=CsoState.OBSOLETE)

    assert (outcome.change, outcome.write, outcome.touch) == ("revived", True, True)


@pytest.mark.behaviour("IMP-32")
@pytest.mark.parametrize(("doc", "touch"), [(STORED, False), (STORED | {"name": "Bob"}, True)])
def test_a_created_object_that_is_read_is_confirmed(doc: Document, touch: bool) -> None:
    outcome = settled(doc, state=CsoState.PENDING_PROVISIONING)

    assert (outcome.change, outcome.write, outcome.touch) == ("confirmed", True, touch)


@pytest.mark.behaviour("IMP-38")
@pytest.mark.parametrize("change", ["complete", "delete"])
def test_a_row_read_before_another_run_changed_the_object_is_superseded(change: str) -> None:
    outcome = settled({"id": "a1", "name": "Stale"}, change=change, seq_before_read=0)

    assert (outcome.change, outcome.doc, outcome.write) == ("superseded", STORED, False)
