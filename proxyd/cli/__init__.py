"""The command ``proxyd``: one module per kind of verb, and what they print in ``output``."""

import sys

from proxyd.process import early

if "run" in sys.argv[1:2]:
    early.hold()  # before the imports, which take a while

try:
    from proxyd.cli.main import main
except KeyboardInterrupt:  # while nothing has begun
    sys.exit(130)

__all__ = ["main"]
