"""A fleet on this machine: a scheduler and some workers as processes of their own, as real as on a hundred machines.

An owned fleet (the demonstration, tests) lives no longer than the process that started it: a clean end drains it, and
a death in whatever way, SIGKILL included, takes it along. A detached fleet (`anabranch up`) goes on; its processes are
remembered by number and moment of birth, so that another program with a reused number is never signalled.

Processes may be killed, added and drained while work is going on; that is what a fleet is for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from anabranch.config.settings import ServiceSettings
from anabranch.model.errors import AnabranchError
from anabranch.runtime.server_process import ProcessIdentity, ServerProcess, last_lines, wait_until

READY_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 50.0
_PREFIX: Final = "ANABRANCH_"


class FleetError(AnabranchError):
    """A process of the fleet did not start, or does not end; the message names its log."""


class Service(StrEnum):
    """What a process of the fleet is; the name of its module."""

    SCHEDULER = "scheduler"
    IMPORT = "import_worker"
    SYNC = "sync_worker"
    EXPORT = "export_worker"

    @property
    def slug(self) -> str:
        return self.value.replace("_", "-")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet's servers are, and what else its processes are told: `settings`, named as in `ServiceSettings`."""

    database_url: str
    redis_url: str
    key_prefix: str = ""
    settings: dict[str, str] = {}

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """What a process of the fleet gets: ours, without variables no service knows, and where the servers are."""
        known = {_PREFIX + name.upper() for name in ServiceSettings.__struct_fields__}
        kept = {name: value for name, value in ours.items() if not name.startswith(_PREFIX) or name in known}
        told = {"database_url": self.database_url, "redis_url": self.redis_url, "key_prefix": self.key_prefix}
        kept |= {_PREFIX + name.upper(): value for name, value in (told | self.settings).items()}
        for single in ("HEALTH_PORT", "ALIVE_FILE"):  # several processes of one machine cannot share one
            kept.pop(_PREFIX + single, None)
        # Nothing here multiplies matrices: the threads numpy would start for that cost a tenth of a second a process.
        kept.setdefault("OPENBLAS_NUM_THREADS", "1")
        return kept | {"PYTHONPATH": _import_path(ours), "PYTHONUNBUFFERED": "1"}


def _import_path(ours: Mapping[str, str]) -> str:
    """The places our own code is imported from, so that the processes run the same."""
    import anabranch

    roots = [str(Path(place).parent) for place in anabranch.__path__]
    return os.pathsep.join([*dict.fromkeys(roots), *filter(None, [ours.get("PYTHONPATH")])])


class FleetMember(msgspec.Struct, frozen=True, kw_only=True):
    """One process: `name` is its service and a number, such as `sync-worker-2`."""

    name: str
    service: Service
    identity: ProcessIdentity
    log: str

    @property
    def pid(self) -> int:
        return self.identity.pid

    def is_running(self) -> bool:
        return self.identity.is_running()


