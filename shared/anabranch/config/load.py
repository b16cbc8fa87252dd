"""From a directory of files to one checked configuration, or to everything that is wrong with it.

Every file is read, every value converted, every name looked up, and only then are the faults told, all of them in the
order of the text. A configuration that this module returns has none: nothing invalid reaches a run (MOD-31).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from anabranch.config.checker import CheckOptions
from anabranch.config.checking import check
from anabranch.config.declaration import Places, convert, merge
from anabranch.config.shape import Reading
from anabranch.config.yaml12 import MAX_BYTES, Node, parse
from anabranch.model.configuration import Configuration
from anabranch.model.errors import BadInput, Fault

SUFFIXES = (".yaml", ".yml")


def load_directory(
    path: Path, *, connectors: Collection[str] | None = None, check_options: CheckOptions | None = None
) -> Configuration:
    """The configuration that the YAML files of a directory (or one file) declare together.

    Files are read in the order of their names; hidden ones and subdirectories without a YAML name are passed over.
    `connectors` are the names a system may give as its connector (None: any); `check_options` lets a connector judge
    the options and sources of its systems. Raises `BadInput` with every fault of every file; places are relative to
    the directory.
    """
    faults: list[Fault] = []
    directory, files = _files(path, faults)
    roots: list[Node] = []
    for file in files:
        data = _read(file, directory, faults)
        if data is None:
            continue
        place = file.relative_to(directory).as_posix()
        node, found = parse(data, place)
        faults.extend(found)
        if node is not None:
            roots.append(node)
        elif not found:
            faults.append(Fault(place, 0, 0, "the file is empty; declare something in it or remove it"))
    reading = Reading()
    root = merge(roots, reading)
    configuration = Configuration()
    if root is not None:
        configuration = convert(root, reading, directory)
        faults.extend(check(configuration, Places(root), connectors=connectors, check_options=check_options))
    faults.extend(reading.faults)
    if faults:
        raise BadInput(list(dict.fromkeys(faults)))
    return configuration


def _files(path: Path, faults: list[Fault]) -> tuple[Path, list[Path]]:
    if not path.is_dir():
        if not os.path.lexists(path):
            faults.append(Fault(str(path), 0, 0, "no such file or directory"))
            return path.parent, []
        return path.parent, [path]
    try:
        names = sorted(entry.name for entry in os.scandir(path))
    except OSError as error:
        faults.append(Fault(str(path), 0, 0, f"the directory cannot be read: {error.strerror}"))
        return path, []
    files = [path / name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]
    if not files:
        faults.append(Fault(str(path), 0, 0, "the directory holds no .yaml or .yml file"))
    return path, files


def _read(file: Path, directory: Path, faults: list[Fault]) -> bytes | None:
    place = file.relative_to(directory).as_posix()
    if file.is_dir():
        faults.append(Fault(place, 0, 0, "a directory stands where a file is expected; rename it"))
        return None
    if file.exists() and not file.is_file():
        faults.append(Fault(place, 0, 0, "no regular file; a pipe or device cannot be read twice"))
        return None
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        faults.append(Fault(place, 0, 0, f"the file cannot be read: {error.strerror}"))
        return None
