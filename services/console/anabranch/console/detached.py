"""What `anabranch up` leaves running, and how a later command finds it again.

Servers and fleet are two lives: the servers belong to `LocalServers`, the processes of the fleet stand in a file beside
theirs. Calling up again is how the fleet is scaled: processes that have ended are replaced, missing ones are added,
surplus ones drain, and everybody else goes on undisturbed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from anabranch.console.local_fleet import FleetError, FleetMember, LocalFleet, Service, Surroundings
from anabranch.runtime.local_servers import LocalServers, ServerState

_STATE: Final = "fleet.json"
_LOCK: Final = "fleet.lock"
_LOGS: Final = "logs"


class FleetState(msgspec.Struct, frozen=True, kw_only=True):
    """The processes that were left running, and the directory they were started in."""

    working_directory: str
    members: tuple[FleetMember, ...]


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What `bring_up` came to: the servers, the migrations applied, who was added and who was sent home."""

    servers: ServerState
    migrated: list[str]
    members: list[FleetMember]
    added: list[FleetMember]
    removed: list[FleetMember]


def bring_up(directory: Path, wanted: dict[Service, int], working_directory: Path, key_prefix: str = "") -> Brought:
    """Servers, tables and as many processes of each service as wanted; they go on after this process.

    Raises LocalServerError and FleetError, which name what to do; what ran before goes on.
    """
    directory = directory.absolute()
    servers = LocalServers.start_detached(directory)
    with _alone(directory):
        migrated = _migrate(servers.database_url)
        state = read_state(directory)
        before = list(state.members) if state is not None else []
        fleet = LocalFleet(
            Path(state.working_directory) if state is not None and any_running(state) else working_directory,
            Surroundings(database_url=servers.database_url, redis_url=servers.redis_url, key_prefix=key_prefix),
            logs=directory / _LOGS,
            owned=False,
            members=[member for member in before if member.is_running()],
        )
        added, removed = _scale(fleet, wanted, directory)
    return Brought(servers=servers, migrated=migrated, members=fleet.members, added=added, removed=removed)


def _migrate(database_url: str) -> list[str]:
    import asyncio

    from anabranch.store.migrate import migrate

    return asyncio.run(migrate(database_url))


def _scale(
    fleet: LocalFleet, wanted: dict[Service, int], directory: Path
) -> tuple[list[FleetMember], list[FleetMember]]:
    added: list[FleetMember] = []
    removed: list[FleetMember] = []
    try:
        for service, count in wanted.items():
            there = fleet.running(service)
            added += fleet.add(service, max(0, count - len(there)))
            removed += there[count:]
        _write_state(directory, fleet)  # before anything can fail: `down` must find whoever was started
        fleet.wait_ready()
    except FleetError:
        for member in added:
            fleet.kill(member.name)
        _write_state(directory, fleet)
        raise
    for member in removed:
        fleet.remove(member.name)
    _write_state(directory, fleet)
    return added, removed


def bring_down(directory: Path, *, purge: bool = False) -> bool:
    """Nothing of `bring_up` runs any more; with `purge` its data are gone too. True when anything had been running."""
    directory = directory.absolute()
    if not directory.is_dir():
        return False
    with _alone(directory):
        state = read_state(directory)
        ran = state is not None and any_running(state)
        if state is not None:
            nowhere = Surroundings(database_url="", redis_url="")
            LocalFleet(directory, nowhere, owned=False, members=state.members).stop()
            (directory / _STATE).unlink(missing_ok=True)
    if purge:
        shutil.rmtree(directory / _LOGS, ignore_errors=True)
        (directory / _LOCK).unlink(missing_ok=True)
    return LocalServers.stop_detached(directory, purge=purge) or ran


def any_running(state: FleetState) -> bool:
    return any(member.is_running() for member in state.members)


def read_state(directory: Path) -> FleetState | None:
    """The fleet that was left in the directory; None when there was none. Raises FleetError for an unreadable file."""
    try:
        return msgspec.json.decode((directory / _STATE).read_bytes(), type=FleetState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as fault:
        raise FleetError(f"{directory / _STATE} cannot be read ({fault}); stop its processes and remove it") from fault


def _write_state(directory: Path, fleet: LocalFleet) -> None:
    state = FleetState(working_directory=str(fleet.directory), members=tuple(fleet.members))
    fresh = directory / f"{_STATE}.new"
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.rename(directory / _STATE)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """No other command changes the fleet of the directory meanwhile; the lock goes with this process."""
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
