"""What the fleet asks of a connected system, whatever kind it is.

A connector is opened for one batch and closed whatever happens. It reads a partition as pages, each with the token from
which the next can be read by another worker, and says itself when it has reached the end: a read that stops without
saying so is not complete, and nothing may be concluded from it (IMP-4). It writes either row by row (`apply`, one
outcome for each change, in order) or, where the target is a file, whole (`replace`).

One bad object is an `EntryError` or an `Outcome` and the rest goes on. An exception means that the read or the write as
a whole cannot go on: `Retryable` when the same may succeed later, `Permanent` when a person has to change something.

A binary value is either `bytes`, which are the value, or `str`, which is its base64. Everything else is text.

A connector whose source spells each object as bytes of its own, such as a line, may hand over these instead of entries
where the request allows it (`Records`): what was read before and has not changed by a byte is then never taken apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import msgspec

from anabranch.model.configuration import System
from anabranch.model.enums import ExportKind, RowOp, WriteGuarantee
from anabranch.model.errors import Fault, Permanent, Retryable

API_VERSION: Final = 1
"""The version of this port; a connector names the one it was written for as `api_version`."""

RawValue = str | bytes
Token = dict[str, Any]
"""JSON-able; only the connector that made it understands it."""
OptionFault = tuple[tuple[str | int, ...], str]
"""A path inside the system's declaration, such as `("options", "directory")`, and what is wrong there."""


class SourceFault(Permanent):
    """The source cannot be read as it is: it is missing, unreadable, or not what the configuration says."""


class TargetFault(Permanent):
    """The target cannot be written as it is."""


class Unsupported(Permanent):
    """The connector does not do this, and its capabilities say so."""


class IncompleteRead(Retryable):
    """The source ended where it cannot end (`incomplete_read`): nothing may be concluded from what was read (IMP-4)."""


class SourceChanged(Retryable):
    """The source is no longer the one the token or the earlier pages came from; the read starts again (IMP-3)."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector can do with the options it was given.

    `full` and `delta`: it reads everything, or changes since a watermark. `resumable`: another worker goes on from a
    page's token. `partitions`: there may be more than one. `self_confirming`: a write that succeeded needs no import to
    be believed (EXP-29). `whole_file`: written by `replace`; `journal`: by `apply`, as a record of changes that is not
    read back. `one_file`: all object types stand in one file, so that `replace` gets those too that are not selected.
    `texts`: an object to be written whole may come with `TargetObject.texts`. `hierarchy`: containers go
    before their contents (EXP-16). `max_batch`: most changes of one `apply`.
    """

    full: bool = True
    delta: bool = False
    resumable: bool = False
    partitions: bool = False
    write_guarantee: WriteGuarantee = WriteGuarantee.IDEMPOTENT
    self_confirming: bool = False
    whole_file: bool = False
    one_file: bool = False
    texts: bool = False
    journal: bool = False
    hierarchy: bool = False
    max_batch: int = 5000


