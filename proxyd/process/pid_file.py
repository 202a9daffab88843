"""The file that tells which process the gateway is.

It is locked for as long as its process lives, however that ends: a number that stands in a file without a lock is that
of a process that is no more, whatever has the number now.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 32  # bytes of a number


def locate(setting: str, environ: Mapping[str, str]) -> Path:
    """Return where the file is: a relative path is in systemd's ``RuntimeDirectory``, where there is one."""
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(directory, setting) if directory else Path(setting)


class PidFile:
    """Holds the file, with the number of this process in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __repr__(self) -> str:
        return f"<PidFile {self._path} {'held' if self._descriptor is not None else 'free'}>"

    def take(self, pid: int) -> None:
        """Write the number down; raises ConfigError where the file is another living process's, or cannot be written."""
        try:
            self._descriptor = _lock(self._path)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % pid, 0)
        except BlockingIOError:
            holder = _number(self._path)
            reason = f"{self._path} belongs to a gateway that runs{f', process {holder}' if holder else ''}"
            raise ConfigError([Problem(Place("pid_file"), "", reason)]) from None
        except OSError as error:
            reason = f"cannot write {self._path}: {error.strerror}"
            raise ConfigError([Problem(Place("pid_file"), "", reason)]) from error

    def release(self) -> None:
        """Remove the file; works without ``take``."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if os.path.samestat(self._path.stat(), os.fstat(descriptor)):
                self._path.unlink()
        except OSError:
            pass  # somebody else has removed it, or it is not ours any more
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Open the file and lock it; raises BlockingIOError where somebody has, OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except FileNotFoundError:
            pass  # its process has removed it while we opened it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _number(path: Path) -> int | None:
    text = path.read_bytes()[:MOST].strip()
    return int(text) if text.isdigit() else None


def find(path: Path) -> int | None:
    """Return the number of the living process that the file belongs to, None where that is no more.

    Raises OSError where the file cannot be read, ValueError where it holds no number.
    """
    number = _number(path)
    if number is None:
        raise ValueError(f"{path} holds no number of a process")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return number
    finally:
        os.close(descriptor)
    return None
