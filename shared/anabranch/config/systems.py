"""Connected systems and metaverse types as a file spells them.

A system's `options` and an object type's `source` belong to its connector: they are kept as they stand and checked by
the connector. Secrets are referred to in `options` only and stay references here.
"""

from __future__ import annotations

from datetime import timedelta

from anabranch.config.attributes import METAVERSE_ATTRIBUTES, METAVERSE_GUARDS, SYSTEM_ATTRIBUTES, SYSTEM_GUARDS
from anabranch.config.record_shape import Field, Record
from anabranch.config.shape import Choice, Duration, Flag, Label, ListOf, MapOf, Name, Plain, Text, Whole
from anabranch.model.configuration import DeletionPolicy, MetaverseType, ObjectType, System
from anabranch.model.enums import AuthoritativeMode, DeletionRule, ReferencePolicy

_OBJECT_TYPE = Record(
    ObjectType,
    (
        Field("source", Plain(), "where its connector finds the objects"),
        Field("anchor", Name(), "the attribute that identifies an object for ever", stand_in=""),
        Field("secondary", Name(), "a second identifier, which may change"),
        Field("attributes", SYSTEM_ATTRIBUTES, "its attributes, named as the system names them", stand_in={}),
        Field("selected", Flag(), "false: its objects are frozen"),
        Field("recall-on-disconnect", Flag(), "whether a leaving object withdraws what it gave"),
    ),
    named="key",
)

SYSTEMS = MapOf(
    Record(
        System,
        (
            Field("connector", Name(), "the kind of system", stand_in=""),
            Field("label", Label(), "its name for people"),
            Field("options", Plain(secrets=True), "what its connector needs to reach it"),
            Field("object-types", MapOf(_OBJECT_TYPE), "the classes of objects it holds"),
            Field("assume-time-zone", Text(), "the zone of source times that name none"),
            Field("unresolved-reference-policy", Choice(ReferencePolicy), "what a reference to nothing leads to"),
            Field("max-parallel-exports", Whole(1, 16), "how many export batches run at once"),
            Field("guards", SYSTEM_GUARDS, "mass-change limits"),
        ),
        named="key",
    )
)

_DELETION = Record(
    DeletionPolicy,
    (
        Field("rule", Choice(DeletionRule), "what makes an object due for deletion"),
        Field("systems", ListOf(Name()), "the systems that count as authoritative"),
        Field("mode", Choice(AuthoritativeMode), "whether any or all of them must have left"),
        Field("grace", Duration(timedelta(0)), "how long a due object waits"),
        Field("condition", Text(), "an expression that must be true at the moment of deletion"),
        Field("ignored-systems", ListOf(Name()), "systems whose objects keep nothing alive"),
        Field("provisioned-counts", Flag(), "whether objects an outbound rule provisions keep it alive"),
    ),
)

METAVERSE = MapOf(
    Record(
        MetaverseType,
        (
            Field("attributes", METAVERSE_ATTRIBUTES, "its attributes"),
            Field("deletion", _DELETION, "when its objects go"),
            Field("guards", METAVERSE_GUARDS, "mass-change limits"),
        ),
        named="key",
    )
)
