"""What a service manager is told of a process (sd_notify(3)): one datagram each, by hand.

systemd waits for READY before it counts a service as started, and starts one anew that gives no sign of life within its
watchdog's time. Those signs come from the event loop: a loop that hangs gives none.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableMapping

    from proxyd.clock import Clock

LONGEST_STATUS = 200  # characters

log = get_logger("process")


class Notifier:
    """The way to the service manager; where there is none, nothing is sent.

    What it finds in the environment it takes out: it is meant for this process, and not for those that it starts.
    """

    def __init__(self, environ: MutableMapping[str, str], pid: int, clock: Clock) -> None:
        self._pid = pid
        self._clock = clock
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self._interval = _interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""), pid)
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False

    def __repr__(self) -> str:
        return f"<Notifier {'on' if self._address else 'off'} watchdog={self._interval:g}>"

    # --- the states of a process -----------------------------------------------------------------------------

    def ready(self, status: str) -> None:
        """It serves; also behind ``reloading``."""
        self._send("READY=1", f"MAINPID={self._pid}", _status(status))

    def reloading(self) -> None:
        """It loads its configuration anew."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.now() * 1e6)}", _status("reloading"))

    def stopping(self, status: str) -> None:
        """It has begun to stop."""
        self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> None:
        """Say in words what it does."""
        self._send(_status(text))

    # --- the watchdog ----------------------------------------------------------------------------------------

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give a sign of life twice within the watchdog's time, from now on until ``close``."""
        if self._address and self._interval:
            self._send("WATCHDOG=1")
            self._timer = loop.call_later(self._interval, self.watch, loop)

    def close(self) -> None:
        """Give no more signs of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # the socket API's own
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                log.warning("the service manager cannot be told", reason=str(error))
            self._failed = True
        else:
            self._failed = False


def _address(text: str) -> str:
    """Return the address of a unix socket: a path, or with ``@`` one that has no file."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _interval(usec: str, meant: str, pid: int) -> float:
    """Return the seconds between two signs of life, 0.0 where none is expected."""
    if not usec.isascii() or not usec.isdigit() or meant not in ("", str(pid)):
        return 0.0
    return int(usec) / 2e6


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:LONGEST_STATUS]}"
