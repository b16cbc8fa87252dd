"""The small programs behind `make` see what they are made to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import check_sizes, coverage_of_behaviours

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_long_function_and_a_long_file_are_told(tmp_path: Path) -> None:
    write(tmp_path / "shared" / "long.py", "def f():\n" + "    x = 1\n" * 59)
    write(tmp_path / "tests" / "longer.py", "x = 1\n" * 500)
    told = check_sizes.faults(tmp_path)
    assert [line.split(":")[0] for line in told] == ["shared/long.py", "tests/longer.py"]


def test_sizes_just_below_the_limits_pass(tmp_path: Path) -> None:
    write(tmp_path / "shared" / "fine.py", "def f():\n" + "    x = 1\n" * 58)
    write(tmp_path / "tests" / "fine.py", "x = 1\n" * 499)
    assert check_sizes.faults(tmp_path) == []


def test_an_init_in_the_namespace_is_told(tmp_path: Path) -> None:
    write(tmp_path / "services" / "console" / "anabranch" / "__init__.py", "")
    assert len(check_sizes.faults(tmp_path)) == 1


def test_a_behaviour_named_by_a_mark_counts_as_proved(tmp_path: Path) -> None:
    write(tmp_path / "list.txt", "# heading\nSYN-1 first\nSYN-2 second\n")
    mark = "import pytest\n@pytest.mark.behaviour({})\ndef test_x(): ...\n"
    write(tmp_path / "tests" / "test_x.py", mark.format('"SYN-2"'))
    shown = coverage(tmp_path)
    assert shown.returncode == 0
    assert "missing  SYN-1    first" in shown.stdout
    assert "proved   SYN-2    second" in shown.stdout
    assert "SYN      1 of    2" in shown.stdout


def test_a_mark_that_names_no_listed_behaviour_fails(tmp_path: Path) -> None:
    write(tmp_path / "list.txt", "SYN-1 first\n")
    write(tmp_path / "tests" / "test_x.py", 'import pytest\npytestmark = pytest.mark.behaviour("SYN-99")\n')
    shown = coverage(tmp_path)
    assert shown.returncode == 1
    assert "SYN-99 is not on the list" in shown.stderr


@pytest.mark.parametrize("line", ["SYN-1", "SYN one", "SYN-1 first\nSYN-1 again"])
def test_a_malformed_list_names_its_line(tmp_path: Path, line: str) -> None:
    write(tmp_path / "list.txt", line + "\n")
    with pytest.raises(ValueError, match=r"list\.txt:\d"):
        coverage_of_behaviours.read_list(tmp_path / "list.txt")


def test_every_mark_in_this_suite_names_a_listed_behaviour() -> None:
    listed = coverage_of_behaviours.read_list(coverage_of_behaviours.LISTED)
    claimed = {number for number, _ in coverage_of_behaviours.claims(ROOT / "tests")}
    assert claimed - listed.keys() == set()


def coverage(folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(ROOT / "tools" / "coverage_of_behaviours.py")]
    command = [*program, str(folder / "list.txt"), "--tests", str(folder / "tests")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_machine_without_a_fitting_python_is_told_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    asked = find_python(tmp_path)
    assert asked.returncode == 1
    assert "no Python 3.11 or newer was found" in asked.stderr


def test_a_python_without_venv_is_told_how_to_get_it(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n')
    bare.chmod(0o755)
    asked = find_python(tmp_path)
    assert asked.returncode == 1
    assert "apt install python3-venv" in asked.stderr


def find_python(search_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"} | {"PATH": str(search_path)}
    command = ["/bin/sh", str(ROOT / "tools" / "find_python.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