class EntryChange(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    DELETE = "delete"


class Entry(msgspec.Struct, gc=False):
    """One object as read: raw values by attribute name, declared and selected attributes only. An entry read from
    `Records` may give single texts that are not empty in `texts` instead of `values`, which spares a list for each.

    `change` is `complete` (an attribute not named has no value, IMP-15), `delete` (`values` only identify the object)
    or `partial`: `values` then replace the attributes they name (an empty list clears), and single members come and go
    in `added` and `removed` (IMP-10). `place` names the spot in the source for a person, such as `people.csv:17`.
    """

    object_type: str
    values: dict[str, list[RawValue]]
    place: str
    change: str = EntryChange.COMPLETE.value
    added: dict[str, list[RawValue]] | None = None
    removed: dict[str, list[RawValue]] | None = None
    texts: dict[str, str] | None = None


class EntryError(msgspec.Struct, frozen=True, kw_only=True):
    """An object that could not be read. `kind` is an import error kind; `anchor` is given where it was readable, so
    that the object still counts as seen (IMP-13)."""

    place: str
    kind: str
    message: str
    object_type: str | None = None
    anchor: str | None = None


class PlainTexts(msgspec.Struct, frozen=True, gc=False):
    """Complete objects of one type of which every attribute holds one text or none: a row has the texts in the order of
    `names`, empty where there is none, and a place."""

    object_type: str
    names: tuple[str, ...]
    rows: list[tuple[str, ...]]
    places: list[str]


class Records(Protocol):
    """Complete objects as the source spells them, not yet taken apart.

    `raw` holds one spelling an object. Equal bytes under an equal `layout` are the same object with the same values
    wherever and whenever they are read; `layout` names all besides the bytes that has a say in this: the header, the
    encoding, the options. `object_type` is the type of all of them, or None where that is known of each only once it is
    read, if it is of a declared type at all.
    """

    @property
    def object_type(self) -> str | None: ...

    @property
    def layout(self) -> str: ...

    @property
    def raw(self) -> Sequence[bytes]: ...

    def read(self, numbers: Iterable[int]) -> Iterator[Entry | EntryError | None]:
        """The objects at these places of `raw`, one for each in their order; places are those of the source. None
        for an object of no declared type."""

    def plain(self, numbers: Iterable[int]) -> PlainTexts | None:
        """What `read` says of them, where they are many of a kind and nothing is wrong with any; None where that is not
        sure, or not worth finding out."""


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`token` is that of the last page kept, a watermark for a delta, or None for a read from the beginning. With
    `records` the reader takes `Page.records` too; a connector may give entries all the same."""

    partition: str
    page_size: int
    object_types: tuple[str, ...]
    token: Token | None = None
    records: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a read. `complete` on the last page alone, which may be empty; every other carries `next_token`.

    `records` are further objects of the page, given only where the request allows it. `ignored` counts objects of no
    declared type besides those among the records; `total_hint` guesses the objects of the partition, on the last page
    without error.
    """

    entries: list[Entry]
    errors: list[EntryError] = []
    next_token: Token | None = None
    complete: bool = False
    ignored: int = 0
    total_hint: int | None = None
    records: Records | None = None


class Partition(msgspec.Struct, frozen=True):
    """A part of the system that is read by itself; `key` stays the same when its name changes (MOD-23)."""

    key: str
    object_types: tuple[str, ...]


class DiscoveredAttribute(msgspec.Struct, frozen=True):
    name: str
    multi_valued: bool = False


class DiscoveredType(msgspec.Struct, frozen=True):
    """An object type the system shows, declared or not."""

    name: str
    attributes: tuple[DiscoveredAttribute, ...]


class TargetObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object as the target shall hold it, whole. `identifier` is its name in the target, such as a DN.

    To a connector that asks for it (`Capabilities.texts`), an object of which each attribute has one value that is text
    comes with these in `texts`, and `values` is empty.
    """

    object_type: str
    anchor: str
    values: dict[str, list[RawValue]]
    identifier: str | None = None
    texts: dict[str, str] | None = None


class ChangeRow(msgspec.Struct, frozen=True):
    """`clear` carries no values; `set` replaces, `add` and `remove` concern single members."""

    attribute: str
    op: RowOp
    values: tuple[RawValue, ...] = ()


class ExportChange(msgspec.Struct, frozen=True, kw_only=True):
    """One object's change. `identifier` addresses it, `new_identifier` renames it; `key` is the idempotency key."""

    kind: ExportKind
    object_type: str
    anchor: str
    key: str
    rows: tuple[ChangeRow, ...] = ()
    identifier: str | None = None
    new_identifier: str | None = None


class ExportBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Changes in the order in which they shall be written. Run, step and batch name a journal; `claim` fences it.

    `parts_of` are batches of the same step that were split because their workers were lost again and again: this one
    tells a part of what they may have told already. A journal of theirs is withdrawn before this one's is written.
    """

    run: int
    step: int
    batch: int
    claim: str
    changes: tuple[ExportChange, ...]
    parts_of: tuple[int, ...] = ()


class OutcomeStatus(StrEnum):
    OK = "ok"
    RETRY = "retry"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    GONE = "gone"


class FailureClass(StrEnum):
    """What a failed attempt leads to (EXP-32)."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    AUTHENTICATION = "authentication"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one change. `kind` is the export error kind of a failure; `identifier` the object's name now."""

    status: OutcomeStatus
    failure_class: FailureClass | None = None
    kind: str = ""
    message: str = ""
    retry_after: float | None = None
    identifier: str | None = None


class Rejection(msgspec.Struct, frozen=True):
    """Why an object cannot be written: an export error kind and a sentence for a person."""

    object_type: str
    anchor: str
    kind: str
    message: str


class FileReceipt(msgspec.Struct, frozen=True):
    """One file of a replacement; `changed` is False where it already held exactly these bytes."""

    path: str
    objects: int
    size: int
    changed: bool


class Receipt(msgspec.Struct, frozen=True):
    """What a replacement left behind. A rejected object is in none of the files."""

    files: tuple[FileReceipt, ...]
    rejected: tuple[Rejection, ...] = ()

    @property
    def changed(self) -> bool:
        return any(one.changed for one in self.files)


class Connector(Protocol):
    """One connected system, for one batch. Blocking work runs in threads; no verb blocks the event loop."""

    capabilities: Capabilities

    async def open(self) -> None:
        """The system can be spoken to. Raises `Retryable` or `Permanent`."""

    async def close(self) -> None:
        """Everything the connector held is given back; calling it twice, or without `open`, does nothing."""

    async def check(self, *, reading: bool = True) -> list[Fault]:
        """What would stop the system from being read (or only from being written, without `reading`); none is well."""

    async def schema(self) -> list[DiscoveredType]:
        """The object types the system shows at this moment."""

    async def partitions(self) -> list[Partition]:
        """The parts to be read, each holding selected object types."""

    def read(self, request: ReadRequest) -> AsyncIterator[Page]:
        """The pages of one partition from the token on, at least one, the last one complete.

        Raises `SourceChanged` when the token no longer fits, `IncompleteRead` for a source that is cut off,
        `SourceFault` for one that cannot be read at all.
        """

    async def watermark(self) -> Token | None:
        """The token of the present end of a change feed; None where there is no delta."""

    def refusal(self, wanted: TargetObject) -> Rejection | None:
        """Why this object could not be written, or None; asked before a stored object is replaced by it."""

    async def apply(self, batch: ExportBatch) -> list[Outcome]:
        """One outcome for each change, in order; a failure leaves the others written (EXP-35)."""

    async def is_missing(self) -> bool:
        """Whether a target that is written whole is not there, or not all of it: never written, or lost."""

    async def replace(
        self, objects: AsyncIterator[TargetObject], claim: str, batch: int, fence: Callable[[], None] | None = None
    ) -> Receipt:
        """The target holds exactly these objects (EXP-25); they come type by type, in anchor order within a type.

        `fence` is called right before each file is put in place and raises when this worker's time is over. On any
        failure the old files stay as they were. What `objects` itself raises is such a failure, and is passed on; and a
        batch may call this again under the same claim, with other objects, when it has learned what was rejected.
        """


class ConnectorFactory(Protocol):
    """What an entry point of the group `anabranch.connectors` names: a class, or anything that is called like one."""

    api_version: ClassVar[int]

    @classmethod
    def check_options(cls, system: System) -> Sequence[OptionFault]:
        """Everything wrong with the system's `options` and `source`s, without touching the system; secrets are still
        references here."""

    def __call__(self, system: System, options: dict[str, Any], base_directory: Path) -> Connector: ...
