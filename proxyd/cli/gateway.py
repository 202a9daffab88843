"""The gateway that a command is about: which process it is, and how it is talked to."""

from __future__ import annotations

import os
import select
import signal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from proxyd.cli import config
from proxyd.cli.codes import ABSENT, FORBIDDEN, CommandError
from proxyd.cli.listener import StatusListener
from proxyd.process import pid_file

if TYPE_CHECKING:
    import argparse

    from proxyd.model.settings import Settings


class Gateway:
    """Found by ``--pid``, ``--pid-file``, the setting ``pid_file``, or by asking its status listener, in this order."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    @cached_property
    def _settings(self) -> Settings:
        return config.settings(self._arguments.config)

    @cached_property
    def listener(self) -> StatusListener | None:
        """Its status listener, where one is configured."""
        given = self._arguments.status
        listens = given if given is not None else self._settings.status_listen
        return StatusListener(listens[0]) if listens else None

    def asked(self) -> StatusListener:
        """Return its status listener; raises CommandError where there is none to ask."""
        if self.listener is None:
            raise CommandError("status_listen is off: there is nobody to ask")
        return self.listener

    @cached_property
    def pid(self) -> int:
        """Its process; raises CommandError where there is none, or no way to tell."""
        if self._arguments.pid is not None:
            return int(self._arguments.pid)
        if self._arguments.pid_file is not None:
            return _holder(Path(self._arguments.pid_file))
        if self._settings.pid_file and self._arguments.status is None:
            return _holder(pid_file.locate(self._settings.pid_file, os.environ))
        if self.listener is None:
            raise CommandError(
                "which gateway? status_listen is off and pid_file is not set: give --pid or --pid-file"
            )
        return int(self.listener.status()["pid"])

    def open(self) -> Process:
        """Return its process; raises CommandError where there is none."""
        return Process(self.pid)


def _holder(path: Path) -> int:
    try:
        number = pid_file.find(path)
    except PermissionError:
        raise CommandError(f"{path} is not yours to read: be its user, or root", FORBIDDEN) from None
    except OSError as error:
        raise CommandError(f"no gateway runs: {path}: {error.strerror}", ABSENT) from error
    except ValueError as error:
        raise CommandError(f"no gateway runs: {error}", ABSENT) from error
    if number is None:
        raise CommandError(f"no gateway runs: {path} was left behind by a process that has ended", ABSENT)
    return number


class Process:
    """A process by a handle: a number that is given to another one meanwhile does no harm."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._handle = os.pidfd_open(pid)
        except (ProcessLookupError, OverflowError):  # or there cannot be one
            raise CommandError(f"there is no process {pid}", ABSENT) from None
        except OSError as error:
            raise CommandError(f"process {pid}: {error.strerror}", ABSENT) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; raises CommandError where that is not possible."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            raise CommandError(f"process {self.pid} has ended", ABSENT) from None
        except PermissionError:
            reason = f"process {self.pid} is not yours to signal: be its user, or root"
            raise CommandError(reason, FORBIDDEN) from None

    def gone(self, within: float | None) -> bool:
        """Wait for its end; true where it came within so many seconds, None for however long it takes."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(None if within is None else within * 1000))
