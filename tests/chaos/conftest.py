"""One arena for all rounds of a session, and what an undisturbed worker leaves there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.arena import Arena
from tests.chaos.rounds import in_peace
from tests.chaos.site import Size
from tests.fleet.sites import Outcome

SHORT = Size(people=120, weeks=0)
"""One first cycle of a small organisation: every person, account and reference is new."""
BRIEF = Size(people=80, weeks=0, peers=2, cycle="brief", patience=100.0, stillness=10.0)
"""One import and one sync; what a missing safeguard breaks may never end, and is not waited for long."""

TOLD = Size(people=10, weeks=0, peers=2, cycle="told")
"""As few people as can be, whose changes are told to the ledger in one batch."""


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Arena]:
    """A PostgreSQL and a Redis that may be killed."""
    with Arena(tmp_path_factory.mktemp("arena"), project_root) as made:
        yield made


@pytest.fixture(scope="session")
def peace(arena: Arena) -> Outcome:
    """The short cycle, undisturbed, by one worker of each kind."""
    return asyncio.run(in_peace(arena, SHORT))
