"""The command ``proxyd``: one module per kind of verb, and what they print in ``output``."""

from proxyd.cli.main import main

__all__ = ["main"]