class LocalFleet:
    """The processes of one fleet. `directory` is where they are started, `logs` where each writes a file of its own.

    With `owned=False` they outlive this process; `members` then tells another one who they are.
    """

    def __init__(
        self,
        directory: Path,
        surroundings: Surroundings,
        *,
        logs: Path | None = None,
        owned: bool = True,
        members: Iterable[FleetMember] = (),
    ) -> None:
        self.directory = directory.absolute()
        self.logs = (logs or directory / "logs").absolute()
        self._surroundings = surroundings
        self._owned = owned
        self._processes: dict[str, ServerProcess] = {}
        self._members: dict[str, FleetMember] = {member.name: member for member in members}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(drain_seconds=DRAIN_SECONDS if kind is None else 5.0)

    @property
    def members(self) -> list[FleetMember]:
        """Every process that was started and not yet stopped by us, whether it still runs or not."""
        return list(self._members.values())

    def running(self, service: Service | None = None) -> list[FleetMember]:
        return [one for one in self.members if one.is_running() and service in (None, one.service)]

    def add(self, service: Service, count: int = 1) -> list[FleetMember]:
        """`count` more processes exist; `wait_ready` says when they work."""
        return [self._start(service) for _ in range(count)]

    def command(self, service: Service) -> list[str]:
        """The command line of a process of this kind."""
        return [sys.executable, "-m", f"anabranch.{service.value}"]

    def _start(self, service: Service) -> FleetMember:
        numbers = (n for n in range(1, 10_000) if f"{service.slug}-{n}" not in self._members)
        name = f"{service.slug}-{next(numbers)}"
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        process = ServerProcess.start(
            self.command(service),
            log=log,
            account=None,
            death_signal=signal.SIGKILL,
            owned=self._owned,
            directory=self.directory,
            environment=self._surroundings.environment(os.environ),
        )
        member = FleetMember(name=name, service=service, identity=process.identity, log=str(log))
        self._members[name] = member
        self._processes[name] = process
        if not self._owned:
            process.let_go()
        return member

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Every process has told the database that it works. Raises FleetError with the end of a log otherwise."""
        asyncio.run(self.ready(seconds))

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """`wait_ready`, for a caller that does something else meanwhile."""
        from anabranch.store.overview import Overview
        from anabranch.store.pool import connect

        deadline = time.monotonic() + seconds
        connection = await connect(self._surroundings.database_url, "fleet")
        try:
            overview = Overview(connection)
            while True:
                working = {one.pid for one in await overview.workers() if one.silent_seconds < 10.0}
                missing = [member for member in self.members if member.pid not in working]
                if not missing:
                    return
                for member in missing:
                    if not member.is_running():
                        raise FleetError(f"{member.name} has ended; {_end_of_log(member)}")
                if time.monotonic() > deadline:
                    raise FleetError(f"{missing[0].name} does not become ready; {_end_of_log(missing[0])}")
                await asyncio.sleep(0.05)
        finally:
            await connection.close()

    def kill(self, name: str, number: int = signal.SIGKILL) -> FleetMember:
        """The process has got the signal; after SIGKILL it is gone, and no member any more. KeyError: no such name."""
        member = self._members[name]
        member.identity.signal(number)
        if number == signal.SIGKILL:
            self._wait_gone(member, 10.0)
            self._forget(member)
        return member

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """No process of the fleet runs inside the block; one that was frozen longer than a lease has lost its batch."""
        members = self.running()
        for member in members:
            member.identity.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for member in members:
                member.identity.signal(signal.SIGCONT)

    def remove(self, name: str, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """The process has finished what it had in hand and is gone."""
        self._stop([self._members[name]], drain_seconds)

    def stop(self, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """No process of the fleet runs any more: workers drain first, the scheduler goes last. Safe twice."""
        self._stop([one for one in self.members if one.service is not Service.SCHEDULER], drain_seconds)
        self._stop(self.members, drain_seconds)

    def _stop(self, members: list[FleetMember], drain_seconds: float) -> None:
        for member in members:
            member.identity.signal(signal.SIGTERM)
        deadline = time.monotonic() + drain_seconds
        for member in members:
            if not self._wait_gone(member, max(0.0, deadline - time.monotonic())):
                member.identity.signal(signal.SIGKILL)
                if not self._wait_gone(member, 10.0):
                    raise FleetError(f"{member.name} (process {member.pid}) does not end, not even by SIGKILL")
            self._forget(member)

    def _wait_gone(self, member: FleetMember, seconds: float) -> bool:
        return wait_until(lambda: not member.is_running(), seconds)

    def _forget(self, member: FleetMember) -> None:
        self._members.pop(member.name, None)
        process = self._processes.pop(member.name, None)
        if process is not None and self._owned:
            process.end()


def _end_of_log(member: FleetMember) -> str:
    return f"the end of its log {member.log}:\n{last_lines(Path(member.log))}"
