"""The judges themselves: sound evidence passes, and each kind of tampering is found by the invariant it violates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.chaos.evidence import Attempt, Batch, Bus, Entry, Evidence, Run, Step
from tests.chaos.invariants import JUDGES, judge
from tests.chaos.journal import Call, Write
from tests.chaos.replay import Replay
from tests.fleet.sites import Outcome

from anabranch.store.pool import COMMITTING

PEACE = Outcome("s", {"mvos": "m"}, {"directory.ldif": "d"})


def row(state: str, epoch: int = 1, claim: str | None = "c1", **other: Any) -> dict[str, Any]:
    held = {"state": state, "claim": claim, "epoch": epoch, "owner": "w1", "failures": 0, "losses": 0, "cursor": None}
    return held | other


def ended(n: int, batch: int, tx: int) -> Entry:
    return Entry(n, tx, float(n), "batch", batch, 0, row("leased"), row("done"), f"{COMMITTING}w1")


def taken(n: int, batch: int) -> Entry:
    return Entry(n, 100 + n, float(n), "batch", batch, 0, row("ready", 0, None), row("leased"), "anabranch/w1")


def change(n: int, tx: int, seq: int) -> Entry:
    return Entry(n, tx, float(n), "cso", 7, 0, None, {"seq": seq})


def run_ended(n: int, run: int) -> Entry:
    return Entry(n, 200 + n, float(n), "run", run, 0, {"state": "running"}, {"state": "completed"})


def run_begun(n: int, run: int) -> Entry:
    return Entry(n, 200 + n, float(n), "run", run, 0, {"state": "queued"}, {"state": "running"})


def closed(n: int, run: int) -> Entry:
    return Entry(n, 300 + n, float(n), "step", run, 1, {"state": "sealed"}, {"state": "closed"})


def run(number: int, grp: int) -> Run:
    return Run(id=number, execution=1, grp=grp, profile="p", system=number, state="completed", message=None,
               ended=6.0, deadline=60.0)  # fmt: skip


def batch(number: int, run: int) -> Batch:
    return Batch(id=number, run=run, ordinal=1, kind="sync", state="done", producer=0, epoch=1, failures=0, losses=0)


def call(at: float, batch: int, key: str = "1:7:1", digest: str = "x") -> Call:
    return Call(at, 1, "ledger", "apply", 2, batch, "c1", digest, [Write(key, "account/a", "create", digest)])


def step(run: int) -> Step:
    return Step(run=run, ordinal=1, name="flow", state="closed", fired=1, expected=1)


SOUND = Evidence(
    log=[
        run_begun(1, 1), taken(2, 1), change(3, 50, 1), ended(4, 1, 50), closed(5, 1), run_ended(6, 1),
        run_begun(7, 2), taken(8, 2), change(9, 51, 2), ended(10, 2, 51), closed(11, 2), run_ended(12, 2),
    ],
    runs=[run(1, 1), run(2, 2)],
    steps=[step(1), step(2)],
    batches=[batch(1, 1), batch(2, 2)],
    attempts=[Attempt(1, 1, "c1", "done", 2.0, "s1", "t1"), Attempt(2, 1, "c1", "done", 8.0, "s2", "t1")],
    exporting=0,
    packs=0,
    bus=Bus({"sync-batches": 0}, {"sync-batches": 0}),
    calls=[call(9.0, 2), call(9.5, 2)],
    spans={"s1": "t1", "s2": "t1"},
    refused=[],
    expected={"hr/person": ["a", "b"]},
    found={"hr/person": ["a", "b"]},
    outcome=PEACE,
    peace=PEACE,
    exit_codes={"term": 0},
)  # fmt: skip


def with_log(*more: Entry) -> Callable[[Evidence], Evidence]:
    return lambda sound: replace(sound, log=sorted([*sound.log, *more], key=lambda entry: entry.n))


def other(**fields: Any) -> Callable[[Evidence], Evidence]:
    return lambda sound: replace(sound, **fields)


TAMPERED: dict[str, tuple[int, Callable[[Evidence], Evidence]]] = {
    "a person is missing": (1, other(found={"hr/person": ["a"]})),
    "a person is there twice": (1, other(found={"hr/person": ["a", "b", "b"]})),
    "an object was written outside a batch": (2, with_log(change(13, 99, 3))),
    "a page was committed twice": (
        2,
        with_log(*(
            Entry(n, n, 2.5, "batch", 1, 0, row("leased"), row("leased", cursor={"page": 1}), f"{COMMITTING}w1")
            for n in (20, 21)
        )),
    ),
    "a batch was committed twice": (3, with_log(ended(13, 2, 52))),
    "a batch was ended by somebody else": (
        3,
        lambda sound: replace(sound, log=[
            replace(entry, by=f"{COMMITTING}w2") if entry.n == 4 else entry for entry in sound.log
        ]),
    ),
    "a batch is done and was never committed": (3, other(log=[one for one in SOUND.log if one.n != 4])),
    "two attempts ended a batch": (3, other(attempts=[*SOUND.attempts, Attempt(2, 2, "c2", "done", 8.5)])),
    "an object went back": (4, with_log(change(13, 51, 1))),
    "a target got versions out of order": (4, other(calls=[call(9.0, 2, "1:7:2"), call(9.5, 2, "1:7:1")])),
    "two batches sent the same change": (5, other(calls=[call(9.0, 2), call(9.5, 3)])),
    "a repeated call had other contents": (5, other(calls=[call(9.0, 2), call(9.5, 2, digest="y")])),
    "a directory refused a record": (5, other(refused=["add of a, which is there already"])),
    "a step closed twice": (6, with_log(closed(13, 1))),
    "a batch went on behind its barrier": (6, with_log(taken(13, 1))),
    "a step closed with fewer batches than it has": (6, other(steps=[step(1), replace(step(2), expected=2)])),
    "an export began before its sync had ended": (7, with_log(taken(0, 2))),
    "a target was called before the sync had ended": (7, other(calls=[call(5.0, 2)])),
    "a run did not end": (8, other(runs=[run(1, 1), replace(run(2, 2), ended=None)])),
    "a run ended after its deadline": (8, other(runs=[run(1, 1), replace(run(2, 2), deadline=5.0)])),
    "a run failed": (8, other(runs=[run(1, 1), replace(run(2, 2), state="failed")])),
    "a process that was asked to stop crashed": (8, other(exit_codes={"term": 1})),
    "a process ended by itself": (8, other(deserters={"sync-worker-1": 1})),
    "two runs of a system were active": (
        9,
        lambda sound: replace(with_log(run_begun(5, 2))(sound), runs=[run(1, 1), replace(run(2, 2), system=1)]),
    ),
    "hints are left": (10, other(bus=Bus({"sync-batches": 1}, {"sync-batches": 0}))),
    "entries are pending": (10, other(bus=Bus({"sync-batches": 0}, {"sync-batches": 1}))),
    "a key would stay": (10, other(bus=Bus({"sync-batches": 0}, {"sync-batches": 0}, ["tok:1:2"]))),
    "an export is still being sent": (10, other(exporting=1)),
    "a batch is still leased": (10, other(batches=[batch(1, 1), replace(batch(2, 2), state="leased")])),
    "an epoch went back": (
        11, with_log(Entry(13, 53, 13.0, "batch", 2, 0, row("done", 2), row("done", 1), f"{COMMITTING}w1")),
    ),
    "a claim kept its epoch": (
        11, with_log(Entry(13, 53, 13.0, "batch", 2, 0, row("leased"), row("leased", claim="c2"), "anabranch/w1")),
    ),
    "losses have no bound": (
        11, with_log(Entry(13, 53, 13.0, "batch", 2, 0, row("leased"), row("leased", losses=6), "anabranch/w1")),
    ),
    "a dead batch has no letter": (12, other(batches=[batch(1, 1), replace(batch(2, 2), state="dead")])),
    "a letter has no dead batch": (12, other(bus=Bus({"sync-batches": 0}, {"sync-batches": 0}, [], [9]))),
    "a done batch has no span": (13, other(spans={"s1": "t1"})),
    "the span of a batch is in another trace": (13, other(spans={"s1": "t1", "s2": "t2"})),
    "a section differs": (15, other(outcome=Outcome("s", {"mvos": "n"}, PEACE.files))),
    "a target file differs": (15, other(outcome=Outcome("s", PEACE.sections, {"directory.ldif": "e"}))),
    "a file was left over": (15, other(outcome=Outcome("s", PEACE.sections, PEACE.files | {".tmp": "t"}))),
}  # fmt: skip


def test_sound_evidence_violates_nothing() -> None:
    assert judge(SOUND) == []


@pytest.mark.parametrize("fact", TAMPERED)
def test_tampering_is_found_by_its_invariant(fact: str) -> None:
    invariant, tamper = TAMPERED[fact]
    assert invariant in {found.invariant for found in judge(tamper(SOUND))}


def test_every_invariant_has_been_seen_to_fail() -> None:
    assert {invariant for invariant, _ in TAMPERED.values()} == JUDGES.keys()


ADDED = "dn: uid=a,dc=x\nchangetype: add\ncn: A\n\n"
MODIFIED = "dn: uid=a,dc=x\nchangetype: modify\n"


@pytest.mark.parametrize(
    ("records", "refused"),
    [
        (ADDED + ADDED, "is there already"),
        ("dn: uid=b,dc=x\nchangetype: delete\n", "is not there"),
        (ADDED + MODIFIED + "add: cn\ncn: A\n-\n", "has it already"),
        (ADDED + MODIFIED + "delete: sn\nsn: S\n-\n", "has it not"),
    ],
)
def test_a_strict_directory_refuses_what_was_sent_twice_lost_or_out_of_order(
    tmp_path: Path, records: str, refused: str
) -> None:
    (tmp_path / "1-2-3.ldif").write_text(f"version: 1\n\n{records}\n")
    (words,) = Replay(tmp_path).refused
    assert refused in words


def test_journals_are_loaded_in_the_order_of_runs_and_renames_follow(tmp_path: Path) -> None:
    (tmp_path / "10-2-40.ldif").write_text(
        "version: 1\n\ndn: uid=a,dc=x\nchangetype: modrdn\nnewrdn: uid=b\ndeleteoldrdn: 1\n\n"
        "dn: uid=b,dc=x\nchangetype: modify\nreplace: cn\ncn:: w4Q=\n-\n\n"
    )
    (tmp_path / "9-2-50.ldif").write_text("version: 1\n\ndn: uid=a,dc=x\nchangetype: add\ncn: A\n\n")
    loaded = Replay(tmp_path)
    assert loaded.refused == []
    assert loaded.entries == {"uid=b,dc=x": {"cn": frozenset({"Ä".encode()})}}
