"""Which function works on which step: the sync worker's whole table of contents."""

from __future__ import annotations

from anabranch.runtime.consumer import Handlers
from anabranch.runtime.unpacking import unpack_range
from anabranch.sync_worker import (
    assessing,
    deleting,
    flowing,
    matching,
    outbound,
    proposing,
    referring,
    releasing,
    reserving,
    teardown,
    unpacking,
)
from anabranch.sync_worker.housekeeping import plan_assess as plan_housekeeping
from anabranch.sync_worker.housekeeping import purge

HANDLERS = Handlers(
    plans={
        "assess": assessing.plan_assess,
        "unpack": unpacking.plan_unpack,
        "teardown": teardown.plan_teardown,
        "match.propose": proposing.plan_propose,
        "match.settle": matching.plan_settle,
        "flow": flowing.plan_flow,
        "references": referring.plan_references,
        "deletions.count": deleting.count_deletions,
        "deletions.write": deleting.plan_write,
        "reserve.propose": reserving.propose_draws,
        "reserve.settle": reserving.plan_settle,
        "release.count": releasing.plan_count,
        "release.write": releasing.plan_write,
        "outbound": outbound.plan_outbound,
        "housekeeping.assess": plan_housekeeping,
        "purge": purge,
    },
    work={
        "assess": assessing.assess_range,
        "unpack": unpack_range,
        "teardown": teardown.tear_down,
        "match.propose": proposing.propose_range,
        "match.settle": matching.settle_range,
        "flow": flowing.flow_range,
        "references": referring.refer_range,
        "deletions.write": deleting.delete_range,
        "reserve.settle": reserving.settle_range,
        "release.count": releasing.count_range,
        "release.write": releasing.release_range,
        "outbound": outbound.outbound_range,
    },
)
