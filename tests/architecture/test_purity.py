"""The pure rooms are pure: what they import, what they call, and what is loaded when they are imported alone."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = ("model", "protocol", "engine")
CLOCK_READS = {"now", "utcnow", "today"}
CLOCKS = {"datetime", "date"}
OUTSIDE_CALLS = {"open", "input", "print", "__import__"}

# What msgspec brings along, and the interpreter itself (`time`); checked below to be no longer than the truth.
LOADED_BY_MSGSPEC = {"os", "time", "uuid"}


def forbidden_modules() -> set[str]:
    """The modules that the import contract of the pure rooms forbids, and the one it cannot judge."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    pure = {f"anabranch.{room}" for room in PURE}
    contract = next(rule for rule in contracts if set(rule.get("source_modules", ())) == pure)
    return {*contract["forbidden_modules"], "zoneinfo", "io", "sqlite3", "http"}


def impurities(source: str) -> Iterator[str]:
    """Every import, file access and clock reading that a pure room must not contain, with its line."""
    forbidden = forbidden_modules()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [f"import {alias.name}" for alias in names if alias.name.split(".")[0] in forbidden]
            case ast.ImportFrom(module=str() as module, level=0):
                found = [f"import {module}"] if module.split(".")[0] in forbidden else []
            case ast.Call(func=ast.Name(id=called)):
                found = [f"{called}()"] if called in OUTSIDE_CALLS else []
            case ast.Attribute(attr=read, value=ast.Name(id=owner) | ast.Attribute(attr=owner)):
                found = [f"{owner}.{read}"] if read in CLOCK_READS and owner in CLOCKS else []
            case _:
                found = []
        for fault in found:
            yield f"line {getattr(node, 'lineno', 0)}: {fault}"


def pure_modules() -> list[Path]:
    return sorted(path for room in PURE for path in (ROOT / "shared" / "anabranch" / room).rglob("*.py"))


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import urllib.request",
        "from pathlib import Path",
        "def f():\n    from zoneinfo import ZoneInfo",
        "open('x')",
        "datetime.now(UTC)",
        "import datetime\ndatetime.datetime.utcnow()",
        "date.today()",
        "clock = datetime.now",
    ],
)
def test_an_impurity_is_seen(source: str) -> None:
    assert list(impurities(source))


@pytest.mark.parametrize(
    "source", ["from datetime import datetime", "x = now()", "today = value.today", "import msgspec"]
)
def test_what_is_pure_passes(source: str) -> None:
    assert list(impurities(source)) == []


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_pure_rooms_touch_neither_files_nor_clocks(path: Path) -> None:
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


def test_there_are_pure_modules_to_judge() -> None:
    assert {path.parent.name for path in pure_modules()} >= {"model", "protocol"}


def loaded_by(*modules: str) -> set[str]:
    """Forbidden modules in `sys.modules` of a fresh interpreter after these imports, without start-up hooks."""
    spec = importlib.util.find_spec("msgspec")
    assert spec is not None
    assert spec.origin is not None
    paths = [str(ROOT / "shared"), str(Path(spec.origin).parents[1])]
    script = (
        "import sys, importlib, json\n"
        f"sys.path[:0] = {paths!r}\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout)) & (forbidden_modules() - {"io"})  # the interpreter itself needs io


def test_the_list_of_what_msgspec_loads_is_no_longer_than_the_truth() -> None:
    assert loaded_by("msgspec") == LOADED_BY_MSGSPEC


def test_the_pure_rooms_import_alone_with_nothing_heavy_loaded() -> None:
    names = []
    for path in pure_modules():
        module = path.relative_to(ROOT / "shared").with_suffix("")
        names.append(".".join(module.parts).removesuffix(".__init__"))
    assert loaded_by(*names) == LOADED_BY_MSGSPEC
