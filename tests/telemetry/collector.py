"""A tiny OTLP collector: keeps what was posted, decoded by the protocol's own messages."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

_MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Collector:
    """Listens on a free loopback port from `start` to `stop`."""

    def __init__(self) -> None:
        self.received: dict[str, list[Any]] = {path: [] for path in _MESSAGES}
        self.refuses = False
        self.refused = 0
        received, collector = self.received, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = _MESSAGES[self.path]()
                message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                if collector.refuses:
                    collector.refused += 1
                else:
                    received[self.path].append(message)
                self.send_response(400 if collector.refuses else 200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> list[Any]:
        return [
            span
            for message in self.received["/v1/traces"]
            for of_resource in message.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def metrics(self) -> dict[str, Any]:
        return {
            metric.name: metric
            for message in self.received["/v1/metrics"]
            for of_resource in message.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        }

    def logs(self) -> list[Any]:
        return [
            record
            for message in self.received["/v1/logs"]
            for of_resource in message.resource_logs
            for of_scope in of_resource.scope_logs
            for record in of_scope.log_records
        ]

    def resource(self, path: str = "/v1/traces") -> dict[str, Any]:
        message = self.received[path][0]
        (part,) = getattr(message, {"/v1/traces": "resource_spans", "/v1/metrics": "resource_metrics"}[path])
        return plain(part.resource.attributes)


def plain(attributes: list[KeyValue]) -> dict[str, Any]:
    """The attributes as a dictionary of Python values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}
