"""A file that is read as a source, and how a later worker knows that it is still the same one.

A read of a large file may be taken over by another worker, minutes later, in the middle. Its token therefore carries
what the file looked like: size, time of last change and a digest of its beginning. Whatever differs means that the
objects already read and those still to come may not belong together, and the read starts again. A feed that is only
ever appended to is recognised by its beginning alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from anabranch.connectors.port import SourceChanged, SourceFault, Token
from anabranch.model.errors import Retryable

HEAD_BYTES: Final = 64 * 1024
_BUFFER: Final = 256 * 1024


class Stamp(msgspec.Struct, frozen=True):
    """What a file looked like: sizes in bytes, time in nanoseconds, SHA-256 of its first `head_size` bytes."""

    size: int
    mtime_ns: int
    head_size: int
    head: str


def open_for_reading(path: Path) -> BinaryIO:
    """The file, opened for reading bytes. Raises `SourceFault` naming the file and what to do, `Retryable` where the
    system itself is out of order (a network drive, too many open files)."""
    try:
        file = path.open("rb", buffering=_BUFFER)
    except FileNotFoundError as error:
        raise SourceFault(f"{path}: the file does not exist; check the path, or whether it was delivered") from error
    except IsADirectoryError as error:
        raise SourceFault(f"{path}: is a directory; name the file inside it") from error
    except PermissionError as error:
        raise SourceFault(f"{path}: may not be read; give the worker's user permission to read it") from error
    except OSError as error:
        raise Retryable(f"{path}: cannot be opened: {error.strerror or error}") from error
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise SourceFault(f"{path}: is no ordinary file; a read that can be resumed needs one")
    return file


def take_stamp(file: BinaryIO, head_size: int = HEAD_BYTES) -> Stamp:
    """The stamp of an open file, whose position is its beginning afterwards."""
    status = os.fstat(file.fileno())
    file.seek(0)
    head = file.read(head_size)
    file.seek(0)
    return Stamp(status.st_size, status.st_mtime_ns, len(head), hashlib.sha256(head).hexdigest())


def stamp_token(stamp: Stamp) -> Token:
    return {"size": stamp.size, "mtime_ns": stamp.mtime_ns, "head_size": stamp.head_size, "head": stamp.head}


def check_same(path: Path, token: Token, stamp: Stamp) -> None:
    """Raises `SourceChanged` when the file is not the one the token was made from."""
    if stamp_token(stamp) != {key: token.get(key) for key in ("size", "mtime_ns", "head_size", "head")}:
        raise SourceChanged(f"{path}: the file changed since the pages before were read; it is read from its beginning")


def check_appended(path: Path, token: Token, file: BinaryIO) -> None:
    """Raises `SourceChanged` when the file does not begin as it did and reach at least as far as the token."""
    head_size, offset = whole_number(path, token, "head_size"), whole_number(path, token, "offset")
    file.seek(0)
    head = hashlib.sha256(file.read(head_size)).hexdigest()
    if head != token.get("head") or os.fstat(file.fileno()).st_size < offset:
        raise SourceChanged(f"{path}: the file was replaced or shortened since it was last read; read it in full")


def check_unmoved(path: Path, file: BinaryIO, stamp: Stamp) -> None:
    """Raises `SourceChanged` when the open file was written to since its stamp was taken."""
    status = os.fstat(file.fileno())
    if (status.st_size, status.st_mtime_ns) != (stamp.size, stamp.mtime_ns):
        raise SourceChanged(
            f"{path}: the file was written to while it was read; let the delivery end before the import"
        )


def whole_number(path: Path, token: Token, key: str) -> int:
    """A number out of a token. Raises `SourceChanged` where the token is none of ours."""
    value = token.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SourceChanged(f"{path}: the resume token holds no {key}; the file is read from its beginning")
    return value
