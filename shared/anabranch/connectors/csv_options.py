"""How the files of a CSV system are spelled, as declared in its `options` and each object type's `source`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from anabranch.connectors.credentials import holds_credentials
from anabranch.connectors.options import OptionReader, credential_faults, unresolved
from anabranch.connectors.port import OptionFault
from anabranch.model.configuration import Attribute, ObjectType, System

MEBIBYTE: Final = 1024 * 1024
_KEYS: Final = ("directory", "encoding", "delimiter", "quote", "list-separator", "line-end", "max-field-size")
_LINE_ENDS: Final = {"lf": "\n", "crlf": "\r\n"}


class CsvOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`max_field_size` is in characters; `list_separator` parts the members of multi-valued cells."""

    directory: str
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    list_separator: str = ";"
    line_end: str = "\n"
    max_field_size: int = 16 * MEBIBYTE


def read_options(options: Mapping[str, Any], faults: list[OptionFault]) -> CsvOptions:
    """The options with their defaults; every fault is added to `faults`."""
    reader = OptionReader(options, ("options",), faults)
    reader.only(_KEYS)
    reader.required("directory", "the folder that holds the files")
    read = CsvOptions(
        directory=reader.text("directory", "."),
        encoding=reader.encoding("encoding", "utf-8"),
        delimiter=reader.one_character("delimiter", ","),
        quote=reader.one_character("quote", '"'),
        list_separator=reader.text("list-separator", ";"),
        line_end=_LINE_ENDS.get(reader.choice("line-end", "lf", tuple(_LINE_ENDS)), "\n"),
        max_field_size=reader.whole("max-field-size", 16 * MEBIBYTE, 1024, 1024 * MEBIBYTE),
    )
    if read.delimiter == read.quote:
        reader.fault("quote", "delimiter and quote are the same character")
    forbidden = ("\r", "\n", "\0", read.quote)
    if not unresolved(read.list_separator) and any(one in read.list_separator for one in forbidden):
        reader.fault("list-separator", "a separator may hold neither a line end, a NUL nor the quote character")
    return read


def check(system: System) -> list[OptionFault]:
    """Everything wrong with a CSV system's declaration: options, sources, credentials, two types in one file."""
    faults: list[OptionFault] = []
    read_options(system.options, faults)
    owners: dict[str, str] = {}
    for record in system.object_types.values():
        path = ("object-types", record.key, "source")
        source = OptionReader(record.source, path, faults)
        source.only(("file",))
        if not source.required("file", "the file that holds the objects, such as people.csv"):
            continue
        name = source.text("file", "")
        if name and (owner := owners.setdefault(name, record.key)) != record.key:
            source.fault("file", f"{name!r} already holds the object type {owner!r}; each needs a file of its own")
    return faults + credential_faults(system)


def file_of(record: ObjectType) -> str:
    """The name of the file that holds an object type."""
    return str(record.source["file"])


def columns_of(record: ObjectType) -> list[Attribute]:
    """The attributes that are read and written, in declared order, which is the order of the written columns."""
    return [one for one in record.attributes.values() if one.selected and not holds_credentials(one.name)]
