"""How a process of the fleet lives.

It reads its settings, opens telemetry, PostgreSQL and the bus, says that it exists, and works. PostgreSQL must be there
to begin; Redis may be away, then the process is not ready and works without it. On SIGTERM it takes nothing more,
finishes or hands back what it holds within the drain time, and exits 0. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from anabranch.bus.lookup_cache import LookupCache, NullCache, RedisLookupCache
from anabranch.bus.port import Bus, BusUnavailable
from anabranch.bus.redis_streams import RedisBus
from anabranch.config.setting_sources import load_settings
from anabranch.config.settings import ServiceSettings
from anabranch.engine.compilation import compile_revision, zone_names
from anabranch.engine.compiled import Compiled
from anabranch.model.enums import WorkerKind
from anabranch.model.errors import AnabranchError, BadInput
from anabranch.model.identity import WorkerId
from anabranch.runtime.clock import monotonic
from anabranch.runtime.consumer import Consumer, Handlers
from anabranch.runtime.heartbeat import Heartbeat
from anabranch.runtime.holding import Holding
from anabranch.runtime.relay import Relay
from anabranch.runtime.reporting import Reporter
from anabranch.runtime.signals import StopSignals
from anabranch.store.faults import StoreUnavailable
from anabranch.store.migrate import check
from anabranch.store.postgres import PostgresStore
from anabranch.telemetry.health import HealthServer, SignOfLife, Verdict
from anabranch.telemetry.logs import configure_logs
from anabranch.telemetry.port import Telemetry
from anabranch.telemetry.setup import start_telemetry

LOG = logging.getLogger("anabranch.service")
_STUCK_SECONDS = 60.0
_REACH_SECONDS = 10.0
_REACH_PAUSE = 0.25
_TELL_SECONDS = 2.0  # to tell PostgreSQL of our end is a courtesy: one that does not answer does not hold us up
S = TypeVar("S", bound=ServiceSettings)


class Loop(Protocol):
    """What a service does between start and drain."""

    async def run(self) -> None: ...

    def drain(self) -> None: ...


def connections_for(concurrency: int) -> int:
    """How many connections a worker may open: a batch holds up to two at once, and would wait for ever for the second
    one if the others had taken all; some are for what is done besides."""
    return max(8, 2 * concurrency + 4)


class Surroundings:
    """Everything a service works with, opened in order and closed in the reverse order."""

    def __init__(self, settings: ServiceSettings, name: str, kind: str) -> None:
        self.settings = settings
        self.name = name
        self.kind = kind
        self.boot_id = secrets.token_hex(3)
        self.worker = WorkerId(f"{kind}-{socket.gethostname()[:16]}-{os.getpid()}-{self.boot_id}")
        self.holding = Holding()
        self.signals: StopSignals
        self.telemetry: Telemetry
        self.store: PostgresStore
        self.bus: Bus
        self.cache: LookupCache = NullCache()
        self.relay: Relay
        self.reporter: Reporter
        self._compiled: dict[int, Compiled] = {}
        self._heartbeat: Heartbeat | None = None
        self._health: HealthServer | None = None
        self._sign: SignOfLife | None = None

    async def open(self) -> bool:
        """Settings have become connections; False when a signal asked to stop before they had.

        Raises what stands in the way; a bus that is away does not.
        """
        self.signals = StopSignals()
        if opened := await self.signals.unless_stopped(self._open()):
            return opened
        LOG.info("asked to stop before it was ready")
        return False

    async def _open(self) -> None:
        settings = self.settings
        self.telemetry = start_telemetry(f"anabranch-{self.name}", instance=self.worker, version=version())
        self.store = await self._reach_store()
        self.bus = RedisBus(settings.redis_url, prefix=settings.key_prefix)
        self.cache = (
            RedisLookupCache(settings.redis_cache_url, prefix=settings.key_prefix)
            if settings.lookup_cache
            else NullCache()
        )
        await self._greet_bus()
        self.relay = Relay(
            self.store,
            self.bus,
            window=settings.publish_window,
            republish_after=settings.republish_seconds,
            telemetry=self.telemetry,
        )
        self.reporter = Reporter(self.telemetry, self.store.overview, self.bus)
        self._heartbeat = Heartbeat(
            open_heart=self.store.open_heart,
            holding=self.holding,
            worker=self.worker,
            lease=settings.lease_seconds,
            on_fault=lambda fault: LOG.warning("the heartbeat missed a beat: %s", fault),
        )
        self._heartbeat.start()

    async def _reach_store(self) -> PostgresStore:
        """The store, in which this process stands as a worker. A server that is just being started again is waited for;
        raises StoreUnavailable when it stays away."""
        deadline = monotonic() + _REACH_SECONDS
        told = False
        while True:
            try:
                if problems := await check(self.settings.database_url):
                    raise BadInput.of("database_url", problems)
                return await self._registered()
            except StoreUnavailable as fault:
                if monotonic() >= deadline:
                    raise
                if not told:
                    LOG.warning("%s It is tried again for %.0f s.", fault, _REACH_SECONDS)
                told = True
                await asyncio.sleep(_REACH_PAUSE)

    async def _registered(self) -> PostgresStore:
        store = await PostgresStore.open(
            self.settings.database_url, self.worker, connections=connections_for(self.settings.concurrency)
        )
        try:
            await store.register_worker(
                self.worker, self.kind, version(), self.boot_id, socket.gethostname(), os.getpid()
            )
        except BaseException:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(store.worker_state(self.worker, "stopped"), _TELL_SECONDS)
            await store.close()
            raise
        return store

    async def _greet_bus(self) -> None:
        try:
            problems = await self.bus.check()
            if problems:
                raise BadInput.of("redis_url", problems)
            await self.bus.connect()
        except BusUnavailable as fault:
            LOG.warning("Redis does not answer; starting without it, work comes from PostgreSQL: %s", fault)

    async def serve_health(self, live: Callable[[], Verdict], ready: Callable[[], Verdict]) -> None:
        """The health endpoints answer, when a port is configured; the file says that we live, when one is named.

        Raises BadInput for an address that is taken or not ours, and for a file that cannot be written.
        """
        settings = self.settings
        try:
            if settings.health_port:
                self._health = HealthServer(
                    settings.health_host,
                    settings.health_port,
                    live=live,
                    ready=ready,
                    metrics=self.telemetry.measurements.prometheus_text,
                )
                await self._health.start()
            if settings.alive_file:
                self._sign = SignOfLife(Path(settings.alive_file), live)
                self._sign.start()
        except OSError as fault:
            setting = "alive_file" if self._sign else "health_port"
            raise BadInput.of(setting, [f"the sign of life cannot be given: {fault}"]) from fault

    async def compiled(self, config_version: int) -> Compiled:
        """The revision ready to be executed, compiled once in this process."""
        found = self._compiled.get(config_version)
        if found is None:
            revision = await self.store.revision(config_version)
            zones = {name: ZoneInfo(name) for name in zone_names(revision.configuration)}
            found = compile_revision(revision, zones)
            self._compiled[config_version] = found
        return found

    async def close(self) -> None:
        """Everything is given back, in an order in which nothing is missed; safe after a failed open."""
        if self._sign is not None:
            await self._sign.stop()
        if self._health is not None:
            await self._health.stop()
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)
        for name in ("bus", "store"):
            part = getattr(self, name, None)
            if part is not None:
                with contextlib.suppress(Exception):
                    if name == "store":
                        with contextlib.suppress(Exception):
                            await asyncio.wait_for(part.worker_state(self.worker, "stopped"), _TELL_SECONDS)
                    await part.close()
        if getattr(self, "telemetry", None) is not None:
            await asyncio.to_thread(self.telemetry.shutdown, 4.0)


async def run_worker(settings: ServiceSettings, name: str, kind: WorkerKind, handlers: Handlers) -> int:
    """A worker of one kind works until a signal ends it; its exit code."""
    around = Surroundings(settings, name, kind.value)
    try:
        if await around.open():
            await _work(around, kind, handlers)
    finally:
        await around.close()
    LOG.info("%s has ended", name)
    return 0


async def _work(around: Surroundings, kind: WorkerKind, handlers: Handlers) -> None:
    settings = around.settings
    consumers = [
        Consumer(
            kind=kind,
            worker=around.worker,
            name=f"{around.worker}-{n}" if n else around.worker,
            store=around.store,
            bus=around.bus,
            relay=around.relay,
            holding=around.holding,
            handlers=handlers,
            compiled=around.compiled,
            reporter=around.reporter,
            lease=settings.lease_seconds,
            idle_poll=settings.idle_poll_seconds,
            cache=around.cache,
        )
        for n in range(settings.concurrency)
    ]
    await around.serve_health(lambda: _alive(consumers), lambda: _worker_ready(around, consumers))
    LOG.info("%s is ready as %s", around.name, around.worker)
    await run_until_signal(around, consumers)
    await around.reporter.tell()
    with contextlib.suppress(BusUnavailable):
        for consumer in consumers:
            await around.bus.leave(kind, consumer.name)


def _alive(consumers: Sequence[Consumer]) -> Verdict:
    """Liveness: the claim loop moves, or its batch does (FLT-23)."""
    for consumer in consumers:
        if monotonic() - consumer.moved_at > _STUCK_SECONDS and not consumer.working:
            return Verdict({"loop": f"the claim loop has not moved for {_STUCK_SECONDS:.0f} seconds"})
    return Verdict()


def _worker_ready(around: Surroundings, consumers: Sequence[Consumer]) -> Verdict:
    reasons: dict[str, str] = {}
    if any(consumer.bus_away for consumer in consumers):
        reasons["bus"] = "Redis does not answer; work is taken from PostgreSQL"
    if any(consumer.store_away for consumer in consumers):
        reasons["store"] = "PostgreSQL does not answer"
    return Verdict(reasons)


async def run_until_signal(around: Surroundings, loops: Sequence[Loop]) -> None:
    """The loops run; SIGTERM or SIGINT drains them within the drain time, a second one ends them at once."""
    stop, at_once = around.signals.stop, around.signals.at_once
    tasks = [asyncio.create_task(one.run(), name=f"{around.name}-{n}") for n, one in enumerate(loops)]
    stopper = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait([*tasks, stopper], return_when=asyncio.FIRST_COMPLETED)
    for one in loops:
        one.drain()
    if stop.is_set():
        LOG.info("asked to stop; finishing what is in hand")
        with contextlib.suppress(Exception):
            await asyncio.wait_for(around.store.worker_state(around.worker, "draining"), _TELL_SECONDS)
    hurry = asyncio.create_task(at_once.wait(), name="second signal")
    ends: list[asyncio.Future[Any]] = [asyncio.gather(*tasks, return_exceptions=True), hurry]
    await asyncio.wait(ends, timeout=around.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopper, hurry):
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def version() -> str:
    """The version of this installation."""
    try:
        return importlib.metadata.version("anabranch")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def main(
    kind: type[S], name: str, run: Callable[[S], Awaitable[int]], arguments: Sequence[str], environ: Mapping[str, str]
) -> int:
    """A service from its command line to its exit code: settings, logs, event loop, and one sentence for each fault."""
    from anabranch.runtime.command_line import parse

    try:
        flags, file = parse(kind, name, arguments)
        settings = load_settings(kind, file=Path(file) if file else None, environ=environ, flags=flags)
    except BadInput as fault:
        sys.stderr.write(f"{name} cannot start:\n{fault}\n")
        return 2
    configure_logs(
        f"anabranch-{name}",
        style=settings.log_format,
        level=settings.log_level,
        secrets=[settings.database_url, settings.redis_url],
    )
    quiet_collector()
    try:
        return _event_loop_run(run(settings))
    except AnabranchError as fault:
        LOG.error("%s cannot go on: %s", name, fault)
        return 1
    except KeyboardInterrupt:
        return 130


def quiet_collector() -> None:
    """The garbage collector looks less often: a batch makes hundreds of thousands of records without a cycle among
    them, and walking them again and again costs up to half of the time of reading and writing them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(300_000, 20, 50)


def _event_loop_run(work: Awaitable[int]) -> int:
    async def wrapped() -> int:
        return await work

    try:
        import uvloop
    except ImportError:
        return asyncio.run(wrapped())
    return uvloop.run(wrapped())
