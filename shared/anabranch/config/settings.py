"""What a service needs to know about its surroundings, fixed when it starts.

Settings are about the machine, not about identities: where the servers are, how long a lease lasts, how loud the log
is. They come from defaults, a file, the environment and flags, the later the stronger, are checked all at once before
anything is opened, and never change while the process lives. What is secret in them is shown as `***`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from anabranch.config.masking import MASK, mask_urls

_POSTGRES = r"^postgres(ql)?://"
_REDIS = r"^(rediss?|unix)://"


def _url(meaning: str, pattern: str, expected: str) -> Meta:
    return Meta(description=meaning, pattern=pattern, extra={"secret": True, "url": True, "expected": expected})


def _number(meaning: str, least: float, most: float) -> Meta:
    return Meta(description=meaning, ge=least, le=most)


_POSTGRES_URL = _url("Where PostgreSQL is, the truth about everything.", _POSTGRES, "a postgresql:// URL")
_REDIS_URL = _url("Where the Redis server is that carries hints between processes.", _REDIS, "a redis:// URL")
_CACHE_URL = _url(
    "Where the Redis server of the lookup cache is; the same as redis_url if not set.",
    rf"^$|{_REDIS}",
    "a redis:// URL",
)
_PREFIX = Meta(
    description="What every key and stream of this fleet begins with, so that fleets may share a server.",
    pattern=r"^[A-Za-z0-9:_.-]{0,64}$",
    extra={"expected": "at most 64 letters, digits, : _ . or -"},
)


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings every service has; a service with more of them extends this record."""

    database_url: Annotated[str, _POSTGRES_URL]
    redis_url: Annotated[str, _REDIS_URL]
    redis_cache_url: Annotated[str, _CACHE_URL] = ""
    key_prefix: Annotated[str, _PREFIX] = ""
    lease_seconds: Annotated[
        float, _number("How long a claimed batch stays claimed without a heartbeat.", 0.2, 3600)
    ] = 6.0
    drain_seconds: Annotated[float, _number("How long work in hand may take after a request to stop.", 0, 3600)] = 45.0
    idle_poll_seconds: Annotated[
        float, _number("How often PostgreSQL is asked for work when no hint arrives.", 0.05, 3600)
    ] = 5.0
    publish_window: Annotated[
        int, _number("How many hints may wait in a stream before no more are published.", 1, 1_000_000)
    ] = 1000
    republish_seconds: Annotated[float, _number("When a hint nobody took is published again.", 0.2, 86400)] = 30.0
    concurrency: Annotated[int, _number("How many batches one process works on at once.", 1, 256)] = 2
    health_host: Annotated[str, Meta(description="The address the health endpoints listen on.", min_length=1)] = (
        "127.0.0.1"
    )
    health_port: Annotated[int, _number("The port of the health endpoints; 0 opens none.", 0, 65535)] = 0
    alive_file: Annotated[
        str, Meta(description="A file that is touched every few seconds while the process moves; none if not set.")
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe message that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="Whether log lines are for people or for machines.")
    ] = "text"
    lookup_cache: Annotated[
        bool, Meta(description="Whether match keys are looked up in Redis first; it changes speed, never results.")
    ] = True
    leader_lease_seconds: Annotated[
        float, _number("How long a scheduler leads without renewing its lease.", 1, 3600)
    ] = 15.0
    sweep_seconds: Annotated[
        float, _number("How often the leader looks for expired claims and work that is due.", 0.05, 3600)
    ] = 1.0

    def __post_init__(self) -> None:
        if not self.redis_cache_url:
            msgspec.structs.force_setattr(self, "redis_cache_url", self.redis_url)

    def shown(self) -> dict[str, Any]:
        """Every setting as it may be shown: secrets as `***`, URLs without their passwords."""
        return shown(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def __rich_repr__(self) -> Any:
        yield from self.shown().items()


def shown(settings: msgspec.Struct) -> dict[str, Any]:
    """The fields of a settings record with everything secret hidden."""
    hints = get_type_hints(type(settings), include_extras=True)
    return {name: _shown_value(getattr(settings, name), meta_of(hints[name])) for name in settings.__struct_fields__}


def _shown_value(value: Any, meta: Meta) -> Any:
    if isinstance(value, msgspec.Struct):
        return shown(value)
    extra = meta.extra or {}
    if extra.get("url"):
        return mask_urls(value)
    return MASK if extra.get("secret") and value else value


def meta_of(hint: Any) -> Meta:
    """What an annotated setting says about itself."""
    found = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Meta)]
    return found[0] if found else Meta()


def settings_table(kind: type[msgspec.Struct] = ServiceSettings) -> str:
    """The settings of a service as a Markdown table, for its reference page."""
    hints = get_type_hints(kind, include_extras=True)
    lines = ["| setting | environment | flag | default | meaning |", "|---|---|---|---|---|"]
    for info in msgspec.structs.fields(kind):
        meta = meta_of(hints[info.name])
        variable = f"`ANABRANCH_{info.name.upper()}`"
        if (meta.extra or {}).get("secret"):
            variable += f" or `ANABRANCH_{info.name.upper()}_FILE`"
        default = "required" if info.required else f"`{_written(info.default)}`"
        flag = f"`--{info.name.replace('_', '-')}`"
        lines.append(f"| `{info.name}` | {variable} | {flag} | {default} | {meta.description} |")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value) if value != "" else '""'
