"""Connections to Redis with every limit set on purpose.

Left alone, the client library repeats each command ten times, so that one lost reply publishes twice and leaves
entries pending that nobody holds, and it waits for ever on a server that is stuck. Here a command is sent once, every
wait ends, and what went wrong comes back as one of the bus's own errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from anabranch.bus.port import BusFull, BusRefused, BusUnavailable

_AWAY = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, MaxConnectionsError, OSError)
_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
_PASSING = ("MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "BUSY ")


def open_client(
    url: str,
    *,
    timeout: float,
    connect_timeout: float,
    max_connections: int,
    text: bool = True,
    health_check_interval: int = 15,
) -> Redis:
    """Give a client that connects at its first command, sends each command once and waits at most `timeout` seconds.

    Raises:
        BusRefused: the URL is none that Redis clients understand.
    """
    try:
        return Redis.from_url(
            url,
            protocol=2,
            decode_responses=text,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout,
            socket_connect_timeout=connect_timeout,
            socket_keepalive=True,
            health_check_interval=health_check_interval,
            max_connections=max_connections,
        )
    except ValueError as error:
        raise BusRefused(
            f"Redis URL {place_of(url)!r} is not usable: write redis://host:port/database, "
            "rediss:// for TLS or unix:///path"
        ) from error


async def ask(client: Redis, command: str, *arguments: str) -> Any:
    """Give the reply to one command, sent once."""
    return await client.execute_command(command, *arguments)  # type: ignore[no-untyped-call]  # redis leaves it untyped


def place_of(url: str) -> str:
    """The URL without user and password, fit for messages."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable)"
    return f"{parts.scheme}://{host}{port}{parts.path}"


@contextmanager
def told_as_bus_errors(place: str) -> Iterator[None]:
    """Whatever Redis or the network raised inside leaves as one of the bus's errors, which name the server."""
    try:
        yield
    except OutOfMemoryError as error:
        raise BusFull(f"Redis at {place} is full (maxmemory with noeviction): give it more memory") from error
    except _REFUSED as error:
        raise BusRefused(f"Redis at {place} refuses: {error}; check user, password and rights in the URL") from error
    except _AWAY as error:
        raise BusUnavailable(f"Redis at {place} does not answer ({type(error).__name__}: {error})") from error
    except ResponseError as error:
        raise _of_response(place, error) from error
    except RedisError as error:
        raise BusUnavailable(f"Redis at {place} answered nonsense ({type(error).__name__}: {error})") from error


def _of_response(place: str, error: ResponseError) -> BusUnavailable | BusRefused:
    text = str(error)
    if "OOM " in text or text.startswith("command not allowed when used memory"):
        return BusFull(f"Redis at {place} is full (maxmemory with noeviction): give it more memory")
    if text.startswith(_PASSING) or is_missing_group(error):
        return BusUnavailable(f"Redis at {place} cannot serve now: {text}")
    if text.startswith("WRONGTYPE"):
        return BusRefused(
            f"Redis at {place} holds a key of another kind under one of our names; set a key prefix: {text}"
        )
    return BusRefused(f"Redis at {place} refuses: {text}")


def is_missing_group(error: ResponseError) -> bool:
    """True when a stream or its group is gone: after a wipe, a deletion, or while a read was waiting on it."""
    text = str(error)
    return text.startswith(("NOGROUP", "UNBLOCKED")) or "requires the key to exist" in text
