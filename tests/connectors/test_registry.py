"""How a connector is found, and what is said of one that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace
from tests.connectors.systems import a_csv_system, an_ldif_system, an_object_type, connect

from anabranch.connectors import registry
from anabranch.connectors.registry import UnknownConnector, check_options, known_connectors, load
from anabranch.model.errors import Permanent


def test_the_built_in_connectors_are_known_and_a_look_imports_nothing() -> None:
    assert {"csv", "ldif"} <= known_connectors().keys()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownConnector, match=r"no connector 'excel'; known are csv.*ldif"):
        load("excel")


def test_a_connector_of_another_port_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("foreign_connector")
    module.Foreign = type("Foreign", (), {"api_version": 99})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "foreign_connector", module)
    monkeypatch.setattr(registry, "_BUILT_IN", {"foreign": "foreign_connector:Foreign"})
    with pytest.raises(UnknownConnector, match="speaks version 99"):
        load("foreign")


def test_a_connector_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILT_IN", {"gone": "no_such_module:Gone"})
    with pytest.raises(UnknownConnector, match="cannot be imported: No module named 'no_such_module'"):
        load("gone")


def test_every_fault_of_the_options_is_told_with_its_path() -> None:
    system = a_csv_system(
        an_object_type("person", "id", {"file": "a.csv"}, "id"),
        an_object_type("unit", "id", {"file": "a.csv"}, "id"),
        an_object_type("site", "id", {}, "id"),
        delimiter=";;",
        quote='"',
        encoding="klingon",
        list_separator="",
        delimeter=",",
        max_field_size="big",
    )
    assert sorted(".".join(map(str, path)) for path, _ in check_options(system)) == [
        "object-types.site.source",
        "object-types.unit.source.file",
        "options.delimeter",
        "options.delimiter",
        "options.encoding",
        "options.list-separator",
        "options.max-field-size",
    ]


def test_every_fault_of_an_ldif_system_is_told_with_its_path() -> None:
    system = an_ldif_system(
        an_object_type("person", "uid", {"object-classes": "person", "base": "no name"}, "uid"),
        mode="contents",
        self_confirming="yes",
    )
    assert sorted(".".join(map(str, path)) for path, _ in check_options(system)) == [
        "object-types.person.source.base",
        "object-types.person.source.object-classes",
        "options.mode",
        "options.self-confirming",
    ]


def test_a_reference_to_a_secret_is_no_fault() -> None:
    assert check_options(a_csv_system(directory="${env:HR_FOLDER}", delimiter="${env:D}")) == []


def test_a_connector_is_not_made_from_faulty_options(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"systems\.hr\.options\.quote"):
        connect(a_csv_system(quote="''"), tmp_path)


def test_the_options_of_an_unknown_connector_are_not_judged() -> None:
    assert check_options(replace(a_csv_system(), connector="excel")) == []
