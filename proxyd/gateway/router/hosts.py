"""Path indexes by host: at most four have to be asked for one request, however many hosts there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from proxyd.gateway.router.index import Entry, PathIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxyd.gateway.router.conditions import HostPattern
    from proxyd.gateway.router.patterns import Pattern
    from proxyd.gateway.router.rule import Rule

T = TypeVar("T")

# Entries still to be indexed: kind and fixed part of the host -> prefix -> entries.
_Buckets = dict[tuple[str, str], dict[str, list[Entry[T]]]]


class HostIndex(Generic[T]):
    """Finds the path indexes of a host: its own, those of wildcards, and the one for rules without hosts."""

    __slots__ = ("_any", "_exact", "_prefixes", "_suffixes")

    def __init__(self, rules: Iterable[Rule[T]]) -> None:
        indexes = {host: PathIndex(entries) for host, entries in _buckets(rules).items()}
        self._suffixes = {fixed: index for (kind, fixed), index in indexes.items() if kind == "*."}
        self._prefixes = {fixed: index for (kind, fixed), index in indexes.items() if kind == ".*"}
        anywhere = indexes.get(("*", ""))
        self._any: tuple[PathIndex[T], ...] = (anywhere,) if anywhere else ()
        # A known name's wildcards are known too: one look-up finds all its indexes.
        self._exact = {
            name: (index, *self._wildcards(name), *self._any)
            for (kind, name), index in indexes.items()
            if kind == ""
        }

    def __repr__(self) -> str:
        wildcards = len(self._suffixes) + len(self._prefixes)
        return f"<HostIndex names={len(self._exact)} wildcards={wildcards} any={bool(self._any)}>"

    def indexes(self, name: str) -> tuple[PathIndex[T], ...]:
        """Return the indexes to ask for a lower-case host name without its port."""
        known = self._exact.get(name)
        if known is not None:
            return known
        if self._suffixes or self._prefixes:
            return (*self._wildcards(name), *self._any)
        return self._any

    def _wildcards(self, name: str) -> Iterator[PathIndex[T]]:
        dot = name.find(".")
        while dot >= 0:
            if (index := self._suffixes.get(name[dot:])) is not None:
                yield index
            if (index := self._prefixes.get(name[: dot + 1])) is not None:
                yield index
            dot = name.find(".", dot + 1)


def _buckets(rules: Iterable[Rule[T]]) -> _Buckets[T]:
    buckets: _Buckets[T] = {}
    rank = 0
    for rule in rules:
        paths: tuple[str | Pattern, ...] = rule.prefixes or rule.regexes or ("",)
        prefixes = [path if isinstance(path, str) else path.literal_prefix() for path in paths]
        for (kind, fixed), ports in _ports(rule.hosts).items():
            bucket = buckets.setdefault((kind, fixed), {})
            for offset, (path, prefix) in enumerate(zip(paths, prefixes, strict=True)):
                bucket.setdefault(prefix, []).append(Entry(rule, rank + offset, path, ports))
        rank += len(paths)
    return buckets


def _ports(hosts: tuple[HostPattern, ...]) -> dict[tuple[str, str], frozenset[int] | None]:
    # A host without a port is asked for with any; beside it the same host with a port adds nothing.
    if not hosts:
        return {("*", ""): None}
    ports: dict[tuple[str, str], set[int]] = {}
    for host in hosts:
        ports.setdefault((host.kind, host.fixed), set()).add(host.port)
    return {key: None if 0 in numbers else frozenset(numbers) for key, numbers in ports.items()}
