"""Small files and functions, and a namespace that belongs to nobody: what the linter cannot count is counted here.

A file stays below 500 lines and a function below 60, so that each can be held in the head at once. A folder named
`anabranch` has no `__init__.py`: with one, Python would look for all rooms in that folder alone and find no others.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE_LINES = 500
FUNCTION_LINES = 60
FOLDERS = ("services", "shared", "tests", "tools")
EXCEPTIONS: dict[str, str] = {}  # "path" or "path:function" -> the reason it may be larger


def long_parts(path: Path, name: str) -> Iterator[str]:
    """What is too long in one file."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines >= FILE_LINES and name not in EXCEPTIONS:
        yield f"{name}: {lines} lines; a file has fewer than {FILE_LINES}: give a part of it a module of its own"
    for node in ast.walk(ast.parse(text, filename=name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length >= FUNCTION_LINES and f"{name}:{node.name}" not in EXCEPTIONS:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines; a function has under {FUNCTION_LINES}"


def faults(root: Path) -> list[str]:
    """Everything too long or out of place below the source folders of `root`, in order."""
    found: list[str] = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if path.name == "__init__.py" and path.parent.name == "anabranch":
                found.append(f"{name}: the namespace has no __init__.py; remove it")
            found.extend(long_parts(path, name))
    return found


def main() -> int:
    found = faults(ROOT)
    print("\n".join(found) if found else "sizes: all files and functions are small enough")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
