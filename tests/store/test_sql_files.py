"""The statements of the store against the schema they are written for."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

import anabranch.store
from anabranch.store.sql_files import sql

_FOLDER = Path(next(iter(anabranch.store.__path__))) / "sql"


async def test_every_statement_can_be_prepared(database: str) -> None:
    connection = await asyncpg.connect(database)
    faults = []
    for path in sorted(_FOLDER.glob("*.sql")):
        try:
            if "@" not in sql(path.stem):  # a template, completed where it is used
                await connection.prepare(sql(path.stem))
        except asyncpg.PostgresError as error:
            faults.append(f"{path.name}: {error}")
    await connection.close()
    assert not faults, "\n".join(faults)


def test_a_name_without_a_file_is_a_fault_of_ours() -> None:
    with pytest.raises(FileNotFoundError):
        sql("no_such_statement")
