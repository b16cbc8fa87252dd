"""From the environment to something a service can tell its doings to.

Without an endpoint nothing of OpenTelemetry is loaded; figures are kept in this process for `/metrics` and spans are
let go. With `OTEL_EXPORTER_OTLP_ENDPOINT` (or the variable of one signal) set, spans, metrics and logs also go to the
collector there, in batches and from threads of their own. Either way the service calls the same verbs, and none of
them waits for a network or raises: a fleet whose collector is down does its work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from anabranch.model.errors import Permanent
from anabranch.telemetry.local import LocalTelemetry
from anabranch.telemetry.logs import mask
from anabranch.telemetry.port import Telemetry

_ENDPOINTS: Final = {
    "traces": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "metrics": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "logs": "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
}


def start_telemetry(service_name: str, *, instance: str = "", version: str = "") -> Telemetry:
    """Give what the environment asks for: with a collector when an endpoint is set, without OpenTelemetry otherwise.

    `service_name` is `anabranch-scheduler`, `anabranch-import-worker`, ..; `OTEL_SERVICE_NAME` has precedence.
    `instance` tells replicas apart (the worker id).

    Raises:
        Permanent: a variable asks for what is not supported; the message names it.
    """
    signals = wanted_signals(os.environ)
    if not signals:
        return LocalTelemetry()
    from anabranch.telemetry.otlp import OtlpTelemetry

    return OtlpTelemetry(service_name, instance, version, signals)


def where_traces_go(environ: Mapping[str, str]) -> str | None:
    """The address spans are sent to, without secrets; None when they are not sent. Raises as `start_telemetry`."""
    if "traces" not in wanted_signals(environ):
        return None
    return mask(environ.get(_ENDPOINTS["traces"]) or environ["OTEL_EXPORTER_OTLP_ENDPOINT"])


def wanted_signals(environ: Mapping[str, str]) -> frozenset[str]:
    """The signals (`traces`, `metrics`, `logs`) that have an endpoint and are not switched off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return frozenset()
    wanted = frozenset(
        signal
        for signal, variable in _ENDPOINTS.items()
        if (environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(variable))
        and environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() != "none"
    )
    for variable in (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        *(f"OTEL_EXPORTER_OTLP_{name.upper()}_PROTOCOL" for name in wanted),
    ):
        protocol = environ.get(variable, "http/protobuf").strip()
        if wanted and protocol not in {"", "http/protobuf"}:
            raise Permanent(
                f"{variable}={protocol}: only http/protobuf is supported; unset it and use the collector's HTTP port "
                "(4318 by default)"
            )
    return wanted
