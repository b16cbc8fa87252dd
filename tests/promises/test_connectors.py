"""What every connector promises, asked of the built-in ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from anabranch.connectors.port import Connector, TargetObject
from anabranch.connectors.registry import create
from anabranch.connectors.testing import ConnectorContract, text_attribute
from anabranch.model.configuration import Attribute, System


class TestCsv(ConnectorContract):
    options: ClassVar[dict[str, Any]] = {"list-separator": "|"}

    def make_system(self) -> System:
        return System(
            key="hr",
            connector="csv",
            options={"directory": "data", **self.options},
            object_types=self.object_types({"file": "people.csv"}),
        )

    def make_connector(self, place: Path) -> Connector:
        system = self.make_system()
        return create(system, system.options, place)

    def damage_second_object(self, place: Path) -> str | None:
        file = place / "data" / "people.csv"
        encoding = self.options.get("encoding", "utf-8")
        lines = file.read_bytes().decode(encoding).splitlines(keepends=True)
        lines[2] = f"{self.options.get('delimiter', ',')}{lines[2]}"
        file.write_bytes("".join(lines).encode(encoding))
        return "people.csv:3"


class TestCsvInUtf16(TestCsv):
    options: ClassVar[dict[str, Any]] = {
        "encoding": "utf-16",
        "delimiter": ";",
        "quote": "'",
        "list-separator": "||",
        "line-end": "crlf",
    }


class TestLdif(ConnectorContract):
    def make_system(self) -> System:
        return System(
            key="directory",
            connector="ldif",
            options={"path": "out/directory.ldif"},
            object_types=self.object_types({"object-classes": ["person"], "rdn": "cn", "base": "dc=example"}),
        )

    @staticmethod
    def attributes() -> dict[str, Attribute]:
        return {**ConnectorContract.attributes(), "dn": text_attribute("dn")}

    def make_connector(self, place: Path) -> Connector:
        system = self.make_system()
        return create(system, system.options, place)

    def make_target(self, anchor: str, **values: list[str | bytes]) -> TargetObject:
        return TargetObject(
            object_type=self.object_type,
            anchor=anchor,
            identifier=f"cn={anchor},dc=example",
            values={"id": [anchor], **values},
        )

    def damage_second_object(self, place: Path) -> str | None:
        file = place / "out" / "directory.ldif"
        lines = file.read_text().splitlines(keepends=True)
        at = next(n for n, line in enumerate(lines) if line.startswith("cn: 00001"))
        lines[at] = "no colon here\n"
        file.write_text("".join(lines))
        return f"directory.ldif:{at + 1}"
