"""Collectors that are no help: nobody listens, somebody listens and never answers, somebody refuses everything."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Badness(StrEnum):
    AWAY = "away"
    SILENT = "silent"
    REFUSING = "refusing"


class BadCollector(msgspec.Struct):
    """Where it is, and how often somebody has tried it."""

    endpoint: str
    tried: int = 0


@contextlib.contextmanager
def bad_collector(badness: Badness) -> Iterator[BadCollector]:
    """One of them, until the block ends."""
    match badness:
        case Badness.AWAY:
            with socket.socket() as taken:  # bound and not listening: whoever connects is refused
                taken.bind(("127.0.0.1", 0))
                yield BadCollector(_address(taken))
        case Badness.SILENT:
            with _silent() as collector:
                yield collector
        case Badness.REFUSING:
            with _refusing() as collector:
                yield collector


@contextlib.contextmanager
def _silent() -> Iterator[BadCollector]:
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        collector = BadCollector(_address(server))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    collector.tried += 1

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for one in held:
                one.close()


@contextlib.contextmanager
def _refusing() -> Iterator[BadCollector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.tried += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = BadCollector(_address(server.socket))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _address(taken: socket.socket) -> str:
    return f"http://127.0.0.1:{taken.getsockname()[1]}"
