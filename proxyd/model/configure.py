"""Settings out of their sources: command line over environment over the file's ``proxyd:`` block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from proxyd.errors import Place
from proxyd.model.complaints import NOT_SHOWN, complaint
from proxyd.model.element import descend, render
from proxyd.model.settings import OTHER_NAMES, PROXY_PROTOCOL, Settings
from proxyd.model.suggest import nearest
from proxyd.model.units import switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from proxyd.model.element import Element
    from proxyd.model.report import Report

PREFIX: Final = "PROXYD_"
_RECORDS: Final = frozenset(
    {"health", "log_shipping"}
)  # made of mappings: what is wrong with all of it shows no value
_NO_FILE: Final = frozenset({"declarative_config", "demo"})  # what must be known before the file is read


def wants_expansion(root: Element, env: Mapping[str, str], overrides: Mapping[str, Any]) -> bool:
    """Tell whether ``expand_env`` is on: it must be known before any other value is read."""
    block = root.get("proxyd")
    in_file = block.get("expand_env") if block else None
    value = overrides.get("expand_env", env.get(f"{PREFIX}EXPAND_ENV", in_file.value if in_file else None))
    try:
        return value is not None and switch(value)
    except ValueError:
        return False


def configure(
    root: Element,
    env: Mapping[str, str],
    overrides: Mapping[str, Any],
    plain: Callable[[Element], Any],
    is_secret: Callable[[Element], bool],
    *,
    report: Report,
) -> Settings:
    """Return the settings; what is wrong goes to ``report``, and defaults take its place.

    ``plain`` turns an element into plain values with its secrets resolved, and ``is_secret`` tells afterwards
    whether there were any. Problems with a variable name the
    variable as the place, problems with an option the option.
    """
    values: dict[str, Any] = {}
    places: dict[str, tuple[Place, str]] = {}
    secret: set[str] = set()
    elements: dict[str, Element] = {}

    block = root.get("proxyd") or root
    if block is not root and isinstance(block.value, dict):
        for written, element in block.value.items():
            name = OTHER_NAMES.get(written, written)
            place, path = block.key_place(report.file, written), f"proxyd.{written}"
            if name in _NO_FILE:
                report.error(place, path, "cannot be set in the file", f"set {PREFIX}{name.upper()}")
            elif name in values:
                report.error(place, path, f"is set twice: it is {name} by another name")
            elif name not in Settings.model_fields:
                report.error(place, path, "unknown setting", nearest(name, Settings.model_fields))
            elif element.value is not None:
                values[name] = plain(element)
                places[name] = (element.place(report.file), path)
                elements[name] = element
                secret |= {name} if is_secret(element) else set()
    elif block.value is not None and block is not root:
        report.error(block.place(report.file), "proxyd", "must be a mapping")

    for name, variable in _variables(env):
        values[name] = env[variable]
        places[name] = (Place(variable), "")
        secret.discard(name)
        elements.pop(name, None)
    for name, value in overrides.items():
        values[name] = value
        elements.pop(name, None)
        places[name] = (Place(f"--{name.replace('_', '-')}"), "")

    settings = _validated(values, places, secret, report, _Inside(elements, is_secret, report))
    _advise(settings, places, report)
    return settings


def _variables(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the settings that the environment has, each with its variable."""
    for variable in env:
        written = variable.removeprefix(PREFIX).lower()
        name = OTHER_NAMES.get(written, written)
        if variable.startswith(PREFIX) and name in Settings.model_fields and variable.isupper():
            yield name, variable


class _Inside:
    """Tells of findings within a setting that is a list or a mapping, each at its own place in the file."""

    def __init__(
        self, elements: Mapping[str, Element], is_secret: Callable[[Element], bool], report: Report
    ) -> None:
        self._elements = elements
        self._is_secret = is_secret
        self._report = report

    def tell(self, finding: ErrorDetails, path: str) -> bool:
        """Report a finding of the setting at ``path``; false where it is not one within."""
        name, *steps = finding["loc"]
        element = self._elements.get(str(name))
        if element is None or name not in _RECORDS:
            return False
        file = self._report.file
        below, taken = descend(element, steps)
        where = render([*path.split("."), *steps])
        place = below.place(file)
        if finding["type"] == "extra_forbidden":
            holder, _ = descend(element, steps[:-1])
            place = holder.key_place(file, str(steps[-1]))
        elif steps and len(taken) == len(steps) and self._is_secret(below):
            self._report.error(place, where, NOT_SHOWN)
            return True
        self._report.error(place, where, *complaint(finding, Settings))
        return True


def _validated(
    values: dict[str, Any],
    places: dict[str, tuple[Place, str]],
    secret: set[str],
    report: Report,
    inside: _Inside,
) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        findings = error.errors(include_url=False)
    for finding in findings:
        name = str(finding["loc"][0])
        place, path = places.get(name, (Place(f"--{name.replace('_', '-')}"), ""))
        if inside.tell(finding, path):
            continue
        if name in secret:
            report.error(place, path, NOT_SHOWN)
        else:
            report.error(place, path, *complaint(finding, Settings))
    wrong = {finding["loc"][0] for finding in findings}
    return Settings.model_validate({name: value for name, value in values.items() if name not in wrong})


def _advise(settings: Settings, places: dict[str, tuple[Place, str]], report: Report) -> None:
    """Warn of settings that say more than proxyd does."""
    if len(settings.ssl_cert) != len(settings.ssl_cert_key):
        place, path = places.get("ssl_cert") or places["ssl_cert_key"]
        report.error(place, path, "ssl_cert and ssl_cert_key must have one entry each per certificate")
    if (settings.ssl_cipher_suite == "custom") != bool(settings.ssl_ciphers):
        place, path = places.get("ssl_ciphers") or places["ssl_cipher_suite"]
        report.error(place, path, "ssl_ciphers and ssl_cipher_suite: custom need each other")
    for name in ("proxy_listen", "status_listen", "admin_listen"):
        if any(listen.http2 for listen in getattr(settings, name)):
            report.warn(*places[name], "http2 is not offered: clients are answered in HTTP/1.1")
        if name != "proxy_listen" and any(listen.proxy_protocol for listen in getattr(settings, name)):
            report.error(*places[name], "proxy_protocol is read on proxy_listen only")
    for listen in settings.admin_listen:
        if not settings.admin_tokens and not listen.local:
            message = f"{listen} can be reached from other machines, and nobody is asked for a token"
            report.error(
                *places["admin_listen"], message, "set admin_tokens, or listen on 127.0.0.1 or a unix socket"
            )
    flagged = any(listen.proxy_protocol for listen in settings.proxy_listen)
    if settings.real_ip_header == PROXY_PROTOCOL and not flagged:
        report.error(*places["real_ip_header"], "needs proxy_protocol among the flags of proxy_listen")
    elif flagged and settings.real_ip_header != PROXY_PROTOCOL:
        hint = "real_ip_header: proxy_protocol, with trusted_ips"
        report.warn(*places["proxy_listen"], "PROXY headers are read, and their addresses not used", hint)


def warn_unknown_variables(env: Mapping[str, str], used: frozenset[str], report: Report) -> None:
    """Warn of ``PROXYD_`` variables that are neither settings nor named in the file."""
    known = [f"{PREFIX}{name.upper()}" for name in (*Settings.model_fields, *OTHER_NAMES)]
    for variable in env:
        if variable.startswith(PREFIX) and variable not in known and variable not in used:
            report.warn(Place(variable), "", "no setting has this name", nearest(variable, known))
