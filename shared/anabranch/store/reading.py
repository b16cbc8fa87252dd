"""The PostgreSQL keeper's reader: pictures of committed rows, by sets.

It borrows a connection and adds nothing to it: on one of its own each verb sees what is committed at that moment;
inside a batch's transaction it also sees what that batch has written so far. Nothing is cached, so a reader may be
thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.store.reading_export import ExportReading
from anabranch.store.reading_import import ImportReading
from anabranch.store.reading_packs import PackReading
from anabranch.store.reading_space import SpaceReading
from anabranch.store.reading_sync import SyncReading

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class PgReader(ImportReading, SpaceReading, SyncReading, ExportReading, PackReading):
    """Every verb of `Reader` over one connection made by `pool.connect` (its codec for documents is needed)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
