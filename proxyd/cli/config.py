"""Finding and loading the configuration that a command is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from proxyd.errors import ConfigError
from proxyd.model.load import Loaded, load_text, read_text, settings_of
from proxyd.plugins import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from proxyd.model.settings import Settings

DEFAULT = "config/proxyd.yml"
VARIABLE = "PROXYD_DECLARATIVE_CONFIG"


def plugin_configs() -> dict[str, type[BaseModel]]:
    """Return the configuration class of every plugin, by name."""
    return {name: plugin.Config for name, plugin in BY_NAME.items()}


def find(given: str | None) -> str:
    """Return the file that is meant: the one given, the environment's, or the default."""
    return given or os.environ.get(VARIABLE) or DEFAULT


def read(given: str | None, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Load it, with settings from the command line over all others; raises ConfigError with every problem."""
    return read_as(read_text(find(given)), find(given), overrides)


def settings(given: str | None) -> Settings:
    """Return the settings alone, as far as they can be told; where there is no file, the environment's."""
    name = find(given)
    try:
        text = read_text(name)
    except ConfigError:
        if given:
            raise
        text = ""
    return settings_of(text, name, os.environ)


def read_as(text: str, name: str, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Load a text as that of the file called ``name``; raises ConfigError with every problem."""
    return load_text(text, name, env=os.environ, plugins=plugin_configs(), overrides=overrides)
