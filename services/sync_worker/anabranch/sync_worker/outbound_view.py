"""An MVO as outbound rules see it: values, references, state, and where it has accounts (MOD-38, MOD-48)."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.engine.compiled import Target
from anabranch.engine.expressions import EvalContext
from anabranch.model.enums import CsoState
from anabranch.model.objects import Connector, Cso, Mvo, ServedMvo
from anabranch.runtime.work import Task


def outbound_context(task: Task, mvo: Mvo | ServedMvo, links: Sequence[Cso | Connector]) -> EvalContext:
    """What an outbound expression sees besides values."""
    joined = frozenset(
        task.compiled.object_types[cso.type_id][0].key
        for cso in links
        if cso.type_id in task.compiled.object_types and cso.state is not CsoState.OBSOLETE
    )
    return EvalContext(
        now=task.claimed.now,
        draw=None,
        joined=joined,
        mv_state=mvo.state.value,
        delete_after=mvo.delete_after,
    )


def accepted_rules(target: Target, mvo: Mvo | ServedMvo, seen: EvalContext) -> tuple[int, ...]:
    """The indexes of the target's enabled rules in whose scope the MVO is, as `outbound_context` shows it; raises
    ScopeProblem."""
    accepted = target.scope(mvo.doc, seen)
    return tuple(index for index in accepted if target.rules[index].record.enabled)
