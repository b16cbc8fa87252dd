"""The numbers that stand for the names of a configuration.

PostgreSQL draws them when a configuration is applied, and they survive every later revision: a mapping that is renamed
is a new mapping, one that is merely changed keeps its number, so that provenance written years ago still names it.
"""

from __future__ import annotations

import msgspec

from anabranch.model.configuration import Configuration
from anabranch.model.identity import SystemId, TypeId


class Registry(msgspec.Struct, frozen=True):
    """Names to numbers: systems, object types as (system, type), metaverse types, mappings as `rule/mapping`."""

    systems: dict[str, SystemId]
    object_types: dict[tuple[str, str], TypeId]
    metaverse_types: dict[str, TypeId]
    mappings: dict[str, int]


class Revision(msgspec.Struct, frozen=True):
    """One applied configuration: immutable, numbered (MOD-28), with the stamps of what can alter a result (MOD-29)."""

    version: int
    configuration: Configuration
    registry: Registry
    inbound_stamps: dict[TypeId, int]
    outbound_stamps: dict[TypeId, int]
