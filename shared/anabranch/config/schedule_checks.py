"""Run profiles and executions: does each name what exists, and can `run start NAME` mean one thing only?"""

from __future__ import annotations

from anabranch.config.checker import Checker
from anabranch.config.declaration import NodePath
from anabranch.model.enums import RunKind
from anabranch.protocol.steps import STEPS


def check_schedules(checker: Checker) -> None:
    configuration = checker.configuration
    for key, profile in configuration.run_profiles.items():
        here: NodePath = ("run-profiles", key)
        kind = profile.kind.replace("_", "-")
        if profile.kind not in STEPS:
            known = ", ".join(sorted(one.replace("_", "-") for one in STEPS))
            checker.fault((*here, "kind"), f"runs of kind {kind} cannot be carried out yet; use one of {known}")
        if profile.kind is RunKind.HOUSEKEEPING:
            if profile.system is not None:
                checker.fault((*here, "system"), "a housekeeping run is about no system; remove the key")
        elif profile.system is None:
            if not checker.places.declares((*here, "system")):
                checker.fault(here, f"the key 'system' is missing: a run of kind {kind} needs one")
        else:
            checker.named(configuration.systems, ("systems",), profile.system, (*here, "system"), "the system")
    for key, execution in configuration.executions.items():
        here = ("executions", key)
        if key in configuration.run_profiles:
            checker.fault(here, f"{key!r} is also a run profile; both are started by name, rename one", key=True)
        for g, group in enumerate(execution.groups):
            for n, name in enumerate(group):
                at = (*here, "groups", g, n)
                checker.named(configuration.run_profiles, ("run-profiles",), name, at, "the run profile")
