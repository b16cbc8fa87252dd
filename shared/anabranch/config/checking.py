"""The checks that need more than one place: names that must exist, types that must fit, orders that must not circle.

They run over the record, while the tree of the files lends the places. The same checks serve a configuration that came
from elsewhere than files; its faults then name paths instead of lines (MOD-31).
"""

from __future__ import annotations

from collections.abc import Collection

from anabranch.config.checker import Checker, CheckOptions
from anabranch.config.declaration import Places
from anabranch.config.flow_order import check_flow_order
from anabranch.config.rule_checks import check_rules
from anabranch.config.schedule_checks import check_schedules
from anabranch.config.schema_checks import check_metaverse, check_systems, check_unique_values
from anabranch.model.configuration import Configuration
from anabranch.model.errors import Fault


def check(
    configuration: Configuration,
    places: Places | None = None,
    *,
    connectors: Collection[str] | None = None,
    check_options: CheckOptions | None = None,
) -> list[Fault]:
    """Every fault that reading alone could not see, in no particular order; none means the configuration is valid."""
    checker = Checker(configuration, places or Places(), check_options)
    check_systems(checker, connectors)
    check_metaverse(checker)
    check_unique_values(checker)
    check_rules(checker)
    check_flow_order(checker)
    check_schedules(checker)
    return checker.faults
