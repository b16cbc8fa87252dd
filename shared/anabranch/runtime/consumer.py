"""The loop every worker is: wait for a hint, claim what it names, do it, tell.

A hint only says where to look. Whatever it says, the claim in PostgreSQL decides, and a worker that hears nothing for a
few seconds asks PostgreSQL itself with the same claim; so a lost, late or doubled hint changes nothing, and neither
does a Redis that is away. After each commit the worker acknowledges, adds its completion token, and closes the step
when the tokens say that it may be over; the sweep of the scheduler does so too, in case nobody did.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from anabranch.bus.lookup_cache import LookupCache, NullCache
from anabranch.bus.port import Bus, BusUnavailable, Delivery
from anabranch.connectors.port import IncompleteRead
from anabranch.engine.compiled import Compiled
from anabranch.model.enums import FailedReason, WorkerKind
from anabranch.model.errors import ClaimLost, Permanent, Retryable
from anabranch.model.fleet import Claimed
from anabranch.model.identity import BatchId, ClaimId, RunId, WorkerId
from anabranch.protocol.batches import Fate, judged
from anabranch.protocol.claims import backoff
from anabranch.runtime.clock import monotonic
from anabranch.runtime.division import abandoned, children_of, is_ordered, lone_number, poisoned
from anabranch.runtime.holding import Hold, Holding
from anabranch.runtime.relay import Relay
from anabranch.runtime.reporting import Reporter, told_of
from anabranch.runtime.work import Task
from anabranch.store.faults import CommitUnknown, Contended, StoreUnavailable
from anabranch.store.port import Collision, Store
from anabranch.telemetry.logs import bound

LOG = logging.getLogger("anabranch.worker")
Handler = Callable[[Task], Awaitable[None]]

_BLOCK_MS = 500
_STORE_AWAY_PAUSE = 1.0
_CONTENDED_PAUSE = 0.1
_BUS_AWAY_POLL = 0.5
_LET_GO_SECONDS = 3.0
_INCOMPLETE_READS = 3
"""So often an incomplete read is tried before its run fails."""


class Handlers(msgspec.Struct, frozen=True):
    """Which function plans a step and which does its work, by step name."""

    plans: Mapping[str, Handler]
    work: Mapping[str, Handler]

    def of(self, claimed: Claimed) -> Handler:
        """The function for a batch. Raises KeyError for a step this worker has no business with."""
        table = self.plans if claimed.role == "plan" else self.work
        return table[claimed.step]


class Consumer:
    """Takes batches of one worker kind and works on them until it is asked to drain."""

    def __init__(
        self,
        *,
        kind: WorkerKind,
        worker: WorkerId,
        name: str,
        store: Store,
        bus: Bus,
        relay: Relay,
        holding: Holding,
        handlers: Handlers,
        compiled: Callable[[int], Awaitable[Compiled]],
        reporter: Reporter,
        lease: float,
        idle_poll: float,
        cache: LookupCache | None = None,
    ) -> None:
        self._kind = kind
        self._worker = worker
        self.name = name
        """What it is called on the bus; it claims under the name of its process, whose heartbeat renews its leases."""
        self._store = store
        self._bus = bus
        self._relay = relay
        self._holding = holding
        self._handlers = handlers
        self._compiled = compiled
        self._reporter = reporter
        self._lease = lease
        self._idle_poll = idle_poll
        self._cache = cache or NullCache()
        self._draining = asyncio.Event()
        self._asked: tuple[ClaimId, float] | None = None
        """A claim that may have been given although its answer was lost, and when it was asked for: asked again under
        the same id, it is answered with the same batch."""
        self._heard_at = monotonic()
        self.moved_at = monotonic()
        self.bus_away = False
        self.store_away = False
        self.working = False

    def drain(self) -> None:
        """Nothing more is claimed; what is in hand is finished."""
        self._draining.set()
        self._bus.stop_reading()

    async def run(self) -> None:
        """Work until drained."""
        while not self._draining.is_set():
            self.moved_at = monotonic()
            try:
                await self._turn()
            except StoreUnavailable as fault:
                self._say_store_away(fault)
                await self._pause(_STORE_AWAY_PAUSE)
            except Retryable as fault:
                LOG.warning("%s", fault)
                await self._pause(_CONTENDED_PAUSE)

    async def _turn(self) -> None:
        """One read of the bus, and what follows from it; a look into PostgreSQL when nothing was heard for long."""
        deliveries = await self._read()
        for delivery in deliveries:
            if self._draining.is_set():
                break
            await self._take(delivery)
        if not deliveries and self._is_idle():
            self._heard_at = monotonic()
            await self._reporter.tell()
            while not self._draining.is_set() and await self._claim_and_work(None):
                self.moved_at = monotonic()

    def _is_idle(self) -> bool:
        patience = _BUS_AWAY_POLL if self.bus_away else self._idle_poll
        return monotonic() - self._heard_at >= patience

    async def _read(self) -> list[Delivery]:
        try:
            deliveries = await self._bus.read(self._kind, self.name, 1, _BLOCK_MS)
        except BusUnavailable as fault:
            if not self.bus_away:
                LOG.warning("Redis does not answer; work is taken from PostgreSQL until it does: %s", fault)
            self.bus_away = True
            self._reporter.bus_mode(away=True)
            await self._pause(_BUS_AWAY_POLL)
            return []
        if self.bus_away:
            LOG.info("Redis answers again")
        self.bus_away = False
        self._reporter.bus_mode(away=False)
        return deliveries

    async def _take(self, delivery: Delivery) -> None:
        self._heard_at = monotonic()
        if delivery.hint is None:
            await self._quietly(self._dispose(delivery))
            return
        taken = await self._claim_and_work(BatchId(delivery.hint.batch))
        if not taken:
            self._reporter.stale_hint(self._kind.value)
        await self._quietly(self._bus.acknowledge([delivery]))

    async def _dispose(self, delivery: Delivery) -> None:
        """What cannot be read is acknowledged; what a newer worker will understand goes back for it (FLT-22)."""
        from anabranch.bus.envelope import UnknownVersion

        unknown = isinstance(delivery.fault, UnknownVersion)
        self._reporter.faulty_hint(self._kind.value, "unknown_version" if unknown else "malformed")
        if unknown:
            await self._bus.hand_back([delivery])
            await self._pause(1.0)
        else:
            LOG.warning("a hint that cannot be read was dropped: %s", delivery.fault)
            await self._bus.acknowledge([delivery])

    async def _claim_and_work(self, batch: BatchId | None) -> bool:
        self._asked = claim, asked_at = self._asked or (ClaimId(secrets.token_hex(8)), monotonic())
        claimed = await self._store.claim(self._kind, self._worker, claim, secrets.token_hex(8), self._lease, batch)
        self._asked = None
        self.store_away = False
        if claimed is None:
            return False
        following: Claimed | None = claimed
        while following is not None:
            following = await self._work(following, asked_at + self._lease)
            asked_at = monotonic()
        return True

    # ------------------------------------------------------------- one batch

    async def _work(self, claimed: Claimed, trusted_until: float) -> Claimed | None:
        """Do one batch to its end; the plan of the next step when it fell to this worker at once."""
        hold = self._holding.add(claimed, trusted_until)
        started = monotonic()
        self.working = True
        try:
            with bound(**told_of(claimed)):
                outcome = await self._do(claimed, hold)
        except asyncio.CancelledError:
            self._reporter.let_go(claimed)
            raise
        finally:
            self.working = False
            self._holding.remove(claimed.claim)
            self.moved_at = monotonic()
        await self._reporter.batch_ended(claimed, outcome, monotonic() - started)
        self._reporter.looked_up(self._cache.counts)
        if outcome == "lost":
            return None
        return await self._after(claimed, hold.sealed_with)

    async def _do(self, claimed: Claimed, hold: Hold) -> str:
        """Carry the batch out and say how it ended; every fault is told here, once."""
        led_to = judged(
            is_plan=claimed.role == "plan", total=claimed.total, failures=claimed.failures, losses=claimed.losses
        )
        if led_to is not Fate.READY:
            why = f"failed {claimed.failures} times, lost with its worker {claimed.losses} times"
            return await self._bury(claimed, why) if led_to is Fate.DEAD else await self._divide(claimed, why)
        try:
            task = Task(claimed, await self._compiled(claimed.config_version), self._store, hold, self._cache)
            if claimed.role == "plan":
                await self._store.refresh_statistics()
            await self._handlers.of(claimed)(task)
        except asyncio.CancelledError:
            await self._let_go(claimed)
            raise
        except ClaimLost as fault:
            LOG.warning("%s", fault)
            return "lost"
        except CommitUnknown:
            return await self._settle_unknown(claimed)
        except Contended as fault:
            return await self._give_back(claimed, fault, 0.05, counts=False)
        except Collision as fault:
            return await self._give_back(claimed, fault, 0.05, counts=True)
        except StoreUnavailable as fault:
            self._say_store_away(fault)
            return "lost"
        except Permanent as fault:
            return await self._fail_run(claimed, fault)
        except IncompleteRead as fault:
            return await self._incomplete(claimed, fault)
        except Retryable as fault:
            return await self._give_back(claimed, fault, fault.delay, counts=True)
        except Exception as fault:
            LOG.exception("batch %s (%s) of run %s failed by a fault of ours", claimed.batch, claimed.step, claimed.run)
            return await self._give_back(claimed, fault, None, counts=True)
        return "done"

    async def _let_go(self, claimed: Claimed) -> None:
        """The time to drain is over: the batch goes back as it was, and nothing is counted (FLT-21)."""
        try:
            async with asyncio.timeout(_LET_GO_SECONDS):
                await self._store.hand_back(claimed)
        except (ClaimLost, Retryable, TimeoutError) as fault:
            LOG.warning("batch %s was not handed back: %s", claimed.batch, fault)

    async def _settle_unknown(self, claimed: Claimed) -> str:
        """The answer to COMMIT was lost: the row tells, read under its lock (FLT-12)."""
        try:
            if await self._store.settle_unknown_commit(claimed):
                return "done"
            await self._store.hand_back(claimed)
        except (ClaimLost, Retryable) as fault:
            LOG.warning("%s", fault)
        return "lost"

    async def _give_back(self, claimed: Claimed, fault: BaseException, delay: float | None, *, counts: bool) -> str:
        wait = delay if delay is not None else backoff(claimed.failures + 1, _jitter())
        if counts:
            LOG.warning("batch %s (%s) of run %s: %s", claimed.batch, claimed.step, claimed.run, _words(fault))
        try:
            fate = await self._store.fail(claimed, _words(fault), wait, counts=counts)
            if fate in {"split", "poisoned"}:
                return await self._divide(claimed, _words(fault))
        except (ClaimLost, Retryable) as second:
            LOG.warning("%s", second)
            return "lost"
        return "dead" if fate == "dead" else "failed"

    async def _incomplete(self, claimed: Claimed, fault: IncompleteRead) -> str:
        """A source that ends early is read again within its attempts, then the run fails (IMP-4)."""
        if claimed.failures + 1 < _INCOMPLETE_READS:
            return await self._give_back(claimed, fault, 0.5, counts=True)
        return await self._fail_run(claimed, fault, FailedReason.INCOMPLETE_READ)

    async def _fail_run(
        self, claimed: Claimed, fault: BaseException, reason: FailedReason = FailedReason.CONNECTION
    ) -> str:
        """A refusal that repeating cannot cure ends the run; the batch goes back and is cancelled with it (EXP-36)."""
        try:
            await self._store.fail_run(claimed, reason, str(fault))
        except (ClaimLost, Retryable) as second:
            LOG.warning("%s", second)
            return "lost"
        LOG.error("run %s cannot go on: %s", claimed.run, fault)
        return "failed"

    async def _divide(self, claimed: Claimed, why: str) -> str:
        """Split the batch to find the object that breaks it; an object alone is poisoned, the others go on (FLT-10)."""
        children, alone = children_of(claimed), lone_number(claimed)
        try:
            if children:
                await self._store.split(claimed, children)
                return "split"
            if alone is None:
                return await self._bury(claimed, why)
            async with self._store.unit(claimed) as unit:
                changes = poisoned(claimed, alone, why)
                await unit.persist(changes)
                await unit.done(changes.counters)
        except (ClaimLost, Retryable) as fault:
            LOG.warning("%s", fault)
            return "lost"
        except Exception:
            LOG.exception("batch %s (%s) cannot be divided by a fault of ours", claimed.batch, claimed.step)
            return await self._bury(claimed, why)
        return "done"

    async def _bury(self, claimed: Claimed, why: str) -> str:
        """Nothing more is tried; what the batch had not reported on is errored and stays due."""
        try:
            await self._store.dead(claimed, why, abandoned(claimed))
        except (ClaimLost, Retryable) as fault:
            LOG.warning("%s", fault)
            return "lost"
        LOG.error("batch %s (%s) of run %s is dead: %s", claimed.batch, claimed.step, claimed.run, why)
        return "dead"

    # ------------------------------------------------------------- after the commit

    async def _after(self, claimed: Claimed, expected: int | None) -> Claimed | None:
        """Tell the bus, close the step if it may be over, publish what the commit made due."""
        following: Claimed | None = None
        try:
            if await self._may_be_over(claimed, expected):
                following = await self.close(claimed.run, claimed.ordinal)
            if following is None and (claimed.role == "plan" or is_ordered(claimed)):
                await self._relay.publish()
        except (BusUnavailable, Contended) as fault:
            LOG.debug("%s", fault)
        return following

    async def _may_be_over(self, claimed: Claimed, expected: int | None) -> bool:
        """Completion tokens are the fast hint that it is time to ask the barrier; without them it is asked always."""
        if self.bus_away:
            return True
        try:
            count = await self._bus.add_token(claimed.run, claimed.ordinal, claimed.batch, expected)
        except BusUnavailable:
            return True
        return count.complete or count.expected is None or expected == 1

    async def close(self, run: RunId, ordinal: int) -> Claimed | None:
        """Close the step if it is over; take the next step's plan at once where it is of this worker's kind, unless the
        worker is to stop: then it claims nothing more (FLT-21)."""
        own = (self._worker, self._kind, ClaimId(secrets.token_hex(8)), self._lease)
        take = None if self._draining.is_set() else own
        closed, following = await self._store.close_phase(run, ordinal, [secrets.token_hex(8) for _ in range(3)], take)
        if closed.closed:
            await self._reporter.step_closed(closed)
        if closed.run_ended:
            await self._move_on()
        return following

    async def _move_on(self) -> None:
        """What waited for the end of the run begins at once; the sweep would see to it too, only later."""
        moved = await self._store.move_on()
        await self._reporter.executions_ended(moved.executions_ended)
        if moved.runs_started:
            await self._relay.publish()

    # ------------------------------------------------------------- small things

    async def _quietly(self, work: Awaitable[object]) -> None:
        """A failure towards the bus costs one duplicate hint and nothing else."""
        try:
            await work
        except BusUnavailable as fault:
            LOG.debug("%s", fault)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return

    def _say_store_away(self, fault: BaseException) -> None:
        if not self.store_away:
            LOG.warning("PostgreSQL does not answer; nothing is taken until it does: %s", fault)
        self.store_away = True


def _words(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {fault}" if not isinstance(fault, Retryable) else str(fault)


def _jitter() -> float:
    return secrets.randbelow(2001) / 1000 - 1
