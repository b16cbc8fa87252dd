"""The faults of a round, carried out one by one as their facts come true.

A process that stands still at its point has said so in a file. What the fault wants is then done to it, to a server, or
to the fleet, and the process goes on, where it still can. Whoever was killed or has gone is replaced at once, as any
supervisor of processes would do.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from tests.chaos.points import Hit, hits
from tests.chaos.schedule import Deed, Fault
from tests.chaos.site import LEASE, Site, exit_code

from anabranch.bus.streams import GROUP, Keys
from anabranch.console.local_fleet import FleetMember, Service
from anabranch.model.enums import WorkerKind

_LONGEST_FREEZE: Final = 20.0
_STOP_SECONDS: Final = 10.0
"""Within which a process that came to a point has stopped, unless something else let it go."""
_LONGEST_OUTAGE: Final = 10.0
_SHORT_OUTAGE: Final = 1.0
"""How long Redis is away for whoever waits to do something to it, and stands in the way of all work meanwhile."""
_TERM_SECONDS: Final = 30.0


class Blow(msgspec.Struct):
    """A fault that fell: when, and on which batch. `exit_code` is that of a process that was asked to stop."""

    fault: Fault
    at: float
    batch: int
    claim: str
    exit_code: int | None = None
    recovered: float | None = None
    """Seconds until the struck batch was done, or, where none was in hand, the next batch that was taken afterwards."""


class Striker:
    """Watches the points of a site and strikes."""

    def __init__(self, site: Site, points: Path, faults: list[Fault]) -> None:
        self._site = site
        self._points = points
        self._faults = {fault.number: fault for fault in faults}
        self._tasks: list[asyncio.Task[None]] = []
        self._seen: set[int] = set()
        self._still: dict[int, int] = {}
        """Processes that stand still, each with the number of the fault it stands still for."""
        self._asked: set[int] = set()
        """Processes that were asked to stop, or killed."""
        self._killed: set[int] = set()
        self._fleet_lock, self._redis_lock, self._postgres_lock = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._revision_lock = asyncio.Lock()
        self._queued = 0
        """Those who wait to do something to Redis."""
        self._over = False
        self.blows: list[Blow] = []
        self.deserters: dict[str, int] = {}
        """Processes that ended though nobody asked them to, with what they ended with."""

    async def watch(self) -> None:
        """Strike until `finish`."""
        while not self._over:
            for number, hit in hits(self._points).items():
                if number not in self._seen:
                    self._seen.add(number)
                    self._tasks.append(asyncio.create_task(self._strike(self._faults[number], hit)))
            await self._replace_deserters()
            await asyncio.sleep(0.01)

    async def _replace_deserters(self) -> None:
        for member in self._site.fleet.members:
            if member.pid in self._asked or self._fleet_lock.locked():
                continue
            code = exit_code(member)
            if code is not None:
                self._asked.add(member.pid)
                self.deserters[f"{member.name}, process {member.pid}"] = code
                async with self._fleet_lock:
                    await asyncio.to_thread(self._site.fleet.remove, member.name, drain_seconds=0.0)
                    self._site.fleet.add(member.service)

    async def settle(self) -> None:
        """Whatever was begun is carried out, and nobody stands still any more."""
        while (  # noqa: ASYNC110 - the fact is made by other processes
            any(not task.done() for task in self._tasks) or hits(self._points).keys() - self._seen
        ):
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.result()

    def finish(self) -> None:
        self._over = True

    async def _strike(self, fault: Fault, hit: Hit) -> None:
        member = next((one for one in self._site.fleet.members if one.pid == hit.pid), None)
        if member is None or not await self._stands_still(member):
            return
        blow = Blow(fault, time.time(), hit.batch, hit.claim)
        self.blows.append(blow)
        self._still[member.pid] = fault.number
        try:
            await self._deed(fault.deed)(member, blow)
        finally:
            self._let_go(member, blow)

    def _let_go(self, member: FleetMember, blow: Blow) -> None:
        """The process goes on, once for each time it stood still: by now it may stand still for another fault."""
        if self._still.get(member.pid) == blow.fault.number:
            del self._still[member.pid]
            member.identity.signal(signal.SIGCONT)

    async def _stands_still(self, member: FleetMember) -> bool:
        """The process has stopped: before that, going on would come too early. False when somebody ended it, or woke
        it by chance."""
        deadline = time.monotonic() + _STOP_SECONDS
        while member.is_running() and time.monotonic() < deadline:
            if _is_stopped(member.pid):
                return True
            await asyncio.sleep(0.002)
        return False

    def _deed(self, deed: Deed) -> Callable[[FleetMember, Blow], Awaitable[None]]:
        return {
            Deed.KILL: self._kill,
            Deed.FREEZE: self._freeze,
            Deed.TERM: self._term,
            Deed.KILL_SCHEDULER: self._kill_scheduler,
            Deed.FLUSH: self._flush,
            Deed.DROP_STREAM: self._drop_stream,
            Deed.DESTROY_GROUP: self._destroy_group,
            Deed.KILL_REDIS: self._kill_redis,
            Deed.WIPE_REDIS: self._kill_redis,
            Deed.RESTART_POSTGRES: self._restart_postgres,
            Deed.CRASH_POSTGRES: self._restart_postgres,
            Deed.SCALE_UP: self._scale_up,
            Deed.SCALE_DOWN: self._scale_down,
            Deed.CANCEL: self._cancel,
            Deed.REVISE: self._revise,
        }[deed]

    # --- processes

    async def _kill(self, member: FleetMember, blow: Blow) -> None:
        async with self._fleet_lock:
            replaced = member.pid in self._asked
            self._asked.add(member.pid)
            self._killed.add(member.pid)
            if member in self._site.fleet.members:
                await asyncio.to_thread(self._site.fleet.kill, member.name)
            if not replaced:
                self._site.fleet.add(member.service)

    async def _kill_scheduler(self, member: FleetMember, blow: Blow) -> None:
        for scheduler in self._free(Service.SCHEDULER):
            await self._kill(scheduler, blow)

    async def _term(self, member: FleetMember, blow: Blow) -> None:
        async with self._fleet_lock:
            if member.pid not in self._asked:
                self._site.fleet.add(member.service)
            self._asked.add(member.pid)
        member.identity.signal(signal.SIGTERM)
        self._let_go(member, blow)
        blow.exit_code = await self._gone(member)

    async def _gone(self, member: FleetMember) -> int | None:
        """The exit code of a process that was asked to stop; None when it does not stop."""
        deadline = time.monotonic() + _TERM_SECONDS
        while (code := exit_code(member)) is None and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        async with self._fleet_lock:
            if member in self._site.fleet.members:
                await asyncio.to_thread(self._site.fleet.remove, member.name, drain_seconds=0.0)
        return 0 if member.pid in self._killed else code  # another fault killed it while it was going

    async def _freeze(self, member: FleetMember, blow: Blow) -> None:
        async with self._fleet_lock:
            if len(self._free(member.service)) == 0:
                self._site.fleet.add(member.service)

        async def long_enough() -> bool | None:
            if time.time() - blow.at < (1.5 if blow.batch else 2.5) * LEASE:
                return None
            rows = await self._site.database.ask(
                "SELECT FROM batch WHERE id = $1 AND claim = $2 AND state = 'leased'", blow.batch, blow.claim
            )
            return None if rows else True

        await self._site.database.until(long_enough, _LONGEST_FREEZE)

    def _free(self, service: Service) -> list[FleetMember]:
        """Running processes of a kind that do not stand still and were not asked to go."""
        away = self._still.keys() | self._asked
        return [one for one in self._site.fleet.running(service) if one.pid not in away]

    async def _scale_up(self, member: FleetMember, blow: Blow) -> None:
        async with self._fleet_lock:
            self._site.fleet.add(Service.SYNC, 3)

    async def _scale_down(self, member: FleetMember, blow: Blow) -> None:
        others = [one for one in self._free(Service.SYNC) if one.pid != member.pid]
        surplus = others[1:] if member.pid in self._asked else others
        self._let_go(member, blow)
        self._asked |= {one.pid for one in surplus}
        for one in surplus:
            one.identity.signal(signal.SIGTERM)
        codes = [await self._gone(one) for one in surplus]
        # One that was still starting knows no signal yet, holds nothing, and simply ends.
        blow.exit_code = next((code for code in codes if code not in {0, -signal.SIGTERM}), 0)

    async def _cancel(self, member: FleetMember, blow: Blow) -> None:
        await self._site.cancel(blow.batch)

    async def _revise(self, member: FleetMember, blow: Blow) -> None:
        async with self._revision_lock:
            await self._site.revise(1 + blow.fault.number % (len(self._site.variants) - 1))

    # --- servers

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Alone with Redis. The process that came there stands still until then, so an outage does not wait for it."""
        self._queued += 1
        try:
            await self._redis_lock.acquire()
        finally:
            self._queued -= 1
        try:
            yield
        finally:
            self._redis_lock.release()

    async def _flush(self, member: FleetMember, blow: Blow) -> None:
        async with self._in_turn():
            await asyncio.to_thread(self._redis, "FLUSHALL")

    async def _drop_stream(self, member: FleetMember, blow: Blow) -> None:
        async with self._in_turn():
            await asyncio.to_thread(self._redis, "DEL", self._stream(blow.fault))

    async def _destroy_group(self, member: FleetMember, blow: Blow) -> None:
        async with self._in_turn():
            await asyncio.to_thread(self._redis, "XGROUP", "DESTROY", self._stream(blow.fault), GROUP)

    def _stream(self, fault: Fault) -> str:
        kind = fault.place.partition(":")[0]
        return Keys(self._site.prefix).stream(WorkerKind(kind) if kind != "scheduler" else WorkerKind.SYNC)

    def _redis(self, *command: str) -> None:
        from redis.exceptions import ResponseError

        with self._site.arena.redis.client() as client:
            try:
                client.execute_command(*command)
            except ResponseError as error:
                if "key to exist" not in str(error):  # the stream was not made yet: there is no group to destroy
                    raise

    async def _kill_redis(self, member: FleetMember, blow: Blow) -> None:
        redis = self._site.arena.redis
        async with self._redis_lock:
            await asyncio.to_thread(redis.kill)
            self._let_go(member, blow)

            async def worked() -> bool | None:
                if self._queued and time.time() > time_of_kill + _SHORT_OUTAGE:
                    return True
                rows = await self._site.database.ask(
                    "SELECT FROM chaos_log WHERE what = 'batch' AND now->>'state' = 'done' AND at > $1 LIMIT 1",
                    time_of_kill,
                )
                return True if rows else None

            time_of_kill = time.time() + 0.3
            await self._site.database.until(worked, _LONGEST_OUTAGE)
            if blow.fault.deed is Deed.WIPE_REDIS:
                redis.wipe()
            await asyncio.to_thread(redis.start)

    async def _restart_postgres(self, member: FleetMember, blow: Blow) -> None:
        abruptly = blow.fault.deed is Deed.CRASH_POSTGRES
        async with self._postgres_lock:
            await asyncio.to_thread(self._site.arena.restart_postgres, abruptly=abruptly)


def _is_stopped(pid: int) -> bool:
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] == "T"
    asked = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.startswith("T")
