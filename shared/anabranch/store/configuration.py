"""Applied configurations: numbered for ever, never changed.

Applying gives the configuration the next number and its names theirs: a system, an object type or a mapping that was
seen before keeps its number, so that what was written under an older revision still means the same. The document is
kept whole; a run loads the revision it was started with, and the newest only matters to what starts next (MOD-28).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from anabranch.config.document import digest, from_document, to_document
from anabranch.config.stamps import Stamps
from anabranch.model.configuration import Configuration
from anabranch.model.enums import ChangeClass
from anabranch.model.errors import Permanent
from anabranch.model.identity import SystemId, TypeId
from anabranch.model.registry import Registry, Revision
from anabranch.store.actions import record_action
from anabranch.store.faults import translated
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Executor, Pool


class AppliedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the configuration's history."""

    version: int
    digest: str
    change_class: ChangeClass
    difference: Any
    author: str
    reason: str
    applied_at: datetime


async def apply_configuration(
    pool: Pool,
    configuration: Configuration,
    stamps: Stamps,
    *,
    change_class: ChangeClass,
    difference: Any,
    author: str,
    reason: str,
) -> int:
    """The configuration is the newest revision; its number. The same content as the newest makes no new one."""
    content = digest(configuration)
    with translated("apply the configuration"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("lock_configurations"))
            newest = await connection.fetchrow(sql("read_newest_digest"))
            if newest is not None and newest["digest"] == content:
                return int(newest["version"])
            await _number_names(connection, configuration)
            registry = await load_registry(connection)
            version = await connection.fetchval(
                sql("insert_config_version"),
                content,
                to_document(configuration).decode(),
                _numbered(stamps, registry),
                change_class.value,
                msgspec.to_builtins(difference),
                author,
                reason,
            )
            if registry.systems.keys() - configuration.systems.keys():
                await connection.execute(sql("forget_partings"), list(configuration.systems))
            await record_action(connection, author, "apply", f"configuration {version}", reason)
            return int(version)


async def _number_names(connection: Connection, configuration: Configuration) -> None:
    systems = list(configuration.systems.values())
    await connection.execute(
        sql("insert_systems"), [system.key for system in systems], [system.max_parallel_exports for system in systems]
    )
    types: list[tuple[str | None, str]] = [(system.key, key) for system in systems for key in system.object_types]
    types += [(None, key) for key in configuration.metaverse]
    await connection.execute(sql("insert_object_types"), [system for system, _ in types], [key for _, key in types])
    mappings = [f"{rule.key}/{mapping}" for rule in configuration.rules.values() for mapping in rule.mappings]
    await connection.execute(sql("insert_mappings"), mappings)


def _numbered(stamps: Stamps, registry: Registry) -> dict[str, list[list[int]]]:
    return {
        "inbound": [[registry.object_types[names], stamp] for names, stamp in sorted(stamps.inbound.items())],
        "outbound": [[registry.metaverse_types[name], stamp] for name, stamp in sorted(stamps.outbound.items())],
    }


async def load_registry(executor: Executor) -> Registry:
    """Every name that was ever applied, with its number."""
    systems = await executor.fetch(sql("list_systems"))
    types = await executor.fetch(sql("list_object_types"))
    mappings = await executor.fetch(sql("list_mappings"))
    return Registry(
        systems={row["key"]: SystemId(row["id"]) for row in systems},
        object_types={(row["system"], row["key"]): TypeId(row["id"]) for row in types if row["system"] is not None},
        metaverse_types={row["key"]: TypeId(row["id"]) for row in types if row["system"] is None},
        mappings={row["key"]: row["id"] for row in mappings},
    )


async def load_revision(pool: Pool, version: int | None) -> Revision:
    """An applied configuration with the numbers of its names. Raises Permanent when there is none of that number."""
    with translated("load the configuration"):
        row = await pool.fetchrow(sql("read_config_version"), version)
        if row is None:
            raise Permanent(
                "no configuration has been applied yet; apply one first"
                if version is None
                else f"there is no configuration {version}; list the history to see their numbers"
            )
        registry = await load_registry(pool)
    return Revision(
        version=row["version"],
        configuration=from_document(row["document"]),
        registry=registry,
        inbound_stamps={TypeId(number): stamp for number, stamp in row["stamps"]["inbound"]},
        outbound_stamps={TypeId(number): stamp for number, stamp in row["stamps"]["outbound"]},
    )


async def history(executor: Executor) -> list[AppliedVersion]:
    """All applied configurations, newest first."""
    with translated("list the configurations"):
        rows = await executor.fetch(sql("list_config_versions"))
    return [AppliedVersion(**{**row, "change_class": ChangeClass(row["change_class"])}) for row in rows]
