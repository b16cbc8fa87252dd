"""From a revision to something that can be executed.

Compilation is total: a configuration that passed validation compiles, and everything a run will need (elections,
look-up keys, generated functions, time zones) exists before its first batch begins. It happens once a revision and
process.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from anabranch.engine.compiled import (
    Compiled,
    Condition,
    Flow,
    FlowFunction,
    InboundRule,
    InboundType,
    Link,
    MetaverseSide,
    OutboundRule,
    Stratum,
    Target,
)
from anabranch.engine.draw_order import is_apart, systems_drawing_apart, watched_attributes
from anabranch.engine.election import Ranking
from anabranch.engine.expressions import CheckedExpression, Environment, EvalContext, EvaluationError, check
from anabranch.engine.flow_values import constant_value, key_finisher
from anabranch.engine.generation import Code, expression_node, mapping_statements, reader
from anabranch.engine.scope import ScopeProblem, scope_node
from anabranch.model.configuration import Attribute, Configuration, MatchCondition, Rule
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import Direction, ValueType
from anabranch.model.errors import Permanent
from anabranch.model.identity import TypeId
from anabranch.model.objects import Document
from anabranch.model.registry import Registry, Revision

_FLOW_ARGUMENTS = ("cs", "mv", "ctx", "live", "offers", "failures")


def compile_revision(revision: Revision, zones: Mapping[str, tzinfo]) -> Compiled:
    """The revision, ready to be executed; `zones` holds every time zone it names.

    Raises Permanent when one is not there.
    """
    unknown = sorted(zone_names(revision.configuration) - zones.keys())
    if unknown:
        raise Permanent(
            f"revision {revision.version}: no time zone {', '.join(map(repr, unknown))} on this machine; install the "
            "time zone database or name another zone"
        )
    return _Compiler(revision, zones).compile()


def zone_names(configuration: Configuration) -> set[str]:
    """Every time zone a configuration names."""
    return (
        {"UTC"}
        | {system.assume_time_zone for system in configuration.systems.values()}
        | {rule.time_zone for rule in configuration.rules.values()}
    )


class _Compiler:
    def __init__(self, revision: Revision, zones: Mapping[str, tzinfo]) -> None:
        self.revision = revision
        self.configuration: Configuration = revision.configuration
        self.registry: Registry = revision.registry
        self.zones = zones
        rules = sorted(self.configuration.rules.values(), key=lambda rule: (rule.order, rule.key))
        self.inbound_rules = [rule for rule in rules if rule.direction is Direction.INBOUND]
        self.outbound_rules = [rule for rule in rules if rule.direction is Direction.OUTBOUND]

    def compile(self) -> Compiled:
        sides = {self.registry.metaverse_types[key]: self._metaverse(key) for key in self.configuration.metaverse}
        inbound = self._inbound_types()
        watched = watched_attributes(self.configuration.unique_values.values(), self.registry)
        return Compiled(
            revision=self.revision,
            inbound=inbound,
            metaverse=sides,
            object_types={
                self.registry.object_types[(system.key, record.key)]: (system, record)
                for system in self.configuration.systems.values()
                for record in system.object_types.values()
            },
            system_ids={self.registry.systems[one.key]: one for one in self.configuration.systems.values()},
            cso_key_attrs=self._cso_key_attrs(),
            referable=self._referable(),
            unique_values=self.configuration.unique_values,
            unique_targets={
                key: self._unique_targets(one.targets) for key, one in self.configuration.unique_values.items()
            },
            draws_apart=systems_drawing_apart(inbound.values(), sides, watched),
            watched=watched,
            mapping_keys={number: key for key, number in self.registry.mappings.items()},
            zones=self.zones,
        )

    # ------------------------------------------------------------- inbound

    def _inbound_types(self) -> dict[TypeId, InboundType]:
        """Types with inbound rules, and those that outbound rules serve: drift of theirs is seen by a sync of their
        own system even where nothing flows in from them (SYN-86)."""
        found: dict[TypeId, InboundType] = {}
        served = {(rule.system, rule.object_type) for rule in self.outbound_rules}
        for system in self.configuration.systems.values():
            for record in system.object_types.values():
                rules = [r for r in self.inbound_rules if (r.system, r.object_type) == (system.key, record.key)]
                if rules or (system.key, record.key) in served:
                    type_id = self.registry.object_types[(system.key, record.key)]
                    found[type_id] = self._inbound_type(type_id, system.key, record.key, rules)
        return found

    def _inbound_type(self, type_id: TypeId, system_key: str, type_key: str, rules: Sequence[Rule]) -> InboundType:
        system = self.configuration.systems[system_key]
        record = system.object_types[type_key]
        links: list[Link] = []
        compiled_rules: list[InboundRule] = []
        checked: list[CheckedExpression | None] = []
        for rule in rules:
            attributes = self.configuration.metaverse[rule.metaverse_type].attributes
            sides = {"cs": record.attributes, "mv": attributes}
            first = len(links)
            for mapping in rule.mappings.values():
                if mapping.enabled:
                    expression = self._check(mapping, sides, rule)
                    checked.append(expression)
                    links.append(self._link(rule, mapping, attributes[mapping.to], record.attributes, expression))
            indexes = range(first, len(links))
            compiled_rules.append(
                InboundRule(
                    record=rule,
                    mvo_type=self.registry.metaverse_types[rule.metaverse_type],
                    matches=tuple(
                        tuple(self._condition(one, record.attributes, rule) for one in match.conditions)
                        for match in rule.match
                    ),
                    links=tuple(index for index in indexes if not links[index].is_reference),
                    references=tuple(index for index in indexes if links[index].is_reference),
                )
            )
        return InboundType(
            type_id=type_id,
            system=system,
            system_id=self.registry.systems[system_key],
            record=record,
            rules=tuple(compiled_rules),
            links=tuple(links),
            scope=self._scope(rules, {"cs": record.attributes}, "cs"),
            flows=self._flows(compiled_rules, links, checked, record.attributes),
            reads_refs=self._reads_references(checked, links, record.attributes),
            enabled=frozenset(index for index, rule in enumerate(rules) if rule.enabled),
            refers=any(rule.references for rule in compiled_rules),
        )

    def _reads_references(
        self, checked: Sequence[CheckedExpression | None], links: Sequence[Link], attributes: Mapping[str, Attribute]
    ) -> frozenset[str]:
        read = {attr for one in checked if one is not None for attr in one.reads_cs}
        read |= {one.mapping.source.attribute for one in links if one.mapping.source.attribute and not one.is_reference}
        return frozenset(attr for attr in read if attr in attributes and attributes[attr].type is ValueType.REFERENCE)

    def _flows(
        self,
        rules: Sequence[InboundRule],
        links: Sequence[Link],
        checked: Sequence[CheckedExpression | None],
        attributes: Mapping[str, Attribute],
    ) -> dict[TypeId, Flow]:
        flows: dict[TypeId, Flow] = {}
        for mvo_type in dict.fromkeys(rule.mvo_type for rule in rules):
            members = [
                (rule_index, index)
                for rule_index, rule in enumerate(rules)
                if rule.mvo_type == mvo_type
                for index in rule.links
            ]
            key = next(rule.record.metaverse_type for rule in rules if rule.mvo_type == mvo_type)
            reads = {index: (links[index].target.name, _reads_mv(checked[index])) for _, index in members}
            needed = _closure(self._key_attrs(key), reads.values())
            for_keys = [(rule, index) for rule, index in members if links[index].target.name in needed]
            strata = [self._strata(key, some, links, checked, attributes) for some in (members, for_keys)]
            flows[mvo_type] = Flow(*strata)
        return flows

    def _strata(
        self,
        key: str,
        members: Sequence[tuple[int, int]],
        links: Sequence[Link],
        checked: Sequence[CheckedExpression | None],
        attributes: Mapping[str, Attribute],
    ) -> tuple[Stratum, ...]:
        """The mappings `members` (index of the rule, index of the link) as one function a stratum."""
        mv = self.configuration.metaverse[key].attributes
        compiled: list[Stratum] = []
        for stratum in stratify({index: (links[index].target.name, _reads_mv(checked[index])) for _, index in members}):
            code = Code()
            body: list[ast.stmt] = []
            inside = [(rule, index) for rule, index in members if links[index].target.name in stratum]
            for rule_index, index in inside:
                body += self._statements(code, rule_index, index, links[index], attributes, "cs", checked[index], mv)
            function: FlowFunction = code.function("flow", _FLOW_ARGUMENTS, body)
            rankings = [self._ranking(key, mv[attr]) for attr in stratum]
            compiled.append(_stratum(function, rankings, {links[index].id: index for _, index in inside}))
        return tuple(compiled)

    def _statements(
        self,
        code: Code,
        rule_index: int,
        index: int,
        link: Link,
        own: Mapping[str, Attribute],
        side: str,
        checked: CheckedExpression | None,
        other: Mapping[str, Attribute],
    ) -> list[ast.stmt]:
        source = own[link.mapping.source.attribute] if link.mapping.source.attribute else None
        sides = {side: own, "mv" if side == "cs" else "cs": other}
        return mapping_statements(code, index, rule_index, link.mapping, link.target, source, side, checked, sides)

    def _link(
        self,
        rule: Rule,
        mapping: MappingRecord,
        target: Attribute,
        own: Mapping[str, Attribute],
        checked: CheckedExpression | None,
    ) -> Link:
        source = own.get(mapping.source.attribute) if mapping.source.attribute else None
        is_reference = target.type is ValueType.REFERENCE and source is not None and source.type is ValueType.REFERENCE
        key = f"{rule.key}/{mapping.key}"
        return Link(
            id=self.registry.mappings[key],
            key=key,
            rule=rule.key,
            mapping=mapping,
            target=target,
            is_reference=is_reference,
            draws=checked.draws if checked is not None else (),
            draws_apart=is_apart(checked, mapping, target),
        )

    def _condition(self, condition: MatchCondition, own: Mapping[str, Attribute], rule: Rule) -> Condition:
        target = self.configuration.metaverse[rule.metaverse_type].attributes[condition.equals]
        code = Code()
        source = condition.source
        if source.expression is not None:
            checked = check(source.expression, self._environment(rule, {"cs": own}, now=False))
            node = expression_node(code, checked, {"cs": own})
        elif source.attribute is not None:
            node = reader(code, "cs", own[source.attribute], stored=True)
        else:
            node = code.const(constant_value(source.constant, target))
        finish = key_finisher(target, own[source.attribute] if source.attribute else None)
        if finish is not None and (source.expression is not None or source.attribute is not None):
            node = ast.Call(func=code.const(finish), args=[node], keywords=[])
        return Condition(
            attr=condition.equals,
            ignore_case=condition.ignore_case,
            case_sensitive=target.case_sensitive,
            value=code.function("condition", ("cs", "ctx"), [ast.Return(value=node)]),
            source_attr=source.attribute,
        )

    # ------------------------------------------------------------- metaverse and outbound

    def _metaverse(self, key: str) -> MetaverseSide:
        record = self.configuration.metaverse[key]
        type_id = self.registry.metaverse_types[key]
        rules = [rule for rule in self.outbound_rules if rule.metaverse_type == key]
        targets: list[Target] = []
        for pair in dict.fromkeys((rule.system, rule.object_type) for rule in rules):
            targets.append(self._target(key, pair, [r for r in rules if (r.system, r.object_type) == pair]))
        return MetaverseSide(
            type_id=type_id,
            record=record,
            rankings={name: self._ranking(key, attribute) for name, attribute in record.attributes.items()},
            key_attrs=self._key_attrs(key),
            sensitive=frozenset(one.name for one in record.attributes.values() if one.sensitive),
            targets=tuple(targets),
            provisioned_types=frozenset(
                self.registry.object_types[(r.system, r.object_type)] for r in rules if r.provision
            ),
            condition=self._deletion_condition(key),
        )

    def _ranking(self, key: str, attribute: Attribute) -> Ranking:
        """Lowest priority number first, unranked last, ties by rule order, rule key and mapping key (SYN-42)."""
        members: list[tuple[tuple[bool, int, int, str, str], int, bool]] = []
        for rule in self.inbound_rules:
            if rule.metaverse_type != key:
                continue
            for mapping in rule.mappings.values():
                if mapping.to == attribute.name:
                    rank = (mapping.priority is None, mapping.priority or 0, rule.order, rule.key, mapping.key)
                    number = self.registry.mappings[f"{rule.key}/{mapping.key}"]
                    members.append((rank, number, rule.enabled and mapping.enabled))
        members.sort()
        return Ranking(
            attribute=attribute,
            mappings=tuple(number for _, number, live in members if live),
            known=frozenset(number for _, number, _ in members),
        )

    def _key_attrs(self, key: str) -> frozenset[str]:
        matched = {
            condition.equals
            for rule in self.inbound_rules
            if rule.metaverse_type == key
            for match in rule.match
            for condition in match.conditions
        }
        unique = {
            one.metaverse.partition(".")[2]
            for one in self.configuration.unique_values.values()
            if one.metaverse.partition(".")[0] == key
        }
        return frozenset(matched | unique)

    def _target(self, key: str, pair: tuple[str, str], rules: Sequence[Rule]) -> Target:
        system = self.configuration.systems[pair[0]]
        record = system.object_types[pair[1]]
        mv = self.configuration.metaverse[key].attributes
        sides = {"mv": mv, "cs": record.attributes}
        links: list[Link] = []
        compiled_rules: list[OutboundRule] = []
        code = Code()
        body: list[ast.stmt] = []
        for rule_index, rule in enumerate(rules):
            first = len(links)
            for mapping in rule.mappings.values():
                if not mapping.enabled:
                    continue
                checked = self._check(mapping, sides, rule)
                link = self._link(rule, mapping, record.attributes[mapping.to], mv, checked)
                if not link.is_reference:
                    body += self._statements(code, rule_index, len(links), link, mv, "mv", checked, record.attributes)
                links.append(link)
            compiled_rules.append(OutboundRule(rule, tuple(range(first, len(links)))))
        return Target(
            type_id=self.registry.object_types[pair],
            system=system,
            system_id=self.registry.systems[system.key],
            record=record,
            rules=tuple(compiled_rules),
            links=tuple(links),
            scope=self._scope(rules, {"mv": mv}, "mv"),
            values=code.function("values", _FLOW_ARGUMENTS, body),
        )

    def _deletion_condition(self, key: str) -> Callable[[Document, EvalContext], Any] | None:
        record = self.configuration.metaverse[key]
        if record.deletion.condition is None:
            return None
        code = Code()
        sides = {"mv": record.attributes}
        checked = check(record.deletion.condition, self._environment(None, sides, now=False))
        node = expression_node(code, checked, sides)
        return code.function("condition", ("mv", "ctx"), [ast.Return(value=node)])

    # ------------------------------------------------------------- shared

    def _scope(
        self, rules: Sequence[Rule], sides: Mapping[str, Mapping[str, Attribute]], side: str
    ) -> Callable[[Document, EvalContext], tuple[int, ...]]:
        """A function that names the rules, by index, whose scope accepts the object."""
        code = Code()
        body: list[ast.stmt] = code.template("accepted = []")
        for index, rule in enumerate(rules):
            if rule.scope is None:
                body += code.template("accepted.append(INDEX)", INDEX=ast.Constant(index))
                continue
            node = scope_node(
                rule.scope,
                attributes=sides[side],
                environment=self._environment(rule, sides, now=False),
                zone=self.zones[rule.time_zone],
                names=lambda _side, attribute: reader(code, side, sides[side][attribute], stored=False),
                const=code.const,
            )
            body += code.template("if SCOPE:\n    accepted.append(INDEX)", SCOPE=node, INDEX=ast.Constant(index))
        body += code.template("accepted = tuple(accepted)")
        body.append(ast.Return(value=ast.Name(id="accepted", ctx=ast.Load())))
        accepts = code.function("scope", (side, "ctx"), body)
        return _judged(accepts) if any(rule.scope is not None for rule in rules) else accepts

    def _check(
        self, mapping: MappingRecord, sides: Mapping[str, Mapping[str, Attribute]], rule: Rule
    ) -> CheckedExpression | None:
        if mapping.source.expression is None:
            return None
        return check(mapping.source.expression, self._environment(rule, sides, now=mapping.initial_only))

    def _environment(
        self, rule: Rule | None, sides: Mapping[str, Mapping[str, Attribute]], *, now: bool
    ) -> Environment:
        outbound = rule is not None and rule.direction is Direction.OUTBOUND
        return Environment(
            cs=sides.get("cs"),
            mv=sides.get("mv"),
            sees_metaverse_state=outbound,
            allows_now=now,
            allows_draw=rule is not None and rule.direction is Direction.INBOUND,
            lookups=self.configuration.lookups,
            unique_values=frozenset(self.configuration.unique_values),
            zone=self.zones[rule.time_zone if rule is not None else "UTC"],
        )

    def _unique_targets(self, targets: Sequence[str]) -> tuple[tuple[TypeId, str], ...]:
        found = []
        for target in targets:
            system, object_type, attribute = target.split(".", 2)
            found.append((self.registry.object_types[(system, object_type)], attribute))
        return tuple(found)

    def _referable(self) -> frozenset[TypeId]:
        return frozenset(
            self.registry.object_types[(system.key, target)]
            for system in self.configuration.systems.values()
            for record in system.object_types.values()
            for attribute in record.attributes.values()
            for target in attribute.to
        )

    def _cso_key_attrs(self) -> dict[TypeId, frozenset[str]]:
        found: dict[TypeId, set[str]] = {}
        for one in self.configuration.unique_values.values():
            for type_id, attribute in self._unique_targets(one.targets):
                found.setdefault(type_id, set()).add(attribute)
        return {type_id: frozenset(attrs) for type_id, attrs in found.items()}


def _judged(
    accepts: Callable[[Document, EvalContext], tuple[int, ...]],
) -> Callable[[Document, EvalContext], tuple[int, ...]]:
    """The scope function, whose failures are `ScopeProblem`: none of them may pass for a verdict (SYN-17)."""

    def judged(document: Document, context: EvalContext) -> tuple[int, ...]:
        try:
            return accepts(document, context)
        except EvaluationError as problem:
            raise ScopeProblem(str(problem)) from problem

    return judged


def _reads_mv(checked: CheckedExpression | None) -> frozenset[str]:
    return checked.reads_mv if checked is not None else frozenset()


def _closure(wanted: Iterable[str], reads: Iterable[tuple[str, frozenset[str]]]) -> set[str]:
    """The attributes `wanted`, and those that the mappings feeding them read, and so on."""
    needed, pairs = set(wanted), list(reads)
    while more := {attr for target, read in pairs if target in needed for attr in read} - needed:
        needed |= more
    return needed


def stratify(links: Mapping[int, tuple[str, frozenset[str]]]) -> list[frozenset[str]]:
    """Order target attributes so that each stratum reads only what earlier ones wrote (MOD-39).

    `links` maps an index to (target attribute, metaverse attributes it reads). Raises ValueError on a cycle, which
    validation refuses.
    """
    reads: dict[str, set[str]] = {}
    for target, read in links.values():
        reads.setdefault(target, set()).update(read)
    fed = set(reads)
    strata: list[frozenset[str]] = []
    placed: set[str] = set()
    while len(placed) < len(fed):
        ready = frozenset(attr for attr in fed - placed if not (reads[attr] & fed) - placed)
        if not ready:
            raise ValueError(f"the mappings of {', '.join(sorted(fed - placed))} read each other in a circle")
        strata.append(ready)
        placed |= ready
    return strata


def _stratum(function: FlowFunction, rankings: Sequence[Ranking], indexes: Mapping[int, int]) -> Stratum:
    """`indexes` leads from a mapping id to its link."""
    by_attr = {one.attribute.name: one for one in rankings}
    links = {attr: tuple(indexes[id_] for id_ in one.mappings if id_ in indexes) for attr, one in by_attr.items()}
    plain = tuple(
        (attr, links[attr][0], one.mappings[0])
        for attr, one in sorted(by_attr.items())
        if not one.is_contested and not one.is_union and len(links[attr]) == 1
    )
    rest = tuple(sorted(by_attr.keys() - {attr for attr, _, _ in plain}))
    return Stratum(function, tuple(sorted(by_attr)), plain, rest, links)
