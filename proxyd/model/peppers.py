"""Peppers, as settings give them, and whether they are those that a file's hashes were made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.crypto.api_keys import Pepper, fingerprint_of
from proxyd.model import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxyd.model.report import Report
    from proxyd.model.walk import Draft

SHORTEST: Final = 32  # characters: 128 bits of chance in hexadecimal
MADE_BY: Final = "openssl rand -hex 32"
_HASHED: Final = ("keyauth_credentials", "basicauth_credentials")


def parse_peppers(value: object) -> tuple[Pepper, ...]:
    """Return the peppers in words; raises ValueError, which never holds one."""
    found: dict[str, Pepper] = {}
    for number, word in enumerate(units.words(value), 1):
        if len(word) < SHORTEST:
            raise ValueError(f"pepper {number} is too short: {SHORTEST} characters at least", MADE_BY)
        pepper = Pepper(word.encode())
        if pepper.fingerprint in found:
            raise ValueError(f"pepper {number} is there twice")
        found[pepper.fingerprint] = pepper
    return tuple(found.values())


def check_peppers(drafts: Iterable[Draft], peppers: Sequence[Pepper], report: Report) -> None:
    """Report hashes that none of the peppers can be compared under: who has such a key could never get in."""
    known = {pepper.fingerprint for pepper in peppers}
    listed = ", ".join(sorted(known))
    for draft in drafts:
        sealed = draft.fields.get("hash") if draft.collection in _HASHED else None
        fingerprint = fingerprint_of(sealed) if isinstance(sealed, str) else ""
        if not fingerprint or fingerprint in known:
            continue
        place, path, _ = draft.locate(("hash",), report.file)
        if known:
            message = f"was made with another pepper, {fingerprint}: those of key_pepper are {listed}"
            report.error(place, path, message, "give both in PROXYD_KEY_PEPPER, separated by a comma")
        else:
            message = f"needs the pepper that it was made with, {fingerprint}, and key_pepper is not set"
            report.error(place, path, message, "PROXYD_KEY_PEPPER")
