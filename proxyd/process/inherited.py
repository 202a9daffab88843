"""Listening sockets that this process was given: by ``--fd``, by systemd (``LISTEN_FDS``), by a master.

Such a socket outlives the process, and others may accept from it too: it is only ever closed, never shut down or
unlinked. What is spoken over it stands in the entry of ``proxy_listen``, ``status_listen`` or ``admin_listen`` that it is
matched to, by name or by address. An entry without a socket is bound as usual.
"""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from proxyd.model.listen import Listen
    from proxyd.model.settings import Settings

    Given = Mapping[str, Mapping[Listen, Sequence[socket.socket]]]  # by setting and entry

FIRST = 3  # where systemd's descriptors begin
HIGHEST = (1 << 20) - 1  # descriptor that a process can have, unless the machine was told otherwise
MOST = 1024  # of them at once: systemd sets what it passes, and anything else is a mistake
NAMES = {
    "proxy": ("proxy_listen", False),
    "proxy-ssl": ("proxy_listen", True),
    "status": ("status_listen", None),
    "admin": ("admin_listen", None),
}
_SETTINGS = ("proxy_listen", "status_listen", "admin_listen")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor that was given, by whom, and for what: one of NAMES, or empty for whatever has its address."""

    number: int
    name: str = ""
    source: str = "--fd"

    def __str__(self) -> str:
        return f"{self.number}={self.name}" if self.name else str(self.number)


def parse_descriptor(text: str) -> Descriptor:
    """Read ``N`` or ``N=NAME``; raises ValueError."""
    number, equals, name = text.partition("=")
    if not number.isascii() or not number.isdigit() or (equals and name not in NAMES):
        raise ValueError(f"'{text}' is not N or N=NAME, with a NAME of {', '.join(NAMES)}")
    if not _up_to(HIGHEST, number):
        raise ValueError(f"'{text}' is no descriptor: the highest is {HIGHEST}")
    return Descriptor(int(number), name)


def _up_to(limit: int, digits: str) -> bool:
    return len(digits) <= len(str(limit)) and int(digits) <= limit


def from_environment(environ: MutableMapping[str, str], pid: int) -> list[Descriptor]:
    """Return what systemd passes, and take it out of the environment: it is meant for this process alone.

    Names that are not in NAMES say nothing: systemd names a socket after its unit where nobody does.
    Raises ConfigError.
    """
    values = {name: environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")}
    count, meant = values["LISTEN_FDS"], values["LISTEN_PID"]
    if not count or meant != str(pid):
        return []
    if not count.isascii() or not count.isdigit() or not _up_to(MOST, count):
        raise ConfigError([Problem(Place("LISTEN_FDS"), "", f"'{count}' is not a number of descriptors")])
    names = values["LISTEN_FDNAMES"].split(":")
    given = []
    for index in range(int(count)):
        name = names[index] if index < len(names) else ""
        given.append(Descriptor(FIRST + index, name if name in NAMES else "", "LISTEN_FDS"))
    return given


def adopt(descriptors: Iterable[Descriptor], settings: Settings) -> Given:
    """Open them, and match each to an entry of the settings; raises ConfigError with all that cannot be used."""
    found: dict[str, dict[Listen, list[socket.socket]]] = {setting: {} for setting in _SETTINGS}
    problems: list[Problem] = []
    for descriptor in descriptors:
        try:
            sock = _open(descriptor.number)
        except ValueError as error:
            problems.append(_problem(descriptor, str(error)))
            continue
        entry = _entry(descriptor, sock, settings, found)
        if entry is None:
            problems.append(_problem(descriptor, _nobody(descriptor, sock)))
            sock.close()
            continue
        setting, listen = entry
        found[setting].setdefault(listen, []).append(sock)
    if problems:
        close(found)
        raise ConfigError(problems)
    return found


def close(given: Given) -> None:
    """Close what was adopted; who started us still has it."""
    for entries in given.values():
        for sockets in entries.values():
            for sock in sockets:
                sock.close()


def _problem(descriptor: Descriptor, message: str) -> Problem:
    return Problem(Place(descriptor.source), "", f"descriptor {descriptor.number} {message}")


def _open(number: int) -> socket.socket:
    """Take a descriptor over; raises ValueError with what is wrong with it."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        raise ValueError("is not open: whoever starts the process has to pass it on") from None
    if not stat.S_ISSOCK(mode):
        raise ValueError("is no socket")
    # Moved, because 0, 1 and 2 have to stay open for whatever believes in them.
    sock = socket.socket(fileno=os.dup(number))
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if sock.family not in families or sock.type != socket.SOCK_STREAM:
        sock.close()
        raise ValueError("is no stream socket of TCP or of a path")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ValueError("is a socket that nobody listens on")
    _give_up(number)
    sock.setblocking(False)  # the socket API's own
    return sock


def _give_up(number: int) -> None:
    if number > 2:  # noqa: PLR2004  # standard error
        os.close(number)
        return
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, number)
    os.close(null)


# --- which entry it is -------------------------------------------------------------------------------------------


def _entries(descriptor: Descriptor, settings: Settings) -> Iterator[tuple[str, Listen]]:
    """Yield the entries that a descriptor may be for."""
    only, tls = NAMES.get(descriptor.name, (None, None))
    for setting in _SETTINGS:
        if only in (None, setting):
            for listen in getattr(settings, setting):
                if tls in (None, listen.ssl):
                    yield setting, listen


def _entry(
    descriptor: Descriptor,
    sock: socket.socket,
    settings: Settings,
    found: Mapping[str, Mapping[Listen, Sequence[socket.socket]]],
) -> tuple[str, Listen] | None:
    """Choose by address; by name, an entry that has no socket yet will do, and then any."""
    name = sock.getsockname()
    entries = list(_entries(descriptor, settings))
    for exact in (True, False):
        for setting, listen in entries:
            if _listens_there(listen, name, exact=exact):
                return setting, listen
    if not descriptor.name:
        return None
    free = [entry for entry in entries if entry[1] not in found[entry[0]]]
    return next(iter(free or entries), None)


def _listens_there(listen: Listen, name: object, *, exact: bool) -> bool:
    """Tell whether an entry is about the address of a socket; port 0 is every port, where ``exact`` is false."""
    if not isinstance(name, tuple):
        return listen.path is not None and listen.path == name
    if listen.path is not None or (listen.port != name[1] and (exact or listen.port)):
        return False
    if listen.host == name[0]:
        return True
    try:
        known = socket.getaddrinfo(listen.host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(address[0] == name[0] for *_, address in known)


def _nobody(descriptor: Descriptor, sock: socket.socket) -> str:
    name = sock.getsockname()
    address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else f"unix:{name}"
    if descriptor.name:
        setting, tls = NAMES[descriptor.name]
        kind = {None: "", True: " with ssl", False: " without ssl"}[tls]
        return f"listens on {address} for '{descriptor.name}', and {setting} has no entry{kind} for it"
    return (
        f"listens on {address}, which is in none of {', '.join(_SETTINGS)}: name the address there, or what the "
        f"socket is for ({', '.join(NAMES)})"
    )
