"""What every connector promises, as tests that its author runs on it.

Derive a class from `ConnectorContract`, say how to make a connector over a fresh place, and pytest runs the promises:
values come back as they were written, the size of a page changes nothing, a read goes on from any token, a complete
read says so, a repeat changes nothing, a broken object is told with its place and harms no other. Promises about what a
connector's capabilities exclude are skipped. The module needs pytest, which the fleet itself does not.
"""

from __future__ import annotations

import base64
import gc
import warnings
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anabranch.connectors.port import (
    ChangeRow,
    Connector,
    Entry,
    EntryChange,
    EntryError,
    ExportBatch,
    ExportChange,
    OutcomeStatus,
    Page,
    PlainTexts,
    ReadRequest,
    TargetObject,
    Token,
)
from anabranch.model.configuration import Attribute, ObjectType, System
from anabranch.model.enums import ExportKind, RowOp, ValueType


def expect(actual: object, expected: object, promise: str) -> None:
    """Fails the test with the promise in words where the two differ."""
    if actual != expected:
        pytest.fail(f"{promise}: expected {expected!r}, got {actual!r}", pytrace=True)


def text_attribute(name: str, **more: Any) -> Attribute:
    return Attribute(name=name, type=ValueType.TEXT, **more)


class ConnectorContract:
    """Hooks first; an author overrides `make_system`, and the others where the defaults do not fit."""

    object_type = "person"

    def make_system(self) -> System:
        """A system whose object type `person` has the attributes of `attributes()`, anchored at `id`."""
        raise NotImplementedError

    def make_connector(self, place: Path) -> Connector:
        """A connector over an empty system that lives at, or is named after, a fresh directory."""
        raise NotImplementedError

    def make_target(self, anchor: str, **values: list[str | bytes]) -> TargetObject:
        """The object as this connector wants it; override to give it a name of its own."""
        return TargetObject(object_type=self.object_type, anchor=anchor, values={"id": [anchor], **values})

    async def fill(self, connector: Connector, objects: Iterable[TargetObject]) -> None:
        """The system holds exactly these objects. The default writes them through the connector itself."""
        held = list(objects)
        if connector.capabilities.whole_file:
            await connector.replace(_each(held), "contract", 1)
            return
        changes = tuple(
            ExportChange(
                kind=ExportKind.CREATE,
                object_type=one.object_type,
                anchor=one.anchor,
                identifier=one.identifier,
                key=f"contract-{one.anchor}",
                rows=tuple(ChangeRow(name, RowOp.SET, tuple(values)) for name, values in one.values.items()),
            )
            for one in held
        )
        outcomes = await connector.apply(ExportBatch(run=1, step=1, batch=1, claim="contract", changes=changes))
        expect({one.status for one in outcomes}, {OutcomeStatus.OK}, "every create is carried out")

    def damage_second_object(self, place: Path) -> str | None:
        """Breaks the second of three objects behind the connector's back; the place an error then names, or None
        where nobody can break one."""
        return None

    def bytes_of(self, place: Path) -> dict[str, bytes]:
        """What a whole-file target holds, by file."""
        return {str(one.relative_to(place)): one.read_bytes() for one in sorted(place.rglob("*")) if one.is_file()}

    @staticmethod
    def attributes() -> dict[str, Attribute]:
        """The attributes the promises are about."""
        return {
            "id": text_attribute("id"),
            "name": text_attribute("name"),
            "tags": text_attribute("tags", multi_valued=True),
            "photo": Attribute(name="photo", type=ValueType.BINARY),
        }

    @classmethod
    def object_types(cls, source: dict[str, Any]) -> dict[str, ObjectType]:
        """The declared object type, found where `source` says."""
        return {
            cls.object_type: ObjectType(key=cls.object_type, anchor="id", attributes=cls.attributes(), source=source)
        }

    # --- the promises ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "value",
        [
            "plain",
            " leading and trailing ",
            "two\nlines",
            "carriage\r\nreturn",
            'a "quoted" word',
            "comma, semicolon; colon: less < more",
            ": colon first",
            "<angle first",
            "Grüße, 日本語, 🜁",
            "e\u0301 and \u00e9 are two texts",
            "back\\slash",
            "#hash",
            "=1+1",
            "\ttab\t",
            "\u2028line separator\u0085",
            "x" * 5000,
        ],
    )
    async def test_a_text_comes_back_as_it_was_written(self, tmp_path: Path, value: str) -> None:
        read = await self._round_trip(tmp_path, self.make_target("1", name=[value]))
        expect(read["1"].get("name"), [value], "a text comes back unchanged")

    @pytest.mark.parametrize("value", [b"\x00\x01\xff", b"", b"text", bytes(range(256)) * 40], ids=len)
    async def test_a_binary_value_keeps_its_bytes(self, tmp_path: Path, value: bytes) -> None:
        read = await self._round_trip(tmp_path, self.make_target("1", photo=[value]))
        expect(_binary(read["1"].get("photo", [b""])), [value], "a binary value keeps its bytes")

    async def test_the_members_of_a_list_come_back_in_any_order(self, tmp_path: Path) -> None:
        read = await self._round_trip(tmp_path, self.make_target("1", tags=["b", "a, with comma", " c "]))
        expect(sorted(map(str, read["1"]["tags"])), [" c ", "a, with comma", "b"], "a list keeps its members")

    async def test_an_absent_attribute_stays_absent(self, tmp_path: Path) -> None:
        read = await self._round_trip(tmp_path, self.make_target("1", name=["Ann"]))
        expect((read["1"].get("tags"), read["1"].get("photo")), (None, None), "what was not written is not read")

    @pytest.mark.parametrize("size", [1, 7, 1000])
    async def test_the_size_of_a_page_changes_nothing(self, tmp_path: Path, size: int) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(30))
        pages = await self._pages(connector, size)
        expect(
            [one for page in pages for one in _anchors(page)], _numbers(30), f"pages of {size} hold every object once"
        )
        expect(max(len(page.entries) for page in pages) <= size, True, "no page is larger than asked")
        await connector.close()

    async def test_a_read_goes_on_from_every_token(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        if not connector.capabilities.resumable:
            pytest.skip("the connector does not resume")
        await self.fill(connector, self._people(10))
        seen: list[str] = []
        for page in await self._pages(connector, 3):
            seen += _anchors(page)
            if page.next_token is not None:
                stored = msgspec.json.decode(msgspec.json.encode(page.next_token))
                other = self.make_connector(tmp_path)
                await other.open()
                rest = [one for later in await self._pages(other, 4, stored) for one in _anchors(later)]
                await other.close()
                expect(seen + rest, _numbers(10), "a read goes on exactly behind the token's page")
        await connector.close()

    async def test_only_the_last_page_is_complete(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(10))
        pages = await self._pages(connector, 5)
        expect(
            [page.complete for page in pages], [False] * (len(pages) - 1) + [True], "the last page alone is complete"
        )
        expect([page.next_token is None for page in pages], [page.complete for page in pages], "the others have tokens")
        await connector.close()

    async def test_a_system_without_objects_is_a_complete_read_of_none(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, [])
        pages = await self._pages(connector, 5)
        expect((sum(len(page.entries) for page in pages), pages[-1].complete), (0, True), "nothing is read, completely")
        await connector.close()

    async def test_a_second_replacement_changes_no_byte(self, tmp_path: Path) -> None:
        connector = self._whole_file(tmp_path)
        await connector.replace(_each(self._people(20)), "first", 1)
        before = self.bytes_of(tmp_path)
        receipt = await connector.replace(_each(self._people(20)), "second", 2)
        expect((self.bytes_of(tmp_path), receipt.changed), (before, False), "the same objects are the same bytes")
        await connector.close()

    async def test_a_failed_replacement_leaves_the_old_file(self, tmp_path: Path) -> None:
        connector = self._whole_file(tmp_path)
        await connector.replace(_each(self._people(3)), "first", 1)
        before = self.bytes_of(tmp_path)
        with pytest.raises(ZeroDivisionError):
            await connector.replace(_failing(self._people(5)), "second", 2)
        expect(self.bytes_of(tmp_path), before, "a failure leaves nothing behind")
        await connector.close()

    async def test_a_broken_object_is_told_with_its_place_and_harms_no_other(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(3))
        place = self.damage_second_object(tmp_path)
        if place is None:
            pytest.skip("nothing here can be broken")
        pages = await self._pages(connector, 10)
        expect([one for page in pages for one in _anchors(page)], ["00000", "00002"], "the other objects are read")
        expect([error.place for page in pages for error in page.errors], [place], "the error names its place")
        await connector.close()

    async def test_a_read_that_is_left_leaves_nothing_open(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(10))
        await connector.open()
        pages = connector.read(await self._request(connector, 2))
        await anext(pages)
        await connector.close()
        await connector.close()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del connector, pages
            gc.collect()
        expect([str(one.message) for one in told if one.category is ResourceWarning], [], "nothing is left open")

    async def test_entries_are_complete_objects_of_the_declared_type(self, tmp_path: Path) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(2))
        entries = [one for page in await self._pages(connector, 5) for one in page.entries]
        expect(
            {(one.object_type, one.change) for one in entries}, {(self.object_type, "complete")}, "types are declared"
        )
        expect(
            set().union(*(one.values for one in entries)) <= set(self.attributes()) | {"dn"}, True, "so are attributes"
        )
        await connector.close()

    @pytest.mark.parametrize("size", [1, 7, 1000])
    async def test_records_spell_the_objects_that_entries_are(self, tmp_path: Path, size: int) -> None:
        connector = self.make_connector(tmp_path)
        await self.fill(connector, self._people(20))
        self.damage_second_object(tmp_path)
        request = await self._request(connector, size)
        told = [one async for page in connector.read(request) for one in _told(page)]
        asked = msgspec.structs.replace(request, records=True)
        again = [page async for page in connector.read(asked)]
        expect(sorted(one for page in again for one in _told(page)), sorted(told), "records are read as entries are")
        for page in again:
            if page.records is not None:
                numbers = range(len(page.records.raw))
                plain, each = page.records.plain(numbers), page.records.read(numbers)
                if plain is not None:
                    told = [_as_text(one) for one in each if one is not None]
                    expect(_rows_as_texts(plain), told, "what is plain is told at once as it is one by one")
                twice = len(set(page.records.raw)) != len(page.records.raw)
                expect(twice, False, "different objects are spelled by different bytes")
        await connector.close()

    # --- how they are asked ------------------------------------------------------------------------------------------

    def _people(self, count: int) -> list[TargetObject]:
        return [self.make_target(anchor, name=[f"Person {anchor}"]) for anchor in _numbers(count)]

    def _whole_file(self, place: Path) -> Connector:
        connector = self.make_connector(place)
        if not connector.capabilities.whole_file:
            pytest.skip("the connector does not write whole files")
        return connector

    async def _round_trip(self, place: Path, wanted: TargetObject) -> dict[str, dict[str, list[str | bytes]]]:
        connector = self.make_connector(place)
        await connector.open()
        await self.fill(connector, [wanted])
        pages = await self._pages(connector, 10)
        await connector.close()
        expect([error for page in pages for error in page.errors], [], "what was written can be read")
        return {str(one.values["id"][0]): one.values for page in pages for one in page.entries}

    async def _request(self, connector: Connector, size: int, token: Token | None = None) -> ReadRequest:
        for one in await connector.partitions():
            if self.object_type in one.object_types:
                return ReadRequest(partition=one.key, page_size=size, object_types=one.object_types, token=token)
        pytest.fail(f"no partition holds {self.object_type!r}")

    async def _pages(self, connector: Connector, size: int, token: Token | None = None) -> list[Page]:
        return [page async for page in connector.read(await self._request(connector, size, token))]


