"""Whether inbound rules accept a CSO, and what it means when none does (SYN-14 to SYN-17)."""

from __future__ import annotations

import msgspec

from anabranch.engine.compiled import InboundType
from anabranch.engine.expressions import EvalContext
from anabranch.engine.scope import ScopeProblem
from anabranch.model.enums import OutOfScopeAction
from anabranch.model.objects import Document


class Verdict(msgspec.Struct, frozen=True):
    """The indexes of the accepting rules, or why none could be named. `out` says that the object is out of scope: some
    enabled rule covers its type and none accepts it."""

    accepted: tuple[int, ...]
    out: bool
    problem: str | None = None
    rule: str | None = None


def judge(inbound: InboundType, cs: Document, context: EvalContext) -> Verdict:
    """The scope verdict over one object; a scope that cannot be evaluated never counts as false (SYN-17)."""
    try:
        accepted = inbound.scope(cs, context)
    except ScopeProblem as problem:
        return Verdict((), False, str(problem))
    return Verdict(accepted, not accepted and any(rule.record.enabled for rule in inbound.rules))


def leaving_action(inbound: InboundType) -> OutOfScopeAction:
    """What happens to a joined object that is out of scope: the first enabled rule in order says (SYN-16)."""
    for rule in inbound.rules:
        if rule.record.enabled:
            return rule.record.out_of_scope_action
    return OutOfScopeAction.REMAIN_JOINED


def has_scopes(inbound: InboundType) -> bool:
    """True when some rule may refuse an object, so that assessing its type can find anything at all."""
    return any(rule.record.scope is not None for rule in inbound.rules)
