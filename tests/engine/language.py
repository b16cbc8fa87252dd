"""A small world to evaluate expressions in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from anabranch.engine.expressions import Environment, EvalContext, check, compile_function
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 5, 4, 22, 30, tzinfo=UTC)
TABLES = {"sites": {"B": "Berlin", "": "none"}}


def attributes(*made: Attribute) -> dict[str, Attribute]:
    return {one.name: one for one in made}


def an_attribute(name: str, kind: ValueType = ValueType.TEXT, **fields: Any) -> Attribute:
    return Attribute(name=name, type=kind, **fields)


CS = attributes(
    an_attribute("first"),
    an_attribute("last"),
    an_attribute("mails", multi_valued=True),
    an_attribute("number", ValueType.INTEGER),
    an_attribute("active", ValueType.BOOLEAN),
    an_attribute("guid", ValueType.UUID),
    an_attribute("boss", ValueType.REFERENCE),
)
MV = attributes(an_attribute("account"), an_attribute("manager", ValueType.REFERENCE))


def an_environment(**fields: Any) -> Environment:
    shown: dict[str, Any] = {
        "cs": CS,
        "mv": MV,
        "sees_metaverse_state": True,
        "allows_now": True,
        "allows_draw": True,
        "lookups": TABLES,
        "unique_values": frozenset({"account"}),
        "zone": UTC,
    }
    return Environment(**{**shown, **fields})


def a_context(**fields: Any) -> EvalContext:
    return EvalContext(**{"now": NOW, **fields})


def value_of(
    source: str, cs: dict[str, Any] | None = None, *, context: EvalContext | None = None, **environment: Any
) -> Any:
    """What the expression gives for an object with the attributes `cs`."""
    function = compile_function(check(source, an_environment(**environment)))
    return function(cs or {}, {}, context or a_context())
