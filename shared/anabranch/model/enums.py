"""Every closed list of names, spelled as it is stored, reported and compared.

Configuration files may write a hyphen where a name has an underscore; nothing else may differ. PostgreSQL stores the
text itself, so a person reading the tables with psql sees the same words as one reading the documentation.
"""

from __future__ import annotations

from enum import StrEnum


class ValueType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    BINARY = "binary"
    UUID = "uuid"
    REFERENCE = "reference"


class Writability(StrEnum):
    WRITABLE = "writable"
    READ_ONLY = "read_only"
    CREATE_ONLY = "create_only"


class CsoState(StrEnum):
    NORMAL = "normal"
    OBSOLETE = "obsolete"
    PENDING_PROVISIONING = "pending_provisioning"


class JoinType(StrEnum):
    NONE = "none"
    PROJECTED = "projected"
    JOINED = "joined"
    PROVISIONED = "provisioned"


class MvoState(StrEnum):
    ACTIVE = "active"
    PENDING_DELETION = "pending_deletion"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class OutOfScopeAction(StrEnum):
    DISCONNECT = "disconnect"
    REMAIN_JOINED = "remain_joined"


class DeprovisionAction(StrEnum):
    KEEP = "keep"
    DISCONNECT = "disconnect"
    DELETE = "delete"


class DeletionRule(StrEnum):
    MANUAL = "manual"
    WHEN_LAST_CONNECTOR_DISCONNECTED = "when_last_connector_disconnected"
    WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED = "when_authoritative_source_disconnected"


class AuthoritativeMode(StrEnum):
    ANY = "any"
    ALL = "all"


class WhenMissing(StrEnum):
    EVALUATE = "evaluate"
    NO_VALUE = "no_value"
    FAIL_MAPPING = "fail_mapping"
    FAIL_OBJECT = "fail_object"


class OnError(StrEnum):
    FAIL_OBJECT = "fail_object"
    FAIL_MAPPING = "fail_mapping"


class OnNull(StrEnum):
    CLEAR = "clear"
    KEEP = "keep"


class MultiValuePolicy(StrEnum):
    WINNER_TAKES_ALL = "winner_takes_all"
    UNION = "union"


class TextCleanup(StrEnum):
    """In the order in which they are carried out: trim, collapse, then case (SYN-37)."""

    TRIM = "trim"
    COLLAPSE_SPACES = "collapse_spaces"
    UPPER = "upper"
    LOWER = "lower"
    TITLE = "title"


class ReferencePolicy(StrEnum):
    ERROR = "error"
    WARN = "warn"
    IGNORE = "ignore"


class ExportKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class RowOp(StrEnum):
    SET = "set"
    ADD = "add"
    REMOVE = "remove"
    CLEAR = "clear"


class ExportState(StrEnum):
    READY = "ready"
    EXPORTING = "exporting"
    EXPORTED = "exported"
    UNCONFIRMED = "unconfirmed"
    AMBIGUOUS = "ambiguous"
    DEAD_LETTER = "dead_letter"
    REJECTED = "rejected"


class RowState(StrEnum):
    STAGED = "staged"
    SENT = "sent"
    NOT_CONFIRMED = "not_confirmed"
    FAILED = "failed"


class WriteGuarantee(StrEnum):
    IDEMPOTENT = "idempotent"
    VERIFIABLE = "verifiable"
    AT_MOST_ONCE = "at_most_once"


class RunKind(StrEnum):
    FULL_IMPORT = "full_import"
    DELTA_IMPORT = "delta_import"
    FULL_SYNC = "full_sync"
    DELTA_SYNC = "delta_sync"
    EXPORT = "export"
    HOUSEKEEPING = "housekeeping"


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    COMPLETED_WITH_WARNINGS = "completed_with_warnings"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_active(self) -> bool:
        """True while the run keeps its system's slot."""
        return self in ACTIVE_RUN_STATES

    @property
    def is_final(self) -> bool:
        """True once nothing more will happen in the run."""
        return self is not RunState.QUEUED and not self.is_active


ACTIVE_RUN_STATES = frozenset({RunState.RUNNING, RunState.HELD, RunState.PAUSED, RunState.CANCELLING})


class ExecutionState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailedReason(StrEnum):
    INCOMPLETE_READ = "incomplete_read"
    CONNECTION = "connection"
    DEADLINE = "deadline"
    DEAD_BATCHES = "dead_batches"
    ALL_OBJECTS_ERRORED = "all_objects_errored"
    ACCOUNTING_MISMATCH = "accounting_mismatch"
    INTERNAL = "internal"


class StepState(StrEnum):
    OPEN = "open"
    SEALED = "sealed"
    CLOSED = "closed"
    CLOSED_ERRORS = "closed_errors"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class BatchState(StrEnum):
    BLOCKED = "blocked"
    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class WorkerKind(StrEnum):
    """Who may take a batch; also names the stream its hints travel on."""

    IMPORT = "import"
    SYNC = "sync"
    EXPORT = "export"


class GuardPoint(StrEnum):
    IMPORT_OBSOLETIONS = "import_obsoletions"
    SYNC_DISCONNECTIONS = "sync_disconnections"
    METAVERSE_DELETIONS = "metaverse_deletions"
    OUTBOUND_RELEASES = "outbound_releases"
    EXPORT_WRITES = "export_writes"


class HoldState(StrEnum):
    OPEN = "open"
    RELEASED = "released"
    REJECTED = "rejected"
    EXPIRED = "expired"


class ChangeClass(StrEnum):
    COSMETIC = "cosmetic"
    SYNC_AFFECTING = "sync_affecting"
    DESTRUCTIVE = "destructive"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
