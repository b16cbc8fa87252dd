"""The bus kept by Redis Streams, with the commands of Redis 6.2.

Commands share a small pool; each consumer reads over a connection of its own, because a waiting read blocks it. A
read that fails, or is cancelled while it waits, may have moved entries to the consumer's pending list without telling
it; the next read therefore starts with the pending entries that nobody here holds. A stream or group that vanished is
made again from the start of the stream, and the relay publishes again what was lost with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched_by_two_compat
