"""The file that tells which process the gateway is.

It is locked for as long as its process lives, however that ends: a number that stands in a file without a lock is that
of a process that is no more, whatever has the number now.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 32  # bytes of a number
HIGHEST = (1 << 31) - 1  # number of a process
_FLOCK = struct.Struct("hhqqi4x")  # struct flock, as in ``store.shared``


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
            descriptor = _lock(self._path)
            self._descriptor = descriptor
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % pid, 0)
        except BlockingIOError:
            holder = _holder(self._path)
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
        # For its user alone: whoever can open a file can keep others from locking it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _refuse_what_is_none(descriptor)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except FileNotFoundError:
            pass  # its process has removed it while we opened it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _refuse_what_is_none(descriptor: int) -> None:
    """Raise OSError where a file is no pid file: it would be written over, and removed in the end."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file (leave the setting empty for no pid file)")
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it is another user's, who could write another number into it")
    if found.st_size and _number(descriptor) is None:
        raise OSError(errno.EEXIST, "it holds something else than the number of a process")


def _number(descriptor: int) -> int | None:
    text = os.pread(descriptor, MOST + 1, 0)
    digits = text.strip()
    if len(text) > MOST or not digits.isdigit():
        return None
    number = int(digits)
    return number if 0 < number <= HIGHEST else None


def _holder(path: Path) -> int | None:
    """Return the number that stands in a file, None for none, or no such file any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _number(descriptor)
    finally:
        os.close(descriptor)


def find(path: Path) -> int | None:
    """Return the number of the living process that the file belongs to, None where that is no more.

    Raises OSError where the file cannot be read, ValueError where it holds no number.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        number = _number(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        if number is None:
            raise ValueError(f"{path} holds no number of a process")
        # Asked without a lock of our own, which could be in the way of a gateway that starts. Who can only read the file
        # cannot have a lock for writing, and so cannot make a number look alive.
        asked = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_RDLCK))
        return number if _FLOCK.unpack(asked)[0] != fcntl.F_UNLCK else None
    finally:
        os.close(descriptor)


def _flock(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)
