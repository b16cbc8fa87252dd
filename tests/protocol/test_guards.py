"""The arithmetic of a mass-change limit (GRD-2)."""

from __future__ import annotations

import msgspec
import pytest

from anabranch.model.configuration import Configuration, GuardLimit, MetaverseType, System
from anabranch.model.enums import GuardPoint
from anabranch.protocol.guards import in_words, judge, limit_for

DEFAULT = GuardLimit()
OPEN = GuardLimit(max_percent=100.0)
DELETES = GuardPoint.METAVERSE_DELETIONS
WRITES = GuardPoint.EXPORT_WRITES


@pytest.mark.behaviour("GRD-2")
@pytest.mark.parametrize(
    ("limit", "counts", "population", "trips"),
    [
        (DEFAULT, {"delete": 0}, 100, False),
        (DEFAULT, {"delete": 20}, 100, False),
        (DEFAULT, {"delete": 21}, 100, True),
        (DEFAULT, {"delete": 9}, 10, False),
        (DEFAULT, {"delete": 10}, 49, True),
        (DEFAULT, {"delete": 10}, 50, False),
        (GuardLimit(percent_floor=1), {"delete": 1}, 4, True),
        (GuardLimit(max_count=5), {"delete": 5}, 1000, False),
        (GuardLimit(max_count=5), {"delete": 6}, 1000, True),
        (GuardLimit(max_count=0), {"delete": 1}, 1000, True),
        (GuardLimit(max_percent=0.0), {"delete": 10}, 1_000_000, True),
        (GuardLimit(max_percent=12.5), {"delete": 100}, 800, False),
        (GuardLimit(max_percent=12.5), {"delete": 101}, 800, True),
        (OPEN, {"delete": 1}, 1, True),
        (OPEN, {"delete": 999}, 1000, False),
        (OPEN, {"delete": 1000}, 1000, True),
        (GuardLimit(max_percent=100.0, allow_empty=True), {"delete": 1000}, 1000, False),
        (GuardLimit(allow_empty=True), {"delete": 9}, 9, False),
        (GuardLimit(allow_empty=True), {"delete": 10}, 10, True),
        (DEFAULT, {"update": 9}, 9, False),
        (DEFAULT, {"update": 10}, 10, True),
        (OPEN, {"update": 10}, 10, False),
        (DEFAULT, {"create": 1000}, 10, False),
        (GuardLimit(creates=True), {"create": 1000}, 10, True),
        (GuardLimit(creates=True), {"create": 9}, 0, False),
        (DEFAULT, {"delete": 10}, 0, True),
        (DEFAULT, {"delete": 9}, 0, False),
        (GuardLimit(enabled=False, max_count=0), {"delete": 1000}, 1000, False),
    ],
)
def test_the_verdict(limit: GuardLimit, counts: dict[str, int], population: int, trips: bool) -> None:
    assert (judge(limit, counts, population, WRITES) is not None) is trips


@pytest.mark.behaviour("IMP-21", "TRAP-8")
@pytest.mark.parametrize("population", [1, 3, 10, 5000])
def test_a_source_that_returns_nothing_trips_below_every_percentage_and_floor(population: int) -> None:
    generous = GuardLimit(max_percent=100.0, percent_floor=10_000)
    assert judge(generous, {"obsolete": population}, population, GuardPoint.IMPORT_OBSOLETIONS) is not None


def test_operations_are_judged_apart_and_every_breach_is_told() -> None:
    finding = judge(DEFAULT, {"delete": 15, "update": 80, "create": 500}, 100, WRITES)
    assert finding is not None
    assert [(breach.op, breach.count) for breach in finding.breaches] == [("update", 80)]
    told = in_words([{"type": "user", **msgspec.to_builtins(finding)}])
    assert told == "export_writes of user: 80 update of 100, more than max_percent 20 % (from percent_floor 10)"


def test_an_emptied_population_is_the_reason_told_first() -> None:
    finding = judge(GuardLimit(max_count=1), {"delete": 50}, 50, DELETES)
    assert finding is not None
    assert finding.breaches[0].limit == "would leave none (allow_empty is false)"


def test_the_limit_is_the_one_declared_for_the_type_or_the_default() -> None:
    tight = GuardLimit(max_count=1)
    configuration = Configuration(
        metaverse={"person": MetaverseType(key="person", attributes={}, guards={DELETES: tight})},
        systems={"hr": System(key="hr", connector="csv", object_types={}, guards={WRITES: tight})},
    )
    assert limit_for(configuration, DELETES, None, "person") == tight
    assert limit_for(configuration, WRITES, "hr", "person") == tight
    assert limit_for(configuration, DELETES, "hr", "person") == DEFAULT
    assert limit_for(configuration, DELETES, None, "gone") == limit_for(configuration, WRITES, "gone", "x") == DEFAULT
