"""A server as the operating system sees it: started with its life tied to ours, recognised again, watched and ended.

The parent-death signal of Linux follows the *thread* that forked, not the process. A server started by a short-lived
thread would die with that thread, so every server is forked by one keeper thread that lives until the process ends.

A process number is reused after a while. What was written to a file is therefore a number *and* the moment that
process began; a number that now belongs to another process is never signalled.
"""

from __future__ import annotations

import os
import platform
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from anabranch.model.errors import AnabranchError

LOOPBACK = "127.0.0.1"
_LINUX = platform.system() == "Linux"
_CHILD = Path(__file__).with_name("server_child.py")
_LAUNCHER = (sys.executable, "-I", "-S", str(_CHILD))


class LocalServerError(AnabranchError):
    """An embedded server cannot be found, started or kept; the message names program and log and what to do."""


class PortTakenError(LocalServerError):
    """Another program took the port between its choice and the server's start."""


class Account(NamedTuple):
    """The user a server runs as when its owner is root; `None` in its place means the owner's own user."""

    name: str
    uid: int
    gid: int


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process for ever: its number and the moment it began, in the words of this operating system."""

    pid: int
    began: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a running process, None when there is none (a zombie has ended)."""
        began = _began(pid)
        return None if began is None else cls(pid, began)

    def is_running(self) -> bool:
        return _began(self.pid) == self.began

    def signal(self, number: int) -> None:
        """The signal is delivered to this very process, or to none."""
        if self.is_running():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait_gone(self, seconds: float) -> bool:
        """True when the process has ended within the time."""
        return wait_until(lambda: not self.is_running(), seconds)


def _began(pid: int) -> str | None:
    if _LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the name in parentheses may hold anything
        return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
    state, _, began = _ps(pid, "stat=,lstart=").partition(" ")
    return None if not began or state.startswith("Z") else began.strip()


def command_of(pid: int) -> str:
    """The command line of a running process, empty when there is none."""
    if _LINUX:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", errors="replace")
        except OSError:
            return ""
    return _ps(pid, "command=")


def _ps(pid: int, columns: str) -> str:
    command = ["ps", "-o", columns, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - a fixed program


def wait_until(fact: Callable[[], bool], seconds: float) -> bool:
    """True as soon as `fact()` is; False when the time is over. Looks 100 times a second."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    """A TCP port nobody listens on at this moment on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, indented for a message; says so when there is nothing."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"


def clean_environment() -> dict[str, str]:
    """Our environment without the `PG*` variables, which steer PostgreSQL programs, and with untranslated messages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def become(command: Sequence[str | Path], account: Account | None, *extra: str) -> list[str]:
    """The command line that runs `command` as `account` through the launcher."""
    rights = () if account is None else ("--uid", str(account.uid), "--gid", str(account.gid))
    return [*_LAUNCHER, *rights, *extra, "--", *map(str, command)]


def run_tool(
    command: Sequence[str | Path], account: Account | None, text: str | None = None, seconds: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """A short program has run to its end as `account`; its output is captured, its status is the caller's to judge."""
    try:
        return subprocess.run(  # noqa: S603 - the program was found by us, no shell is involved
            become(command, account),
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            cwd="/",
            env=clean_environment(),
        )
    except subprocess.TimeoutExpired as fault:
        raise LocalServerError(
            f"{command[0]} did not end within {seconds:.0f} s; is the disk full or stuck?"
        ) from fault


class _Keeper:
    """The thread that forks every owned server and ends only with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def fork(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        answer: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()

        def job() -> None:
            try:
                answer.put(start())
            except BaseException as fault:
                answer.put(fault)

        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # a fork of this process has no such thread
                self._work = queue.SimpleQueue()
                self._thread = threading.Thread(target=self._live, name="anabranch-server-keeper", daemon=True)
                self._thread.start()
            self._work.put(job)
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _live(self) -> None:
        work = self._work
        while True:
            work.get()()


_KEEPER = _Keeper()


class ServerProcess:
    """One running server and what is needed to end it.

    Owned: it gets `death_signal` when this process ends in whatever way. Detached: it goes on by itself.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        identity: ProcessIdentity,
        lifeline: int | None,
        log: Path,
        log_start: int,
    ) -> None:
        self._process = process
        self._lifeline = lifeline
        self._log = log
        self._log_start = log_start
        self.identity = identity

    @property
    def pid(self) -> int:
        return self.identity.pid

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        account: Account | None,
        death_signal: int,
        owned: bool,
        watched: bool = not _LINUX,
        directory: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
    ) -> ServerProcess:
        """The process exists, in a session of its own so that Ctrl-C at a terminal reaches the owner alone.

        `watched` adds the pipe that stands in for the parent-death signal where the kernel has none. Without an
        `environment` it gets ours without what steers PostgreSQL programs.
        """
        extra: list[str] = []
        inherit: tuple[int, ...] = ()
        lifeline = None
        if owned:
            extra = ["--owner", str(os.getpid()), "--death-signal", str(int(death_signal))]
            if watched:
                watch, lifeline = os.pipe()
                inherit = (watch,)
                extra += ["--watch-fd", str(watch)]
        launch = become(command, account, *extra)
        try:
            with log.open("ab") as output:
                log_start = output.tell()
                process = _KEEPER.fork(
                    lambda: subprocess.Popen(  # noqa: S603 - the program was found by us, no shell is involved
                        launch,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                        pass_fds=inherit,
                        cwd=directory,
                        env=clean_environment() if environment is None else dict(environment),
                    )
                )
        except BaseException:
            if lifeline is not None:
                os.close(lifeline)
            raise
        finally:
            for descriptor in inherit:
                os.close(descriptor)
        # A child that has already ended is kept as a zombie until we wait for it, so its number is still its own.
        identity = ProcessIdentity.of(process.pid) or ProcessIdentity(process.pid, "ended at once")
        return cls(process, identity, lifeline, log, log_start)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        """What the log holds since this process started."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", errors="replace")

    def end(self, *signals: tuple[int, float]) -> None:
        """The process has ended; each signal is given its seconds before the next, SIGKILL is the last. Safe twice."""
        for number, seconds in (*signals, (signal.SIGKILL, 30.0)):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
            break
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def send(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def let_go(self) -> None:
        """The process is nobody's child to wait for any more (detached servers outlive the command that began them)."""
        self._process.returncode = 0
