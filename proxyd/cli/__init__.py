"""The command ``proxyd``: one module per kind of verb, and what they print in ``output``."""

import sys

from proxyd.process import early

if "run" in sys.argv[1:2]:
    early.hold()  # before the imports, which take a while

from proxyd.cli.main import main

__all__ = ["main"]
