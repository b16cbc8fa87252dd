"""The Redis client library, loaded without the telemetry it brings along.

When the OpenTelemetry SDK is installed, the library loads its metrics at import, whether anybody wants them or not: a
tenth of a second and nine megabytes in every process, also in those that send nothing. Where the SDK is not loaded yet
it is out of the library's sight while that is loaded; the library then goes on without metrics of its own, which
nobody here reads.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

_METRICS: Final = "opentelemetry.sdk.metrics"


def load() -> None:
    """`redis.asyncio` is loaded. The first to import it in a process has to come through here."""
    if "redis" in sys.modules or _METRICS in sys.modules:
        import_module("redis.asyncio")
        return
    sys.modules[_METRICS] = None  # type: ignore[assignment]  # what Python itself means by it: cannot be imported
    try:
        import_module("redis.asyncio")
    finally:
        del sys.modules[_METRICS]
