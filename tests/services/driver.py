"""Whole executions in one process: the keeper's verbs and the workers' handlers, called in turn until all is quiet.

No process, no bus and no waiting: what a scheduler and three workers would do is done here, one batch after the other,
so a test tells a story of files and ends with facts about what stands in the metaverse, in the connector spaces and in
the target. A fault of a handler is the test's failure; only what a worker itself turns into the end of a run does so
here.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.services.organisation import Plan, an_organisation
from tests.services.views import Error, View

from anabranch.bus.lookup_cache import LookupCache, NullCache
from anabranch.config.load import load_directory
from anabranch.config.stamps import rule_stamps
from anabranch.connectors.port import IncompleteRead
from anabranch.engine.compilation import compile_revision, zone_names
from anabranch.engine.compiled import Compiled
from anabranch.export_worker.handler import HANDLERS as EXPORT
from anabranch.import_worker.handler import HANDLERS as IMPORT
from anabranch.model.changes import Item
from anabranch.model.enums import ChangeClass, FailedReason, WorkerKind
from anabranch.model.errors import Permanent, Retryable
from anabranch.model.fleet import Claimed
from anabranch.model.identity import ClaimId, RunId, WorkerId
from anabranch.model.objects import Cso, Mvo, PendingExport
from anabranch.runtime.holding import Hold
from anabranch.runtime.work import Task
from anabranch.store.port import Store
from anabranch.sync_worker.handler import HANDLERS as SYNC

HANDLERS = {WorkerKind.IMPORT: IMPORT, WorkerKind.SYNC: SYNC, WorkerKind.EXPORT: EXPORT}
LEASE = 600.0
_TURNS = 2_000


@dataclass(frozen=True)
class Ran:
    """What became of one run of an execution."""

    run: RunId
    profile: str
    state: str
    message: str
    totals: dict[str, int]
    errors: list[Error]
    items: list[Item]

    def changed(self, change: str) -> list[str]:
        """The keys of the objects with that item, in order."""
        return sorted(item.key for item in self.items if item.change == change)

    def kinds(self) -> list[tuple[str, str]]:
        """(kind, key) of its errors and warnings, in order."""
        return sorted((one.kind, one.key) for one in self.errors)


class _Telling(Hold):
    """A hold that tells its world of every step of its handler."""

    def __init__(self, claimed: Claimed, world: World) -> None:
        super().__init__(claimed, float("inf"))
        self._world = world

    def progress(self) -> None:
        super().progress()
        if self._world.on_progress is not None:
            self._world.on_progress(self.claimed)


class World:
    """An organisation with its files below `place`, its configuration `plan`, its keeper and its clock."""

    def __init__(self, place: Path, store: Store, view: View, advance: Callable[[timedelta], Awaitable[None]]) -> None:
        self.place = place
        self.store = store
        self.view = view
        self.plan: Plan = an_organisation(place)
        self.on_progress: Callable[[Claimed], None] | None = None
        self.on_claim: Callable[[Claimed], None] | None = None
        self.put_off: list[str] = []
        self.cache: LookupCache = NullCache()
        self._advance = advance
        self._compiled: dict[int, Compiled] = {}
        self._claims = count(1)
        self.write("hr/people.csv", "id,name,dept,phone,manager")
        self.write("hr/teams.csv", "id,name,members")

    # --- what people do

    def write(self, name: str, *lines: str) -> None:
        """The file holds these lines."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def people(self, *rows: str) -> None:
        """HR's people: id, name, dept, phone, manager; what is left out at the end of a row is empty."""
        self.write("hr/people.csv", "id,name,dept,phone,manager", *(_padded(row, 5) for row in rows))

    def teams(self, *rows: str) -> None:
        """HR's teams: id, name, members parted by semicolons."""
        self.write("hr/teams.csv", "id,name,members", *rows)

    def contacts(self, *rows: str) -> None:
        """The second source's records: key, number of the person, phone."""
        self.write("crm/contacts.csv", "key,number,phone", *rows)

    def changing(self, times: int, change: Callable[[], None]) -> None:
        """So many times `change` happens after a page of an import was committed, while the next is read already."""
        left = iter(range(times))

        def on_progress(claimed: Claimed) -> None:
            if (claimed.step, claimed.role) == ("import", "work") and next(left, None) is not None:
                change()

        self.on_progress = on_progress

    async def pass_time(self, **much: float) -> None:
        """The keeper's clock is so much later."""
        await self._advance(timedelta(**much))

    async def apply(self) -> int:
        """The plan is the newest revision; its number."""
        directory = self.place / "config"
        directory.mkdir(exist_ok=True)
        (directory / "plan.yaml").write_text(json.dumps(self.plan, indent=1), encoding="utf-8")
        configuration = load_directory(directory)
        return await self.store.apply_configuration(
            configuration,
            rule_stamps(configuration),
            change_class=ChangeClass.SYNC_AFFECTING,
            difference=[],
            author="tester",
        )

    # --- what the fleet does

    async def run(self, name: str = "cycle", now: datetime | None = None) -> dict[str, Ran]:
        """The execution has ended, or nothing more can happen until somebody decides; its runs by profile."""
        execution = await self.store.start_execution(name, "tester", now)
        await self.settle()
        return {one.profile: await self._ran(one) for one in await self.view.runs(execution)}

    async def one(self, name: str) -> Ran:
        """An execution of a single profile."""
        (ran,) = (await self.run(name)).values()
        return ran

    async def settle(self) -> None:
        """Everything that can happen without waiting has happened."""
        for _ in range(_TURNS):
            swept = await self.store.sweep(LEASE)
            moved = bool(swept.runs_started or swept.runs_ended or swept.executions_ended)
            for run, ordinal in swept.steps_due:
                closed, _ = await self.store.close_phase(run, ordinal, [], None)
                moved = moved or closed.closed or closed.next_step is not None
            for kind in HANDLERS:
                while await self._work(kind):
                    moved = True
            if not moved:
                return
        raise AssertionError(f"not quiet after {_TURNS} turns")

    async def told(self, run: RunId) -> Ran:
        """A run as it stands now."""
        return await self._ran(await self.view.run(run))

    async def _ran(self, line: Any) -> Ran:
        return Ran(
            run=line.id,
            profile=line.profile,
            state=line.state,
            message=line.message or "",
            totals=dict(line.totals or {}),
            errors=await self.view.errors(line.id),
            items=await self.view.items(line.id),
        )

    async def _work(self, kind: WorkerKind) -> bool:
        number = next(self._claims)
        claimed = await self.store.claim(
            kind, WorkerId("tester"), ClaimId(f"{number:016x}"), f"{number:016x}", LEASE, None
        )
        if claimed is None:
            return False
        if self.on_claim is not None:
            self.on_claim(claimed)
        compiled = await self.compiled(claimed.config_version)
        task = Task(claimed, compiled, self.store, _Telling(claimed, self), self.cache)
        try:
            await HANDLERS[kind].of(claimed)(task)
        except IncompleteRead as fault:
            await self._fail(claimed, FailedReason.INCOMPLETE_READ, fault)
        except Permanent as fault:
            await self._fail(claimed, FailedReason.CONNECTION, fault)
        except Retryable as fault:
            self.put_off.append(str(fault))
            await self.store.fail(claimed, str(fault), fault.delay or 60.0, counts=True)
        return True

    async def _fail(self, claimed: Claimed, reason: FailedReason, fault: Exception) -> None:
        await self.store.fail_run(claimed, reason, str(fault))

    async def compiled(self, version: int) -> Compiled:
        """The revision, ready to be executed."""
        if version not in self._compiled:
            revision = await self.store.revision(version)
            zones = {name: ZoneInfo(name) for name in zone_names(revision.configuration)}
            self._compiled[version] = compile_revision(revision, zones)
        return self._compiled[version]

    # --- what stands

    async def mvos(self) -> dict[str, Mvo]:
        """Metaverse objects by the anchor of the object that projected them."""
        return {mvo.origin_key.rpartition("/")[2]: mvo for mvo in await self.view.mvos()}

    async def mvo(self, anchor: str) -> Mvo:
        """The metaverse object that this anchor projected."""
        return (await self.mvos())[anchor]

    async def csos(self, object_type: str) -> dict[str, Cso]:
        """Connector space objects of a type by anchor."""
        registry = (await self.store.revision()).registry
        (type_id,) = (number for (_, key), number in registry.object_types.items() if key == object_type)
        return {cso.anchor or f"#{cso.id}": cso for cso in await self.view.csos() if cso.type_id == type_id}

    async def exports(self) -> list[PendingExport]:
        """Every pending export."""
        return await self.view.exports()

    async def refers(self, attr: str) -> dict[str, list[str]]:
        """Who refers to whom in the metaverse by one attribute, by anchors."""
        names = {mvo.id: anchor for anchor, mvo in (await self.mvos()).items()}
        found: dict[str, list[str]] = {}
        for ref in await self.view.mvo_refs():
            if ref.attr == attr:
                found.setdefault(names[ref.mvo_id], []).append(names[ref.target_mvo_id])
        return {name: sorted(some) for name, some in sorted(found.items())}

    def target(self) -> dict[str, dict[str, list[str]]]:
        """The directory's entries by their first name component's value."""
        return read_ldif(self.place / "directory.ldif")


def read_ldif(path: Path) -> dict[str, dict[str, list[str]]]:
    """Plain LDIF content, without folding or base64, as the tests' short values make it; by the value of the RDN."""
    entries: dict[str, dict[str, list[str]]] = {}
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        entry: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition(": ")
            entry.setdefault(name, []).append(value)
        if "dn" in entry:
            entries[entry["dn"][0].partition("=")[2].partition(",")[0]] = entry
    return entries


def _padded(row: str, columns: int) -> str:
    return row + "," * (columns - 1 - row.count(","))
