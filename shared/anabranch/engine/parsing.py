"""From a source's raw values to a stored document.

A connector hands over text or bytes by attribute name; here they become typed values, references stay raw identifiers
beside the document, and the whole gets a fingerprint. A value that cannot be read is reported and keeps what is stored;
an object without a usable anchor has no identity and is rejected alone (IMP-11, IMP-12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from hashlib import blake2b
from typing import Any, Final

import msgspec

from anabranch.engine.fingerprints import content_fingerprint
from anabranch.engine.values import (
    ValueProblem,
    anchor_key,
    fold,
    folds,
    parse_value,
    parse_values,
    text_hash,
)
from anabranch.model.configuration import Attribute, ObjectType
from anabranch.model.enums import ValueType
from anabranch.model.objects import Document

_READING: Final = "1"
"""The version of how raw values become stored ones; another one makes every object be read anew."""


class Problem(msgspec.Struct, frozen=True):
    """A value that could not be read: the item kind, the attribute, what is wrong."""

    kind: str
    attribute: str
    message: str


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """One object as read; without a `fingerprint` when one of its values could not be read (IMP-12)."""

    anchor: str
    anchor_hash: bytes
    secondary: str | None
    secondary_hash: bytes | None
    doc: Document
    refs: dict[str, list[str]]
    problems: tuple[Problem, ...]
    fingerprint: bytes | None


DIGEST_SIZE: Final = 16


def fingerprint_of(content: bytes | None, source: bytes | None) -> bytes | None:
    """What is stored with an object: the fingerprint of its content and, where it was read from bytes of its own, their
    digest. Nothing without a content that could be read (IMP-12)."""
    return content if content is None or source is None else content + source


def same_content(content: bytes | None, stored: bytes | None) -> bool:
    """Whether a stored fingerprint is that of this content, whatever bytes it was read from."""
    return content is not None and stored is not None and stored[:DIGEST_SIZE] == content


class NoIdentity(msgspec.Struct, frozen=True):
    """An object that cannot be identified: `missing_anchor` or `unsupported_anchor`."""

    kind: str
    message: str


def untyped_digests(raw: Iterable[bytes], layout: str) -> list[bytes]:
    """What stands for bytes that spell an object of a type nobody has looked for yet. `Parser.digests_as_read` then
    says for any number of types at once what they are worth under each; the bytes are gone through once."""
    return _digests(raw, layout)


def _digests(raw: Iterable[bytes], *bound: str) -> list[bytes]:
    begun = blake2b(digest_size=DIGEST_SIZE, person=_stamp(blake2b.PERSON_SIZE, *bound)).copy
    digests = []
    for one in raw:
        digest = begun()  # a copy costs half of what a beginning with parameters does
        digest.update(one)
        digests.append(digest.digest())
    return digests


def _stamp(size: int, *texts: str) -> bytes:
    return blake2b("\n".join(texts).encode("utf-8", "surrogatepass"), digest_size=size).digest()


class Parser:
    """Parses the objects of one object type. `schema` stamps its fingerprints, so that a changed schema reads anew."""

    def __init__(self, record: ObjectType, zone: tzinfo | None, schema: str) -> None:
        self._record = record
        self._zone = zone
        self._schema = schema
        self._anchor = record.attributes[record.anchor]
        self._secondary = record.attributes[record.secondary] if record.secondary else None
        selected = [one for one in record.attributes.values() if one.selected]
        self._references = tuple(one for one in selected if one.type is ValueType.REFERENCE)
        self._plain_text = tuple(
            one.name
            for one in selected
            if one.type is ValueType.TEXT and not one.multi_valued and not one.keep_empty_text
        )
        plain = set(self._plain_text)
        self._typed = tuple(one for one in selected if one.type is not ValueType.REFERENCE and one.name not in plain)
        self._lists = tuple(one.name for one in self._typed if one.multi_valued)
        self._special = tuple(one.name for one in self._typed if one.multi_valued or one.keep_empty_text)
        self._single = tuple((one.name, one) for one in self._typed if not one.multi_valued)
        self._referring = tuple(one.name for one in self._references)
        self._names = frozenset(one.name for one in selected)
        self._anchor_folds = folds(self._anchor)

    def parse(
        self, raw: Mapping[str, Sequence[str | bytes]], texts: Mapping[str, str] | None = None
    ) -> Parsed | NoIdentity:
        """The object `raw` describes, by attribute name; `texts` are further attributes with one text each, none of
        them empty."""
        doc: Document = {}
        refs: dict[str, list[str]] = {}
        problems: list[Problem] = []
        if texts:
            raw = self._read_texts(raw, texts, doc, refs, problems)
        if raw:
            self._read_raw(raw, doc, problems)
        identity = self._identify(doc, problems)
        if isinstance(identity, NoIdentity):
            return identity
        if raw and self._references:
            refs = {**self._read_references(raw, problems), **refs}
        secondary = doc.get(self._record.secondary) if self._record.secondary else None
        text, digest = (
            anchor_key(secondary, self._secondary) if secondary is not None and self._secondary else (None, None)
        )
        fingerprint = content_fingerprint(doc, refs, self._schema) if not problems else None
        return Parsed(identity[0], identity[1], text, digest, doc, refs, tuple(problems), fingerprint)

    def _read_raw(self, raw: Mapping[str, Sequence[str | bytes]], doc: Document, problems: list[Problem]) -> None:
        for name in self._plain_text:
            values = raw.get(name)
            if values:
                value = values[0]
                if len(values) == 1 and type(value) is str and value.isprintable():
                    if value:
                        doc[name] = value
                else:
                    self._read(self._record.attributes[name], values, doc, problems)
        for attribute in self._typed:
            values = raw.get(attribute.name)
            if values:
                self._read(attribute, values, doc, problems)

    def _read_texts(
        self,
        raw: Mapping[str, Sequence[str | bytes]],
        texts: Mapping[str, str],
        doc: Document,
        refs: dict[str, list[str]],
        problems: list[Problem],
    ) -> Mapping[str, Sequence[str | bytes]]:
        """Texts that are stored as they are, references and single values of other types are in `doc` and `refs`; what
        is left to read."""
        if not (texts.keys() <= self._names and "".join(texts.values()).isprintable()):
            return {**raw, **{name: [text] for name, text in texts.items()}}
        doc.update(texts)
        for name in self._referring:
            text = doc.pop(name, None)
            if text is not None:
                refs[name] = [text]
        for name, attribute in self._single:
            text = doc.get(name)
            if text is None:
                continue
            value = None
            try:
                value = parse_value(text, attribute, self._zone)
            except ValueProblem as problem:
                problems.append(Problem(problem.kind, name, str(problem)))
            if value is None:
                del doc[name]
            else:
                doc[name] = value
        left = {name: [doc.pop(name)] for name in self._lists if name in doc} if self._lists else None
        return {**raw, **left} if left else raw

    def parse_plain(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Parsed] | None:
        """The objects whose attributes `names` hold one text each, or none where it is empty, row by row as `parse`
        reads them; None where some text has to be looked at more closely, or cannot be used."""
        if not self._names.issuperset(names) or not "".join(map("".join, rows)).isprintable():
            return None
        if any(name in names for name in self._special):
            return None
        referring = [name for name in self._referring if name in names]
        single = [(name, attribute, dict[str, Any]()) for name, attribute in self._single if name in names]
        docs: list[Document] = []
        for row in rows:
            doc: Document = dict(zip(names, row, strict=True))
            if "" in row:
                doc = {name: text for name, text in doc.items() if text}
            for name, attribute, known in single:
                if (text := doc.get(name)) is not None and not self._convert(doc, text, name, attribute, known):
                    return None
            docs.append(doc)
        parsed: list[Parsed] = []
        for doc in docs:  # only now: a page that is read one by one after all shall not have cost its digests
            refs = {name: [text] for name in referring if (text := doc.pop(name, None)) is not None}
            one = self._plain_object(doc, refs)
            if one is None:
                return None
            parsed.append(one)
        return parsed

    def _convert(self, doc: Document, text: str, name: str, attribute: Attribute, known: dict[str, Any]) -> bool:
        """The text has become a value, or nothing; False where it cannot. Equal texts are equal values: `known`."""
        if text not in known:
            try:
                known[text] = parse_value(text, attribute, self._zone)
            except ValueProblem:
                return False
        if known[text] is None:
            del doc[name]
        else:
            doc[name] = known[text]
        return True

    def _plain_object(self, doc: Document, refs: dict[str, list[str]]) -> Parsed | None:
        value = doc.get(self._record.anchor)
        if value is None:
            return None
        anchor = str(value)
        secondary, digest = None, None
        if self._secondary is not None and (name := doc.get(self._secondary.name)) is not None:
            secondary, digest = anchor_key(name, self._secondary)
        anchor_hash = text_hash(fold(anchor) if self._anchor_folds else anchor)
        fingerprint = content_fingerprint(doc, refs, self._schema)
        return Parsed(anchor, anchor_hash, secondary, digest, doc, refs, (), fingerprint)

    def identify(self, anchor: str) -> bytes | None:
        """The hash of the object whose anchor reads `anchor`, for it counts as seen (IMP-13); None for no anchor."""
        try:
            value = parse_value(anchor, self._anchor, self._zone)
        except ValueProblem:
            return None
        return None if value is None else anchor_key(value, self._anchor)[1]

    def source_digests(self, raw: Iterable[bytes], layout: str) -> list[bytes]:
        """What stands for bytes that spell an object: equal digests are read into equal objects, because everything
        that has a say in the reading is part of them (IMP-18)."""
        return _digests(raw, _READING, self._schema, str(self._zone), layout)

    def digests_as_read(self, untyped: bytes) -> bytes:
        """What stands for bytes as this parser reads them, from the `untyped_digests` of these bytes, joined."""
        mask = _stamp(DIGEST_SIZE, _READING, self._schema, str(self._zone)) * (len(untyped) // DIGEST_SIZE)
        return (int.from_bytes(untyped, "little") ^ int.from_bytes(mask, "little")).to_bytes(len(untyped), "little")

    def _read(
        self, attribute: Attribute, values: Sequence[str | bytes], doc: Document, problems: list[Problem]
    ) -> None:
        try:
            value = parse_values(values, attribute, self._zone)
        except ValueProblem as problem:
            problems.append(Problem(problem.kind, attribute.name, str(problem)))
        else:
            if value is not None:
                doc[attribute.name] = value

    def _identify(self, doc: Document, problems: list[Problem]) -> tuple[str, bytes] | NoIdentity:
        name = self._record.anchor
        value: Any = doc.get(name)
        if value is None:
            for problem in problems:
                if problem.attribute == name:
                    return NoIdentity("unsupported_anchor", f"the anchor {name!r} cannot be used: {problem.message}")
            return NoIdentity(
                "missing_anchor", f"the anchor {name!r} is empty; every object needs one to be identified"
            )
        text = str(value)
        return text, text_hash(fold(text) if self._anchor_folds else text)

    def _read_references(
        self, raw: Mapping[str, Sequence[str | bytes]], problems: list[Problem]
    ) -> dict[str, list[str]]:
        refs: dict[str, list[str]] = {}
        for attribute in self._references:
            values = raw.get(attribute.name)
            if not values:
                continue
            identifiers = _plain_texts(values)
            if identifiers is None:
                identifiers = self._identifiers(attribute, values, problems)
            if not identifiers:
                continue
            if not attribute.multi_valued and len(identifiers) > 1:
                message = f"{attribute.name!r} holds {len(identifiers)} references but may hold one"
                problems.append(Problem("attribute_value_error", attribute.name, message))
                continue
            refs[attribute.name] = sorted(identifiers)
        return refs

    def _identifiers(self, attribute: Attribute, values: Sequence[str | bytes], problems: list[Problem]) -> set[str]:
        identifiers: set[str] = set()
        for value in values:
            try:
                identifier = parse_value(value, attribute, self._zone)
            except ValueProblem as problem:
                problems.append(Problem(problem.kind, attribute.name, str(problem)))
                continue
            if identifier:
                identifiers.add(str(identifier))
        return identifiers


def _plain_texts(values: Sequence[str | bytes]) -> set[str] | None:
    """The values that are not empty, where all are texts that are stored as they are."""
    try:
        if not "".join(values).isprintable():  # type: ignore[arg-type]
            return None
    except TypeError:  # bytes
        return None
    return set(filter(None, values))  # type: ignore[arg-type]
