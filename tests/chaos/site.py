"""A site whose processes are disturbed, and the same site left in peace.

Both hold the same organisation, go through the same cycles at the same pinned moments and have the same configuration;
they differ in who works there, in batch sizes, and in what is done to them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from msgspec.structs import replace
from tests.chaos.arena import Arena
from tests.chaos.guests import guests, write_guests
from tests.chaos.replay import Replay
from tests.chaos.teeth import Tooth
from tests.fleet.sites import Outcome

from anabranch.config.differences import plan
from anabranch.config.load import load_directory
from anabranch.config.stamps import rule_stamps
from anabranch.connectors.registry import check_options, known_connectors
from anabranch.console.demo.generator import Organisation, found, next_week, write
from anabranch.console.local_fleet import FleetMember, LocalFleet, Service, Surroundings
from anabranch.model.configuration import Configuration, Criterion, GuardLimit, Source
from anabranch.model.enums import ChangeClass, GuardPoint, TextCleanup
from anabranch.model.identity import RunId, WorkerId
from anabranch.store.faults import StoreUnavailable, is_absence
from anabranch.store.migrate import migrate
from anabranch.store.pool import prepare_connection
from anabranch.store.postgres import PostgresStore
from anabranch.store.state_hash import state_hash

LEASE: Final = 1.0
SETTINGS: Final = {
    "lease_seconds": str(LEASE),
    "sweep_seconds": "0.2",
    "idle_poll_seconds": "0.5",
    "republish_seconds": "2",
    "leader_lease_seconds": "2",
    "drain_seconds": "15",
}
LANES: Final = tuple(
    f"lane-{one}"
    for one in ("hr", "training", "guests", "visits", "devices", "directory", "phonebook", "ledger", "badges")
)
CANCELLED: Final = "part of a round"
_HERE: Final = Path(__file__).resolve().parent
T = TypeVar("T")


class Size(NamedTuple):
    """How large a round is: people, how many weeks follow the first cycle, how work is cut, which execution is a cycle;
    and how many seconds a cycle may take, and the stillness after the last one, before they count as never."""

    people: int = 240
    weeks: int = 1
    batch_size: int = 7
    page_size: int = 40
    seed: int = 11
    peers: int = 1
    """Processes of each kind of worker, so that a frozen one has somebody who takes over."""
    cycle: str = "disturbed"
    patience: float = 240.0
    stillness: float = 30.0
    overlap: bool = False
    """Whether different systems go their ways at the same time before each cycle."""
    laps: int = 2
    """How often each goes its way then."""

    def organisation(self, week: int) -> Organisation:
        made = found(self.people, self.seed)
        for number in range(1, week + 1):
            made, _ = next_week(made, self.seed, number, new_phones=0.08)
        return made

    def lanes_of(self, week: int) -> tuple[str, ...]:
        """The executions that overlap in that week. What confirms a target reads the file that a week before left."""
        return (*LANES, *(("lane-confirm",) if week else ())) if self.overlap else ()

    def supply(self, week: int, directory: Path) -> None:
        """The sources hold what there is in that week."""
        write(self.organisation(week), directory)
        write_guests(guests(self.people, week), directory)


def configuration(arena: Arena, batch_size: int, page_size: int) -> Configuration:
    """The example's configuration, the ledger and the badges, and guards with room for a small organisation's changes.

    Personnel numbers are trimmed on their way, so that what HR has is proposed before it is settled; the records of
    trainings are settled as they come.
    """
    folder = arena.directory / "config"
    if not folder.exists():
        shutil.copytree(arena.project_root / "examples" / "organisation" / "config", folder)
        for added in ("ledger.yaml", "badges.yaml"):
            shutil.copy(_HERE / added, folder)
    declared = load_directory(folder, connectors=known_connectors(), check_options=check_options)
    profiles = {
        key: replace(profile, batch_size=batch_size, page_size=page_size)
        for key, profile in declared.run_profiles.items()
    }
    roomy = {point: GuardLimit(max_percent=90) for point in (GuardPoint.EXPORT_WRITES, GuardPoint.OUTBOUND_RELEASES)}
    systems = {key: replace(one, guards={**one.guards, **roomy}) for key, one in declared.systems.items()}
    people = declared.rules["hr-person-in"]
    trimmed = replace(people.mappings["id"], text_cleanup=(TextCleanup.TRIM,))
    rules = {**declared.rules, people.key: replace(people, mappings={**people.mappings, "id": trimmed})}
    return replace(declared, run_profiles=profiles, systems=systems, rules=rules)


def variants(declared: Configuration) -> list[Configuration]:
    """The configuration itself, and ones that somebody tries and takes back: values are made otherwise, a target gets
    fewer people, a source gives less."""
    person, entry, visit = (declared.rules[key] for key in ("hr-person-in", "person-phonebook-out", "visit-in"))
    name = replace(person.mappings["name"], source=Source(expression='upper(cs["last"])'))
    trained = Criterion(attribute="trainingLevel", operator="present")
    tried = (
        replace(person, mappings={**person.mappings, "name": name}),
        replace(entry, scope=trained),
        replace(visit, mappings={"passport": visit.mappings["passport"]}),
    )
    return [declared, *(replace(declared, rules={**declared.rules, one.key: one}) for one in tried)]


class DisturbedFleet(LocalFleet):
    """A fleet whose processes are started through the launcher."""

    points: Path
    tooth: Tooth | None = None

    def command(self, service: Service) -> list[str]:
        tooth = [self.tooth.value] if self.tooth else []
        return [sys.executable, str(_HERE / "launcher.py"), service.value, str(self.points), *tooth]


def _is_away(fault: Exception) -> bool:
    return is_absence(fault) or isinstance(fault, OSError | StoreUnavailable)


async def patiently(work: Callable[[], Awaitable[T]], seconds: float = 60.0) -> T:
    """What the work gives, begun again while PostgreSQL is away."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await work()
            except Exception as fault:
                if not _is_away(fault):
                    raise
                await asyncio.sleep(0.05)


