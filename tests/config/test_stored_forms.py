"""A configuration stored, exported and described: the same one comes back."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config.school import SCHOOL, Load

from anabranch.config.declaration import convert, json_schema
from anabranch.config.document import digest, from_document, to_document
from anabranch.config.export import to_yaml
from anabranch.config.shape import Reading
from anabranch.config.yaml12 import MappingNode, parse
from anabranch.model.configuration import Configuration, Criterion, Rule, ScopeGroup, System
from anabranch.model.enums import Direction


def test_the_document_gives_back_the_same_configuration(school: Configuration) -> None:
    assert from_document(to_document(school)) == school


def test_the_document_does_not_depend_on_the_order_of_the_files(load: Load, school: Configuration) -> None:
    start, end = SCHOOL.index("systems:\n  register"), SCHOOL.index("rules:\n  pupil-in")
    moved = SCHOOL[:start] + SCHOOL[end:] + SCHOOL[start:end]
    assert digest(load(school=moved)) == digest(school)


def test_a_document_that_lost_the_order_of_its_keys_gives_the_same_digest(school: Configuration) -> None:
    shuffled = json.dumps(json.loads(to_document(school)), sort_keys=False, indent=1)
    assert digest(from_document(shuffled)) == digest(school)


def test_a_document_of_something_else_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        from_document(b'{"systems": {"a": 1}}')


def test_an_exported_configuration_loads_as_the_same_one(load: Load, school: Configuration) -> None:
    assert load(school=to_yaml(school)) == school


def test_an_export_leaves_out_defaults(school: Configuration) -> None:
    assert "null-is-value: false" not in to_yaml(school)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
TRICKY = st.sampled_from(
    ["NO", "0123", "0o17", "0x1f", "1e3", "~", "null", "<<", "=", "12:30:00", "1_000", ".inf", "- a"]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.decimals(-1000, 1000, places=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=st.dictionaries(TEXTS | TRICKY, TEXTS | TRICKY, min_size=1, max_size=5))
def test_any_table_survives_an_export(load: Load, table: dict[str, str]) -> None:
    configuration = Configuration(lookups={"table": {"some": "more", **table}})
    assert load(table=to_yaml(configuration)) == configuration


@settings(deadline=None)
@given(value=TEXTS | TRICKY | NUMBERS | st.booleans() | st.lists(TEXTS | NUMBERS, min_size=1, max_size=3))
def test_any_value_survives_document_and_export(value: object) -> None:
    scope = ScopeGroup(kind="not", members=(Criterion(attribute="a", operator="equals", value=value),))
    system = System(key="s", connector="csv", object_types={}, options={"value": value})
    rule = Rule(
        key="r", direction=Direction.INBOUND, system="s", object_type="t", metaverse_type="m", mappings={}, scope=scope
    )
    configuration = Configuration(systems={"s": system}, rules={"r": rule})
    again = from_document(to_document(configuration))
    assert again == configuration
    node, _ = parse(to_yaml(configuration).encode(), "x.yaml")
    assert isinstance(node, MappingNode)
    assert convert(node, Reading(), None) == configuration


def test_a_table_whose_keys_look_like_a_file_survives_an_export(load: Load) -> None:
    configuration = Configuration(
        lookups={"a": {"file": "x.csv"}, "b": {"file": "x", "header": "y"}, "c": {"entries": "x"}}
    )
    assert load(table=to_yaml(configuration)) == configuration


def test_a_decimal_keeps_its_digits() -> None:
    system = System(key="s", connector="csv", object_types={}, options={"x": Decimal("0.1234567890123456789012345678")})
    configuration = Configuration(systems={"s": system})
    assert from_document(to_document(configuration)) == configuration


def test_the_schema_describes_every_section_and_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == {
        "metaverse",
        "systems",
        "rules",
        "unique-values",
        "lookups",
        "run-profiles",
        "executions",
    }
    rule = schema["properties"]["rules"]["additionalProperties"]
    assert rule["additionalProperties"] is False
    assert rule["required"] == ["direction", "system", "object-type", "metaverse-type", "mappings"]
    assert rule["properties"]["scope"]["$ref"] == "#/$defs/scope"
    assert json.loads(json.dumps(schema)) == schema
