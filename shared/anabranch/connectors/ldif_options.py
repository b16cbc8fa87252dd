"""What an LDIF system declares: where the file is, what its records are, and which entries are which objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from anabranch.connectors import dn as names
from anabranch.connectors.credentials import holds_credentials
from anabranch.connectors.csv_options import MEBIBYTE
from anabranch.connectors.dn import Dn
from anabranch.connectors.options import OptionReader, credential_faults, unresolved
from anabranch.connectors.port import OptionFault
from anabranch.model.configuration import Attribute, ObjectType, System

_KEYS: Final = ("path", "mode", "self-confirming", "url-directory", "max-record-size")
CONTENT: Final = "content"
CHANGES: Final = "changes"


class LdifOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is the file; in mode `changes` and as a target it is the folder of the journals. `url_directory` is the
    only folder that `:<` values may name files of; `max_record_size` is in bytes."""

    path: str
    mode: str = CONTENT
    self_confirming: bool = False
    url_directory: str | None = None
    max_record_size: int = 64 * MEBIBYTE


class LdifType(msgspec.Struct, frozen=True):
    """An object type as entries show it: its classes, its naming attribute and the container it lives below."""

    record: ObjectType
    classes: tuple[str, ...]
    rdn: str | None
    base: Dn | None
    dn_attribute: str | None
    """The declared attribute that stands for the name itself, where there is one."""
    columns: tuple[Attribute, ...]
    """The selected attributes that entries hold, in declared order; neither the name nor a credential is among them."""


def read_options(options: Mapping[str, Any], faults: list[OptionFault]) -> LdifOptions:
    """The options with their defaults; every fault is added to `faults`."""
    reader = OptionReader(options, ("options",), faults)
    reader.only(_KEYS)
    reader.required("path", "the file, or the folder of the journals")
    return LdifOptions(
        path=reader.text("path", "."),
        mode=reader.choice("mode", CONTENT, (CONTENT, CHANGES)),
        self_confirming=reader.flag("self-confirming", False),
        url_directory=reader.text("url-directory", "") if "url-directory" in options else None,
        max_record_size=reader.whole("max-record-size", 64 * MEBIBYTE, 1024, 1024 * MEBIBYTE),
    )


def check(system: System) -> list[OptionFault]:
    """Everything wrong with an LDIF system's declaration: options, sources, credentials."""
    faults: list[OptionFault] = []
    read_options(system.options, faults)
    for record in system.object_types.values():
        _read_type(record, faults)
    return faults + credential_faults(system)


def types_of(system: System) -> list[LdifType]:
    """The object types in declared order, selected or not; only for a system without faults."""
    return [_read_type(record, []) for record in system.object_types.values()]


def _read_type(record: ObjectType, faults: list[OptionFault]) -> LdifType:
    source = OptionReader(record.source, ("object-types", record.key, "source"), faults)
    source.only(("object-classes", "rdn", "base"))
    declared = source.required(
        "object-classes", "the object classes an entry of this type has, such as [inetOrgPerson]"
    )
    base_text = source.text("base", "", empty=True)
    base: Dn | None = None
    if base_text and not unresolved(base_text):
        try:
            base = names.parse(base_text)
        except names.BadName as error:
            source.fault("base", str(error))
    return LdifType(
        record=record,
        classes=source.texts("object-classes") if declared else (),
        rdn=source.text("rdn", "") if "rdn" in record.source else None,
        base=base,
        dn_attribute=next((name for name in record.attributes if name.lower() == "dn"), None),
        columns=tuple(
            one
            for one in record.attributes.values()
            if one.selected and one.name.lower() != "dn" and not holds_credentials(one.name)
        ),
    )
