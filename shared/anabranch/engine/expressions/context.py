"""What surrounds an expression: names when it is checked, a moment and the reservations when it runs.

Where an expression stands decides what it may see (MOD-38, MOD-44, MOD-48); the environment says so once, when the
rules are read. What changes from object to object and from run to run is the context, handed to the generated function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec

from anabranch.model.configuration import Attribute


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The names an expression may use.

    `cs` and `mv` are the attributes of each visible side (None: not visible here). `sees_metaverse_state` allows
    `mv_state`, `delete_after` and `joined(..)`; `systems` are the systems `joined` may name (None: any). `zone` is the
    rule's time zone.
    """

    cs: Mapping[str, Attribute] | None = None
    mv: Mapping[str, Attribute] | None = None
    sees_metaverse_state: bool = False
    systems: Collection[str] | None = None
    allows_now: bool = False
    allows_draw: bool = False
    lookups: Mapping[str, Mapping[str, str]] = {}
    unique_values: Collection[str] = ()
    zone: tzinfo = UTC


class EvalContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression sees besides attributes: the run's pinned instant, what it may draw, the state of its MVO.

    `held(name)` gives the value this object has drawn already, None when it has none, or raises NeedsDraw where nothing
    is drawn; it is asked before any candidate is made. `draw(name, candidates)` then draws one or raises NeedsDraw;
    without it every draw raises.
    """

    now: datetime
    held: Callable[[str], str | None] | None = None
    draw: Callable[[str, Sequence[str]], str] | None = None
    joined: frozenset[str] = frozenset()
    mv_state: str | None = None
    delete_after: datetime | None = None
