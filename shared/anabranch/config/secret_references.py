"""References to secrets: where they may stand, and the one moment at which they become values.

A configuration is stored, compared, exported and shown; a secret in it would be too. So it holds `${env:NAME}` or
`${file:/path}`, and only the opening of a connector replaces them, in a copy that nobody keeps. Messages name the
option and the reference, never what it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anabranch.model.errors import BadInput, Fault

REFERENCE = re.compile(r"\$\{(env|file):([^{}]*)\}")
_BEGINNING = re.compile(r"\$\{(?:env|file):")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_SECRET_BYTES = 64 * 1024


def malformed(text: str) -> str | None:
    """What is wrong with the references in an option's text, or None."""
    whole = {found.start(): found for found in REFERENCE.finditer(text)}
    for beginning in _BEGINNING.finditer(text):
        found = whole.get(beginning.start())
        if found is None:
            return "a reference to a secret has no end; write ${env:NAME} or ${file:/path}"
        if found[1] == "env" and _VARIABLE.match(found[2]) is None:
            return f"{found[0]} names no environment variable; write ${{env:NAME}}"
        if found[1] == "file" and not found[2].startswith("/"):
            return f"{found[0]} needs an absolute path, because services start in different directories"
    return None


def resolve_secrets(options: Mapping[str, Any], environ: Mapping[str, str], place: str = "options") -> dict[str, Any]:
    """A copy of a system's options in which every reference is replaced by its secret.

    A file gives its text without one line break at its end. Raises `BadInput` with one fault for every reference that
    cannot be resolved; `place` is the name under which the options are spoken of, such as `systems.hr.options`.
    """
    faults: list[Fault] = []
    resolved = {key: _resolved(value, environ, f"{place}.{key}", faults) for key, value in options.items()}
    if faults:
        raise BadInput(faults)
    return resolved


def _resolved(value: Any, environ: Mapping[str, str], place: str, faults: list[Fault]) -> Any:
    match value:
        case dict():
            return {key: _resolved(member, environ, f"{place}.{key}", faults) for key, member in value.items()}
        case list() | tuple():
            return [_resolved(member, environ, f"{place}.{n}", faults) for n, member in enumerate(value)]
        case str():
            wrong = malformed(value)
            if wrong is not None:
                faults.append(Fault(place, 0, 0, wrong))
                return value
            return REFERENCE.sub(lambda found: _secret(found, environ, place, faults), value)
        case _:
            return value


def _secret(found: re.Match[str], environ: Mapping[str, str], place: str, faults: list[Fault]) -> str:
    kind, name = found[1], found[2]
    if kind == "env":
        if name not in environ:
            faults.append(Fault(place, 0, 0, f"the environment variable {name} is not set; set it for this service"))
            return ""
        return environ[name]
    try:
        return read_secret_file(Path(name))
    except OSError as error:
        faults.append(Fault(place, 0, 0, f"the secret file {name} cannot be read: {error.strerror}"))
    except ValueError as error:
        faults.append(Fault(place, 0, 0, f"the secret file {name} {error}"))
    return ""


def read_secret_file(path: Path) -> str:
    """The text of a secret file without one line break at its end.

    Raises OSError where it cannot be read and ValueError (a predicate: "is not UTF-8") where it is no secret.
    """
    with path.open("rb") as file:
        data = file.read(MAX_SECRET_BYTES + 1)
    if len(data) > MAX_SECRET_BYTES:
        raise ValueError(f"is larger than {MAX_SECRET_BYTES // 1024} KiB; that is no secret")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
