"""A Redis server of the test's own, on a port that was free."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import socket
from pathlib import Path

import pytest

PATIENCE = 20.0  # seconds
TRIES = 5  # ports: another process may take one before the server does


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class RedisServer:
    """A running ``redis-server``; ``port`` is where it listens, of TLS where ``tls`` is asked for."""

    def __init__(self, directory: Path, options: tuple[str, ...], *, tls: bool) -> None:
        self.port = 0
        self._directory = directory
        self._options = options
        self._tls = tls
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    async def start(cls, directory: Path, *options: str, tls: bool = False) -> RedisServer:
        """Start one and wait until it answers; options stand as on its command line."""
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed (Debian package redis-server)")
        one = cls(directory, options, tls=tls)
        for _ in range(TRIES):
            one.port = free_port()
            if await one.run():
                return one
        raise AssertionError("redis-server does not start")

    async def run(self) -> bool:
        """Run it, again perhaps; tells whether it came up."""
        # Where it was only unpacked, its libraries lie beside it.
        libraries = Path(shutil.which("redis-server")).parents[1] / f"lib/{platform.machine()}-linux-gnu"
        where = ["--port", "0", "--tls-port", str(self.port)] if self._tls else ["--port", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(
            "redis-server",
            *where,
            *("--bind", "127.0.0.1", "--save", "", "--dir", str(self._directory)),
            *self._options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        )
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                if b"Ready to accept connections" in line:
                    return True
        await self._process.communicate()
        return False

    async def ask(self, *words: str) -> str:
        """Send a command, and return the answer's bytes as they come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"*{len(words)}\r\n".encode())
        writer.write(b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words))
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read(65536)
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    def pause(self) -> None:
        """Stop it in the middle of what it does."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
