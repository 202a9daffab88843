"""A real nginx, run in a directory of the test's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from e2e_wire import connect

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
WITHOUT = "nginx is not installed (Debian package nginx)"

_MODULES = (Path("/usr/lib/nginx/modules"), Path(__file__).parents[2] / ".venv/debian/usr/lib/nginx/modules")
STREAM = next(
    (path / "ngx_stream_module.so" for path in _MODULES if (path / "ngx_stream_module.so").exists()),
    None,
)

# What any configuration needs to write nothing outside of its directory.
TEMPORARY = "".join(
    f"    {kind}_temp_path {{directory}}/{kind};\n"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


async def start_nginx(directory: Path, text: str, *ports: int) -> asyncio.subprocess.Process:
    """Run nginx with this main context, in the foreground, and wait until it listens on every port."""
    file = directory / "nginx.conf"
    # As root its worker would be another user, whom pytest's directories keep out.
    user = "user root;\n" if os.geteuid() == 0 else ""
    own = f"{user}daemon off;\npid {directory}/nginx.pid;\nerror_log {directory}/error.log;\n"
    file.write_text(own + text)
    process = await asyncio.create_subprocess_exec(
        NGINX, "-c", str(file), "-p", str(directory), "-e", str(directory / "error.log")
    )
    for port in ports:
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                (await connect(port)).close()
                break
            assert process.returncode is None, (directory / "error.log").read_text()
            await asyncio.sleep(0.02)
    return process


async def stop_nginx(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
