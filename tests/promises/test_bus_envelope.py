"""The hint on the wire: small, flat, and refused with a reason when it is something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.bus.envelope import MAX_BYTES, Hint, Malformed, UnknownVersion, decode, encode, hint_of
from anabranch.model.enums import WorkerKind
from anabranch.model.fleet import DueHint
from anabranch.model.identity import BatchId, RunId

NUMBERS = st.integers(min_value=0, max_value=2**63 - 1)


@pytest.mark.behaviour("FLT-2")
@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_hint_survives_the_wire(batch: int, run: int, seq: int) -> None:
    hint = Hint(batch=batch, run=run, system="hr", phase="12.references", seq=seq, traceparent="00-aa-bb-01", enq=5)
    assert decode(encode(hint)) == hint


def test_the_largest_hint_fits() -> None:
    most = 2**63 - 1
    trace = "00-" + "f" * 32 + "-" + "f" * 16 + "-01"
    fields = encode(
        Hint(batch=most, run=most, system="s" * 48, phase="99.references", seq=10**6, traceparent=trace, enq=10**13)
    )
    assert sum(len(name) + len(value) for name, value in fields.items()) <= MAX_BYTES


def test_a_hint_that_is_too_large_is_not_published() -> None:
    with pytest.raises(Malformed, match="at most 250"):
        encode(Hint(batch=1, run=1, system="hr", phase="x" * 300))


@pytest.mark.behaviour("FLT-22")
@pytest.mark.parametrize("version", ["2", "99", "one", "", "1" * 5000, "²"])
def test_an_unknown_version_is_told_apart(version: str) -> None:
    with pytest.raises(UnknownVersion) as told:
        decode({**encode(Hint(batch=1, run=1, system="hr", phase="1.import")), "v": version})
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("field", ["v", "batch", "run", "system", "phase", "seq", "enq"])
def test_a_missing_field_is_named(field: str) -> None:
    fields = encode(Hint(batch=1, run=1, system="hr", phase="1.import"))
    del fields[field]
    with pytest.raises(Malformed, match=f"'{field}'"):
        decode(fields)


@pytest.mark.parametrize("value", ["-1", "", "1.5", "abc", "9" * 25, "9223372036854775808", " 1", "١"])
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="batch"):
        decode({**encode(Hint(batch=1, run=1, system="hr", phase="1.import")), "batch": value})


def test_fields_of_a_later_program_are_ignored() -> None:
    hint = Hint(batch=1, run=1, system="hr", phase="1.import")
    assert decode({**encode(hint), "later": "x"}) == hint


def test_a_due_batch_of_a_system_with_a_long_name_still_travels() -> None:
    due = DueHint(
        batch=BatchId(5),
        run=RunId(6),
        system="é" * 300,
        phase="3.flow",
        worker_kind=WorkerKind.SYNC,
        seq=2,
        version=1,
        traceparent="00-" + "f" * 32 + "-" + "f" * 16 + "-01",
    )
    hint = decode(encode(hint_of(due, 1_700_000_000_000)))
    assert (hint.batch, hint.run, hint.seq, hint.enq) == (5, 6, 2, 1_700_000_000_000)
    assert set(hint.system) == {"é"}
