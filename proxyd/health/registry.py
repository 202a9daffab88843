"""Every kind of indicator, and the module that looks: imported where a configuration asks for it, as some are of extras."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from proxyd.errors import ConfigError, Place, Problem, ProxydError
from proxyd.health.look import Around

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.health.look import Look, Processes
    from proxyd.model.indicators import Indicator

EXTRAS: Final = {"postgres": "database", "redis": "redis", "mongodb": "mongodb", "s3": "s3"}


def make_looks(
    indicators: Iterable[Indicator],
    processes: Processes,
    places: Mapping[str, Place],
    authorities: str | None = None,
) -> list[tuple[Indicator, Look]]:
    """Return what looks, for each indicator; raises ConfigError with everything that is in the way.

    ``places`` has where each stands in the file, by its path; ``authorities`` is as in ``Around``.
    """
    made: list[tuple[Indicator, Look]] = []
    problems: list[Problem] = []
    for index, one in enumerate(indicators):
        path = f"proxyd.health[{index}]"
        try:
            made.append((one, make_look(one, Around(one.timeout, processes, authorities))))
        except ProxydError as error:
            problems.append(Problem(places.get(path, Place("health")), f"{path}.{one.kind}", str(error)))
    if problems:
        raise ConfigError(problems)
    return made


def make_look(indicator: Indicator, around: Around) -> Look:
    """Return what looks for one indicator; raises ProxydError where an extra is missing, or a file of TLS."""
    kind = indicator.kind
    try:
        module = import_module(f"proxyd.health.kinds.{kind}")
    except ModuleNotFoundError as error:
        if kind not in EXTRAS:
            raise
        extra = EXTRAS[kind]
        raise ProxydError(
            f"needs the extra '{extra}', which is not installed: pip install 'proxyd[{extra}]'"
        ) from error
    look: Look = module.make(getattr(indicator, kind), around)
    return look
