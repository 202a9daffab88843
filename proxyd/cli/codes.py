"""Exit codes, and the errors of commands that end with another one than 1."""

from __future__ import annotations

from typing import Final

from proxyd.errors import ProxydError

REFUSED: Final = 1  # the configuration is, or what was asked about does not exist
ABSENT: Final = 3  # there is no such gateway
FORBIDDEN: Final = 4  # there is, and it is somebody else's
LATE: Final = 5  # it has not happened in time
FAULT: Final = 70  # an error of ours (sysexits.h has the number): the only one worth another start
INTERRUPTED: Final = 130  # 128 and the number of SIGINT, as shells have it


class CommandError(ProxydError):
    """Why a command ends, and with which code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code
