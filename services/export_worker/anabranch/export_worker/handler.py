"""Which function works on which step: the export worker's whole table of contents."""

from __future__ import annotations

from anabranch.export_worker import planning
from anabranch.export_worker.file_results import plan_record, record_range
from anabranch.export_worker.rowwise import write_objects
from anabranch.export_worker.whole_file import write_file
from anabranch.runtime.consumer import Handlers
from anabranch.runtime.unpacking import unpack_range
from anabranch.runtime.work import Task


async def write_target(task: Task) -> None:
    """The batch's part of the target is written, in the way the target is written."""
    if task.claimed.payload.get("whole_file"):
        await write_file(task)
    else:
        await write_objects(task)


HANDLERS = Handlers(
    plans={
        "unpack": planning.plan_unpack,
        "assess": planning.assess,
        "export": planning.plan_export,
        "export.record": plan_record,
        "references": planning.plan_references,
        "deletes": planning.plan_deletes,
        "retries": planning.plan_retries,
    },
    work={
        "unpack": unpack_range,
        "export": write_target,
        "export.record": record_range,
        "references": write_objects,
        "deletes": write_objects,
        "retries": write_objects,
    },
)
