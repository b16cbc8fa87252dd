"""Three questions a platform asks a service over HTTP: does it live, can it work, what are its figures.

`/livez` fails when the service's own loop has stopped moving, and then a restart helps. `/readyz` fails when
something it needs is away, with the reasons; a restart does not help and must not follow (FLT-23). `/metrics` is the
text Prometheus reads. The server shares the event loop with the work, so a loop that is stuck does not answer, which
is an answer too.

A platform that asks by running a program in the container gets the first answer from a file: its age is read by
programs far cheaper than an HTTP client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

LOG: Final = logging.getLogger("anabranch.health")
SIGN_EVERY_S: Final = 5.0
"""How often a living process touches its file; whoever reads its age should allow for several of these."""
_MAX_REQUEST: Final = 8_192
_PATIENCE_S: Final = 5.0
_MAX_CONNECTIONS: Final = 64
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_JSON: Final = "application/json"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Verdict(msgspec.Struct, frozen=True):
    """Fine without reasons; each reason is a short name such as `bus` with what is wrong."""

    reasons: dict[str, str] = {}

    @property
    def fine(self) -> bool:
        return not self.reasons


class SignOfLife:
    """A file whose age says how long ago the process last moved.

    It is touched from the event loop and only while `live` is fine, so it grows old when the loop is stuck, when what
    runs on it is, and when the process is frozen; it is gone after a clean end.
    """

    def __init__(self, file: Path, live: Callable[[], Verdict], *, every: float = SIGN_EVERY_S) -> None:
        self._file = file
        self._live = live
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The file is new, and is kept so from now on. Raises OSError where it cannot be written."""
        self._file.touch()
        self._task = asyncio.create_task(self._keep(), name="sign of life")

    async def stop(self) -> None:
        """The file is gone; safe twice and before start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._remove()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            self._touch_if_alive()

    def _touch_if_alive(self) -> None:
        try:
            if self._live().fine:
                self._file.touch()
        except Exception as fault:  # whoever reads the age of the file will see it
            LOG.warning("no sign of life could be given in %s: %s", self._file, fault)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink()


class HealthServer:
    """Serves `/livez`, `/readyz` and `/metrics` on a port of its own; `port` 0 takes a free one.

    The callables are asked at each request and must not block; one that raises counts as not fine.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        live: Callable[[], Verdict],
        ready: Callable[[], Verdict],
        metrics: Callable[[], str],
    ) -> None:
        self._host = host
        self._port = port
        self._live = live
        self._ready = ready
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        """The server answers; the port it listens on is returned. Raises OSError where the port is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_MAX_REQUEST)
            self._port = self._server.sockets[0].getsockname()[1]
        return self._port

    async def stop(self) -> None:
        """The port is free again; safe twice and before start."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for client in tuple(self._clients):
                client.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            if len(self._clients) <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_PATIENCE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever asked has gone or never finished asking; nobody is left to be told
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/"):
            return _response(400, _JSON, '{"error":"this is no HTTP request"}')
        method, target, _ = parts
        if method not in {"GET", "HEAD"}:
            return _response(405, _JSON, '{"error":"use GET"}')
        status, kind, body = self._page(target.split("?", 1)[0])
        return _response(status, kind, body, with_body=method == "GET")

    def _page(self, path: str) -> tuple[int, str, str]:
        match path:
            case "/livez":
                return _told(self._live)
            case "/readyz":
                return _told(self._ready)
            case "/metrics":
                return 200, _PROMETHEUS, self._metrics()
            case _:
                return 404, _JSON, '{"error":"there are /livez, /readyz and /metrics"}'


def _told(probe: Callable[[], Verdict]) -> tuple[int, str, str]:
    try:
        verdict = probe()
    except Exception as error:  # a probe that cannot tell is an answer: not fine
        verdict = Verdict({"probe": f"failed with {type(error).__name__}"})
    body = {"status": "ok" if verdict.fine else "unavailable", "reasons": verdict.reasons}
    return 200 if verdict.fine else 503, _JSON, json.dumps(body)


def _response(status: int, kind: str, body: str, *, with_body: bool = True) -> bytes:
    data = body.encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (data if with_body else b"")
