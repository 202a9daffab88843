"""The hosts file: names that need no name server."""

from __future__ import annotations

from pathlib import Path

from proxyd.upstream.addresses import is_address

DEFAULT_PATH = "/etc/hosts"
# RFC 6761 section 6.3: these never reach a name server, whatever the file says.
_LOOPBACK = {"A": ["127.0.0.1"], "AAAA": ["::1"]}


class Hosts:
    """Addresses by lower-case name and record type. An unreadable file is an empty one."""

    def __init__(self, path: str = DEFAULT_PATH) -> None:
        self._names: dict[str, dict[str, list[str]]] = {}
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        for line in text.splitlines():
            fields = line.partition("#")[0].split()
            if len(fields) > 1 and is_address(fields[0]):
                kind = "AAAA" if ":" in fields[0] else "A"
                for name in fields[1:]:
                    addresses = self._names.setdefault(name.lower(), {}).setdefault(kind, [])
                    if fields[0] not in addresses:
                        addresses.append(fields[0])

    def __repr__(self) -> str:
        return f"<Hosts {len(self._names)} names>"

    def get(self, name: str, order: tuple[str, ...]) -> tuple[str, ...]:
        """Return the addresses of the first type in ``order`` that the name has, or nothing."""
        name = name.lower().rstrip(".")
        types = self._names.get(name)
        if types is None:
            if name != "localhost" and not name.endswith(".localhost"):
                return ()
            types = _LOOPBACK
        for kind in (*order, "A", "AAAA"):
            if kind in types:
                return tuple(types[kind])
        return ()
