"""The command ``proxyd``: from arguments to an exit code.

Exit codes stand in ``codes`` and in docs/cli.md. Of those of ``run``, a supervisor has no use in starting 1 or 2 again.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from proxyd.cli.codes import FAULT, INTERRUPTED, REFUSED, CommandError
from proxyd.cli.output import stderr
from proxyd.cli.parser import build_parser
from proxyd.errors import ConfigError, ProxydError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        action: Callable[[argparse.Namespace], int] = arguments.action
        return action(arguments)
    except ProxydError as error:
        return _complain(error)
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to be flushed
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001  # ours: whoever starts the process again does right
        traceback.print_exc()
        return FAULT


def _complain(error: ProxydError) -> int:
    if isinstance(error, ConfigError):
        stderr().problems(error.problems, "error", "red")
    else:
        stderr().line(f"proxyd: {error}")
    return error.code if isinstance(error, CommandError) else REFUSED
