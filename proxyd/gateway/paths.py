"""The path that the upstream sees: the service's path joined with what is left of the request's.

Runs once per request, after the match. The rules depend on the route and the service alone, so they are
chosen once, when the configuration is compiled; they follow Kong's ``kong/router/utils.lua`` for
``path_handling: v0`` and ``kong/router/traditional.lua`` for ``v1``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.model.entities import Route, Service

    Joiner = Callable[[str, str], str]


def compile_joiner(route: Route, service: Service | None) -> Joiner:
    """Return the function from ``(prefix, path)`` to the upstream's path, without the query.

    ``prefix`` is what strip_path takes off ``path``, empty for nothing; ``path`` is normalised, or ``*``,
    which stays ``*``.
    """
    base = (service.path if service else None) or "/"
    if route.path_handling == "v1":
        return _concatenating(base) if route.strip_path else _concatenating_whole(base)
    return _stripping(base) if route.strip_path else _keeping(base)


def _stripping(base: str) -> Joiner:
    stem = base.removesuffix("/")

    def join(prefix: str, path: str) -> str:
        if not prefix:
            if len(path) == 1:
                return base if path == "/" else path
            return stem + path
        rest = path[len(prefix) :]
        if rest[:1] == "/":
            return stem + rest
        rest = _without_leading_dots(rest)
        if rest:
            return f"{stem}/{rest}"
        # Nothing is left: the answer mirrors whether the request ended with a slash.
        if path == "/":
            return base
        return stem + "/" if path[-1] == "/" else stem or "/"

    return join


def _keeping(base: str) -> Joiner:
    stem = base.removesuffix("/")

    def join(prefix: str, path: str) -> str:  # noqa: ARG001 - nothing is taken off
        if len(path) == 1:
            return base if path == "/" else path
        return stem + path

    return join


def _concatenating(base: str) -> Joiner:
    stem = base.removesuffix("/")

    def join(prefix: str, path: str) -> str:
        if path == "*":
            return path
        rest = _without_leading_dots(path[len(prefix) or 1 :])
        return stem + rest if rest[:1] == "/" and stem != base else base + rest

    return join


def _concatenating_whole(base: str) -> Joiner:
    def join(prefix: str, path: str) -> str:  # noqa: ARG001 - nothing is taken off
        return path if path == "*" else base + path[1:]

    return join


def _without_leading_dots(rest: str) -> str:
    # A prefix is a string: taking /api off /api../x must not leave a dot segment behind.
    if rest[:1] == ".":
        if rest in {".", ".."}:
            return ""
        if rest[:2] == "./":
            return rest[2:]
        if rest[:3] == "../":
            return rest[3:]
    return rest


class Targets:
    """What ``Forwarder.start`` will send as the target, for plugins that have to know before.

    There it is written out: in the way of every request, one function for both showed in ``benchmarks/bench.py``.
    """

    def __init__(self) -> None:
        self._joiners: dict[str, Joiner] = {}

    def __call__(self, exchange: Exchange) -> str:
        """Return path and query as they would be sent now; the exchange has been matched."""
        if exchange.replaced_path:
            return exchange.replaced_path + exchange.request.query
        route = exchange.route
        assert route is not None  # noqa: S101  # no phase runs before
        join = self._joiners.get(route.id)
        if join is None:
            join = self._joiners[route.id] = compile_joiner(route, exchange.service)
        return join(exchange.matched_prefix, exchange.request.path) + exchange.request.query
