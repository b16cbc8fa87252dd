"""A small organisation as a configuration: one source of people and teams, a second source, a directory.

Plain data, so that a test changes the one thing it is about before it applies it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Plan = dict[str, Any]


def text(**more: Any) -> Plan:
    return {"type": "text", **more}


def reference(*to: str, **more: Any) -> Plan:
    return {"type": "reference", "to": list(to), **more}


def flow(to: str, attribute: str | None = None, expression: str | None = None, **more: Any) -> Plan:
    source = {"attribute": attribute or to} if expression is None else {"expression": expression}
    return {"to": to, "from": source, **more}


def match(attribute: str, equals: str) -> Plan:
    return {"conditions": [{"from": {"attribute": attribute}, "equals": equals}]}


def an_organisation(place: Path) -> Plan:
    """HR (CSV) projects people and teams; the directory (one LDIF file) gets accounts and groups."""
    return {
        "metaverse": _metaverse(),
        "systems": {"hr": _hr(place), "directory": _directory(place)},
        "rules": _rules(),
        "run-profiles": {
            "import": {"kind": "full-import", "system": "hr"},
            "sync": {"kind": "delta-sync", "system": "hr"},
            "full-sync": {"kind": "full-sync", "system": "hr"},
            "export": {"kind": "export", "system": "directory"},
            "confirm": {"kind": "full-import", "system": "directory"},
            "housekeeping": {"kind": "housekeeping"},
        },
        "executions": {"cycle": {"groups": [["import"], ["sync"], ["export"], ["confirm"]]}},
    }


def _metaverse() -> Plan:
    return {
        "person": {
            "attributes": {
                "number": text(),
                "name": text(),
                "dept": text(),
                "phone": text(),
                "manager": reference("person"),
            },
            "deletion": {"rule": "when-authoritative-source-disconnected", "systems": ["hr"], "grace": "0d"},
        },
        "team": {
            "attributes": {
                "number": text(),
                "name": text(),
                "members": reference("person", **{"multi-valued": True}),
            },
            "deletion": {"rule": "when-authoritative-source-disconnected", "systems": ["hr"], "grace": "0d"},
        },
    }


def _rules() -> Plan:
    return {
        "hr-person": inbound(
            "hr",
            "person",
            project=True,
            match=[match("id", "number")],
            mappings={
                "id": flow("number", "id"),
                "name": flow("name"),
                "dept": flow("dept"),
                "phone": flow("phone", priority=1),
                "manager": flow("manager"),
            },
        ),
        "hr-team": inbound(
            "hr",
            "team",
            "team",
            order=20,
            project=True,
            match=[match("id", "number")],
            mappings={"id": flow("number", "id"), "name": flow("name"), "members": flow("members")},
        ),
        "account": outbound(
            "directory",
            "account",
            mappings={
                "uid": flow("uid", "number"),
                "dn": flow("dn", expression='"uid=" + escape_dn(mv["number"]) + ",ou=people,dc=x"'),
                "cn": flow("cn", "name"),
                "ou": flow("ou", "dept"),
                "phone": flow("telephoneNumber", "phone"),
                "manager": flow("manager"),
            },
        ),
        "group": outbound(
            "directory",
            "group",
            "team",
            order=20,
            mappings={
                "cn": flow("cn", "number"),
                "dn": flow("dn", expression='"cn=" + escape_dn(mv["number"]) + ",ou=teams,dc=x"'),
                "description": flow("description", "name"),
                "member": flow("member", "members"),
            },
        ),
    }


def inbound(system: str, object_type: str, metaverse_type: str = "person", **more: Any) -> Plan:
    return _rule("inbound", system, object_type, metaverse_type, {"order": 10, **more})


def outbound(system: str, object_type: str, metaverse_type: str = "person", **more: Any) -> Plan:
    return _rule(
        "outbound",
        system,
        object_type,
        metaverse_type,
        {"order": 10, "provision": True, "deprovision-action": "delete", **more},
    )


def _rule(direction: str, system: str, object_type: str, metaverse_type: str, more: Plan) -> Plan:
    where = {"system": system, "object-type": object_type, "metaverse-type": metaverse_type}
    return {"direction": direction, **where, **more}


def _hr(place: Path) -> Plan:
    return {
        "connector": "csv",
        "options": {"directory": str(place / "hr")},
        "object-types": {
            "person": {
                "source": {"file": "people.csv"},
                "anchor": "id",
                "attributes": {
                    "id": text(),
                    "name": text(),
                    "dept": text(),
                    "phone": text(),
                    "manager": reference("person"),
                },
            },
            "team": {
                "source": {"file": "teams.csv"},
                "anchor": "id",
                "attributes": {
                    "id": text(),
                    "name": text(),
                    "members": reference("person", **{"multi-valued": True}),
                },
            },
        },
    }


def _directory(place: Path) -> Plan:
    folded = {"case-sensitive": False}
    return {
        "connector": "ldif",
        "options": {"path": str(place / "directory.ldif")},
        "object-types": {
            "account": {
                "source": {"object-classes": ["inetOrgPerson"], "rdn": "uid"},
                "anchor": "uid",
                "secondary": "dn",
                "attributes": {
                    "uid": text(**folded),
                    "dn": text(**folded),
                    "cn": text(),
                    "ou": text(),
                    "telephoneNumber": text(),
                    "manager": reference("account"),
                },
            },
            "group": {
                "source": {"object-classes": ["groupOfNames"], "rdn": "cn"},
                "anchor": "cn",
                "secondary": "dn",
                "attributes": {
                    "cn": text(**folded),
                    "dn": text(**folded),
                    "description": text(),
                    "member": reference("account", **{"multi-valued": True}),
                },
            },
        },
    }


def with_crm(plan: Plan, place: Path) -> Plan:
    """A second source that knows telephone numbers: it joins people by their number and ranks behind HR."""
    plan["systems"]["crm"] = {
        "connector": "csv",
        "options": {"directory": str(place / "crm")},
        "object-types": {
            "contact": {
                "source": {"file": "contacts.csv"},
                "anchor": "key",
                "attributes": {"key": text(), "number": text(), "phone": text()},
            }
        },
    }
    plan["rules"]["crm-person"] = inbound(
        "crm",
        "contact",
        order=30,
        match=[match("number", "number")],
        mappings={"phone": flow("phone", priority=2)},
    )
    plan["run-profiles"]["crm-import"] = {"kind": "full-import", "system": "crm"}
    plan["run-profiles"]["crm-sync"] = {"kind": "delta-sync", "system": "crm"}
    plan["executions"]["cycle"]["groups"][0:2] = [["import", "crm-import"], ["sync"], ["crm-sync"]]
    return plan


def with_phonebook(plan: Plan, place: Path) -> Plan:
    """HR's people without managers, and a second target: a CSV file in which nothing refers to anything. The directory
    gets nobody."""
    plan["systems"]["phonebook"] = {
        "connector": "csv",
        "options": {"directory": str(place / "phonebook")},
        "object-types": {
            "entry": {
                "source": {"file": "entries.csv"},
                "anchor": "id",
                "attributes": {"id": text(**{"case-sensitive": False}), "name": text(), "phone": text()},
            }
        },
    }
    del plan["rules"]["hr-person"]["mappings"]["manager"], plan["rules"]["account"], plan["rules"]["group"]
    plan["rules"]["entry"] = outbound(
        "phonebook",
        "entry",
        mappings={"id": flow("id", "number"), "name": flow("name"), "phone": flow("phone")},
    )
    plan["run-profiles"]["export"]["system"] = "phonebook"
    plan["run-profiles"]["confirm"]["system"] = "phonebook"
    return plan
