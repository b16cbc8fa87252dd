"""The source roots make one namespace, every tool knows all of them, and every room says what may live in it."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import anabranch

ROOT = Path(__file__).resolve().parents[2]


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def source_roots() -> list[str]:
    """`shared` and each service's folder, as found on disk."""
    services = sorted(f"services/{folder.name}" for folder in (ROOT / "services").iterdir() if folder.is_dir())
    return ["shared", *services]


def rooms() -> list[Path]:
    """The packages directly below the namespace, those without a module yet included."""
    found = [room for root in source_roots() for room in (ROOT / root / "anabranch").iterdir() if room.is_dir()]
    return sorted(room for room in found if room.name != "__pycache__")


def layered_rooms() -> set[str]:
    layers = next(rule for rule in project()["tool"]["importlinter"]["contracts"] if rule["type"] == "layers")["layers"]
    return {name.strip() for layer in layers for name in layer.split("|")}


def test_no_stray_init_closes_the_namespace() -> None:
    strays = [path for root in ("shared", "services") for path in (ROOT / root).rglob("anabranch/__init__.py")]
    assert strays == []


def test_every_source_root_holds_a_part_of_the_namespace() -> None:
    assert len(source_roots()) >= 6
    assert [root for root in source_roots() if not (ROOT / root / "anabranch").is_dir()] == []


@pytest.mark.parametrize(
    ("table", "form"),
    [
        (("hatch", "build", "dev-mode-dirs"), "{}"),
        (("hatch", "build", "targets", "wheel", "packages"), "{}/anabranch"),
        (("pytest", "ini_options", "pythonpath"), "{}"),
        (("mypy", "mypy_path"), "$MYPY_CONFIG_FILE_DIR/{}"),
        (("ruff", "src"), "{}"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_every_tool_names_every_source_root(table: tuple[str, ...], form: str) -> None:
    listed = project()["tool"]
    for key in table:
        listed = listed[key]
    assert {form.format(root) for root in source_roots()} == set(listed) - {"."}


def test_the_namespace_comes_from_this_checkout_alone() -> None:
    places = {Path(place).resolve() for place in anabranch.__path__}
    assert places == {ROOT / root / "anabranch" for root in source_roots()}


def test_every_room_has_its_place_in_the_layers() -> None:
    assert {f"anabranch.{room.name}" for room in rooms()} == layered_rooms()


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.name)
def test_every_room_is_typed(room: Path) -> None:
    assert (room / "py.typed").is_file()


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.name)
def test_every_room_opens_with_its_admission_rule(room: Path) -> None:
    if not list(room.rglob("*.py")):
        pytest.skip("no module lives here yet")
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.splitlines()) >= 3


def test_no_module_is_named_for_nothing_in_particular() -> None:
    shapeless = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert [path for room in rooms() for path in room.rglob("*.py") if path.stem in shapeless] == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"help", "demo", "test", "check", "lock", "clean", "coverage-of-behaviours"} <= targets
    assert {line.split()[0] for line in shown.splitlines() if line.startswith("  ")} == targets


def test_the_lock_file_holds_every_direct_dependency_and_names_no_registry() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = {_canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)}
    declared = [
        *project()["project"]["dependencies"],
        *project()["project"]["optional-dependencies"]["local"],
        *(one for group in project()["dependency-groups"].values() for one in group if isinstance(one, str)),
    ]
    wanted = {_canonical(re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]) for requirement in declared}
    assert wanted - locked == set()
    assert "://" not in lock


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
