"""One Lua step a file: what must happen together in Redis, sent by its digest.

A server forgets scripts when it restarts, so a step that is unknown is sent whole once, which also makes it known
again. Steps name every key they touch in KEYS.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from anabranch.bus.redis_connection import ask


class Step(StrEnum):
    """The file names in `scripts/`, without ending."""

    ACKNOWLEDGE = "acknowledge"
    HAND_BACK = "hand_back"
    REMOVE_IDLE_CONSUMER = "remove_idle_consumer"
    ADD_DEAD = "add_dead"
    REMOVE_DEAD = "remove_dead"
    ADD_TOKEN = "add_token"  # noqa: S105 - a barrier's token, no secret
    WRITE_PROGRESS = "write_progress"


@cache
def source(step: Step) -> tuple[str, str]:
    """The text of the step and the digest under which Redis knows it."""
    text = (resources.files("anabranch.bus") / "scripts" / f"{step}.lua").read_text(encoding="utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def run(client: Redis, step: Step, keys: list[str], arguments: list[str]) -> Any:
    """The step has been carried out as one; the answer is what it returns."""
    text, digest = source(step)
    tail = (str(len(keys)), *keys, *arguments)
    try:
        return await ask(client, "EVALSHA", digest, *tail)
    except NoScriptError:
        return await ask(client, "EVAL", text, *tail)
