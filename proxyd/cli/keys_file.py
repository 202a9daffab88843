"""Keys where the declarative file is the truth: it is read, and what is to be written into it is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from proxyd.cli import config
from proxyd.cli.codes import CommandError
from proxyd.clock import Clock
from proxyd.model.issue import issue, successor
from proxyd.model.key_list import described, is_meant, moment_text
from proxyd.model.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.crypto.api_keys import KeyText
    from proxyd.model.entities import Consumer
    from proxyd.model.issue import Issued, Terms

KEYS = "keyauth_credentials"


@dataclass(frozen=True, slots=True)
class Made:
    """A new key, what is told of it, and what is left to do for it to count: nothing, or a change of the file."""

    key: KeyText = field(repr=False)
    told: dict[str, Any]
    left: str = ""


class FileKeys:
    """The keys of one file; ``given`` names it. Raises ConfigError where it does not load."""

    def __init__(self, given: str | None, clock: Clock | None = None) -> None:
        self._name = config.find(given)
        self._loaded = config.read(given)
        self._now = (clock or Clock()).time()

    def __repr__(self) -> str:
        return f"<FileKeys {self._name}>"

    def all(self) -> list[dict[str, Any]]:
        """List the keys, in the order of the file."""
        found = self._loaded.configuration
        return [
            self._told(one.id, one.model_dump(exclude={"id"}), found.consumers.get(one.consumer))
            for one in found.keyauth_credentials.values()
        ]

    def create(self, terms: Terms) -> Made:
        """Make a key; nothing knows it before what is ``left`` is done."""
        consumer = self._consumer(terms.consumer)
        made = issue(terms, self._loaded.configuration.peppers, self._loaded.settings.key_environment)
        return self._made(
            made, consumer, f"# To {self._name}, at the consumer:\n" + _snippet(consumer, made.credential)
        )

    def rotate(self, wanted: str, overlap: float, expires_at: float | None) -> Made:
        """Make a key in the place of another one."""
        found = self._loaded.configuration
        told = self._find(wanted)
        old = found.keyauth_credentials[told["id"]]
        document = old.model_dump(exclude={"id", "key", "hash"}, exclude_defaults=True)
        terms, ending = successor(document, self._now, overlap, expires_at)
        made = issue(terms, found.peppers, self._loaded.settings.key_environment)
        consumer = found.consumers[old.consumer]
        where = found.places[old.id]
        left = (
            f"# To {self._name}, at the consumer:\n{_snippet(consumer, made.credential)}"
            f"# And at {where}, for the old key:\n{yaml.safe_dump({'expires_at': moment_text(ending['expires_at'])})}"
        )
        return self._made(made, consumer, left)

    def revoke(self, wanted: str) -> None:
        """Tell where the key stands: nobody else takes it out of the file. Raises CommandError."""
        told = self._find(wanted)
        where = self._loaded.configuration.places[told["id"]]
        raise CommandError(f"not revoked: take the credential at {where} out of the file, and proxyd reload")

    def _find(self, wanted: str) -> dict[str, Any]:
        for told in self.all():
            if is_meant(told, wanted):
                return told
        raise CommandError(f"there is no key {wanted} in {self._name}")

    def _consumer(self, wanted: str) -> Consumer:
        consumers = self._loaded.configuration.consumers
        for one in consumers.values():
            if wanted in (one.username, one.id, one.custom_id):
                return one
        hint = nearest(wanted, [one.username for one in consumers.values() if one.username])
        raise CommandError(f"there is no consumer {wanted} in {self._name}{f' ({hint})' if hint else ''}")

    def _made(self, made: Issued, consumer: Consumer, left: str) -> Made:
        return Made(made.key, self._told("", made.credential, consumer), left)

    def _told(
        self, identity: str, credential: Mapping[str, Any], consumer: Consumer | None
    ) -> dict[str, Any]:
        whose = consumer.model_dump() if consumer is not None else None
        return described(identity, credential, whose, self._now)


def _snippet(consumer: Consumer, credential: Mapping[str, Any]) -> str:
    """Write a credential as it stands in a file."""
    named = {"username": consumer.username} if consumer.username else {"custom_id": consumer.custom_id}
    order = ("key_id", "hash", "name", "scopes", "expires_at", "tags")
    written = {name: credential[name] for name in order if name in credential}
    if "expires_at" in written:
        written["expires_at"] = moment_text(written["expires_at"])
    text: str = yaml.safe_dump({"consumers": [{**named, KEYS: [written]}]}, sort_keys=False, width=200)
    return text
