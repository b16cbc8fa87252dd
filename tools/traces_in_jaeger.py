"""Whether every execution a Jaeger knows of is one whole trace.

    python tools/traces_in_jaeger.py [--query http://127.0.0.1:16686] [--minutes 60] [TRACE_ID ...]

Asks Jaeger's query API for the traces named, or for all of the last hour, prints one line for each, and then every
fault: a span without its parent, a parent of the wrong kind, more than one root, a service that is missing, a link that
leads nowhere, a span told twice and not alike, whatever Jaeger warns of. Ends with 1 when there is a fault or nothing
to judge.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

SERVICES: Final = {
    "anabranch-scheduler": {"execution", "run", "step"},
    "anabranch-import-worker": {"import.batch"},
    "anabranch-sync-worker": {"sync.batch"},
    "anabranch-export-worker": {"export.batch"},
}
PARENTS: Final = {
    "execution": None,
    "run": "execution",
    "step": "run",
    "import.batch": "step",
    "sync.batch": "step",
    "export.batch": "step",
}


def asked(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the address a person gave
        return list(json.load(answer)["data"] or [])


def traces(query: str, ids: list[str], minutes: float) -> list[dict[str, Any]]:
    if ids:
        return [trace for one in ids for trace in asked(f"{query}/api/traces/{one}")]
    now = time.time_ns() // 1000
    wanted = {"service": "anabranch-scheduler", "operation": "execution", "limit": "200"}
    wanted |= {"start": str(now - int(minutes * 60e6)), "end": str(now)}
    found = [trace["traceID"] for trace in asked(f"{query}/api/traces?{urlencode(wanted)}")]
    return [trace for one in found for trace in asked(f"{query}/api/traces/{one}")]


def references(span: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in span["references"] if one["refType"] == kind]


def faults_of(trace: dict[str, Any]) -> list[str]:
    spans, by_id = trace["spans"], {span["spanID"]: span for span in trace["spans"]}
    told = Counter(span["spanID"] for span in spans)
    faults = [f"span {span} is told {times} times, not alike" for span, times in told.items() if times > 1]
    roots = [span["spanID"] for span in spans if not references(span, "CHILD_OF")]
    if len(roots) != 1:
        faults.append(f"there are {len(roots)} roots")
    for span in spans:
        name, said = span["operationName"], f"{span['operationName']} {span['spanID']}"
        service = trace["processes"][span["processID"]]["serviceName"]
        if name not in SERVICES.get(service, ()):
            faults.append(f"{said} is told by {service}")
        for parent in references(span, "CHILD_OF"):
            above = by_id.get(parent["spanID"])
            if above is None:
                faults.append(f"{said} is an orphan")
            elif above["operationName"] != PARENTS.get(name):
                faults.append(f"{said} hangs under {above['operationName']}")
        faults += [f"{said} links to nothing" for one in links_of(span) if one["spanID"] not in by_id]
        attempt = next((tag["value"] for tag in span["tags"] if tag["key"] == "anabranch.attempt"), 1)
        if attempt != 1 and not links_of(span):
            faults.append(f"{said}, attempt {attempt}, has no link")
        faults += [f"{said}: {warning}" for warning in span.get("warnings") or []]
    missing = set(SERVICES) - {process["serviceName"] for process in trace["processes"].values()}
    return faults + [f"nothing of {service}" for service in sorted(missing)]


def links_of(span: dict[str, Any]) -> list[dict[str, Any]]:
    return references(span, "FOLLOWS_FROM")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--query", default="http://127.0.0.1:16686", help="where Jaeger answers (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("traces", nargs="*", metavar="TRACE_ID")
    given = parser.parse_args()
    found = traces(given.query.rstrip("/"), given.traces, given.minutes)
    faulty = not found
    for trace in found:
        faults, names = faults_of(trace), Counter(span["operationName"] for span in trace["spans"])
        redelivered = sum(bool(links_of(span)) for span in trace["spans"])
        counted = ", ".join(f"{names[name]} {name}" for name in PARENTS if names[name])
        print(f"{trace['traceID']}: {counted}; redelivered {redelivered}; {'FAULTY' if faults else 'whole'}")
        for fault in faults:
            print(f"  {fault}")
        faulty = faulty or bool(faults)
    if not found:
        print(f"{given.query} knows no trace of an execution")
    return int(faulty)


if __name__ == "__main__":
    sys.exit(main())
