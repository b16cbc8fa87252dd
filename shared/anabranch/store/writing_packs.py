"""Packs of provisioned objects: written, counted for an export, and gone when their objects stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from anabranch.model.changes import Changes
from anabranch.model.fleet import Claimed
from anabranch.model.identity import SystemId
from anabranch.model.provisioning import ProvisionPack
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

_COLUMNS = [
    "system_id", "type_id", "mvo_type_id", "rule", "staged_run", "config_version", "staged_now", "objects", "lo_anchor",
    "hi_anchor", "lo_mvo", "hi_mvo", "body",
]  # fmt: skip


async def write_packs(connection: Connection, changes: Changes) -> None:
    """What goes is gone, what is new stands."""
    if changes.unpacked:
        await connection.execute(sql("list_counted_creates"), changes.unpacked)
    gone = [*changes.gone_packs, *changes.unpacked]
    if gone:
        await connection.execute(sql("forget_packs"), gone)
    if changes.provision_packs:
        await connection.copy_records_to_table(
            "provision_pack", records=[_row(one) for one in changes.provision_packs], columns=_COLUMNS
        )


def _row(pack: ProvisionPack) -> tuple[object, ...]:
    mvos = [one.mvo for one in pack.objects]
    return (
        pack.system_id, pack.type_id, pack.mvo_type_id, pack.rule, pack.staged_run, pack.config_version,
        pack.staged_now, len(pack.objects), pack.objects[0].anchor, pack.objects[-1].anchor, min(mvos), max(mvos),
        msgspec.Raw(msgspec.json.encode(pack.objects)),
    )  # fmt: skip


async def count_packs(connection: Connection, system: SystemId, claimed: Claimed) -> int:
    """The packs the run may carry out are counted in it; how many objects that are."""
    statement = sql("count_packs").replace("@over", sql("find_runs_with_outbound_over"))
    count: int = await connection.fetchval(statement, system, claimed.run, claimed.config_version)
    return count
