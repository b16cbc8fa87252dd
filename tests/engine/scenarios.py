"""One person's life in a small site, told as a script.

A script is a text of steps: a command, its input lines, `----`, what it answers, and an empty line. The first commands
declare a site (`metaverse`, `system`, `target`, `deletion`); the others let things happen to one person:

* `read SYSTEM` with lines `name: value` (sets: `a | b`): the system's record is this now; it joins and flows.
* `leave SYSTEM`: its record is gone; the deletion rule is asked, its values are recalled.
* `show`: the metaverse object with the system and run each value stands since.
* `export`: the target's pending export; `send`: it is carried out; `import` with lines: the target was read.

Every `read` and `leave` is a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from tests.builders import NOW, altered, an_attribute, an_export, an_mvo
from tests.engine.site import (
    PERSON,
    Site,
    a_configuration,
    a_context,
    a_mapping,
    a_record,
    a_rule,
    a_system,
    an_object_type,
)

from anabranch.engine.confirming import confirm, state_of
from anabranch.engine.deletion import Connector, join_cancels, rule_fires, schedule
from anabranch.engine.exporting import Wish, apply_rows, difference
from anabranch.engine.flow import recall
from anabranch.model.configuration import Attribute, DeletionPolicy, Rule, System
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import (
    AuthoritativeMode,
    DeletionRule,
    Direction,
    MultiValuePolicy,
    MvoState,
    RowOp,
    RowState,
    ValueType,
)
from anabranch.model.identity import CsoId, RunId, TypeId
from anabranch.model.objects import Cso, Document, PendingRow

RULE = "----"


def _an_attribute(line: str) -> Attribute:
    """`name: type [many] [union] [folded]`."""
    name, _, rest = line.partition(":")
    words = rest.split()
    return an_attribute(
        name,
        type=ValueType(words[0]),
        multi_valued="many" in words,
        case_sensitive="folded" not in words,
        multi_value_policy=MultiValuePolicy.UNION if "union" in words else MultiValuePolicy.WINNER_TAKES_ALL,
    )


def _a_mapping(line: str) -> MappingRecord:
    """`attribute [priority=N] [null] [initial] [= expression]`."""
    head, _, expression = line.partition(" = ")
    to, *words = head.split()
    fields: dict[str, Any] = {"null_is_value": "null" in words, "initial_only": "initial" in words}
    for word in words:
        if word.startswith("priority="):
            fields["priority"] = int(word.removeprefix("priority="))
    return a_mapping(to, expression=expression or None, **fields)


def _shown(value: Any) -> str:
    return "-" if value is None else " | ".join(map(str, value)) if isinstance(value, list) else str(value)


class Scenario:
    """The site of a script and the person it is about."""

    def __init__(self) -> None:
        self._attributes: dict[str, Attribute] = {}
        self._systems: dict[str, System] = {}
        self._rules: list[Rule] = []
        self._deletion = DeletionPolicy()
        self._made: Site | None = None
        self._run = 0
        self._mvo = an_mvo(type_id=PERSON)
        self._joined: dict[str, Cso] = {}
        self._held: Document = {}
        self._there = False
        self._rows: tuple[PendingRow, ...] = ()

    def play(self, command: str, lines: Sequence[str]) -> list[str]:
        """Carry out one step; what it answers, line by line."""
        name, *arguments = command.split()
        step: Callable[..., Iterable[str]] = getattr(self, f"_do_{name}")
        return list(step(lines, *arguments))

    # --- declarations

    def _do_metaverse(self, lines: Sequence[str]) -> Iterable[str]:
        self._attributes = {one.name: one for one in map(_an_attribute, lines)}
        yield f"{len(self._attributes)} attributes"

    def _do_system(self, lines: Sequence[str], key: str) -> Iterable[str]:
        self._systems[key] = a_system(key, an_object_type(self._attributes))
        self._rules.append(a_rule(key, *map(_a_mapping, lines)))
        yield f"feeds {', '.join(self._rules[-1].mappings)}"

    def _do_target(self, lines: Sequence[str]) -> Iterable[str]:
        self._systems["target"] = a_system("target", an_object_type(self._attributes))
        rule = a_rule("target", *map(_a_mapping, lines), direction=Direction.OUTBOUND, provision=True)
        self._rules.append(rule)
        yield f"wants {', '.join(rule.mappings)}"

    def _do_deletion(self, _lines: Sequence[str], rule: str, grace: str, *systems: str) -> Iterable[str]:
        """`deletion last|any|all DAYS [SYSTEM ..]`."""
        last = rule == "last"
        self._deletion = DeletionPolicy(
            rule=DeletionRule.WHEN_LAST_CONNECTOR_DISCONNECTED
            if last
            else DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED,
            mode=AuthoritativeMode.ALL if last else AuthoritativeMode(rule),
            systems=systems,
            grace=timedelta(days=int(grace)),
        )
        yield "ok"

    # --- what happens

    def _do_read(self, lines: Sequence[str], key: str) -> Iterable[str]:
        self._run += 1
        before = self._joined.get(key)
        record = a_record(self._type(key), **self._document(lines))
        if before is None:
            yield "joined"
            if join_cancels(self._mvo.deletion, self._connector(key, record)):
                self._mvo = altered(self._mvo, state=MvoState.ACTIVE, deletion=None, delete_after=None)
                yield "deletion cancelled"
        else:
            record = altered(record, contributions=before.contributions)
        others = [one for system, one in self._joined.items() if system != key]
        outcome = self._site.flow(record, self._mvo, others, run=self._run)
        self._joined[key] = altered(record, contributions=outcome.contributions)
        for index, kind, message in outcome.failures:
            yield f"{kind} in {self._site.inbound(record.type_id).links[index].mapping.key}: {message}"
        yield from self._become(outcome.doc, outcome.provenance, outcome.values)

    def _do_leave(self, _lines: Sequence[str], key: str) -> Iterable[str]:
        self._run += 1
        gone = self._joined.pop(key)
        leaving = self._connector(key, gone)
        remaining = [self._connector(system, one) for system, one in self._joined.items()]
        if self._mvo.state is MvoState.ACTIVE and rule_fires(self._deletion, [leaving], remaining):
            decided = schedule(self._deletion, leaving, RunId(self._run), NOW)
            state = MvoState.PENDING_DELETION
            self._mvo = altered(self._mvo, state=state, deletion=decided.snapshot, delete_after=decided.delete_after)
            yield "deletion due at once" if decided.at_once else f"deletion scheduled for {decided.delete_after:%F}"
            if decided.at_once:
                return
        doc, provenance, values = recall(
            self._site.side,
            self._mvo,
            frozenset(link.id for link in self._site.inbound(gone.type_id).links),
            list(self._joined.values()),
            RunId(self._run),
            keep=self._mvo.state is MvoState.PENDING_DELETION,
        )
        yield from self._become(doc, provenance, values)

    def _become(self, doc: Document, provenance: dict[str, list[Any]], values: Iterable[Any]) -> Iterable[str]:
        untouched = provenance == self._mvo.provenance
        self._mvo = altered(self._mvo, doc=doc, provenance=provenance)
        told = [f"{attr}: {_shown(old)} -> {_shown(new)}" for attr, old, new, _ in values]
        yield from told or (["nothing changes"] if untouched else ["provenance changes"])

    def _do_show(self, _lines: Sequence[str]) -> Iterable[str]:
        yield f"({self._mvo.state})"
        for attr, (mapping, run, *mark) in sorted(self._mvo.provenance.items()):
            system = self._site.compiled.mapping_keys[mapping].partition("-rule/")[0]
            marked = f", {mark[0]}" if mark else ""
            yield f"{attr} = {_shown(self._mvo.doc.get(attr))} ({system}, run {run}{marked})"

    # --- the target

    def _do_export(self, _lines: Sequence[str]) -> Iterable[str]:
        target, offers, failures = self._site.target, [None] * len(self._site.target.links), []  # type: ignore[var-annotated]
        target.values(self._held, self._mvo.doc, a_context(), frozenset({0}), offers, failures)
        wishes = [
            Wish(link.target, value if isinstance(value, str | int | list) else None, link.mapping.on_null,
                 link.mapping.initial_only)
            for link, value in zip(target.links, offers, strict=True)
        ]  # fmt: skip
        self._rows = difference(wishes, self._held, (), self._rows, creating=not self._there)
        yield from self._pending()

    def _do_send(self, _lines: Sequence[str]) -> Iterable[str]:
        self._there = True
        self._held = apply_rows(self._held, self._rows, self._attributes)
        self._rows = tuple(
            altered(row, state=RowState.SENT) if row.state is not RowState.FAILED else row for row in self._rows
        )
        yield from self._pending()

    def _do_import(self, lines: Sequence[str]) -> Iterable[str]:
        self._held = self._document(lines)
        if self._rows:
            export = an_export(rows=self._rows, state=state_of(self._rows))
            left = confirm(export, self._held, (), self._attributes).left
            self._rows = left.rows if left is not None else ()
        yield from self._pending()

    def _pending(self) -> Iterable[str]:
        for row in self._rows:
            value = "" if row.op is RowOp.CLEAR else f" {row.value}"
            count = f" ({row.refuted})" if row.refuted else ""
            yield f"{row.attr}: {row.op}{value}, {row.state}{count}"
        if not self._rows:
            yield "nothing pending"

    # --- parts

    @property
    def _site(self) -> Site:
        if self._made is None:
            self._made = Site(
                a_configuration(self._attributes, self._systems.values(), self._rules, deletion=self._deletion)
            )
        return self._made

    def _type(self, key: str) -> TypeId:
        return TypeId(list(self._systems).index(key) + 1)

    def _connector(self, key: str, record: Cso) -> Connector:
        return Connector(CsoId(record.id), key, counts=key != "target")

    def _document(self, lines: Sequence[str]) -> Document:
        doc: Document = {}
        for line in lines:
            name, _, text = line.partition(": ")
            many = self._attributes[name].multi_valued
            doc[name] = sorted(one.strip() for one in text.split("|")) if many else text
        return doc


def replay(script: str) -> str:
    """The script with what each of its steps answers now; comment lines begin with `#` and stay."""
    scenario, written = Scenario(), []
    for paragraph in script.strip("\n").split("\n\n"):
        lines = paragraph.split("\n")
        comments = [line for line in lines if line.startswith("#")]
        steps = [line for line in lines if not line.startswith("#")]
        if not steps:
            written.append(paragraph)
            continue
        command, *given = steps[: steps.index(RULE)] if RULE in steps else steps
        answer = scenario.play(command, given)
        written.append("\n".join([*comments, command, *given, RULE, *answer]))
    return "\n\n".join(written) + "\n"
