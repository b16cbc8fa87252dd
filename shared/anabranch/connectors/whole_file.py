"""A target file from its first byte to the moment it takes the old one's place.

The new file grows beside the old one under a name that carries batch and claim. When it is complete and on disk, the
unfinished files of earlier claims are removed and it is renamed; so a worker that was given up for dead and wakes up
late finds its own file gone and fails, and the file in place stays as its successor left it (EXP-25). A file that would
hold the same bytes again is left alone, with its time of change.
"""

from __future__ import annotations

import os
import re
import shutil
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from anabranch.connectors.port import FileReceipt, TargetFault
from anabranch.model.errors import ClaimLost, Retryable

_CHUNK: Final = 1024 * 1024
_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_SAFE_CLAIM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class WholeFile:
    """One target file being written. Used by one thread at a time; `discard` in a `finally` leaves nothing behind."""

    def __init__(self, path: Path, claim: str, batch: int) -> None:
        if _SAFE_CLAIM.fullmatch(claim) is None:
            raise ValueError(f"the claim {claim!r} cannot be part of a file name")
        self.path = path
        self._final = path.resolve()  # a link keeps pointing where it points; what it points to is replaced
        self._batch = batch
        self._temporary = self._final.with_name(f".{self._final.name}.{batch}.{claim}.tmp")
        self._file: BinaryIO | None = None
        self.size = 0

    def open(self) -> None:
        """The temporary file exists and is empty. Raises `TargetFault` or `Retryable`."""
        try:
            self._final.parent.mkdir(parents=True, exist_ok=True)
            if self._final.is_dir():
                raise TargetFault(f"{self.path}: is a directory; name the file inside it")
            self._file = os.fdopen(self._made(self._temporary), "wb", buffering=_CHUNK)
        except PermissionError as error:
            raise TargetFault(f"{self.path}: may not be written; give the worker's user the right to") from error
        except (NotADirectoryError, FileExistsError) as error:
            raise TargetFault(f"{self.path}: a part of the path is no directory; check the path") from error
        except OSError as error:
            raise Retryable(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def _made(self, path: Path) -> int:
        """A new file that nobody may read who may not read the one in place."""
        guarded = self._final.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600 if guarded else 0o666)
        if guarded:
            with suppress(FileNotFoundError):
                shutil.copymode(self._final, path)
        return descriptor

    def write(self, data: bytes) -> None:
        """The bytes are at the end of the new file. Raises `Retryable` when the disk is full or fails."""
        if self._file is None:
            raise ValueError(f"{self.path}: written to before it was opened")
        try:
            self._file.write(data)
        except OSError as error:
            raise Retryable(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self.size += len(data)

    def rearrange(self, head: int, lengths: array[int], order: list[int]) -> None:
        """The pieces after the first `head` bytes, whose lengths are given in the order written, follow in `order`."""
        if self._file is None:
            raise ValueError(f"{self.path}: rearranged before it was opened")
        starts = array("Q", [head])
        for length in lengths:
            starts.append(starts[-1] + length)
        sorted_file = self._temporary.with_suffix(".sorted.tmp")
        try:
            self._file.flush()
            with (
                self._temporary.open("rb") as old,
                os.fdopen(self._made(sorted_file), "wb", buffering=_CHUNK) as new,
            ):
                new.write(old.read(head))
                for n in order:
                    old.seek(starts[n])
                    new.write(old.read(lengths[n]))
            self._file.close()
            os.replace(sorted_file, self._temporary)
            self._file = self._temporary.open("ab")
        except OSError as error:
            raise self._failure(error) from error
        finally:
            sorted_file.unlink(missing_ok=True)

    def finish(self, objects: int, fence: Callable[[], None] | None = None) -> FileReceipt:
        """The new file is in place and on disk, or the old one is untouched because it holds the same bytes.

        Raises `ClaimLost` when a successor took over, `Retryable` when the disk fails.
        """
        if self._file is None:
            raise ValueError(f"{self.path}: finished before it was opened")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if fence is not None:
                fence()
            self._remove_predecessors()
            changed = not self._same_bytes()
            if changed:
                self._keep_mode()
                os.replace(self._temporary, self._final)
            self._sync_directory()  # also where whoever came before us put the same bytes in place, and then died
        except OSError as error:
            raise self._failure(error) from error
        return FileReceipt(str(self.path), objects, self.size, changed)

    def discard(self) -> None:
        """Nothing of an unfinished file is left; after `finish` this does nothing."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            self._file = None

    def _failure(self, error: OSError) -> ClaimLost | Retryable:
        if isinstance(error, FileNotFoundError):
            return ClaimLost(f"{self.path}: the unfinished file was removed by the worker that took over")
        return Retryable(f"{self.path}: cannot be written: {error.strerror or error}")

    def _remove_predecessors(self) -> None:
        if not self._temporary.exists():
            raise FileNotFoundError(self._temporary)
        for other in self._final.parent.glob(f".{_glob_safe(self._final.name)}.*.tmp"):
            if other == self._temporary:
                continue
            batch = other.name[len(self._final.name) + 2 :].split(".", 1)[0]
            if batch.isdigit() and int(batch) > self._batch:
                raise ClaimLost(f"{self.path}: a later batch is already writing this file")
            other.unlink(missing_ok=True)

    def _same_bytes(self) -> bool:
        try:
            with self._final.open("rb") as old, self._temporary.open("rb") as new:
                if os.fstat(old.fileno()).st_size != self.size:
                    return False
                while piece := new.read(_CHUNK):
                    if piece != old.read(len(piece)):
                        return False
                return True
        except (FileNotFoundError, PermissionError):
            return False

    def _keep_mode(self) -> None:
        with suppress(FileNotFoundError):
            shutil.copymode(self._final, self._temporary)

    def _sync_directory(self) -> None:
        if os.name != "posix":  # Windows cannot open a directory; its rename is durable by the journal alone
            return
        directory = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def withdraw(path: Path) -> None:
    """The file is gone, and so is whatever an earlier claim has not finished of it: a late worker cannot place it."""
    final = path.resolve()
    for other in final.parent.glob(f".{_glob_safe(final.name)}.*.tmp"):
        other.unlink(missing_ok=True)
    final.unlink(missing_ok=True)


def _glob_safe(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
