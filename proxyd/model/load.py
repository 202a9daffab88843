"""A file in, a typed configuration and settings out, or every problem at once.

The steps: ``document`` (text to elements with marks), ``configure`` (settings), ``walk`` (elements to drafts),
``references`` (ids), ``decode`` (entities), ``plugins`` (their configurations).
"""

from __future__ import annotations

import gc
import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxyd.errors import ConfigError, Place, Problem
from proxyd.model.advice import advise
from proxyd.model.configure import configure, wants_expansion, warn_unknown_variables
from proxyd.model.credentials import sealed
from proxyd.model.decode import Decoder
from proxyd.model.document import parse
from proxyd.model.entities import Configuration
from proxyd.model.peppers import check_peppers
from proxyd.model.plugins import PluginChecker
from proxyd.model.references import References, check_unique
from proxyd.model.report import Report
from proxyd.model.secrets import Secrets
from proxyd.model.shapes import FORMATS
from proxyd.model.walk import Draft, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from proxyd.model.element import Element
    from proxyd.model.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file came to.

    ``plugin_configs`` holds the parsed configuration of each plugin by the plugin's id; ``hash`` is the SHA-256
    of the text, in hexadecimal.
    """

    configuration: Configuration
    settings: Settings
    plugin_configs: dict[str, BaseModel]
    format_version: str
    hash: str
    warnings: list[Problem] = field(default_factory=list)


def load(
    path: Path | str,
    *,
    env: Mapping[str, str],
    plugins: Mapping[str, type[BaseModel]],
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and load a file; see ``load_text``.

    Raises:
        ConfigError: The file cannot be read, or what it holds is refused; it lists every problem.
    """
    return load_text(read_text(path), str(path), env=env, plugins=plugins, overrides=overrides)


def read_text(path: Path | str) -> str:
    """Return the text of a file; raises ConfigError where it cannot be read."""
    name = str(path)
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(Place(name), "", f"cannot be read: {error.strerror or error}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Problem(Place(name), "", f"is not UTF-8: byte {error.start} belongs to no character")]
        ) from None


def load_text(
    text: str,
    name: str = "<text>",
    *,
    env: Mapping[str, str],
    plugins: Mapping[str, type[BaseModel]],
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Load YAML or JSON text.

    ``name`` is what problems call the file. ``env`` gives settings and secrets, ``plugins`` the configuration
    class of each plugin that there is, ``overrides`` settings that win over the environment.

    Raises:
        ConfigError: The text is refused; it lists every problem, in the order of the file.
    """
    with _collector_paused():
        return _load(text, name, env, plugins, overrides or {})


def settings_of(text: str, name: str, env: Mapping[str, str]) -> Settings:
    """Return the settings alone, whatever else is wrong with a text; a setting that is wrong has its default.

    For commands about a gateway that runs: the file may be the very one that it is to refuse.
    """
    report = Report(name)
    try:
        root = parse(text, name)
    except ConfigError:
        root = parse("{}", name)
    secrets = Secrets(env, expand_env=wants_expansion(root, env, {}), prefixes={})
    return configure(root, env, {}, Walk(report, secrets).plain, secrets.touched, report=report)


def _load(
    text: str,
    name: str,
    env: Mapping[str, str],
    plugins: Mapping[str, type[BaseModel]],
    overrides: Mapping[str, Any],
) -> Loaded:
    report = Report(name)
    root = parse(text, name)
    if not isinstance(root.value, dict):
        raise ConfigError(
            [Problem(root.place(name), "", "must be a mapping", 'it begins with _format_version: "3.0"')]
        )

    secrets = Secrets(env, expand_env=wants_expansion(root, env, overrides), prefixes=vaults_of(root, report))
    walk = Walk(report, secrets)
    settings = configure(root, env, overrides, walk.plain, secrets.touched, report=report)
    walk.tell_failures(root, "")
    version = format_version(root, report)

    walk.document(root)
    decoder = Decoder(report, secrets, version)
    for draft in walk.drafts:
        decoder.expand(draft)
    References(walk.drafts, report, secrets).connect()
    for draft in walk.drafts:
        decoder.validate(draft)
    check_unique(walk.drafts, report, secrets)

    checker = PluginChecker(plugins, settings.unknown_plugins, report)
    check_peppers(walk.drafts, settings.key_pepper, report)
    configuration = Configuration(transform=transforms(root, report), peppers=settings.key_pepper)
    configuration.places.update(_places_of_apps(root, settings, report))
    configuration.places.update(_places_of_health(root, report))
    for draft in walk.drafts:
        if _keep(draft, configuration, checker, decoder):
            configuration.places[draft.id] = draft.element.place(report.file)
        advise(draft, settings, report)
    warn_unknown_variables(env, frozenset(secrets.used), report)
    report.raise_errors()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Loaded(configuration, settings, checker.configs, version, digest, report.warnings())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic collector from running: over a million values that all stay, it takes two fifths of a load."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _keep(draft: Draft, configuration: Configuration, checker: PluginChecker, decoder: Decoder) -> bool:
    if draft.entity is None or (draft.collection == "plugins" and not checker.check(draft, decoder)):
        return False
    getattr(configuration, draft.collection)[draft.id] = sealed(
        draft.entity, transform=configuration.transform
    )
    return True


def _places_of_apps(root: Element, settings: Settings, report: Report) -> dict[str, Place]:
    """Tell where each application is named, as it is imported only later."""
    block = root.get("proxyd")
    apps = block.get("apps") if block else None
    found = {name: apps.get(name) if apps else None for name in settings.apps}
    return {
        f"proxyd.apps.{name}": element.place(report.file) if element else Place("PROXYD_APPS")
        for name, element in found.items()
    }


def _places_of_health(root: Element, report: Report) -> dict[str, Place]:
    """Tell where each indicator is, as what it needs is looked for only later."""
    block = root.get("proxyd")
    listed = block.get("health") if block else None
    found = listed.children() if listed is not None else ()
    return {f"proxyd.health[{index}]": element.place(report.file) for index, element in found}


def format_version(root: Element, report: Report) -> str:
    """Return the format, for which an unquoted number is taken too."""
    element = root.get("_format_version")
    if element is None or element.value is None:
        report.error(root.place(report.file), "_format_version", "is required", '_format_version: "3.0"')
    elif str(element.value) not in FORMATS:
        place = element.place(report.file)
        report.error(place, "_format_version", f"must be one of {', '.join(FORMATS)}")
    else:
        return str(element.value)
    return FORMATS[-1]


def transforms(root: Element, report: Report) -> bool:
    """Tell whether passwords are plain and yet to be hashed."""
    element = root.get("_transform")
    if element is None or isinstance(element.value, bool):
        return element is None or element.value is True
    report.error(element.place(report.file), "_transform", "must be true or false")
    return True


def vaults_of(root: Element, report: Report) -> dict[str, str]:
    """Return the prefixes of the vaults that the file defines; only the environment can be one."""
    prefixes: dict[str, str] = {}
    element = root.get("vaults")
    for index, vault in element.children() if element else ():
        name, prefix = vault.get("name"), vault.get("prefix")
        if name is None or name.value != "env" or prefix is None:
            path = f"vaults[{index}]"
            report.error(
                vault.place(report.file), path, "must have name: env and a prefix", "no other vault is read"
            )
            continue
        config = vault.get("config")
        before = config.get("prefix") if config else None
        prefixes[str(prefix.value)] = str(before.value) if before and before.value else ""
    return prefixes
