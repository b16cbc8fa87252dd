"""The stored form of a configuration: canonical JSON, from which exactly the same record comes back.

PostgreSQL keeps a revision as JSONB, which forgets the order of keys; so keys are sorted here and no order of names has
a meaning anywhere. Numbers are exact: decimals are written with all their digits and read back as decimals.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from anabranch.model.configuration import (
    Configuration,
    Criterion,
    RelativeDate,
    Rule,
    Scope,
    ScopeExpression,
    ScopeGroup,
)

_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_DECODER = msgspec.json.Decoder(Configuration, float_hook=Decimal)


def to_document(configuration: Configuration) -> bytes:
    """Equal configurations give equal bytes."""
    return _ENCODER.encode(configuration)


def from_document(document: bytes | str) -> Configuration:
    """The configuration a document was made from. Raises `msgspec.ValidationError` for anything else."""
    configuration = _DECODER.decode(document)
    rules = {key: _with_relative_dates(rule) for key, rule in configuration.rules.items()}
    return msgspec.structs.replace(configuration, rules=rules)


def digest(configuration: Configuration) -> str:
    """SHA-256 of the document in hexadecimal: the identity of a revision's content."""
    return sha256(to_document(configuration)).hexdigest()


def _with_relative_dates(rule: Rule) -> Rule:
    if rule.scope is None:
        return rule
    return msgspec.structs.replace(rule, scope=_restored(rule.scope))


def _restored(scope: Scope) -> Scope:
    """A criterion's value is untyped in the record, so a relative date in it has to be told apart again."""
    match scope:
        case Criterion(value=dict()):
            return msgspec.structs.replace(scope, value=msgspec.convert(scope.value, RelativeDate))
        case ScopeGroup():
            return msgspec.structs.replace(scope, members=tuple(_restored(member) for member in scope.members))
        case Criterion() | ScopeExpression():
            return scope


def to_plain(value: Any) -> Any:
    """A record as JSON-able data with decimals as numbers; for differences and answers on the command line."""
    return msgspec.json.decode(_ENCODER.encode(value))
