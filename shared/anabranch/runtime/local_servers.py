"""A bare machine's PostgreSQL and Redis: real servers that start with their owner, on loopback, and never outlive it.

Owned servers (`make demo`, the tests) end with the process that started them, however it ends: by leaving the `with`
block, by Ctrl-C, or by SIGKILL, when the operating system tells them. Detached servers (`anabranch up`) go on until
`anabranch down`; a state file knows them by process number and moment of birth.

A server named by `ANABRANCH_DATABASE_URL` or `ANABRANCH_REDIS_URL` is used as it is and never started, stopped or
killed from here. A directory belongs to one owner at a time, which a lock on a file in it ensures; the lock goes with
the owner, whatever happens to it.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from anabranch.runtime.postgres_server import PostgresServer, data_major
from anabranch.runtime.redis_server import RedisServer
from anabranch.runtime.server_binaries import find_postgres, find_redis, server_account
from anabranch.runtime.server_cache import data_home, remove_data
from anabranch.runtime.server_process import Account, LocalServerError, ProcessIdentity, wait_until

__all__ = ["LocalServerError", "LocalServers", "ServerState"]

DATABASE_VARIABLE = "ANABRANCH_DATABASE_URL"
REDIS_VARIABLE = "ANABRANCH_REDIS_URL"
_STATE_FILE = "servers.json"
_OUR_FILES = ("lock", "password", "postgres.log", "redis.log", _STATE_FILE)


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """The servers that `start_detached` left running: where they answer and which processes they are.

    A process is None where the address came from the environment. The file it is kept in is readable to its owner
    alone, because `database_url` carries the password.
    """

    database_url: str
    redis_url: str
    postgres: ProcessIdentity | None
    redis: ProcessIdentity | None

    def is_running(self) -> bool:
        """Whether every server that was started is still that very process."""
        return all(identity.is_running() for identity in (self.postgres, self.redis) if identity is not None)


class LocalServers:
    """One PostgreSQL and one Redis-protocol server for the time of a `with` block; synchronous, for one thread.

    `directory` holds logs, password and data, and is made when missing; data found there is used again. With
    `durable=False` PostgreSQL does not wait for the disk (tests). With `purge=True` everything made in `directory`
    is removed at the end. Raises LocalServerError, whose message names what to do.
    """

    def __init__(self, directory: Path, *, durable: bool = True, purge: bool = False) -> None:
        self.directory = Path(directory).absolute()
        self._durable = durable
        self._purge = purge
        self._owned = True
        self._lock: int | None = None
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self._external_database = os.environ.get(DATABASE_VARIABLE) or None
        self._external_redis = os.environ.get(REDIS_VARIABLE) or None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def database_url(self) -> str:
        """Address of the database, password included: for a client, never for a log."""
        return self._external_database or self._own_postgres().url

    @property
    def redis_url(self) -> str:
        return self._external_redis or self._own_redis().url

    @property
    def postgres_pid(self) -> int | None:
        """The server's process number; None when it is not running or not ours."""
        return _pid(self._postgres)

    @property
    def redis_pid(self) -> int | None:
        """The server's process number; None when it is not running or not ours."""
        return _pid(self._redis)

    def start(self) -> None:
        """Both servers answer. What was started is stopped again when anything fails or interrupts."""
        if os.name != "posix":
            raise LocalServerError(
                f"embedded servers run on Linux and macOS only; set {DATABASE_VARIABLE} and {REDIS_VARIABLE}"
            )
        try:
            self._take_directory()
            if self._external_database is None or self._external_redis is None:
                self._start_servers(server_account())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """No server of ours runs any more, and the directory is free for another owner. Safe twice and before start."""
        if self._postgres is not None and not self._purge:
            self._postgres.ask_to_stop()
        if self._redis is not None:
            self._redis.stop()
        if self._postgres is not None:
            self._postgres.stop(gently=not self._purge)
        if self._lock is not None:
            if self._purge:
                _remove_all(self.directory)
            os.close(self._lock)
            self._lock = None

    def kill_redis(self) -> None:
        """Redis is gone as after a crash, with everything in it; `start_redis` brings an empty one back."""
        self._own_redis().kill()

    def start_redis(self) -> None:
        """An empty Redis answers under the same address; nothing happens when it runs already."""
        server = self._own_redis()
        if server.process is None or server.process.has_ended():
            server.start()

    def restart_postgres(self, *, abruptly: bool = False) -> None:
        """PostgreSQL answers again under the same address; all connections were cut. Abruptly: with log recovery."""
        server = self._own_postgres()
        server.stop(gently=not abruptly)
        server.start()

    def describe(self) -> str:
        """Two lines for a person: which servers, from where, on which port, as which process; never a password."""
        lines = []
        for name, external, server in (
            ("PostgreSQL", self._external_database, self._postgres),
            ("Redis", self._external_redis, self._redis),
        ):
            if external is not None:
                lines.append(f"{name}: {_without_password(external)} (from the environment)")
            elif server is None or server.process is None:
                lines.append(f"{name}: not running")
            else:
                place = f"127.0.0.1:{server.port}, process {server.process.pid}, log {server.log}"
                lines.append(f"{name}: {server.binaries} on {place}")
        return "\n".join(lines)

    @classmethod
    def start_detached(cls, directory: Path, *, durable: bool = True) -> ServerState:
        """The servers of `directory` run and go on running after this process; those that run already are kept."""
        servers = cls(directory, durable=durable)
        known = cls.find_detached(directory)
        if known is not None:
            return known
        cls.stop_detached(directory)  # one of two may have died: both start anew
        servers._owned = False
        servers.start()
        try:
            state = ServerState(
                database_url=servers.database_url,
                redis_url=servers.redis_url,
                postgres=_identity(servers._postgres),
                redis=_identity(servers._redis),
            )
            _write_state(servers.directory, state)
        except BaseException:
            servers.stop()
            raise
        for server in (servers._postgres, servers._redis):
            if server is not None and server.process is not None:
                server.process.let_go()
        servers._release_directory()
        return state

    @classmethod
    def find_detached(cls, directory: Path) -> ServerState | None:
        """The detached servers of `directory` when all of them run, else None."""
        state = _read_state(Path(directory).absolute())
        return state if state is not None and state.is_running() else None

    @classmethod
    def stop_detached(cls, directory: Path, *, purge: bool = False) -> bool:
        """The detached servers of `directory` are gone; True when any had been running.

        With `purge` their data, logs and password are gone too. A process that merely has the same number is spared.
        """
        directory = Path(directory).absolute()
        state = _read_state(directory)
        was_running = False
        if state is not None:
            postgres = (state.postgres, ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)))
            redis = (state.redis, ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)))
            for identity, steps in (redis, postgres):
                if identity is not None and identity.is_running():
                    was_running = True
                    _end(identity, steps)
            (directory / _STATE_FILE).unlink(missing_ok=True)
        if purge and directory.is_dir():
            owner = cls(directory)
            owner._take_directory()
            _remove_all(directory)
            owner._release_directory()
        return was_running

    def _start_servers(self, account: Account | None) -> None:
        home = data_home(self.directory, account)
        if self._external_redis is None:
            self._redis = RedisServer(find_redis(account), account, self.directory, home, owned=self._owned)
            self._redis.launch()  # comes up while PostgreSQL does
        if self._external_database is None:
            binaries = find_postgres(account, data_major(home))
            self._postgres = PostgresServer(
                binaries, account, self.directory, home, durable=self._durable, owned=self._owned
            )
            self._postgres.start()
        if self._redis is not None:
            self._redis.wait_ready()

    def _take_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise LocalServerError(
                f"{self.directory} cannot hold the servers' files ({fault}); choose another"
            ) from fault
        if not wait_until(lambda: _locked(lock), 1.0):
            owner = os.pread(lock, 32, 0).decode("ascii", errors="replace").strip() or "unknown"
            os.close(lock)
            raise LocalServerError(
                f"the servers of {self.directory} belong to process {owner}; stop it or choose another directory"
            )
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        if self.find_detached(self.directory) is not None:
            raise LocalServerError(
                f"detached servers already run in {self.directory}; use them, or stop them with `anabranch down`"
            )

    def _release_directory(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _own_postgres(self) -> PostgresServer:
        if self._postgres is None:
            raise LocalServerError(_not_ours("PostgreSQL", DATABASE_VARIABLE, self._external_database))
        return self._postgres

    def _own_redis(self) -> RedisServer:
        if self._redis is None:
            raise LocalServerError(_not_ours("Redis", REDIS_VARIABLE, self._external_redis))
        return self._redis


def _not_ours(name: str, variable: str, external: str | None) -> str:
    if external is not None:
        return f"{name} was named by {variable}; a server that is not ours is neither stopped nor restarted"
    return f"{name} is not running; enter the `with` block or call start() first"


def _pid(server: PostgresServer | RedisServer | None) -> int | None:
    identity = _identity(server)
    return None if identity is None else identity.pid


def _identity(server: PostgresServer | RedisServer | None) -> ProcessIdentity | None:
    return None if server is None or server.process is None else server.process.identity


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(identity: ProcessIdentity, steps: tuple[tuple[int, float], ...]) -> None:
    for number, seconds in steps:
        identity.signal(number)
        if identity.wait_gone(seconds):
            return
    raise LocalServerError(f"process {identity.pid} does not end, not even by SIGKILL; is its disk stuck?")


def _read_state(directory: Path) -> ServerState | None:
    try:
        return msgspec.json.decode((directory / _STATE_FILE).read_bytes(), type=ServerState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as fault:
        raise LocalServerError(
            f"{directory / _STATE_FILE} cannot be read ({fault}); stop its servers and remove it"
        ) from fault


def _write_state(directory: Path, state: ServerState) -> None:
    fresh = directory / f"{_STATE_FILE}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(state))
    fresh.rename(directory / _STATE_FILE)


def _remove_all(directory: Path) -> None:
    remove_data(directory)
    for name in _OUR_FILES:
        (directory / name).unlink(missing_ok=True)
    if not any(directory.iterdir()):
        directory.rmdir()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"))
