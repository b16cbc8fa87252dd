"""The declared configuration: what an administrator keeps in git, read once and never changed.

A `Configuration` is the whole declaration after the files of a directory were merged, every name was checked and every
default was filled in. It is immutable: applying another one makes a new numbered revision, and a run keeps the
revision it started with to its end (MOD-28). Mappings between names are plain dictionaries in the order of the files.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from anabranch.model.enums import (
    AuthoritativeMode,
    DeletionRule,
    DeprovisionAction,
    Direction,
    GuardPoint,
    MultiValuePolicy,
    OnError,
    OnNull,
    OutOfScopeAction,
    ReferencePolicy,
    RunKind,
    TextCleanup,
    ValueType,
    WhenMissing,
    Writability,
)


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One typed property of an object type (MOD-14). `to` names the object types a reference may point to."""

    name: str
    type: ValueType
    multi_valued: bool = False
    case_sensitive: bool = True
    writability: Writability = Writability.WRITABLE
    sensitive: bool = False
    selected: bool = True
    keep_empty_text: bool = False
    to: tuple[str, ...] = ()
    multi_value_policy: MultiValuePolicy = MultiValuePolicy.WINNER_TAKES_ALL
    """Of a metaverse attribute: what several contributors of a multi-valued attribute lead to (SYN-48)."""


class GuardLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One mass-change limit (GRD-2). `operations` narrows `export_writes`: which of delete, update, create are on."""

    enabled: bool = True
    max_count: int | None = None
    max_percent: float = 20.0
    percent_floor: int = 10
    allow_empty: bool = False
    creates: bool = False
    """Of `export_writes` alone: judge creates too (off by default)."""


class ObjectType(msgspec.Struct, frozen=True, kw_only=True):
    """A class of objects in one connected system; `source` holds what its connector needs to find them."""

    key: str
    anchor: str
    attributes: dict[str, Attribute]
    secondary: str | None = None
    source: dict[str, Any] = {}
    selected: bool = True
    recall_on_disconnect: bool = True


class System(msgspec.Struct, frozen=True, kw_only=True):
    """An external store of objects. `options` are the connector's own, checked by the connector."""

    key: str
    connector: str
    object_types: dict[str, ObjectType]
    options: dict[str, Any] = {}
    label: str = ""
    assume_time_zone: str = "UTC"
    unresolved_reference_policy: ReferencePolicy = ReferencePolicy.WARN
    max_parallel_exports: int = 1
    guards: dict[GuardPoint, GuardLimit] = {}


class DeletionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When an MVO goes (SYN-53): rule, the systems that count for it, and how long it waits."""

    rule: DeletionRule = DeletionRule.WHEN_LAST_CONNECTOR_DISCONNECTED
    systems: tuple[str, ...] = ()
    mode: AuthoritativeMode = AuthoritativeMode.ALL
    grace: timedelta = timedelta(days=7)
    condition: str | None = None
    ignored_systems: tuple[str, ...] = ()
    provisioned_counts: bool = False


class MetaverseType(msgspec.Struct, frozen=True, kw_only=True):
    """A class of metaverse objects."""

    key: str
    attributes: dict[str, Attribute]
    deletion: DeletionPolicy = DeletionPolicy()
    guards: dict[GuardPoint, GuardLimit] = {}


class Criterion(msgspec.Struct, frozen=True, kw_only=True, tag="criterion"):
    """One test of one attribute; `operator` is a positive operator of SYN-10, `negated` its exact complement.

    `value` is a value, a list of values (operator `in`), nothing (operator `present`), or a relative instant as
    `RelativeDate`.
    """

    attribute: str
    operator: str
    value: Any = None
    negated: bool = False
    ignore_case: bool = False


class RelativeDate(msgspec.Struct, frozen=True, kw_only=True, tag="relative"):
    """A count of units before (negative) or after `run.now` (SYN-13); units `hours` to `years`."""

    count: int
    unit: str


class ScopeExpression(msgspec.Struct, frozen=True, kw_only=True, tag="expression"):
    """A boolean expression as a scope; null counts as false (SYN-11)."""

    expression: str


class ScopeGroup(msgspec.Struct, frozen=True, kw_only=True, tag="group"):
    """`all`, `any` or `not` (of exactly one member) over further scopes; `all` of nothing is true."""

    kind: str
    members: tuple[Criterion | ScopeExpression | ScopeGroup, ...]


Scope = Criterion | ScopeExpression | ScopeGroup


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from: exactly one of the three is set."""

    attribute: str | None = None
    expression: str | None = None
    constant: Any = None


class MatchCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A CSO value that must equal the MVO attribute `equals`."""

    source: Source
    equals: str
    ignore_case: bool = False


class MatchRule(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions that must all hold; a rule with at least one candidate decides alone (SYN-24)."""

    conditions: tuple[MatchCondition, ...]


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """Computes one target attribute (MOD-27). `priority` ranks contributors, lowest first; None comes last."""

    key: str
    to: str
    source: Source
    enabled: bool = True
    priority: int | None = None
    null_is_value: bool = False
    when_missing: WhenMissing = WhenMissing.EVALUATE
    on_error: OnError = OnError.FAIL_OBJECT
    on_null: OnNull = OnNull.CLEAR
    text_cleanup: tuple[TextCleanup, ...] = ()
    initial_only: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A sync rule: one object type of one system and one MVO type, in one direction (MOD-25, MOD-26)."""

    key: str
    direction: Direction
    system: str
    object_type: str
    metaverse_type: str
    mappings: dict[str, Mapping]
    order: int = 100
    enabled: bool = True
    time_zone: str = "UTC"
    scope: Scope | None = None
    match: tuple[MatchRule, ...] = ()
    project: bool = False
    out_of_scope_action: OutOfScopeAction = OutOfScopeAction.DISCONNECT
    provision: bool = False
    deprovision_action: DeprovisionAction = DeprovisionAction.KEEP


class UniqueValue(msgspec.Struct, frozen=True, kw_only=True):
    """Where a drawn value must be unique (SYN-64): one MVO attribute, and attributes of targets.

    `metaverse` is `type.attribute`; each of `targets` is `system.object-type.attribute`.
    """

    key: str
    metaverse: str
    targets: tuple[str, ...] = ()
    max_candidates: int = 50
    reuse_after: timedelta = timedelta(days=90)


class RunProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A named recipe of a run. `options` are checked by the run kind (page and batch sizes, for example)."""

    key: str
    kind: RunKind
    system: str | None = None
    page_size: int = 5000
    batch_size: int = 5000
    deadline: timedelta = timedelta(hours=24)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """Ordered groups of run profiles: groups one after the other, the runs of a group in parallel."""

    key: str
    groups: tuple[tuple[str, ...], ...]
    continue_on_failure: bool = False


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was declared, by key."""

    metaverse: dict[str, MetaverseType] = {}
    systems: dict[str, System] = {}
    rules: dict[str, Rule] = {}
    unique_values: dict[str, UniqueValue] = {}
    lookups: dict[str, dict[str, str]] = {}
    run_profiles: dict[str, RunProfile] = {}
    executions: dict[str, Execution] = {}
