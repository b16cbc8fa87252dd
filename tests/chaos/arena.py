"""The servers a disturbed fleet works with: a PostgreSQL and a Redis of our own, on free ports of this machine.

Both are killed and started again in the middle of runs, so they belong to nobody else. PostgreSQL keeps what was
committed through an abrupt end; Redis keeps its append-only file through a kill, and loses it in a wipe.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis
from tests.promises.private_redis import server_binary

from anabranch.runtime.postgres_server import PostgresServer
from anabranch.runtime.server_binaries import find_postgres, server_account
from anabranch.runtime.server_cache import data_home, remove_data
from anabranch.runtime.server_process import LOOPBACK, ServerProcess, free_port, wait_until

_START_SECONDS: Final = 30.0


class DurableRedis:
    """A Redis that writes an append-only file; always on the port it had first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: ServerProcess | None = None
        self.url = f"redis://{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        """The server answers, with what it had when it was killed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        options = {"port": str(self._port), "bind": LOOPBACK, "dir": str(self._directory), "save": "",
                   "appendonly": "yes", "maxmemory-policy": "noeviction"}  # fmt: skip
        self._process = ServerProcess.start(
            [server_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))],
            log=self._directory / "redis.log",
            account=None,
            death_signal=signal.SIGKILL,
            owned=True,
        )
        if not wait_until(self._answers, _START_SECONDS):
            raise AssertionError(f"Redis does not start: {self._process.said()[-2000:]}")

    def kill(self) -> None:
        """The server is gone as after a crash. Safe twice."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def wipe(self) -> None:
        """A killed server has forgotten everything."""
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False


class Arena:
    """Both servers, from `with` to its end; everything is below `directory`."""

    def __init__(self, directory: Path, project_root: Path) -> None:
        self.directory = directory.absolute()
        self.project_root = project_root
        self.directory.mkdir(parents=True, exist_ok=True)
        account = server_account()
        home = data_home(self.directory, account)
        self._postgres = PostgresServer(
            find_postgres(account), account, self.directory, home, durable=False, owned=True
        )
        self.redis = DurableRedis(self.directory / "redis")

    def __enter__(self) -> Self:
        self._postgres.start()
        self.redis.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.redis.kill()
        self._postgres.stop(gently=False)
        remove_data(self.directory)

    @property
    def server_url(self) -> str:
        """Address of PostgreSQL's own first database."""
        return self._postgres.url

    def restart_postgres(self, *, abruptly: bool) -> None:
        """PostgreSQL answers again; every connection was cut."""
        self._postgres.stop(gently=not abruptly)
        self._postgres.start()
