"""What is made once a machine and used by every later start: readable copies of programs, and prepared data folders.

Root's servers run as a user without rights, who cannot enter root's home or a private virtual environment. Nothing of
that is opened up for them. What they need is copied to a folder that belongs to root, that others may read, and that
nobody else may write: programs found in it are run, so a folder of another owner is never trusted.

A copy appears under its name only when it is complete (made beside it, then renamed), so two starts at once do no harm.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anabranch.runtime.server_process import Account, LocalServerError, command_of, run_tool

_UNNEEDED = shutil.ignore_patterns("include", "pkgconfig", "pgxs", "*.a", "__pycache__")


def reachable(folder: Path, account: Account | None) -> bool:
    """Whether the server's user can enter and list the folder; always true for the owner's own user."""
    if account is None:
        return True
    return run_tool(["/bin/sh", "-c", 'cd "$1" && test -r .', "sh", folder], account).returncode == 0


def cache_directory(account: Account | None) -> Path:
    """A folder of ours that only we can write, and that `account` can read when it is given.

    Tried in turn: `$XDG_CACHE_HOME/anabranch`, `~/.cache/anabranch` (or `/var/cache/anabranch` for root), and a folder
    below the temporary directory. Raises LocalServerError with the reason of each when none will do.
    """
    refused = []
    for place in _places():
        made = not os.path.isdir(place)  # unlike Path.is_dir also False where we may not look
        try:
            place.mkdir(parents=True, exist_ok=True)
            reason = _distrust(place)
            if reason is None:
                place.chmod(0o755 if account is not None else 0o700)
                reason = None if reachable(place, account) else f"the user {account and account.name} cannot reach it"
        except OSError as fault:
            reason = str(fault)
        if reason is None:
            return place
        refused.append(f"{place}: {reason}")
        if made:
            shutil.rmtree(place, ignore_errors=True)
    raise LocalServerError("no folder can keep the embedded servers' files; set XDG_CACHE_HOME. " + "; ".join(refused))


def _places() -> Iterator[Path]:
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen and Path(chosen).is_absolute():
        yield Path(chosen) / "anabranch"
    if os.geteuid() == 0:
        yield Path("/var/cache/anabranch")
    else:
        home = os.environ.get("HOME")
        if home and os.path.isdir(home):
            yield Path(home) / ".cache" / "anabranch"
    yield Path(tempfile.gettempdir()) / f"anabranch-cache-{os.geteuid()}"


def _distrust(place: Path) -> str | None:
    seen = place.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        return "it is not a folder"
    if seen.st_uid != os.geteuid():
        return "it belongs to another user"
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it"
    if not os.access(place, os.W_OK):
        return "it cannot be written"
    return None


@contextmanager
def appearing(final: Path, account: Account | None = None) -> Iterator[Path]:
    """A fresh folder to fill; it bears the name `final` after the block, unless another was quicker or it failed.

    It belongs to `account` when that is given.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    final.parent.chmod(0o755)  # a strict umask must not lock out the servers' user; the folder above decides who enters
    fresh = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        fresh.chmod(0o755)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        yield fresh
        try:
            fresh.rename(final)
        except OSError:
            if not final.is_dir():  # not there although ours could not take its name: a real fault
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def shared_copy(directory: Path, trees: Sequence[Path], account: Account) -> Path:
    """The folder of `directory`'s programs inside a copy of `trees` that `account` can run.

    The copy keeps the trees' places towards each other, because programs look for their libraries by relative path.
    """
    root = Path(os.path.commonpath([tree.parent for tree in trees]))
    stamp = os.stat(directory)
    key = hashlib.sha256(f"{directory}|{stamp.st_mtime_ns}|{sorted(map(str, trees))}".encode()).hexdigest()[:16]
    final = cache_directory(account) / "programs" / f"{trees[0].parent.name}-{key}"
    if not final.is_dir():
        with appearing(final) as fresh:
            for tree in trees:
                shutil.copytree(tree, fresh / tree.relative_to(root), symlinks=True, ignore=_UNNEEDED)
            _open_for_reading(fresh)
    return final / directory.relative_to(root)


def _open_for_reading(top: Path) -> None:
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def data_home(directory: Path, account: Account | None) -> Path:
    """The folder below which the servers of `directory` keep their data: `directory/data`, owned by their user.

    Where that user cannot reach `directory` (root's home, a private temporary folder) the data lies in the cache and
    `directory/data` is a link to it; nobody's permissions are loosened. Data of directories that no longer exist is
    removed on the way.
    """
    link = directory / "data"
    if link.is_dir():
        return link.resolve()
    if reachable(directory, account):
        home = link
        home.mkdir()
    else:
        kept = cache_directory(account) / "data"
        kept.mkdir(exist_ok=True)
        kept.chmod(0o755)
        _sweep(kept)
        home = kept / hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
        remove_tree(home)  # left by a directory of the same name that was deleted by hand
        home.mkdir()
        (kept / f"{home.name}.origin").write_text(str(directory.resolve()), encoding="utf-8")
        link.unlink(missing_ok=True)
        link.symlink_to(home)
    if account is not None:
        os.chown(home, account.uid, account.gid)
    home.chmod(0o700)
    return home


def remove_data(directory: Path) -> None:
    """The data of `directory` is gone, wherever it lay; nothing happens when there is none."""
    link = directory / "data"
    if link.is_symlink():
        home = link.resolve()
        remove_tree(home)
        home.with_name(f"{home.name}.origin").unlink(missing_ok=True)
        link.unlink()
    else:
        remove_tree(link)


def remove_tree(folder: Path) -> None:
    """The folder and everything in it is gone; a server that is just ending may still remove files meanwhile."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    shutil.rmtree(folder)


def postgres_uses(data: Path) -> bool:
    """Whether a PostgreSQL process holds this data folder; the lock file alone may be left from one that was killed."""
    try:
        holder = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split()[0]
        return "postgres" in command_of(int(holder))
    except (OSError, IndexError, ValueError):
        return False


def _sweep(kept: Path) -> None:
    for note in kept.glob("*.origin"):
        home = note.with_suffix("")
        origin = Path(note.read_text(encoding="utf-8"))
        if not origin.is_dir() and not postgres_uses(home / "postgres"):
            shutil.rmtree(home, ignore_errors=True)
            note.unlink(missing_ok=True)
