"""How data reaches stdout: for a person as a table, for a program as JSON, JSON lines, YAML, or names alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
import msgspec

Rows = Sequence[Mapping[str, Any]]
FORMATS: Final = ("table", "json", "jsonl", "yaml", "name")
_T = TypeVar("_T")


def output_option(command: Callable[..., _T]) -> Callable[..., _T]:
    """The command takes `-o` and gets an `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How data is written."
    )(command)


def plain(record: Any) -> Any:
    """A record as JSON-able data."""
    return msgspec.json.decode(msgspec.json.encode(record, enc_hook=str))


def show_list(rows: Rows, output: str, columns: Sequence[str], name: str) -> None:
    """The rows stand on stdout. `columns` are those of the table, `name` is the one that `-o name` writes."""
    match output:
        case "json":
            _write_json(list(rows))
        case "jsonl":
            for row in rows:
                click.echo(msgspec.json.encode(row, enc_hook=str).decode())
        case "yaml":
            _write_yaml(plain(list(rows)))
        case "name":
            for row in rows:
                click.echo(row[name])
        case _:
            click.echo(table(rows, columns))


def show_one(record: Mapping[str, Any], output: str, name: str, text: Callable[[], str]) -> None:
    """One record stands on stdout; `text` makes the form for people."""
    match output:
        case "json":
            _write_json(record)
        case "jsonl":
            click.echo(msgspec.json.encode(record, enc_hook=str).decode())
        case "yaml":
            _write_yaml(plain(record))
        case "name":
            click.echo(record[name])
        case _:
            click.echo(text())


def table(rows: Rows, columns: Sequence[str]) -> str:
    """The rows as aligned columns below their titles; `(none)` without any."""
    if not rows:
        return "(none)"
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    titles = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(line[n]) for line in [titles, *cells]) for n in range(len(columns))]
    right = [all(isinstance(row.get(column), int | float) for row in rows) for column in columns]
    return "\n".join(_line(line, widths, right) for line in [titles, *cells])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        text.rjust(width) if to_the_right else text.ljust(width)
        for text, width, to_the_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def cell(value: Any) -> str:
    """A value as a person reads it in one line."""
    if value is None or (isinstance(value, str | list | tuple | dict) and not value):
        return "-"
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:,.1f}"
        case int():
            return str(value)
        case list() | tuple():
            return ", ".join(cell(one) for one in value)
        case dict():
            return " ".join(f"{key}={cell(one)}" for key, one in value.items())
        case _:
            return " ".join(str(value).split())


def _write_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def _write_yaml(value: Any) -> None:
    import yaml

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False).rstrip())


def tell(message: str) -> None:
    """One line for the person at the terminal, on stderr."""
    click.echo(message, err=True)
