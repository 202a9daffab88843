"""A PostgreSQL server of the tests' own: Debian's, or without that the one of the wheel pgserver, which knows no TLS."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds
TRIES = 5  # ports: another process may take one before the server does
ROOT = Path(__file__).parents[1]
HBA = """
local all all trust
{kind} all all 127.0.0.1/32 {method}
{kind} all all ::1/128 {method}
"""
USER, PASSWORD = "proxyd", "geheim-7f3a"


def binaries(*, tls):
    """Return the directory of the programs, and whether they know TLS; skips where there is none."""
    for root in (Path("/usr/lib/postgresql"), ROOT / ".venv/debian/usr/lib/postgresql"):
        for found in sorted(root.glob("*/bin/postgres"), reverse=True):
            return found.parent
    wheel = find_spec("pgserver")
    if wheel is not None and not tls:
        return Path(wheel.origin).parent / "pginstall/bin"
    pytest.skip("PostgreSQL is not installed (Debian package postgresql)")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class PostgresServer:
    """A running server. ``socket`` is the directory of its socket, ``port`` where it listens on 127.0.0.1.

    ``tls`` are the files of certificate, key and, where clients need one, authority.
    """

    def __init__(self, directory, *, tls=(), method="scram-sha-256", kind="host"):
        self.socket = directory / "s"
        self.port = 0
        self._bin = binaries(tls=bool(tls))
        self._data = directory / "data"
        self._log = directory / "log"
        self._tls = tls
        self._process = None
        self.socket.mkdir()
        self._data.mkdir(mode=0o700)
        if os.getuid() == 0:  # the server does not run as root
            nobody = pwd.getpwnam("nobody")
            for path in (self.socket, self._data):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        password = directory / "password"
        password.write_text(PASSWORD)
        self._run(
            "initdb", "-D", self._data, "-U", USER, "--pwfile", password, "--no-sync", "-A", "scram-sha-256"
        )
        (self._data / "pg_hba.conf").write_text(HBA.format(kind=kind, method=method))

    def _as_user(self):
        if os.getuid():
            return ["setpriv", "--pdeathsig", "QUIT"]
        # Root's temporary directories are its own: whoever runs the server has to be able to pass.
        override = [f"--{what}-caps=+dac_override" for what in ("inh", "ambient")]
        return [
            *("setpriv", "--pdeathsig", "QUIT", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
            *override,
        ]

    def _environment(self):
        # Where it was only unpacked, its libraries lie beside it.
        libraries = ROOT / f".venv/debian/usr/lib/{platform.machine()}-linux-gnu"
        return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "LC_ALL": "C", "TZ": "UTC"}

    def _run(self, program, *arguments):
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed (Debian package util-linux)")
        done = subprocess.run(
            [*self._as_user(), str(self._bin / program), *map(str, arguments)],
            env=self._environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        """Start it, on the port that it had before; returns when it answers."""
        for _ in range(TRIES):
            port = self.port or free_port()
            options = {
                "port": port,
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": self.socket,
                "fsync": "off",
                "max_connections": 50,
                "ssl": "on" if self._tls else "off",
                **dict(zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), self._tls, strict=False)),
            }
            words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
            with self._log.open("w") as log:
                self._process = subprocess.Popen(
                    [*self._as_user(), str(self._bin / "postgres"), "-D", str(self._data), *words],
                    env=self._environment(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if self._answers():
                self.port = port
                return self
        raise AssertionError(self._log.read_text())

    def _answers(self):
        give_up = time.monotonic() + PATIENCE
        state = self._data / "postmaster.pid"
        while self._process.poll() is None and time.monotonic() < give_up:
            # The file's last line says how far the start is; it is what pg_ctl looks at.
            with contextlib.suppress(OSError):
                if state.read_text().splitlines()[7:8] == ["ready   "]:
                    return True
            time.sleep(0.02)
        return False

    def kill(self):
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE)
            self._process = None

    def freeze(self):
        """Have it answer nothing any more, with its connections open; ``kill`` ends that too."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self):
        for process in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def _processes(self):
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [self._process.pid, *map(int, children.split())]

    def url(self, host="127.0.0.1", name="proxyd", password=PASSWORD, query=""):
        """Return a URL of the setting ``database``."""
        return f"postgresql://{USER}:{password}@{host}:{self.port}/{name}{query}"

    def local_url(self, name="proxyd"):
        """Return one of its socket."""
        return f"postgresql:///{name}?host={self.socket}&port={self.port}&user={USER}"
