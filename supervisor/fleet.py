"""The instances of the gateway that one supervisord keeps, and how one of them is exchanged without a request lost.

Beside ecosystem.conf, for the two who exchange instances: ``reload``, which a person calls, and ``keeper.py``, which
supervisord runs. The standard library is enough for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import socket
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "proxyd"
RUNTIME = "/run/proxyd"
STOP = 300.0  # seconds that a call to supervisord may take; it kills long before
PROBE = 2.0  # seconds for an answer of a status listener
READY = 60.0  # seconds for an instance to be ready
PAUSE = 0.1  # seconds between two questions


class FleetError(Exception):
    """Something is not as it has to be; the text is for people."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._path, STOP)
        self._connection = host, connection  # what ``close`` closes
        return connection


@dataclass(frozen=True, slots=True)
class Instance:
    """A process of the group, as supervisord told of it. ``started`` is in seconds since the epoch."""

    name: str
    state: str
    pid: int
    started: int
    status: Path

    @property
    def running(self) -> bool:
        """Whether it has a process that is not being stopped."""
        return self.state in {"STARTING", "RUNNING"}

    def ask(self, path: str) -> tuple[int, bytes]:
        """Return what its status listener answers: the status, and the body. Raises OSError where nothing comes."""
        connection = _Connection(str(self.status), PROBE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def facts(self) -> dict[str, Any]:
        """Return what it tells of itself; raises FleetError where it does not."""
        try:
            facts: dict[str, Any] = json.loads(self.ask("/status")[1])
        except OSError as error:
            reason = error.strerror or str(error)
            raise FleetError(f"{self.name} does not answer on {self.status}: {reason}") from None
        return facts

    def answers(self) -> bool:
        """Tell whether its loop turns; a 503 says that as well as a 200."""
        try:
            self.ask("/status/ready")
        except OSError:
            return False
        return True

    def ready(self) -> bool:
        """Tell whether it takes traffic."""
        try:
            return self.ask("/status/ready")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def resident(self) -> int:
        """Return the bytes of memory that it holds; 0 where it has just ended."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")


class Fleet:
    """The group ``proxyd`` of the supervisord whose socket lies in the runtime directory."""

    def __init__(self, runtime: Path | None = None, *, ready: float = READY) -> None:
        self.runtime = runtime or Path(os.environ.get("RUNTIME_DIRECTORY") or RUNTIME)
        self._ready = ready
        self._socket = self.runtime / "supervisor.sock"

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _Transport(str(self._socket))
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise FleetError(f"supervisord: {fault.faultString}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise FleetError(f"no supervisord answers at {self._socket}: {reason}") from None

    def instances(self) -> list[Instance]:
        """List the group, in the order of its numbers."""
        found = []
        for info in self._call("getAllProcessInfo"):
            number = re.search(r"_(\d+)$", info["name"])
            if info["group"] == GROUP and number:
                status = self.runtime / f"status-{number[1]}.sock"
                name = f"{GROUP}:{info['name']}"
                found.append(Instance(name, info["statename"], info["pid"], info["start"], status))
        return sorted(found, key=lambda instance: instance.name)

    def instance(self, name: str) -> Instance:
        """Return one as it is now."""
        return next(one for one in self.instances() if one.name == name)

    def signal(self, instance: Instance, name: str) -> None:
        """Send a signal, by its name without SIG."""
        self._call("signalProcess", instance.name, name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold off whoever else exchanges instances; raises FleetError where somebody does."""
        with (self.runtime / "exchange.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FleetError("instances are being exchanged already") from None
            yield

    def exchange(self, instance: Instance) -> Instance:
        """Let an instance finish what it has, and start it anew; returns it ready, raises FleetError.

        The others go on and share the socket. Where there is none that is ready, nothing is stopped: supervisord
        closes the socket together with the last process, and clients would be refused.
        """
        if not any(other.ready() for other in self.instances() if other.name != instance.name):
            raise FleetError(
                f"{instance.name} is left as it is: no other instance is ready to take its place"
            )
        if instance.running:
            self._call("stopProcess", instance.name)
        self._call("startProcess", instance.name, False)  # not to wait for startsecs
        return self._until_ready(instance)

    def _until_ready(self, instance: Instance) -> Instance:
        give_up = time.monotonic() + self._ready
        pid = 0
        while time.monotonic() < give_up:
            now = self.instance(instance.name)
            pid = pid or now.pid
            if not now.running or now.pid not in (0, pid):  # supervisord tries again by itself
                raise FleetError(f"{now.name} ended before it was ready{self._last_words(now)}")
            if now.pid and now.ready():
                return now
            time.sleep(PAUSE)
        raise FleetError(
            f"{instance.name} was not ready within {self._ready:g} s{self._last_words(instance)}"
        )

    def _last_words(self, instance: Instance) -> str:
        text, _, _ = self._call("tailProcessStderrLog", instance.name, 0, 1000)
        lines = str(text).splitlines()[-5:]
        return "".join(f"\n    {line}" for line in lines)
