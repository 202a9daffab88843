"""Values that come from the environment: ``{vault://env/name}``, ``${{ env "NAME" }}`` and, if asked, ``${NAME}``.

They are put in while entities are read, so that a problem with one is told with its place. Nothing here, nor any
message, shows a value.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.element import Element

# One pattern, so that a value that was put in is never itself looked through for placeholders.
_PLACEHOLDER: Final = re.compile(
    r"\{vault://(?P<vault>[^/{}]+)/(?P<secret>[^/{}?]+)(?:/(?P<key>[^{}?]*))?(?:\?[^{}]*)?\}"
    r"""|\$\{\{\s*env\s+(?P<quote>["'])(?P<deck>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)\s*\}\}"""
    r"|\$\{(?P<shell>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}",
)
_SHELL_WORD: Final = re.compile(r"\$[A-Z_][A-Z0-9_]*")


class SecretError(Exception):
    """A placeholder could not be resolved; the text says why, and names no value."""


class Secrets:
    """Resolves placeholders out of one environment.

    ``prefixes`` maps the name of a vault, as references give it, to what comes before each variable's name.
    ``expanded`` remembers, by identity, the elements that took a value from outside: those are never shown.
    ``failures`` holds what could not be resolved and is yet to be told, ``failed`` all of that by identity,
    ``literal`` what looks like a placeholder and was left alone, and ``used``
    the variables that were asked for.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        expand_env: bool = False,
        prefixes: Mapping[str, str] | None = None,
    ) -> None:
        self.expanded: dict[int, Element] = {}
        self.failures: list[tuple[Element, str]] = []
        self.literal: list[Element] = []
        self.failed: set[int] = set()
        self.used: set[str] = set()
        self._env = env
        self._expand_env = expand_env
        self._prefixes = {"env": "", **(prefixes or {})}

    def __repr__(self) -> str:
        return f"<Secrets expanded={len(self.expanded)} failed={len(self.failures)}>"

    def touched(self, element: Element) -> bool:
        """Tell whether a value from the environment is in ``element`` or below it."""
        return id(element) in self.expanded or any(self.touched(below) for _, below in element.children())

    def expand(self, element: Element, text: str) -> str:
        """Return ``text`` with its placeholders resolved; a failure is kept, and the text returned as it was."""
        try:
            value = _PLACEHOLDER.sub(self._resolve, text)
        except SecretError as error:
            self.failures.append((element, str(error)))
            self.failed.add(id(element))
            return text
        if value != text:
            self.expanded[id(element)] = element
        elif _SHELL_WORD.fullmatch(text) or ("${" in text and _PLACEHOLDER.search(text)):
            self.literal.append(element)
        return value

    def _resolve(self, match: re.Match[str]) -> str:
        if match["vault"] is not None:
            return self._from_vault(match["vault"], match["secret"], match["key"])
        if match["deck"] is not None:
            return self._variable(match["deck"])
        if not self._expand_env:
            return match[0]
        if match["default"] is not None and not self._env.get(match["shell"]):
            self.used.add(match["shell"])
            return match["default"]
        return self._variable(match["shell"])

    def _variable(self, name: str) -> str:
        self.used.add(name)
        try:
            return self._env[name]
        except KeyError:
            raise SecretError(f"the environment variable {name} is not set") from None

    def _from_vault(self, vault: str, name: str, key: str | None) -> str:
        if vault not in self._prefixes:
            raise SecretError(
                f"there is no vault '{vault}': only the environment is one, as {{vault://env/name}}"
            )
        variable = f"{self._prefixes[vault]}{name}".upper().replace("-", "_")
        value = self._variable(variable)
        if not key:
            return value
        try:
            part = json.loads(value)[key]
        except (ValueError, KeyError, TypeError):
            raise SecretError(
                f"the environment variable {variable} is no JSON object with a '{key}'"
            ) from None
        return part if isinstance(part, str) else json.dumps(part)