def _numbers(count: int) -> list[str]:
    return [f"{n:05}" for n in range(count)]


def _anchors(page: Page) -> list[str]:
    return [str(one.values["id"][0]) for one in page.entries if one.change == EntryChange.COMPLETE]


def _told(page: Page) -> list[str]:
    """Everything a page says, however it says it, as texts that can be compared."""
    records = page.records.read(range(len(page.records.raw))) if page.records is not None else ()
    return [_as_text(one) for one in (*page.entries, *page.errors, *records) if one is not None]


def _as_text(one: Entry | EntryError) -> str:
    if isinstance(one, EntryError):
        return repr(one)
    values = {**one.values, **{name: [text] for name, text in (one.texts or {}).items()}}
    return repr((one.object_type, sorted(values.items()), one.place, one.change, one.added, one.removed))


def _rows_as_texts(plain: PlainTexts) -> list[str]:
    rows = zip(plain.rows, plain.places, strict=True)
    named = ((dict(zip(plain.names, row, strict=True)), place) for row, place in rows)
    return [
        _as_text(Entry(plain.object_type, {}, place, texts={name: text for name, text in row.items() if text}))
        for row, place in named
    ]


def _binary(values: list[str | bytes]) -> list[bytes]:
    return [one if isinstance(one, bytes) else base64.b64decode(one, validate=True) for one in values]


async def _each(objects: Iterable[TargetObject]) -> AsyncIterator[TargetObject]:
    for one in objects:
        yield one


async def _failing(objects: Iterable[TargetObject]) -> AsyncIterator[TargetObject]:
    for one in objects:
        yield one
    raise ZeroDivisionError
