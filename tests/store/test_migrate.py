"""The schema of a database: made, checked, and refused where it is not ours to touch."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from anabranch.model.errors import Permanent
from anabranch.store import migrate as migrating
from anabranch.store.migrate import check, migrate, migrations


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _make_durable(url: str, setting: str = "on") -> None:
    """The embedded servers of a test session forget commits on purpose, which `check` rightly refuses."""
    name = urlsplit(url).path.removeprefix("/")
    await _execute(url, f'ALTER DATABASE "{name}" SET synchronous_commit = {setting}')


async def test_each_migration_is_applied_once_whoever_starts_together(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]
    assert await migrate(empty_database) == []


_OLD_DATA = """
INSERT INTO config_version (version, digest, document, stamps, change_class, difference, author)
VALUES (1, '', '{}', '{}', 'cosmetic', '{}', '');
INSERT INTO execution (name, config_version, trace_id, span_id) VALUES ('nightly', 1, '', '');
INSERT INTO run (execution_id, grp, n, profile, kind, state, config_version, page_size, batch_size, deadline_after,
                 span_id, started_at)
VALUES (1, 1, 1, 'hr-sync', 'delta_sync', 'held', 1, 1, 1, '1h', '', now());
INSERT INTO cso (id, type_id, state, doc, change_seq) VALUES (1, 1, 'normal', '{"mail": "a@b", "age": 3}', 1);
INSERT INTO cso_sync (cso_id, type_id, system_id, state, change_seq) VALUES (1, 1, 1, 'normal', 1);
"""


async def test_steps_with_other_numbers_wait_until_no_run_is_under_way(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: known[:2])
        await migrate(empty_database)
    await _execute(empty_database, _OLD_DATA)
    with pytest.raises(Permanent, match=r"schema 0003 .*not over: 1 \(hr-sync, held\); let them end"):
        await migrate(empty_database)
    await _execute(empty_database, "UPDATE run SET state = 'cancelled', ended_at = now()")
    assert await migrate(empty_database) == [f"{one.version:04}_{one.name}" for one in known[2:]]
    connection = await asyncpg.connect(empty_database)
    try:
        (picture,) = await connection.fetch("SELECT doc ->> 'mail' AS mail, pg_typeof(doc) AS type FROM cso_picture")
        assert tuple(map(str, picture)) == ("a@b", "json")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE VIEW mine AS SELECT doc FROM mvo", "used by a view"),
        ("CREATE VIEW mine AS SELECT id FROM mvo_picture", "view mine depends on view mvo_picture"),
        ("CREATE INDEX mine ON mvo USING gin (doc)", "no default operator class"),
        ("CREATE INDEX mine ON mvo ((doc ? 'mail'))", "operator does not exist"),
    ],
)
async def test_what_somebody_made_over_a_document_is_told_to_be_in_the_way(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, made: str, told: str
) -> None:
    known = migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: known[:3])
        await migrate(empty_database)
    await _execute(empty_database, made)
    with pytest.raises(Permanent, match=rf"schema 0004 .*{told}.*drop what you have made"):
        await migrate(empty_database)
    await _execute(empty_database, f"DROP {made.split()[1]} mine")
    assert await migrate(empty_database) == [f"{one.version:04}_{one.name}" for one in known[3:]]


async def test_a_database_at_a_newer_schema_is_refused(database: str) -> None:
    await _execute(database, "INSERT INTO schema_migration VALUES (9999, 'from_the_future')")
    with pytest.raises(Permanent, match=r"9999.*upgrade this program"):
        await migrate(database)
    assert any("9999" in problem for problem in await check(database))


async def test_a_migrated_database_may_be_used(database: str) -> None:
    await _make_durable(database)
    assert await check(database) == []


async def test_a_database_without_a_schema_is_named(empty_database: str) -> None:
    await _make_durable(empty_database)
    (problem,) = await check(empty_database)
    assert "migrate it first" in problem


async def test_a_server_that_forgets_commits_is_refused(database: str) -> None:
    await _make_durable(database, "off")
    (problem,) = await check(database)
    assert "synchronous_commit" in problem
