"""The step `references`: raw identifiers find the objects they name.

A reference resolves by anchor, then by secondary id, in any order of arrival: one that finds nobody keeps its raw
identifier and is asked again by every later import (IMP-28, IMP-29).
"""

from __future__ import annotations

from anabranch.model.changes import Changes, ErrorItem
from anabranch.model.enums import ReferencePolicy, ValueType
from anabranch.model.identity import CsoId
from anabranch.runtime.work import Task, batches_of, plan
from anabranch.store.port import ReferenceTargets


async def plan_references(task: Task) -> None:
    """Ranges of CSOs with references that resolve now."""
    targets = reference_targets(task)
    ranges = []
    if targets.allowed:
        async with task.store.reader() as reader:
            ranges = await reader.unresolved_reference_ranges(targets, task.claimed.batch_size)
    await plan(task, batches_of(ranges))


async def resolve_range(task: Task) -> None:
    """The range's references point to what they name."""
    lo, hi = CsoId(task.claimed.payload["lo"]), CsoId(task.claimed.payload["hi"])
    async with task.store.unit(task.claimed) as unit:
        resolved = await unit.resolve_references(reference_targets(task), lo, hi)
        await unit.done({"references_resolved": resolved} if resolved else {})


async def unresolved_items(task: Task) -> Changes:
    """What the run read and could not resolve, by the system's policy (IMP-30)."""
    changes = Changes()
    system = task.compiled.system_of(task.claimed)
    if system.unresolved_reference_policy is ReferencePolicy.IGNORE:
        return changes
    severity = "error" if system.unresolved_reference_policy is ReferencePolicy.ERROR else "warning"
    async with task.store.reader() as reader:
        for type_id, attr, count, example in await reader.unresolved_of_run(task.claimed.run):
            record = task.compiled.object_types[type_id][1]
            message = (
                f"{count} references in {record.key}.{attr} name no object (for example {example!r}); they resolve by "
                "themselves when the object arrives"
            )
            changes.errors.append(
                ErrorItem(
                    space="source",
                    kind="unresolved_reference",
                    key=f"{record.key}.{attr}",
                    message=message,
                    severity=severity,
                    type_id=type_id,
                    count=count,
                )
            )
    return changes


def reference_targets(task: Task) -> ReferenceTargets:
    """Which object types the references of the run's system may lead to."""
    system = task.compiled.system_of(task.claimed)
    return ReferenceTargets(
        {
            (task.compiled.registry.object_types[(system.key, record.key)], attribute.name): tuple(
                task.compiled.registry.object_types[(system.key, name)] for name in attribute.to
            )
            for record in system.object_types.values()
            for attribute in record.attributes.values()
            if attribute.type is ValueType.REFERENCE and attribute.selected
        }
    )