async def administer(arena: Arena, statement: str) -> None:
    """The statement is carried out on PostgreSQL's own first database."""

    async def carry_out() -> None:
        administrator = await asyncpg.connect(arena.server_url)
        try:
            await administrator.execute(statement)
        finally:
            await administrator.close()

    await patiently(carry_out)


class Database:
    """A database that is asked again when its server was away."""

    def __init__(self, url: str, patience: float = 60.0) -> None:
        self.url = url
        self._patience = patience
        self._connection: asyncpg.Connection[Any] | None = None
        self._lock = asyncio.Lock()

    async def ask(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a statement, however long its server takes to come back."""
        async with asyncio.timeout(self._patience), self._lock:
            while True:
                try:
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await asyncpg.connect(self.url, timeout=5)
                        await prepare_connection(self._connection)
                    return await self._connection.fetch(statement, *arguments)
                except Exception as fault:
                    if not _is_away(fault):
                        raise
                    await asyncio.sleep(0.05)

    async def until(self, fact: Callable[[], Awaitable[T | None]], seconds: float) -> T | None:
        """What `fact` gives once it gives something; None when it never does."""
        try:
            async with asyncio.timeout(seconds):
                while (found_fact := await fact()) is None:  # noqa: ASYNC110 - the fact is made by other processes
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return None
        return found_fact

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close()


class Site:
    """One place: a migrated database of its own, sources, targets, and a fleet that is not yet staffed."""

    def __init__(self, arena: Arena, name: str, fleet: type[LocalFleet]) -> None:
        self.arena = arena
        self.directory = arena.directory / name
        self.database = Database(urlunsplit(urlsplit(arena.server_url)._replace(path=f"/{name}")))
        self.prefix = f"{name}:"
        surroundings = Surroundings(
            database_url=self.database.url, redis_url=arena.redis.url, key_prefix=self.prefix, settings=SETTINGS
        )
        self.fleet = fleet(self.directory, surroundings, logs=self.directory / "logs")
        self.variants: list[Configuration] = []
        self.variant: int | None = None
        """Which of them is the newest revision."""

    @classmethod
    async def made(cls, arena: Arena, name: str, size: Size, fleet: type[LocalFleet] = LocalFleet) -> Site:
        """The site exists, configured, with nothing done yet."""
        await administer(arena, f'CREATE DATABASE "{name}"')
        site = cls(arena, name, fleet)
        (site.directory / "out").mkdir(parents=True)
        await migrate(site.database.url)
        site.variants = variants(configuration(arena, size.batch_size, size.page_size))
        await site.revise(0)
        return site

    async def revise(self, variant: int) -> None:
        """That variant is the newest revision of the configuration; 0 is the one that counts in the end."""
        before = None if self.variant is None else self.variants[self.variant]
        declared = self.variants[variant]
        await self._asked(
            lambda store: store.apply_configuration(
                declared,
                rule_stamps(declared),
                change_class=plan(before, declared).change_class or ChangeClass.COSMETIC,
                difference=[],
                author="tester",
            )
        )
        self.variant = variant

    async def remove(self) -> None:
        """Processes and database are gone; files stay with the arena."""
        await asyncio.to_thread(self.fleet.stop, drain_seconds=0.0)
        await self.database.close()
        await administer(self.arena, f'DROP DATABASE IF EXISTS "{self.prefix[:-1]}" WITH (FORCE)')

    async def start(self, name: str, moment: datetime) -> int:
        """The execution is queued for the moment; its number."""
        # Asked twice, a queued execution is the same one.
        return await self._asked(lambda store: store.start_execution(name, "tester", moment))

    async def cancel(self, batch: int) -> None:
        """An operator cancels the run that the batch belongs to."""
        rows = await self.database.ask("SELECT run_id FROM batch WHERE id = $1", batch)
        await self._asked(lambda store: store.cancel_run(RunId(rows[0]["run_id"]), "tester", CANCELLED))

    async def _asked(self, ask: Callable[[PostgresStore], Awaitable[T]]) -> T:
        async def once() -> T:
            store = await PostgresStore.open(self.database.url, WorkerId("tester"), connections=1)
            try:
                return await ask(store)
            finally:
                await store.close()

        return await patiently(once)

    async def outcome(self) -> Outcome:
        """State hash with sections, target files by name, and the ledger as a directory holds it."""
        connection = await asyncpg.connect(self.database.url)
        try:
            await prepare_connection(connection)
            hashed = await state_hash(connection)
        finally:
            await connection.close()
        files = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((self.directory / "out").iterdir())
            if file.is_file()
        }
        ledger = Replay(self.directory / "out" / "ledger").digest()
        return Outcome(hashed.overall, hashed.sections, files | {"ledger": ledger})


def exit_code(member: FleetMember) -> int | None:
    """What a child ended with, minus the signal where one ended it; None while it runs, or when it was reaped."""
    try:
        ended = os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
