"""Which specified behaviours have a test that claims to prove them.

The list of behaviours is a text file, a number and a short title a line. A test claims a number with
`@pytest.mark.behaviour("SYN-31")`, on itself, on its class or as the module's `pytestmark`. The tests are read, never
run. A claimed number that is not on the list is a spelling mistake, and the only thing that makes this program fail.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LISTED = ROOT / "docs" / "reference" / "behaviours.txt"


def read_list(path: Path) -> dict[str, str]:
    """Numbers and titles in the order of the file. Raises ValueError naming the line that is none or repeats one."""
    titles: dict[str, str] = {}
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        number, _, title = line.partition(" ")
        if re.fullmatch(r"[A-Z]+-\d+", number) is None or not title.strip():
            raise ValueError(f"{path}:{place}: expected a number and a title, such as 'SYN-31 title': {line!r}")
        if number in titles:
            raise ValueError(f"{path}:{place}: {number} is listed twice")
        titles[number] = title.strip()
    return titles


def claims(tests: Path) -> Iterator[tuple[str, str]]:
    """Each claimed number with the place, as path:line, of the mark that claims it."""
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.behaviour":
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value, f"{path}:{node.lineno}"


def _in_order(number: str) -> tuple[str, int]:
    prefix, _, count = number.partition("-")
    return prefix, int(count)


def main() -> int:
    parser = argparse.ArgumentParser(description="List which specified behaviours a test claims to prove.")
    parser.add_argument("list", nargs="?", type=Path, default=LISTED, help="the behaviours, a number and title a line")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="where the tests are")
    parser.add_argument("--quiet", action="store_true", help="print the counts only")
    given = parser.parse_args()
    titles = read_list(given.list)
    claimed: dict[str, list[str]] = {}
    for number, place in claims(given.tests):
        claimed.setdefault(number, []).append(place)

    if not given.quiet:
        for number, title in titles.items():
            print(f"{'proved ' if number in claimed else 'missing'}  {number:<8} {title}")
        print()
    total, proved = (Counter(_in_order(number)[0] for number in group) for group in (titles, titles.keys() & claimed))
    for prefix in dict.fromkeys(_in_order(number)[0] for number in titles):
        print(f"{prefix:<5} {proved[prefix]:>4} of {total[prefix]:>4}")
    print(f"{'all':<5} {proved.total():>4} of {total.total():>4}")

    unknown = sorted(claimed.keys() - titles.keys())
    for number in unknown:
        print(f"{number} is not on the list: {', '.join(claimed[number])}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
