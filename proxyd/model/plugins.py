"""Plugins of the file against those that proxyd has: an unknown lock is never left out silently."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from proxyd.model.entities import Plugin
from proxyd.model.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from proxyd.model.decode import Decoder
    from proxyd.model.report import Report
    from proxyd.model.walk import Draft

# What decides who gets in, in Kong and around it. Left out, any of these would open a route.
LOCKS: Final = frozenset(
    {
        "acl",
        "application-registration",
        "authz-keycloak",
        "basic-auth",
        "bot-detection",
        "header-cert-auth",
        "hmac-auth",
        "injection-protection",
        "ip-restriction",
        "json-threat-protection",
        "jwe-decrypt",
        "jwt",
        "jwt-keycloak",
        "jwt-signer",
        "key-auth",
        "key-auth-enc",
        "ldap-auth",
        "ldap-auth-advanced",
        "mtls-auth",
        "oas-validation",
        "oauth2",
        "oauth2-introspection",
        "oidc",
        "opa",
        "openid-connect",
        "request-validator",
        "saml",
        "session",
        "standard-webhooks",
        "token-introspection",
        "vault-auth",
        "xml-threat-protection",
    },
)
_LOCK_WORDS: Final = re.compile(
    r"auth|jwt|oidc|keycloak|permission|restrict|firewall|(?:^|[-_])(?:acl|opa|rbac|waf)(?:[-_]|$)"
)
_LUA: Final = frozenset({"pre-function", "post-function", "serverless-functions"})

# These run before it is known who calls, or decide it: an instance for one consumer would never run. Kong refuses a
# consumer on those of them that it has (typedefs.no_consumer).
_WITHOUT_CONSUMER: Final = frozenset(
    {
        "acl",
        "basic-auth",
        "bot-detection",
        "cors",
        "csrf",
        "hmac-auth",
        "jwt",
        "key-auth",
        "ldap-auth",
        "mtls-auth",
        "oauth2",
        "session",
    },
)


def is_lock(name: str) -> bool:
    """Tell whether a plugin of this name, known or not or misspelt, has to do with who gets in."""
    return _LOCK_WORDS.search(name.lower()) is not None or bool(
        get_close_matches(name.lower(), LOCKS, n=1, cutoff=0.75)
    )


class PluginChecker:
    """Validates the plugins of one file against the registry; ``configs`` holds the results by plugin id."""

    def __init__(self, registry: Mapping[str, type[BaseModel]], unknown: str, report: Report) -> None:
        self.configs: dict[str, BaseModel] = {}
        self._registry = registry
        self._unknown = unknown
        self._report = report

    def check(self, draft: Draft, decoder: Decoder) -> bool:
        """Parse one plugin's configuration; return whether the plugin is to be kept."""
        plugin = draft.entity
        if not isinstance(plugin, Plugin):
            return False
        model = self._registry.get(plugin.name)
        if model is None:
            return self._stranger(draft, plugin)
        if plugin.consumer and plugin.name in _WITHOUT_CONSUMER:
            place, path, _ = draft.locate(("consumer",), self._report.file)
            message = f"{plugin.name} cannot be limited to a consumer"
            self._report.error(place, path, message, "it runs before it is known who calls")
        config = decoder.model(draft, ("config",), model, plugin.config, strict=False)
        if config is not None:
            self.configs[plugin.id] = config
            for field, message in getattr(config, "notices", tuple)():
                place, path, _ = draft.locate(("config", field), self._report.file)
                self._report.warn(place, path, message)
        return True

    def _stranger(self, draft: Draft, plugin: Plugin) -> bool:
        """Decide on a plugin that proxyd does not have."""
        place, path, _ = draft.locate(("name",), self._report.file)
        if not plugin.enabled:
            self._report.warn(place, path, f"there is no plugin '{plugin.name}'; it is disabled and left out")
            return False
        hint = "" if plugin.name in LOCKS else nearest(plugin.name, self._registry)
        if plugin.name in _LUA:
            message = f"{plugin.name} holds Lua, which is not run"
            hint = "a template of request-transformer may do, or a plugin in Python; enabled: false leaves it out"
        elif is_lock(plugin.name):
            message = f"there is no plugin '{plugin.name}', and leaving out what decides who gets in would open the route"
            hint = hint or "set enabled: false if that is meant"
        else:
            message = f"there is no plugin '{plugin.name}'"
            hint = hint or "PROXYD_UNKNOWN_PLUGINS=warn leaves it out"
        if self._unknown == "warn" and not is_lock(plugin.name) and plugin.name not in _LUA:
            self._report.warn(place, path, f"there is no plugin '{plugin.name}': left out")
        else:
            self._report.error(place, path, message, hint)
        return False
