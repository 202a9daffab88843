"""The documents of manifests, found by their ids, by their texts, and by texts that differ in nothing that means anything."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from proxyd.errors import ConfigError, Place, Problem
from proxyd.graphql.kept import digest_of
from proxyd.graphql.manifest import read_manifest
from proxyd.graphql.naming import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.graphql.manifest import Entry

_REMEMBERED = 1024  # texts that are a listed one with other spaces
_SPACIOUS: Final = 4  # times as long as the longest one that is listed: longer texts are not compared

# One that does not end goes on to the end of its line, or of the text: looked for again from each quote in it, it would take
# its length squared.
_STRING: Final = r'"{3}(?:[^"\\]++|\\(?:"{3})?|"{1,2}+(?!"))*+(?:"{3})?|"(?:[^"\\\n\r]++|\\[^\n\r])*+"?'

# What GraphQL ignores (section 2.1.7), and behind it the tokens, in the group. Possessive, so that nothing is tried twice.
_TOKEN: Final = re.compile(
    rf"[ \t\r\n,\ufeff]++|\#[^\n\r]*+"
    rf"|({_STRING}|[_A-Za-z][_0-9A-Za-z]*+|-?[0-9][0-9A-Za-z.+-]*+|\.{{3}}|.)",
    re.DOTALL,
)
_COMMENT: Final = re.compile(rf"({_STRING})|\#[^\n\r]*+", re.DOTALL)
_IGNORED: Final = dict.fromkeys(map(ord, " \t\r\n,\ufeff"))


def tokens(text: str) -> list[str]:
    """Return the tokens of a document, without what stands between them."""
    return list(filter(None, _TOKEN.findall(text)))


def outline(text: str) -> bytes:
    """Return what is the same for documents of the same tokens, and rarely for others: without reading the tokens.

    Comments are taken out, and all that GraphQL ignores, even in strings, where it does not.
    """
    if "#" in text:
        text = _COMMENT.sub(r"\1", text)
    return hashlib.blake2b(text.translate(_IGNORED).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Listed:
    """Documents that may be asked for. ``by_tokens`` tells whether those count as well that only look otherwise."""

    def __init__(self, entries: Iterable[Entry], *, by_tokens: bool) -> None:
        self._by_name: dict[str, str] = {}
        self._by_client: dict[tuple[str, str], str] = {}
        self.texts: dict[str, str] = {}  # each with its id, of several the first
        self._by_outline: dict[bytes, list[str]] = {}
        self._variants: dict[str, str] = {}
        self._longest = 0
        digests: dict[str, str] = {}
        for entry in entries:
            text = entry.text
            if entry.client:
                self._by_client[entry.client, entry.id] = text
            else:
                self._by_name[entry.id] = text
            if text not in self.texts:
                self.texts[text] = entry.id
                digests[digest_of(text)] = text
                self._longest = max(self._longest, len(text))
                if by_tokens:
                    self._by_outline.setdefault(outline(text), []).append(text)
        for digest, text in digests.items():  # whatever the ids are, a hash is a name too
            self._by_name.setdefault(digest, text)

    def __repr__(self) -> str:
        return f"<Listed {len(self.texts)} documents>"

    def __len__(self) -> int:
        return len(self.texts)

    def named(self, name: str, client: str = "") -> str | None:
        """Return the document of this name, with or without ``sha256:`` in front; the client's own before everybody's."""
        found = None
        if client and self._by_client:
            found = self._by_client.get((client, name))
        if found is None:
            found = self._by_name.get(name)
        if found is None and name.startswith(SHA256):
            return self.named(name[len(SHA256) :], client)
        return found

    @property
    def has_clients(self) -> bool:
        """Whether some documents are one client's."""
        return bool(self._by_client)

    def like(self, text: str) -> str | None:
        """Return the document that a text is, as it is listed."""
        if text in self.texts:
            return text
        if not self._by_outline or len(text) > _SPACIOUS * self._longest:
            return None
        found = self._variants.get(text)
        return found if found is not None else self._compare(text)

    def _compare(self, text: str) -> str | None:
        """Compare tokens, where a listed document may have the same."""
        alike = self._by_outline.get(outline(text))
        if alike is None:
            return None
        written = tokens(text)
        for one in alike:
            if tokens(one) == written:
                if len(self._variants) >= _REMEMBERED:
                    self._variants.clear()
                self._variants[text] = one
                return one
        return None


def load(names: Iterable[str], *, by_tokens: bool) -> Listed:
    """Read manifests; raises ConfigError with what is wrong in them."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for name in names:
        try:
            found = read_manifest(name)
        except ConfigError as error:
            problems += error.problems
            continue
        for entry in found:
            first, text = seen.setdefault((entry.client, entry.id), (name, entry.text))
            if text != entry.text:
                problems.append(
                    Problem(Place(name), "", f"the id {entry.id} is another document's in {first}")
                )
        entries += found
    if problems:
        raise ConfigError(problems)
    return Listed(entries, by_tokens=by_tokens)
