"""Where settings come from: defaults, then a file, then the environment, then flags, each overruling the one before.

Every source is read to its end before anything is told, so a service that cannot start says everything that is wrong
at once. A name nobody knows is a fault and not ignored: a misspelt limit that silently keeps its default is worse than
a service that does not start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from anabranch.config.masking import mask_urls
from anabranch.config.secret_references import read_secret_file
from anabranch.config.settings import meta_of
from anabranch.config.shape import did_you_mean
from anabranch.config.yaml12 import MappingNode, Node, ScalarNode, SequenceNode, parse
from anabranch.model.errors import BadInput, Fault

PREFIX = "ANABRANCH_"
NESTING = "__"

S = TypeVar("S", bound=msgspec.Struct)
Found = dict[str, tuple[Any, Fault]]
"""Setting (nested ones joined by `__`) to its raw value and an empty fault that holds its place."""


def load_settings(
    kind: type[S],
    *,
    file: Path | None = None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    also_known: Collection[str] = (),
) -> S:
    """The settings of a service. Flags that are None were not given; their names are those of the settings.

    `also_known` names further `ANABRANCH_*` variables that belong to other processes of one environment. Raises
    `BadInput` with every fault of every source; no secret is in its text.
    """
    known = dict(_settings_of(kind))
    faults: list[Fault] = []
    found: Found = {}
    if file is not None:
        found.update(_from_file(file, known, faults))
    found.update(_from_environment(environ, known, also_known, faults))
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = (value, Fault(f"--{name.replace('_', '-')}", 0, 0, ""))
    settings = _build(kind, found, known, faults, "")
    if faults or settings is None:
        raise BadInput(faults)
    return settings


def _settings_of(kind: type[msgspec.Struct], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a record and of the records in it, by its joined name."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _settings_of(hint, f"{before}{name}{NESTING}")
        else:
            yield before + name, hint


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Any], also_known: Collection[str], faults: list[Fault]
) -> Found:
    found: Found = {}
    from_files: Found = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in also_known:
            continue
        name = variable.removeprefix(PREFIX).lower()
        place = Fault(variable, 0, 0, "")
        if name in known:
            found[name] = (environ[variable], place)
            continue
        target = name.removesuffix("_file")
        if target != name and target in known and _is_secret(known[target]):
            _from_secret_file(target, environ[variable], place, from_files, faults)
            continue
        names = [PREFIX + setting.upper() for setting in known]
        faults.append(_told(place, f"there is no such setting{did_you_mean(variable, names)}"))
    for name in found.keys() & from_files.keys():
        variable = PREFIX + name.upper()
        faults.append(Fault(variable, 0, 0, f"{variable}_FILE is set too; set one of them"))
    return {**from_files, **found}


def _from_secret_file(name: str, path: str, place: Fault, found: Found, faults: list[Fault]) -> None:
    try:
        found[name] = (read_secret_file(Path(path)), place)
    except OSError as error:
        faults.append(_told(place, f"the file {path} cannot be read: {error.strerror}"))
    except ValueError as error:
        faults.append(_told(place, f"the file {path} {error}"))


def _from_file(file: Path, known: Mapping[str, Any], faults: list[Fault]) -> Found:
    try:
        data = file.read_bytes()
    except OSError as error:
        faults.append(Fault(str(file), 0, 0, f"the settings file cannot be read: {error.strerror}"))
        return {}
    found: Found = {}
    pairs = _toml_pairs(data, file, faults) if file.suffix == ".toml" else _yaml_pairs(data, file, faults)
    for name, value, place in pairs:
        if name in known:
            found[name] = (value, place)
        else:
            faults.append(
                msgspec.structs.replace(place, message=f"there is no setting {name!r}{did_you_mean(name, known)}")
            )
    return found


def _toml_pairs(data: bytes, file: Path, faults: list[Fault]) -> Iterator[tuple[str, Any, Fault]]:
    try:
        read = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), 0, 0, f"not TOML: {error}"))
        return
    yield from _flattened(read, str(file), "")


def _flattened(table: Mapping[str, Any], place: str, before: str) -> Iterator[tuple[str, Any, Fault]]:
    for key, value in table.items():
        name = before + key.replace("-", "_")
        if isinstance(value, dict):
            yield from _flattened(value, place, name + NESTING)
        else:
            yield name, value, Fault(place, 0, 0, name)


def _yaml_pairs(data: bytes, file: Path, faults: list[Fault]) -> Iterator[tuple[str, Any, Fault]]:
    node, found = parse(data, str(file))
    faults.extend(found)
    if isinstance(node, MappingNode):
        yield from _entries(node, "")
    elif node is not None:
        faults.append(node.where.fault("expected settings by name"))


def _entries(node: MappingNode, before: str) -> Iterator[tuple[str, Any, Fault]]:
    for key, entry in node.entries.items():
        name = before + key.replace("-", "_")
        if isinstance(entry.node, MappingNode):
            yield from _entries(entry.node, name + NESTING)
        else:
            yield name, _plain(entry.node), entry.node.where.fault(name)


def _plain(node: Node) -> Any:
    match node:
        case ScalarNode():
            return node.value if isinstance(node.value, bool | int | None) else node.text
        case SequenceNode():
            return [_plain(item) for item in node.items]
        case MappingNode():
            return {key: _plain(entry.node) for key, entry in node.entries.items()}


def _build(kind: type[S], found: Found, known: Mapping[str, Any], faults: list[Fault], before: str) -> S | None:
    values: dict[str, Any] = {}
    complete = True
    hints = get_type_hints(kind, include_extras=True)
    for info in msgspec.structs.fields(kind):
        name = before + info.name
        hint = hints[info.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            nested = _build(hint, found, known, faults, name + NESTING)
            complete = complete and nested is not None
            values[info.name] = nested
        elif name in found:
            try:
                values[info.name] = msgspec.convert(found[name][0], hint, strict=False)
            except msgspec.ValidationError as error:
                complete = False
                faults.append(_told(found[name][1], _why(found[name][0], hint, error)))
        elif info.required:
            complete = False
            variable = PREFIX + name.upper()
            flag = "--" + name.replace("_", "-")
            faults.append(Fault(name, 0, 0, f"is not set; set {variable}, {flag} or {name} in the settings file"))
    return kind(**values) if complete else None


def _why(value: Any, hint: Any, error: msgspec.ValidationError) -> str:
    extra = meta_of(hint).extra or {}
    wanted = f"expected {extra['expected']}" if "expected" in extra else str(error)
    if extra.get("secret"):
        return wanted
    return f"{wanted}; found {mask_urls(repr(value))}"


def _is_secret(hint: Any) -> bool:
    return bool((meta_of(hint).extra or {}).get("secret"))


def _told(place: Fault, message: str) -> Fault:
    """The message at that place; a file's fault names the setting first."""
    return msgspec.structs.replace(place, message=f"{place.message}: {message}" if place.message else message)
