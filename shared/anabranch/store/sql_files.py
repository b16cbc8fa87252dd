"""The statements of this room, each in a file of its own.

A statement is read once from the package and kept: asyncpg caches prepared statements by their text, so the same file
is planned once a connection. A file is named for what it does, and what a reader of the code sees is that name.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_FOLDER = files(__package__) / "sql"


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql`. Raises FileNotFoundError for a name that no file has: our own fault."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
