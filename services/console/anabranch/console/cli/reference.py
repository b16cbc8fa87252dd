"""The reference page of the command line, written by the commands themselves.

`python -m anabranch.console.cli.reference` prints it. What stands in `docs/reference/cli.md` is what `--help` says, so
it cannot say anything else; a test compares the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from anabranch.console.cli import cli
from anabranch.console.cli.exit_codes import MEANINGS

_HEAD: Final = """\
# The command line

Data goes to stdout, everything else to stderr. `-o` says how data is written; `NO_COLOR` turns colours off. The fleet a
command speaks to is named by `--database-url` and `--redis-url`, by `ANABRANCH_DATABASE_URL` and `ANABRANCH_REDIS_URL`,
or by what `anabranch up` left in `./.anabranch`.

<!-- Made by `python -m anabranch.console.cli.reference`; do not edit. -->
"""


def reference() -> str:
    """The page as Markdown."""
    with click.Context(cli, info_name="anabranch") as context:
        parts = [_HEAD, _exit_codes(), *(_section(path, command) for path, command in _commands(context, cli, ()))]
    return "\n".join(parts)


def _exit_codes() -> str:
    lines = [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["## Exit codes\n", "| code | meaning |", "|---|---|", *lines, ""])


def _commands(
    context: click.Context, group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(context, command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def _section(path: tuple[str, ...], command: click.Command) -> str:
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    lines = [f"## anabranch {' '.join(path)}\n", f"`{' '.join(['anabranch', *path, *arguments])}`\n"]
    lines.append(inspect.cleandoc(command.help or "") + "\n")
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        lines += ["| option | default | meaning |", "|---|---|---|", *(_option(one) for one in options), ""]
    if command.epilog:
        example = inspect.cleandoc(command.epilog.replace("\b\n", "")).split("\n", 1)[1]
        lines += ["```", inspect.cleandoc(example), "```", ""]
    return "\n".join(lines)


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if not option.is_flag:
        names += f" {_takes(option)}"
    default = option.show_default if isinstance(option.show_default, str) else option.default
    said = isinstance(default, str | int | float | Path) and not option.is_flag and default != ""
    shown = f"`{default}`" if said else ""
    return f"| {names} | {shown} | {(option.help or '').replace('  [', ' [')} |"


def _takes(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "\\|".join(option.type.choices)
    return option.metavar or option.type.name.upper().replace(" RANGE", "")


if __name__ == "__main__":
    click.echo(reference(), nl=False)
