"""The guide's tutorial is followed to the letter: its files are written, its commands called, its answers compared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.guide_page import ShownCommand, ShownFile, comparable, parts

from anabranch.console.local_fleet import LocalFleet, Service, Surroundings

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
FIRST = GUIDE / "first-configuration.md"
OF_ITS_OWN_MACHINE = ("anabranch up", "anabranch down")
"""The test brings servers and fleet with it; ports and processes could not be compared anyway."""


def call(line: str, place: Path, environment: dict[str, str]) -> str:
    """What the command line answers on both streams."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=place,
        env={**os.environ, **environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    return done.stdout


def write(shown: ShownFile, place: Path) -> None:
    (place / shown.path).parent.mkdir(exist_ok=True)
    (place / shown.path).write_text(shown.text, encoding="utf-8")


def test_the_configuration_of_the_tutorial_is_valid(tmp_path: Path) -> None:
    for shown in parts(FIRST):
        if isinstance(shown, ShownFile):
            write(shown, tmp_path)
    validate = next(
        one
        for one in parts(FIRST)
        if isinstance(one, ShownCommand) and one.line.startswith("anabranch config validate")
    )
    assert comparable(call(validate.line, tmp_path, {})) == comparable(validate.answer)


@pytest.mark.timeout(240)
def test_the_tutorial_comes_out_as_it_says(tmp_path: Path, database: str, redis_url: str, key_prefix: str) -> None:
    around = Surroundings(database_url=database, redis_url=redis_url, key_prefix=key_prefix)
    named = {
        "ANABRANCH_DATABASE_URL": database,
        "ANABRANCH_REDIS_URL": redis_url,
        "ANABRANCH_KEY_PREFIX": key_prefix,
    }
    with LocalFleet(tmp_path, around, logs=tmp_path / "logs") as fleet:
        for service in Service:
            fleet.add(service)
        fleet.wait_ready()
        for shown in parts(FIRST):
            if isinstance(shown, ShownFile):
                write(shown, tmp_path)
            elif not shown.line.startswith(OF_ITS_OWN_MACHINE):
                answer = call(shown.line, tmp_path, named)
                if "--follow" not in shown.line:  # how often progress is told depends on the machine
                    assert comparable(answer) == comparable(shown.answer), shown.line
