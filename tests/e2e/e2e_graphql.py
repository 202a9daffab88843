"""GraphQL servers and clients that nobody here wrote, as processes of their own: tests/data/graphql has them.

The servers run for the whole session. Whoever needs to know what one of them has seen asks it by GraphQL.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

SOURCE = Path(__file__).parents[1] / "data/graphql"
MODULES = Path(sys.prefix) / "node/graphql/node_modules"  # make test puts them there
PATIENCE = 20.0  # seconds for a process to start, or for a client to tell of something

needs_node = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not MODULES.exists(), reason="the npm packages of tests/data/graphql are not installed"
    ),
]


class Backend:
    """A running server; ``path`` is where questions about itself are asked."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.path = path

    async def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of an answer, straight from the server."""
        url = f"http://127.0.0.1:{self.port}{self.path}"
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, json={"query": query, "variables": variables})
        return answer.json()["data"]

    async def listened(self, count: int, channel: str = "main") -> None:
        """Wait until there are so many subscriptions of a channel's messages under way."""
        async with asyncio.timeout(PATIENCE):
            while await self._listening(channel) != count:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)

    async def _listening(self, channel: str) -> int:
        query = "query ($channel: String) { listening(channel: $channel) }"
        return (await self.ask(query, channel=channel))["listening"]

    async def publish(self, text: str, channel: str = "main") -> int:
        """Send a message to those who listen; give their number."""
        query = "mutation ($text: String!, $channel: String) { publish(text: $text, channel: $channel) }"
        return (await self.ask(query, text=text, channel=channel))["publish"]


class Client:
    """A client at work: see client.mjs for what it tells."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, directory: Path, kind: str, spec: dict[str, Any]) -> Client:
        process = await asyncio.create_subprocess_exec(
            *("node", str(directory / "client.mjs"), kind, json.dumps(spec)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        return cls(process)

    async def line(self) -> dict[str, Any]:
        """Return the next thing that it tells; EOFError when it has ended."""
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError("the client has ended")
        return json.loads(line)

    async def lines(self) -> list[dict[str, Any]]:
        """Return what else it tells until it ends."""
        told = []
        while True:
            try:
                told.append(await self.line())
            except EOFError:
                return told

    async def close(self) -> None:
        """Have it end, as a program that is closed does."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


def _serve(argv: list[str]) -> Iterator[int]:
    """Run a server that prints its port, until its standard input is closed; yield the port."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        assert line, f"{argv} ended with {process.wait()}"
        yield json.loads(line)["port"]
        process.stdin.close()
        process.wait(PATIENCE)


@pytest.fixture(scope="session")
def graphql_scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put the scripts where Node finds their packages."""
    directory = tmp_path_factory.mktemp("graphql") / "scripts"
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("node_modules"))
    (directory / "node_modules").symlink_to(MODULES)
    return directory


@pytest.fixture(scope="session")
def graphql_backends(graphql_scripts: Path) -> Iterator[Backend]:
    """Run the servers out of npm: /yoga, /http, /sse and /legacy, see backends.cjs."""
    for port in _serve(["node", str(graphql_scripts / "backends.cjs")]):
        yield Backend(port, "/http")


@pytest.fixture(scope="session")
def strawberry_backend() -> Iterator[Backend]:
    """Run strawberry, at /graphql."""
    pytest.importorskip("strawberry")
    for port in _serve([sys.executable, str(SOURCE / "strawberry_backend.py")]):
        yield Backend(port, "/graphql")


@pytest.fixture
async def graphql_client(graphql_scripts: Path) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Give what starts a client: its kind, and what it does."""
    running: list[Client] = []

    async def start(kind: str, **spec: Any) -> Client:
        running.append(await Client.start(graphql_scripts, kind, spec))
        return running[-1]

    yield start
    for one in running:
        await one.close()
