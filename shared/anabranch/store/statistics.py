"""What the planner knows about the tables.

A run fills a table with half a million rows in seconds, and the server's own upkeep looks at it a minute later; until
then the planner believes the table empty and chooses plans that never end. So the worker that plans a step first has
the tables looked at that have changed much. A look takes a small sample and no lock that anyone waits for; documents
are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.store.faults import translated
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Pool


async def refresh_statistics(pool: Pool) -> list[str]:
    """The planner knows the present size of every table that has changed much; the names of those looked at."""
    with translated("look at tables"):
        async with pool.acquire() as connection:
            stale = [row["relname"] for row in await connection.fetch(sql("find_stale_statistics"))]
            if not stale:
                return []
            async with connection.transaction():
                await connection.execute(sql("sample_little"))
                for table in stale:
                    # The name comes from the catalogue; the statement takes no parameter in its place.
                    await connection.execute(f'ANALYZE (SKIP_LOCKED) "{table}"')
    return stale
