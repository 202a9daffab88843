"""The command ``proxyd``: from arguments to an exit code.

Exit codes: 0 all well; 1 the configuration is refused, or what was asked about does not exist; 2 the command
line is wrong. A supervisor has no use in starting 1 or 2 again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxyd.cli.output import stderr
from proxyd.cli.parser import build_parser
from proxyd.errors import ConfigError, ProxydError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        action: Callable[[argparse.Namespace], int] = arguments.action
        return action(arguments)
    except ConfigError as error:
        stderr().problems(error.problems, "error", "red")
        return 1
    except ProxydError as error:
        stderr().line(f"proxyd: {error}")
        return 1
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to be flushed
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
