"""One embedded PostgreSQL: its data folder is prepared once, then it is started, restarted and stopped on loopback.

`initdb` takes the better part of a second and its result depends only on the program, so it is made once a machine and
copied. Each copy gets a password of its own before the first connection is possible: the template knows none, and
single-user mode sets it without a server that listens.

`postmaster.pid` tells readiness: PostgreSQL writes its process number and, in the eighth line, `ready`. No client is
needed to know that the server which answers is the one that was started.

On the owner's death PostgreSQL gets SIGQUIT: it ends its own children at once and recovers from its log at the next
start. After SIGKILL its children notice the loss of their parent and end as well, only later.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import signal
from pathlib import Path

from anabranch.runtime.server_binaries import Binaries
from anabranch.runtime.server_cache import appearing, cache_directory, postgres_uses, remove_tree
from anabranch.runtime.server_process import (
    LOOPBACK,
    Account,
    LocalServerError,
    PortTakenError,
    ServerProcess,
    free_port,
    last_lines,
    run_tool,
    wait_until,
)

ROLE = DATABASE = "anabranch"
_TEMPLATE_FORMAT = "1"
_START_SECONDS = 120.0  # recovery after an abrupt end may take a while; a start that failed is seen at once
_PORT_TRIES = 5

# Who may connect: the loopback interface with a password, nobody else.
_HBA = f"host all all {LOOPBACK}/32 scram-sha-256\n"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # /dev/shm of a container holds 64 MB, and what a killed server left there would stay for ever.
    "dynamic_shared_memory_type": "mmap",
    "huge_pages": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # its compiler costs more than it saves on short statements, and the wheels lack it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
    "log_destination": "stderr",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """A PostgreSQL of ours. `directory` holds log and password, `home` the data; not safe for several threads."""

    def __init__(
        self, binaries: Binaries, account: Account | None, directory: Path, home: Path, *, durable: bool, owned: bool
    ) -> None:
        self.binaries = binaries
        self.log = directory / "postgres.log"
        self.port = 0
        self._account = account
        self._data = home / "postgres"
        self._password_file = directory / "password"
        self._durable = durable
        self._owned = owned
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        password = self._password_file.read_text(encoding="ascii").strip()
        return f"postgresql://{ROLE}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def process(self) -> ServerProcess | None:
        return self._process

    def start(self) -> None:
        """The server accepts connections; on the port it had, or on a free one the first time.

        Raises LocalServerError with the log's last lines when it cannot.
        """
        self._prepare()
        for last in (*[False] * (_PORT_TRIES - 1), True):
            port = self.port or free_port()
            try:
                self._launch(port)
            except PortTakenError:
                if last or self.port:
                    raise
            else:
                self.port = port
                return

    def stop(self, *, gently: bool = True) -> None:
        """The server and all its processes are gone. Gently: what it holds is written first. Safe twice."""
        if self._process is not None:
            quick = (signal.SIGQUIT, 10.0)
            self._process.end(*((signal.SIGINT, 20.0), quick) if gently else (quick,))
            self._process = None

    def ask_to_stop(self) -> None:
        """The server has begun to end; `stop` waits for it."""
        if self._process is not None:
            self._process.send(signal.SIGINT)

    def _launch(self, port: int) -> None:
        settings = _SETTINGS | ({} if self._durable else _NOT_DURABLE) | {"port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._wait_for_predecessor()
        process = ServerProcess.start(
            [self.binaries.path, "-D", self._data, *options],
            log=self.log,
            account=self._account,
            death_signal=signal.SIGQUIT,
            owned=self._owned,
        )
        self._process = process  # from here on `stop` ends it, whatever interrupts the wait
        wait_until(lambda: self._is_ready(process.pid) or process.has_ended(), _START_SECONDS)
        if not process.has_ended() and self._is_ready(process.pid):
            return
        self.stop(gently=False)
        kind = PortTakenError if "Address already in use" in process.said() else LocalServerError
        raise kind(
            f"{self.binaries} did not start on {LOOPBACK}:{port} with the data in {self._data}. "
            f"The end of its log {self.log}:\n{last_lines(self.log)}"
        )

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _wait_for_predecessor(self) -> None:
        """A server whose owner was killed just now may still be ending; it removes its lock file when it has."""
        wait_until(lambda: not postgres_uses(self._data), 15.0)

    def _prepare(self) -> None:
        if (self._data / "PG_VERSION").exists() and self._password_file.exists():
            return
        password = secrets.token_urlsafe(24)
        try:
            self._copy_template()
            self._set_password(password)
        except LocalServerError:
            # A template in a temporary folder may have lost files to the system's cleaning: make it anew, once.
            remove_tree(self._template())
            self._copy_template()
            self._set_password(password)
        self._password_file.touch(mode=0o600)
        self._password_file.chmod(0o600)
        self._password_file.write_text(password + "\n", encoding="ascii")

    def _template(self) -> Path:
        stamp = self.binaries.path.stat()
        user = "own" if self._account is None else str(self._account.uid)
        key = f"{self.binaries.path}|{self.binaries.version}|{stamp.st_mtime_ns}|{user}|{_TEMPLATE_FORMAT}"
        name = f"postgres-{self.binaries.major}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        return cache_directory(self._account) / "templates" / name

    def _copy_template(self) -> None:
        template = self._template()
        if not (template / "data" / "PG_VERSION").exists():
            with appearing(template, self._account) as fresh:
                self._initialise(fresh / "data")
        remove_tree(self._data)
        copied = run_tool(["/bin/sh", "-c", 'cp -R "$1" "$2"', "sh", template / "data", self._data], self._account)
        if copied.returncode != 0:
            raise LocalServerError(f"{template} cannot be copied to {self._data}: {copied.stderr.strip()}")
        self._data.chmod(0o700)

    def _initialise(self, data: Path) -> None:
        # One sort order and one case mapping on every machine: byte order, and Unicode's mapping where it is to be had.
        builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        spellings = ((builtin,) if self.binaries.major >= 17 else ()) + (("--locale=C.UTF-8",), ("--locale=C",))
        said = []
        for locale in spellings:
            shutil.rmtree(data, ignore_errors=True)
            made = run_tool(
                [
                    self.binaries.directory / "initdb",
                    "-D",
                    data,
                    "-N",
                    "-E",
                    "UTF8",
                    "-U",
                    ROLE,
                    "-A",
                    "trust",
                    *locale,
                ],
                self._account,
            )
            if made.returncode == 0:
                break
            said.append(made.stderr.strip())
        else:
            hint = ""
            if "could not look up effective user" in said[-1]:  # containers that run under any number
                hint = "\nGive this user an entry in /etc/passwd, or set ANABRANCH_DATABASE_URL"
            raise LocalServerError(f"{self.binaries.directory / 'initdb'} failed for {data}:\n{said[-1]}{hint}")
        hba = data / "pg_hba.conf"
        hba.write_text(_HBA, encoding="ascii")
        self._single_user(data, f"CREATE DATABASE {DATABASE}")

    def _set_password(self, password: str) -> None:
        self._single_user(self._data, f"ALTER ROLE {ROLE} PASSWORD '{password}'")

    def _single_user(self, data: Path, statement: str) -> None:
        """The statement is committed by a PostgreSQL without a network; its text never shows in a process list."""
        asked = run_tool(
            [self.binaries.path, "--single", "-D", data, "-c", "dynamic_shared_memory_type=mmap", "postgres"],
            self._account,
            text=statement + "\n",
        )
        if asked.returncode != 0 or "ERROR" in asked.stderr or "FATAL" in asked.stderr:
            told = asked.stderr.replace(statement, statement.split("'", maxsplit=1)[0]).strip()
            raise LocalServerError(f"{self.binaries} cannot prepare {data}:\n{told}")


def data_major(home: Path) -> int | None:
    """The major version that made the data below `home`, None when there is none."""
    try:
        return int((home / "postgres" / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
