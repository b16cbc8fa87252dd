"""One embedded Redis-protocol server: memory only, on loopback, started, killed and started again on the same port.

It keeps nothing on disk because nothing in it is the truth; losing it is a case the fleet is built for. It never
evicts: an evicted stream entry would be work that nobody knows of. It counts as ready when it answers and names the
process number that was started, so an answer of somebody else's server on that port is never mistaken for ours.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from anabranch.runtime.server_binaries import Binaries
from anabranch.runtime.server_process import (
    LOOPBACK,
    Account,
    LocalServerError,
    PortTakenError,
    ServerProcess,
    free_port,
    last_lines,
    wait_until,
)

_START_SECONDS = 30.0
_PORT_TRIES = 5


class RedisServer:
    """A Redis or Valkey of ours. `directory` holds the log; not safe for several threads."""

    def __init__(
        self, binaries: Binaries, account: Account | None, directory: Path, home: Path, *, owned: bool
    ) -> None:
        self.binaries = binaries
        self.log = directory / "redis.log"
        self.port = 0
        self._tried = 0
        self._account = account
        self._home = home
        self._owned = owned
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def process(self) -> ServerProcess | None:
        return self._process

    def launch(self) -> None:
        """The process exists but need not answer yet; `wait_ready` goes on from here."""
        port = self.port or free_port()
        options = {
            "bind": LOOPBACK,
            "port": str(port),
            "dir": str(self._home),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        self._process = ServerProcess.start(
            [self.binaries.path, *[part for name, value in options.items() for part in (f"--{name}", value)]],
            log=self.log,
            account=self._account,
            death_signal=signal.SIGKILL,
            owned=self._owned,
        )
        self._tried = port

    def start(self) -> None:
        """The server answers; on the port it had, or on a free one the first time.

        Raises LocalServerError with the log's last lines when it cannot.
        """
        self.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """The launched server answers; another port is tried when the first one was taken meanwhile."""
        for _ in range(_PORT_TRIES):
            try:
                self._wait_for_answer()
            except PortTakenError:
                if self.port:
                    raise
                self.launch()
            else:
                self.port = self._tried
                return
        self._wait_for_answer()
        self.port = self._tried

    def _wait_for_answer(self) -> None:
        process = self._process
        if process is None:
            raise LocalServerError("the Redis server was stopped while it started")
        wait_until(lambda: process.has_ended() or _answering_process(self._tried) == process.pid, _START_SECONDS)
        if not process.has_ended() and _answering_process(self._tried) == process.pid:
            return
        self.kill()
        kind = PortTakenError if "ddress already in use" in process.said() else LocalServerError
        raise kind(
            f"{self.binaries} did not start on {LOOPBACK}:{self._tried}. "
            f"The end of its log {self.log}:\n{last_lines(self.log)}"
        )

    def kill(self) -> None:
        """The server is gone at once, as after a crash; everything in it is lost. Safe twice."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def stop(self) -> None:
        """The server is gone; it was asked first. Safe twice."""
        if self._process is not None:
            self._process.end((signal.SIGTERM, 10.0))
            self._process = None


def _answering_process(port: int) -> int | None:
    """The process number that the server on this port gives itself (INFO, Redis protocol), None without an answer."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\n")
            answer = b""
            while b"process_id:" not in answer or not answer.endswith(b"\r\n"):
                part = connection.recv(65536)
                if not part:
                    return None
                answer += part
    except OSError:
        return None
    return int(answer.split(b"process_id:")[1].split()[0])
