"""The flags of a service: one for each setting, and the file the rest may come from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, get_type_hints

import msgspec

from anabranch.config.settings import ServiceSettings, meta_of


def parse(kind: type[ServiceSettings], name: str, arguments: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """The flags that were given, by setting, and the settings file. Exits 0 for --help and 2 for unknown flags."""
    parser = argparse.ArgumentParser(
        prog=f"anabranch-{name}",
        description=f"The {name} of an anabranch fleet. Every flag may also be set as ANABRANCH_<NAME>.",
    )
    parser.add_argument("--settings", metavar="FILE", help="a TOML or YAML file with settings")
    hints = get_type_hints(kind, include_extras=True)
    for info in msgspec.structs.fields(kind):
        meta = meta_of(hints[info.name])
        default = "" if info.required or info.default == "" else f" (default {info.default})"
        parser.add_argument(f"--{info.name.replace('_', '-')}", metavar="VALUE", help=f"{meta.description}{default}")
    given = vars(parser.parse_args(arguments))
    file = given.pop("settings")
    return given, file
