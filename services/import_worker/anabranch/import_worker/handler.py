"""Which function works on which step: the import worker's whole table of contents."""

from __future__ import annotations

from anabranch.import_worker.absence import count_absent, plan_write, write_obsolete
from anabranch.import_worker.confirming import confirm_range, plan_confirm
from anabranch.import_worker.reading import plan_import, read_partition
from anabranch.import_worker.resolving import plan_references, resolve_range
from anabranch.import_worker.settling import plan_settle, propose_apply, settle_rows
from anabranch.runtime.consumer import Handlers

HANDLERS = Handlers(
    plans={
        "import": plan_import,
        "apply.propose": propose_apply,
        "apply.settle": plan_settle,
        "detect.count": count_absent,
        "detect.write": plan_write,
        "references": plan_references,
        "confirm": plan_confirm,
    },
    work={
        "import": read_partition,
        "apply.settle": settle_rows,
        "detect.write": write_obsolete,
        "references": resolve_range,
        "confirm": confirm_range,
    },
)
