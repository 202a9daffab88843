"""A real systemd as process 1 of namespaces of the test's own, with the units that ship.

What it writes outside of the test's directory lies in memory and is gone with it: /etc, /var, /run and /opt are its own.
Under /opt lie the interpreter, the packages and the sources, for the unit's user may enter no directory of root's.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from e2e_wire import PATIENCE

ROOT = Path(__file__).parents[2]
SUPERVISOR = ROOT / "supervisor"
INIT = Path("/lib/systemd/systemd")
PYTHON = Path(sys.executable).resolve().name
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc")

BOOT = """
mount --make-rprivate /
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
group=$(mktemp -d /sys/fs/cgroup/proxyd-test-XXXXXX)
echo "$group" > "$1"/group
mount --bind "$group" /sys/fs/cgroup
mkdir "$1"/changed && mount -t tmpfs none "$1"/changed
for directory in etc var; do
    mkdir "$1"/changed/$directory "$1"/changed/$directory.work
    mount -t overlay overlay -o lowerdir=/$directory,upperdir="$1"/changed/$directory,workdir="$1"/changed/$directory.work /$directory
done
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /opt
mkdir /opt/python /opt/packages /opt/source /opt/out
mount --bind "$2" /opt/python
mount --bind "$3" /opt/packages
mount --bind "$4" /opt/source
mount --bind "$1" /opt/out
mount -t tmpfs -o mode=755 none /usr/local/bin
printf '#!/bin/sh\\nLD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/source:/opt/packages PYTHONDONTWRITEBYTECODE=1 exec /opt/python/bin/%s -s -m proxyd "$@"\\n' "$5" > /usr/local/bin/proxyd
chmod 755 /usr/local/bin/proxyd
rm -rf /etc/systemd/system /etc/proxyd
mkdir -p /etc/systemd/system
cp -r "$1"/system/. /etc/systemd/system/
cp -r "$1"/proxyd /etc/proxyd
chmod 755 /etc/proxyd
mount -t proc proc /proc
mount --bind "$1"/console /dev/console
exec env -i container=test PATH=/usr/local/bin:/usr/bin:/bin %INIT% --system --unit=tests.target --show-status=0
""".replace("%INIT%", str(INIT))

# Groups outlive those who were in them.
CLEAN = """
mount -t cgroup2 none /mnt
group=/mnt/$(basename "$(cat "$1"/group)")
for _ in $(seq 50); do
    find "$group" -depth -type d -exec rmdir {} + && exit 0
    sleep 0.1
done
"""

# systemd starts nothing else: this stands in for what a machine starts.
TARGET = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n"


@functools.cache
def missing() -> str:
    """Tell why systemd cannot be run here, or nothing where it can."""
    if not INIT.exists() or not shutil.which("systemctl"):
        return "systemd is not installed (Debian package systemd)"
    if os.geteuid() != 0:
        return "only root can start a systemd"
    tried = subprocess.run(
        [*UNSHARE, "mount", "-t", "cgroup2", "none", "/mnt"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "no namespaces can be made here"


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has just ended
        return []


class Systemd:
    """A running systemd. ``run`` runs a command within its namespaces."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._first = 0

    @classmethod
    async def start(
        cls, directory: Path, config: str, environment: dict[str, str], **dropins: str
    ) -> Systemd:
        """Start one with the units that ship, a configuration, and drop-ins by kind of unit; none is started."""
        one = cls(directory)
        system = directory / "system"
        system.mkdir()
        (system / "tests.target").write_text(TARGET)
        for kind in ("service", "socket"):
            shutil.copy(SUPERVISOR / f"proxyd.{kind}", system)
            (system / f"proxyd.{kind}.d").mkdir()
            # Without the targets of a whole machine.
            text = "[Unit]\nDefaultDependencies=no\nWants=\n" + dropins.get(kind, "")
            (system / f"proxyd.{kind}.d/test.conf").write_text(text)
        etc = directory / "proxyd"
        etc.mkdir()
        (etc / "proxyd.yml").write_text(config)
        (etc / "proxyd.env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
        (etc / "proxyd.env").chmod(0o600)
        (directory / "console").touch()
        paths = sysconfig.get_paths()
        base = Path(sys.base_prefix)
        one._process = await asyncio.create_subprocess_exec(
            *UNSHARE,
            *("bash", "-eu", "-c", BOOT, "boot"),
            *(str(directory), str(base), paths["purelib"], str(ROOT), PYTHON),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        await one._until_running()
        return one

    async def _until_running(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if self._process.returncode is not None:
                    raise AssertionError((await self._process.stderr.read()).decode())
                if children := _children(self._process.pid):
                    self._first = children[0]
                    # Answers as soon as it listens to systemctl.
                    code, _ = await self.run("systemctl", "is-active", "tests.target")
                    if code == 0:
                        return
                await asyncio.sleep(0.05)

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command within; returns its code, and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(
                "nsenter",
                "--target",
                str(self._first),
                "--mount",
                "--pid",
                "--cgroup",
                "--uts",
                "--ipc",
                "--",
            ),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return int(process.returncode), output.decode()

    async def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit."""
        _, text = await self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    async def stop(self) -> None:
        """End it, and with it everything in it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._process is not None:
            await self._process.communicate()
        if (self.directory / "group").exists():
            command = ("unshare", "--mount", "--cgroup", "bash", "-c", CLEAN, "clean", str(self.directory))
            process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
            await process.wait()
