"""proxyd: an API gateway daemon that reads Kong's declarative files."""

__version__ = "0.1.0"
