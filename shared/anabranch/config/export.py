"""A configuration written as the file it could have been loaded from.

`config export` gives back what was applied, for a repository that was lost or never was. Defaults are left out, names
are spelled with hyphens, and every text that YAML 1.1 or 1.2 would take for something else stands in quotes, so that
older readers understand the file too. Tables that came from files stand in it themselves.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml

from anabranch.config.declaration import file_format
from anabranch.config.yaml12 import resolve
from anabranch.model.configuration import Configuration

_LINE_BREAKS = re.compile("[\\n\\r\\x85\\u2028\\u2029]")
"""Only double quotes keep them: everywhere else a reader folds them into blanks."""


class _Dumper(yaml.SafeDumper):
    """Writes plain data in block style, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _LINE_BREAKS.search(text):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    try:
        style = None if isinstance(resolve(text), str) and text != "<<" else "'"
    except ValueError:
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", format(value, "f"))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Decimal, _decimal)


def to_yaml(configuration: Configuration) -> str:
    """YAML that `load_directory` reads into an equal configuration."""
    plain = file_format().write(configuration)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)
