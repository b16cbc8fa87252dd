"""Run profiles and executions as a file spells them: what is run, and in which order.

A profile is the recipe of one run; an execution is groups of profiles, one group after the other. Both are started by
name, so they share one space of names.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from anabranch.config.record_shape import Field, Given, Record
from anabranch.config.shape import Choice, Duration, Flag, ListOf, MapOf, Name, Reading, Whole
from anabranch.model.configuration import Execution, RunProfile
from anabranch.model.enums import RunKind

EXPORT_BATCH = 100
"""Pending exports in a batch: each is a call to a target, so far fewer than objects of a sync batch."""

_SHORT_NAMES = {
    "FI": RunKind.FULL_IMPORT,
    "DI": RunKind.DELTA_IMPORT,
    "FS": RunKind.FULL_SYNC,
    "DS": RunKind.DELTA_SYNC,
    "EX": RunKind.EXPORT,
}


def _batch_size_by_kind(given: Given, reading: Reading) -> None:
    if given.values.get("kind") is RunKind.EXPORT:
        given.values.setdefault("batch_size", EXPORT_BATCH)


class _Profile(Record):
    def write(self, value: Any) -> Any:
        written = super().write(value)
        written["batch-size"] = value.batch_size
        return written


RUN_PROFILES = MapOf(
    _Profile(
        RunProfile,
        (
            Field("kind", Choice(RunKind, _SHORT_NAMES), "what the run does"),
            Field("system", Name(), "the system it is about; housekeeping has none"),
            Field("page-size", Whole(1, 100_000), "objects in a page of a read"),
            Field("batch-size", Whole(1, 100_000), "objects in a batch of work"),
            Field("deadline", Duration(timedelta(minutes=1)), "how long it may take"),
        ),
        named="key",
        review=_batch_size_by_kind,
    )
)

EXECUTIONS = MapOf(
    Record(
        Execution,
        (
            Field("groups", ListOf(ListOf(Name(), least=1), least=1, distinct=False), "groups of run profiles"),
            Field("continue-on-failure", Flag(), "whether later groups start after a failure"),
        ),
        named="key",
    )
)
