"""What must hold after every round, whatever was done to the fleet; one function an invariant, by its number.

Each looks at evidence alone and says in a sentence what it found, so that a violation names the batch, the object or
the step to look at. A judge that finds nothing in sound evidence and something in evidence that was tampered with is
tested by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from tests.chaos.evidence import Entry, Evidence
from tests.chaos.site import CANCELLED

from anabranch.model.enums import RunState
from anabranch.protocol.batches import FAILURES
from anabranch.store.pool import COMMITTING

_OBJECTS: Final = frozenset({"cso", "mvo"})
_ENDED: Final = frozenset({"done", "dead", "skipped", "cancelled"})
ACTIVE: Final = frozenset(state.value for state in RunState if state.is_active)


class Violation(msgspec.Struct, frozen=True):
    invariant: int
    words: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.words}"


def no_object_lost(evidence: Evidence) -> Iterator[str]:
    for population, names in evidence.expected.items():
        there = evidence.found.get(population, [])
        if sorted(names) != sorted(there):
            missing, surplus = sorted(set(names) - set(there)), sorted(set(there) - set(names))
            counts = f"{len(names)} expected, {len(there)} there"
            yield f"{population}: {counts}; missing {missing[:5]}, too many {surplus[:5]}"


def effects_applied_once(evidence: Evidence) -> Iterator[str]:
    """Objects are written by transactions that move exactly one batch, held by its holder; no step of it twice."""
    movers: dict[int, list[Entry]] = defaultdict(list)
    for entry in _batches(evidence):
        if entry.was is not None and _moves(entry):
            movers[entry.tx].append(entry)
    writers = {entry.tx: entry for entry in evidence.log if entry.what in _OBJECTS}
    for tx, entry in writers.items():
        held = [one for one in movers[tx] if one.was is not None and one.was["state"] == "leased"]
        if len(held) != 1:
            yield f"{entry.what} {entry.id} was written by transaction {tx}, which ends no held batch or several"
    pages = Counter(
        (one.id, msgspec.json.encode(one.now["cursor"]))
        for moved in movers.values()
        for one in moved
        if one.now["state"] == "leased"
    )
    for (batch, cursor), n in pages.items():
        # What an export takes is stated, not added: taking it again after a loss is the rule, not an accident.
        if n > 1 and cursor != b'{"taken":true}':
            yield f"batch {batch} has committed its step {cursor.decode()} {n} times"


def _moves(entry: Entry) -> bool:
    """The batch ended, or a step of it was committed."""
    assert entry.was is not None
    went_on: bool = entry.now["state"] == entry.was["state"] == "leased" and entry.now["epoch"] == entry.was["epoch"]
    return bool(entry.now["state"] == "done" or (went_on and entry.now["failures"] <= entry.was["failures"]))


def committed_once(evidence: Evidence) -> Iterator[str]:
    for entry in _batches(evidence):
        if entry.was is not None and _moves(entry) and entry.by != f"{COMMITTING}{entry.now['owner']}":
            yield f"batch {entry.id} was held by {entry.now['owner']} when {entry.by} ended it or a step of it"
    ends = Counter(entry.id for entry in _batches(evidence) if entry.now["state"] == "done")
    attempts = Counter(one.batch for one in evidence.attempts if one.outcome == "done")
    for batch in evidence.batches:
        wanted = int(batch.state == "done")
        if ends[batch.id] != wanted or attempts[batch.id] != wanted:
            yield (
                f"batch {batch.id} is {batch.state}: it was committed {ends[batch.id]} times, "
                f"by {attempts[batch.id]} of its attempts"
            )


def order_kept(evidence: Evidence) -> Iterator[str]:
    """Per object, the numbers of its changes only grow, and a target gets its versions in order."""
    last: dict[tuple[str, int], int] = {}
    for entry in evidence.log:
        if entry.what in _OBJECTS:
            number = int(entry.now["seq"])
            if number < last.get((entry.what, entry.id), 0):
                yield f"{entry.what} {entry.id} went back from change {last[entry.what, entry.id]} to {number}"
            last[entry.what, entry.id] = number
    versions: dict[str, int] = {}
    for call in evidence.calls:
        for write in call.writes:
            thing, _, version = write.key.rpartition(":")
            if int(version) < versions.get(f"{call.run}/{thing}", 0):
                yield f"{write.object} got version {version} after {versions[f'{call.run}/{thing}']}"
            versions[f"{call.run}/{thing}"] = max(int(version), versions.get(f"{call.run}/{thing}", 0))


def no_duplicate_effect(evidence: Evidence) -> Iterator[str]:
    """A repeated call repeats itself, in the same batch or in the parts it was split into; what a strict directory
    refuses is none."""
    split = {batch.id: batch.producer for batch in evidence.batches}
    parents = {batch.id for batch in evidence.batches if batch.state == "skipped"}
    places: dict[str, set[int]] = defaultdict(set)
    contents: dict[str, set[str]] = defaultdict(set)
    for call in evidence.calls:
        for write in call.writes:
            whole = call.batch
            while split.get(whole) in parents:
                whole = split[whole]
            places[f"{call.run}/{write.key}"].add(whole)
            contents[f"{call.run}/{write.key}"].add(write.digest)
    for key, several in places.items():
        if len(several) > 1:
            yield f"the change {key} was sent by batches {sorted(several)}"
    for key, several_contents in contents.items():
        if len(several_contents) > 1:
            yield f"the change {key} was sent with different contents"
    replaced: dict[tuple[str, int], set[str]] = defaultdict(set)
    for call in evidence.calls:
        if call.verb == "replace":
            replaced[call.system, call.batch].add(call.digest)
    for (system, batch), digests in replaced.items():
        if len(digests) > 1:
            yield f"batch {batch} wrote {system} twice, with different bytes"
    for words in evidence.refused:
        yield f"a directory would not take the ledger's journal {words}"


def barriers_fired_once(evidence: Evidence) -> Iterator[str]:
    closings: dict[tuple[int, int], list[int]] = defaultdict(list)
    for entry in evidence.log:
        if entry.what == "step" and entry.now["state"] in {"closed", "closed_errors"}:
            closings[entry.id, entry.sub].append(entry.n)
    batches: dict[tuple[int, int], list[int]] = defaultdict(list)
    for batch in evidence.batches:
        batches[batch.run, batch.ordinal].append(batch.id)
    for step in evidence.steps:
        where = f"step {step.ordinal}.{step.name} of run {step.run}"
        fired = closings[step.run, step.ordinal]
        if step.state in {"closed", "closed_errors"} and (step.fired != 1 or len(fired) != 1):
            yield f"{where} is {step.state} and has fired {step.fired} times, closing {len(fired)} times"
        if fired and step.expected != len(batches[step.run, step.ordinal]):
            yield f"{where} closed with {step.expected} batches and has {len(batches[step.run, step.ordinal])}"
    place = {batch.id: (batch.run, batch.ordinal) for batch in evidence.batches}
    late = {
        entry.id
        for entry in _batches(evidence)
        if (ends := closings.get(place.get(entry.id, (0, 0)))) and entry.n > ends[0]
    }
    for batch_id in sorted(late):
        yield f"batch {batch_id} went on after its step (run, ordinal) {place[batch_id]} had closed"


def no_export_before_its_sync(evidence: Evidence) -> Iterator[str]:
    """A group begins when every run of the one before has ended, and a target is called only after that."""
    ended = {entry.id: entry for entry in evidence.log if entry.what == "run" and entry.now["state"] not in ACTIVE}
    begun: dict[int, Entry] = {}
    runs = {run.id: run for run in evidence.runs}
    of_batch = {batch.id: batch.run for batch in evidence.batches}
    for entry in _batches(evidence):
        if entry.id in of_batch:
            begun.setdefault(of_batch[entry.id], entry)
    called: dict[int, float] = {}
    for call in evidence.calls:
        run_id = call.run or of_batch.get(call.batch, 0)
        called[run_id] = min(call.at, called.get(run_id, call.at))
    for run in runs.values():
        for earlier in runs.values():
            if earlier.execution == run.execution and earlier.grp < run.grp and run.id in begun:
                end = ended.get(earlier.id)
                if end is None or begun[run.id].n < end.n:
                    yield f"run {run.id} ({run.profile}) began before run {earlier.id} ({earlier.profile}) had ended"
                elif run.id in called and called[run.id] < end.at:
                    yield f"run {run.id} ({run.profile}) called its target before {earlier.profile} had ended"


def ends_by_deadline(evidence: Evidence) -> Iterator[str]:
    """Every run ends in time, and well, except where an operator ended its execution."""
    ended_by_hand = {run.execution for run in evidence.runs if run.message and CANCELLED in run.message}
    for run in evidence.runs:
        if run.deadline is None and run.state == RunState.CANCELLED and run.execution in ended_by_hand:
            continue  # it never began
        if run.ended is None or run.deadline is None or run.ended > run.deadline:
            yield f"run {run.id} ({run.profile}) is {run.state} and did not end by its deadline"
        elif run.state == RunState.CANCELLED and run.execution in ended_by_hand:
            continue
        elif run.state != RunState.COMPLETED:
            yield f"run {run.id} ({run.profile}) ended as {run.state}: {run.message}"
    for who, code in evidence.exit_codes.items():
        if code != 0:
            yield f"whoever was asked to stop ended with {code}, not 0: {who}"
    for who, code in evidence.deserters.items():
        yield f"{who} ended by itself, with {code}"


def one_run_a_system(evidence: Evidence) -> Iterator[str]:
    system = {run.id: run.system for run in evidence.runs}
    active: dict[int, set[int]] = defaultdict(set)
    for entry in evidence.log:
        if entry.what == "run" and (key := system.get(entry.id)) is not None:
            (active[key].add if entry.now["state"] in ACTIVE else active[key].discard)(entry.id)
            if len(active[key]) > 1:
                yield f"runs {sorted(active[key])} of system {key} were active at once"


def quiescence(evidence: Evidence) -> Iterator[str]:
    for lane, length in evidence.bus.lengths.items():
        if length or evidence.bus.pending[lane]:
            yield f"{lane} still has {length} entries, {evidence.bus.pending[lane]} of them pending"
    for key in evidence.bus.strays:
        yield f"the key {key} would stay in Redis for ever"
    for batch in evidence.batches:
        if batch.state not in _ENDED:
            yield f"batch {batch.id} is still {batch.state}"
    if evidence.exporting:
        yield f"{evidence.exporting} exports are still marked as being sent"


def epochs_grow(evidence: Evidence) -> Iterator[str]:
    for entry in _batches(evidence):
        before = 0 if entry.was is None else int(entry.was["epoch"])
        claimed = entry.was is not None and entry.now["claim"] is not None and entry.now["claim"] != entry.was["claim"]
        if int(entry.now["epoch"]) < before or (claimed and int(entry.now["epoch"]) != before + 1):
            yield f"batch {entry.id} went from epoch {before} to {entry.now['epoch']}"
        if max(int(entry.now["failures"]), int(entry.now["losses"])) > FAILURES:
            yield f"batch {entry.id} has {entry.now['failures']} failures and {entry.now['losses']} losses"
    last = Counter(one.batch for one in evidence.attempts)
    for batch in evidence.batches:
        if batch.state == "done" and last[batch.id] != batch.epoch:
            yield f"batch {batch.id} is in epoch {batch.epoch} and has {last[batch.id]} attempts"


def dead_letters(evidence: Evidence) -> Iterator[str]:
    dead = sorted(batch.id for batch in evidence.batches if batch.state == "dead")
    if dead != evidence.bus.dead:
        yield f"batches {dead} are dead, the streams show {evidence.bus.dead}"


def traces_whole(evidence: Evidence) -> Iterator[str]:
    for one in evidence.attempts:
        if one.outcome == "done" and evidence.spans.get(one.span) != one.trace:
            told = evidence.spans.get(one.span)
            yield f"the span of batch {one.batch} was told " + (f"in another trace, {told}" if told else "to nobody")


def same_state(evidence: Evidence) -> Iterator[str]:
    if evidence.peace is None:
        return
    for section, digest in evidence.peace.sections.items():
        if evidence.outcome.sections.get(section) != digest:
            yield f"the state differs from that of an undisturbed worker in: {section}"
    for name in sorted(evidence.peace.files.keys() | evidence.outcome.files.keys()):
        if evidence.peace.files.get(name) != evidence.outcome.files.get(name):
            yield f"the target file {name} differs from that of an undisturbed worker"


JUDGES: Final[dict[int, Callable[[Evidence], Iterator[str]]]] = {
    1: no_object_lost,
    2: effects_applied_once,
    3: committed_once,
    4: order_kept,
    5: no_duplicate_effect,
    6: barriers_fired_once,
    7: no_export_before_its_sync,
    8: ends_by_deadline,
    9: one_run_a_system,
    10: quiescence,
    11: epochs_grow,
    12: dead_letters,
    13: traces_whole,
    15: same_state,
}
"""By the number of the invariant; 14, that a fleet without a safeguard is found out, is proved by `test_teeth`."""


def judge(evidence: Evidence) -> list[Violation]:
    """Every violation, by invariant; none when all hold."""
    return [Violation(number, words) for number, look in JUDGES.items() for words in look(evidence)]


def repeated_calls(evidence: Evidence) -> int:
    """Calls that told a target once more what it had been told."""
    told = Counter((call.system, call.batch) for call in evidence.calls)
    return sum(n - 1 for n in told.values())


def _batches(evidence: Evidence) -> Iterator[Entry]:
    return (entry for entry in evidence.log if entry.what == "batch")
