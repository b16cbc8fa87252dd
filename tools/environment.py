"""The virtual environment of this checkout, made once and made again only when what it comes from has changed.

A stamp in `.venv` remembers the lock file, the project file, the interpreter and the place of the checkout; when it
still fits, nothing is done. Two calls at once are safe: the second waits for the first and then finds the stamp.
Needs the standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "anabranch-stamp"
UNFINISHED = VENV / "anabranch-unfinished"
LOCK_FILE = ROOT / "requirements-dev.lock"


def wanted_stamp() -> str:
    """What the environment must have been made from."""
    digest = hashlib.sha256()
    for source in (LOCK_FILE, ROOT / "pyproject.toml"):
        digest.update(source.read_bytes())
    return f"{digest.hexdigest()} {sys.version} {ROOT}"


def is_current() -> bool:
    try:
        return STAMP.read_text(encoding="utf-8") == wanted_stamp()
    except OSError:
        return False


def is_sound() -> bool:
    """Whether `.venv` may be installed into: of this Python and this place, and not left by an interrupted call."""
    if UNFINISHED.exists():
        return False
    tell = "import sys, pip; print(sys.version, sys.prefix)"
    try:
        asked = subprocess.run(  # noqa: S603 - the Python of our own environment, with a program of ours
            [str(VENV / "bin" / "python"), "-c", tell], check=False, capture_output=True, text=True
        )
    except OSError:
        return False
    return asked.stdout.strip() == f"{sys.version} {VENV}"


def build() -> None:
    """`.venv` holds the locked packages and this project, editable."""
    python = VENV / "bin" / "python"
    STAMP.unlink(missing_ok=True)
    say(f"making .venv with Python {sys.version.split()[0]} from {LOCK_FILE.name} (once, a minute or two)")
    if not is_sound():
        venv.create(VENV, with_pip=True, clear=True)
    UNFINISHED.touch()
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "--requirement", str(LOCK_FILE)])
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    # A demonstration starts ten processes; where Python is told to keep no bytecode, each would compile everything.
    run([str(python), "-m", "compileall", "-q", "shared", "services"])
    UNFINISHED.unlink()
    STAMP.write_text(wanted_stamp(), encoding="utf-8")
    say("the environment is ready")


def run(command: list[str]) -> None:
    finished = subprocess.run(command, check=False, cwd=ROOT)  # noqa: S603 - pip of the environment just made
    if finished.returncode != 0:
        say("installing failed (above). Check the network or pip's settings, then run make again")
        sys.exit(1)


def say(message: str) -> None:
    sys.stderr.write(f"anabranch: {message}\n")


def main() -> None:
    if is_current():
        return
    place = ROOT / ".anabranch"
    place.mkdir(exist_ok=True)
    with (place / "environment.lock").open("w", encoding="ascii") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is preparing .venv; waiting for it")
            fcntl.flock(guard, fcntl.LOCK_EX)
        if not is_current():
            os.environ.pop("PYTHONPATH", None)
            build()


if __name__ == "__main__":
    main()
