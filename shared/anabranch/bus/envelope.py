"""A hint: the few numbers by which a worker finds a batch row in PostgreSQL.

It is written when the relay publishes a due batch, read by whichever worker the group gives it to, and deleted when
that worker acknowledges it. It may be lost, late, doubled or resurrected without effect, because the row decides; so
it carries ids and a trace context and never anything of an object (FLT-2).

Fields are flat strings, so redis-cli shows them as they are. Versions live side by side during a rollout: a worker
that meets a version it does not know gives the hint back for a newer one (FLT-22).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from anabranch.model.errors import AnabranchError
from anabranch.model.fleet import DueHint

VERSION: Final = 1
KNOWN_VERSIONS: Final = frozenset({1})
MAX_BYTES: Final = 250
"""Of all field names and values together."""

_NUMBERS: Final = ("batch", "run", "seq", "enq")
_TEXTS: Final = ("system", "phase")
_SYSTEM_BYTES: Final = 48
_MAX_NUMBER: Final = 2**63 - 1


class Malformed(AnabranchError):
    """The entry is no hint; acknowledge it, for its batch row is published again when it is due."""


class UnknownVersion(AnabranchError):
    """A newer program wrote the hint; hand it back for a newer worker."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"hint of version {version[:20]!r}: this program knows {sorted(KNOWN_VERSIONS)}; upgrade this worker"
        )
        self.version = version


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch is.

    `system` is the connected system's key, for a person who reads the stream; `phase` is `{step ordinal}.{phase name}`,
    `seq` the claim epoch of the row when it was published, `enq` the time of publication in milliseconds since 1970,
    `traceparent` the W3C context of the step.
    """

    batch: int
    run: int
    system: str
    phase: str
    seq: int = 0
    traceparent: str = ""
    enq: int = 0
    v: int = VERSION


def hint_of(due: DueHint, enq: int) -> Hint:
    """Give the hint of a batch that is due, published at `enq`; a long system key is cut, it is only for people."""
    return Hint(
        batch=due.batch,
        run=due.run,
        system=due.system.encode()[:_SYSTEM_BYTES].decode(errors="ignore"),
        phase=due.phase,
        seq=due.seq,
        traceparent=due.traceparent,
        enq=enq,
        v=due.version,
    )


def encode(hint: Hint) -> dict[str, str]:
    """Give the flat fields of a stream entry.

    Raises:
        Malformed: the fields together exceed 250 bytes, or a number is negative or beyond 64 bits.
    """
    fields = {
        "v": str(hint.v),
        "batch": str(hint.batch),
        "run": str(hint.run),
        "system": hint.system,
        "phase": hint.phase,
        "seq": str(hint.seq),
        "traceparent": hint.traceparent,
        "enq": str(hint.enq),
    }
    for name in _NUMBERS:
        _number(name, fields)
    size = sum(len(name) + len(value.encode()) for name, value in fields.items())
    if size > MAX_BYTES:
        raise Malformed(f"hint of batch {hint.batch}: {size} bytes, at most {MAX_BYTES} may travel; shorten the phase")
    return fields


def decode(fields: Mapping[str, str]) -> Hint:
    """Give the hint that `encode` wrote; fields added by later programs of the same version are ignored.

    Raises:
        UnknownVersion: `v` is a version this program does not know.
        Malformed: a field is missing, or is no number where one is needed.
    """
    version = fields.get("v")
    if version is None:
        raise Malformed(
            f"stream entry without a field 'v' (it has {_names(fields)}); something else writes this stream"
        )
    if not (version.isascii() and version.isdigit()) or len(version) > 6 or int(version) not in KNOWN_VERSIONS:
        raise UnknownVersion(version)
    for name in _TEXTS:
        if name not in fields:
            raise Malformed(f"hint without a field {name!r}")
    numbers = {name: _number(name, fields) for name in _NUMBERS}
    return Hint(
        system=fields["system"],
        phase=fields["phase"],
        traceparent=fields.get("traceparent", ""),
        v=int(version),
        **numbers,
    )


def _number(name: str, fields: Mapping[str, str]) -> int:
    text = fields.get(name)
    if text is None:
        raise Malformed(f"hint without a field {name!r}")
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _MAX_NUMBER:
        raise Malformed(f"hint: {name} must be a whole number from 0 to 2^63-1, not {text[:30]!r}")
    return int(text)


def _names(fields: Mapping[str, str]) -> list[str]:
    return sorted(name[:20] for name in fields)[:10]
