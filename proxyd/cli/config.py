"""Finding and loading the configuration that a command is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxyd.model.load import Loaded, load
from proxyd.plugins import BY_NAME

if TYPE_CHECKING:
    from pydantic import BaseModel

DEFAULT = "config/proxyd.yml"
VARIABLE = "PROXYD_DECLARATIVE_CONFIG"


def plugin_configs() -> dict[str, type[BaseModel]]:
    """Return the configuration class of every plugin, by name."""
    return {name: plugin.Config for name, plugin in BY_NAME.items()}


def find(given: str | None) -> str:
    """Return the file that is meant: the one given, the environment's, or the default."""
    return given or os.environ.get(VARIABLE) or DEFAULT


def read(given: str | None) -> Loaded:
    """Load it; raises ConfigError with every problem."""
    return load(find(given), env=os.environ, plugins=plugin_configs())
