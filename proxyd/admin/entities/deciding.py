"""What a write comes to: decided on the contents as they are inside of the transaction, by Kong's rules."""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.book import listed_authorities
from proxyd.admin.entities.checking import resolved
from proxyd.admin.entities.show import MASK
from proxyd.admin.entities.typed import merged_document
from proxyd.crypto.api_keys import KeyText
from proxyd.database.entries import Change
from proxyd.database.seal import SealError, seal
from proxyd.model.grammar import check_uuid
from proxyd.model.shapes import IGNORED_FIELDS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.admin.entities.bodies import Given
    from proxyd.admin.entities.book import Book
    from proxyd.admin.entities.catalog import Collection
    from proxyd.admin.entities.checking import Checker
    from proxyd.database.entries import Document, Entry
    from proxyd.model.settings import Settings

    Owners = Mapping[str, str]

# What is not deleted while something refers to it; everything else goes with it (kong/db/schema/entities/*.lua).
_RESTRICTED: Final = {
    ("routes", "service"),
    ("services", "client_certificate"),
    ("upstreams", "client_certificate"),
}
_FROM_URL: Final = ("protocol", "host", "port", "path")
_FOREIGN_FIELDS: Final = frozenset({*IGNORED_FIELDS, "ws_id"})
_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Decision:
    """The changes, and the id of the entity that they are about. ``told`` are secrets to be shown this once."""

    id: str
    changes: list[Change]
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Decisions:
    """Decides writes of all collections; every method raises Refusal."""

    def __init__(self, checker: Checker, settings: Settings) -> None:
        self._checker = checker
        self._settings = settings

    def create(self, book: Book, one: Collection, given: Given, owners: Owners) -> Decision:
        """POST: a new entity."""
        fields = _fields(book, one, given.of(one.name), owners)
        identity = _identity(fields) or str(uuid.uuid4())
        if identity in book.all(one.name):
            raise Refusal.primary_key(identity)
        return self._put(book, one, identity, fields, None)

    def replace(self, book: Book, one: Collection, wanted: str, given: Given, owners: Owners) -> Decision:
        """PUT: the entity that there is, or a new one; what is not given of it has its default."""
        fields = _fields(book, one, given.of(one.name), owners)
        entry = find_below(book, one, wanted, owners, anywhere=True)
        given_id = _identity(fields)
        if not is_uuid(wanted):
            if not one.key:
                raise Refusal.not_found()
            fields[one.key] = wanted
        identity = entry.id if entry else wanted.lower() if is_uuid(wanted) else given_id or str(uuid.uuid4())
        if entry is None and identity in book.all(one.name):
            raise Refusal.primary_key(identity)
        return self._put(book, one, identity, fields, entry)

    def patch(self, book: Book, one: Collection, wanted: str, given: Given, owners: Owners) -> Decision:
        """PATCH: what is given is changed."""
        entry = find_below(book, one, wanted, owners)
        if entry is None:
            raise Refusal.not_found()
        stored = entry.document
        fields = _fields(book, one, given.of(one.name, stored.get("name")), {})
        if _identity(fields) not in {"", entry.id}:
            raise Refusal.schema("id", "cannot be changed")
        snis = _take_snis(one, fields)
        fields = _unmasked(fields, stored)
        if (
            one.name == "basicauth_credentials"
            and fields.get("consumer", stored["consumer"]) != stored["consumer"]
        ):
            _require_password(fields)
        sealed = self._sealed(one, {"consumer": stored.get("consumer"), **fields})
        merged = merged_document(one.name, sealed, stored)
        if one.name == "services" and fields.get("url") is not None:
            merged = {name: value for name, value in merged.items() if name not in _FROM_URL}
        elif one.name == "services" and not fields.keys().isdisjoint(_FROM_URL):
            merged.pop("url", None)
        return self._decided(book, one, entry.id, merged, snis, {})

    def attach(
        self, book: Book, one: Collection, entry: Entry, field: str, parent: Collection, given: Given
    ) -> Decision:
        """PUT of a parent that an entity does not have yet: a new one, and the reference to it."""
        made = self.create(book, parent, given, {})
        document = {**entry.document, field: made.id}
        changed = self._checker.change(book.having(made.changes), one, entry.id, document)
        return Decision(made.id, [*made.changes, changed], made.told)

    def delete(self, book: Book, one: Collection, wanted: str, owners: Owners) -> Decision:
        """DELETE: the entity, and what makes no sense without it."""
        entry = find_below(book, one, wanted, owners)
        if entry is None:
            if owners:
                raise Refusal.not_found()
            return Decision("", [])
        changes: dict[tuple[str, str], Change] = {}
        _delete(book, one.name, entry, changes)
        return Decision(entry.id, list(changes.values()))

    def _put(
        self, book: Book, one: Collection, identity: str, fields: Document, entry: Entry | None
    ) -> Decision:
        """Put a whole entity in, in the place of one that there is or is not: it keeps the secrets that are not given."""
        snis = _take_snis(one, fields)
        document = {name: value for name, value in fields.items() if value is not None}
        document = _unmasked(document, entry.document if entry else {})
        if entry is not None:
            document = _with_kept(one.name, document, entry.document)
        told = self._generated(one.name, document)
        document |= told
        sealed = {name: value for name, value in self._sealed(one, document).items() if value is not None}
        return self._decided(book, one, identity, sealed, snis, told)

    def _generated(self, collection: str, document: Document) -> Document:
        """Return secrets in the place of those that are not given, as Kong does."""
        if collection == "keyauth_credentials" and document.keys().isdisjoint({"key", "hash"}):
            return {"key": KeyText.make(self._settings.key_environment).text}
        if collection == "hmacauth_credentials" and "secret" not in document:
            return {"secret": _random()}
        if collection == "jwt_secrets":
            made = {} if "key" in document else {"key": _random()}
            if "secret" not in document and str(document.get("algorithm", "HS256")).startswith("HS"):
                made["secret"] = _random()
            return made
        return {}

    def _decided(
        self,
        book: Book,
        one: Collection,
        identity: str,
        document: Document,
        snis: list[str] | None,
        told: Mapping[str, Any],
    ) -> Decision:
        changes = [self._checker.change(book, one, identity, document)]
        if snis is not None:
            changes += _changed_snis(book, identity, snis)
        return Decision(identity, changes, told)

    def _sealed(self, one: Collection, document: Document) -> Document:
        try:
            return seal(one.name, document, self._settings)
        except SealError as error:
            raise Refusal.schema(error.field, str(error)) from None


def find_below(
    book: Book, one: Collection, wanted: str, owners: Owners, *, anywhere: bool = False
) -> Entry | None:
    """Return an entity that a path names; one with an id may belong to somebody else where it is ``anywhere``."""
    if not owners or (anywhere and is_uuid(wanted)):
        return book.find(one, wanted)
    return book.find(one, wanted, book.below(one, owners))


def is_uuid(text: str) -> bool:
    """Tell whether a text in a path is an id."""
    try:
        return bool(check_uuid(text))
    except ValueError:
        return False


def _identity(fields: Document) -> str:
    given = fields.pop("id", None)
    if given is None:
        return ""
    try:
        return check_uuid(given if isinstance(given, str) else "")
    except ValueError as error:
        raise Refusal.schema("id", str(error.args[0])) from None


def _fields(book: Book, one: Collection, given: Document, owners: Owners) -> Document:
    """Return fields of a body as documents have them: references as ids; those of the path win."""
    fields = {name: value for name, value in given.items() if name not in _FOREIGN_FIELDS}
    for name in SHAPES[one.name].references:
        if name in fields and name not in owners:
            fields[name] = resolved(book, one, name, fields[name])
    return {**fields, **owners}


def _unmasked(given: Document, stored: Document) -> Document:
    """Return what is given with what is stored wherever only the mask of a secret is given back; raises Refusal."""
    unmasked = {}
    for name, value in given.items():
        if value != MASK:
            unmasked[name] = _put_back(name, value, stored.get(name))
        elif name in stored:
            unmasked[name] = stored[name]
    return unmasked


def _put_back(field: str, given: Any, stored: Any) -> Any:
    if isinstance(given, dict):
        known = stored if isinstance(stored, dict) else {}
        return {name: _put_back(field, value, known.get(name)) for name, value in given.items()}
    if isinstance(given, list):
        listed = stored if isinstance(stored, list) and len(stored) == len(given) else [None] * len(given)
        return [_put_back(field, value, known) for value, known in zip(given, listed, strict=True)]
    if given == MASK and stored is None:
        raise Refusal.schema(field, f"{MASK} stands for a secret that is not known here: give the secret")
    return stored if given == MASK else given


def _with_kept(collection: str, given: Document, stored: Document) -> Document:
    """Return an entity with the secrets that it had, where none of them is given anew; raises Refusal."""
    secret = SHAPES[collection].hidden - {"config"}
    if not given.keys().isdisjoint(secret):
        return given
    if collection == "basicauth_credentials" and given.get("consumer") != stored.get("consumer"):
        _require_password(given)
    kept = {*secret, "key_id"} if collection == "keyauth_credentials" else secret
    return {**given, **{name: stored[name] for name in kept if name in stored}}


def _require_password(fields: Document) -> None:
    if not isinstance(fields.get("password"), str):
        raise Refusal.schema("password", "is needed again for another consumer: it is stored for one alone")


def _random() -> str:
    return "".join([secrets.choice(_LETTERS) for _ in range(32)])


def _delete(book: Book, collection: str, entry: Entry, changes: dict[tuple[str, str], Change]) -> None:
    if collection == "ca_certificates":
        for holder in ("services", "plugins"):
            for one in book.all(holder).values():
                if entry.id in listed_authorities(holder, one.document):
                    raise Refusal.used_by(entry.id, holder, one.id)
    changes[collection, entry.id] = Change(collection, entry.id, None)
    for child, name, below in book.referring(collection, entry.id):
        if (child, name) in _RESTRICTED:
            raise Refusal.referenced(child, collection)
        if (child, below.id) not in changes:
            _delete(book, child, below, changes)


# --- a certificate's names, which Kong takes with it ---------------------------------------------------------


def _take_snis(one: Collection, fields: Document) -> list[str] | None:
    if one.name != "certificates" or "snis" not in fields:
        return None
    given = fields.pop("snis")
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal.schema("snis", "must be a list of server names")
    return names


def _server_name(given: str, certificate: str) -> str:
    """Return a name as the loader has it; contents that do not load would keep everything behind them from running.

    Raises Refusal.
    """
    document = {"id": "", "name": given, "certificate": certificate}
    try:
        name: str = SHAPES["snis"].entity.model_validate(document, strict=True).name  # type: ignore[attr-defined]
    except ValidationError:
        raise Refusal.schema("snis", "must be a list of server names") from None
    return name


def _changed_snis(book: Book, certificate: str, given: list[str]) -> list[Change]:
    changes = []
    known = {str(entry.document.get("name")): entry for entry in book.all("snis").values()}
    names = list(dict.fromkeys(_server_name(name, certificate) for name in given))
    for name in names:
        entry = known.get(name)
        if entry is None:
            document = {"name": name, "certificate": certificate}
            changes.append(Change("snis", str(uuid.uuid4()), document))
        elif entry.document.get("certificate") != certificate:
            raise Refusal.schema("snis", f"{name} is already the name of another certificate")
    for name, entry in known.items():
        if entry.document.get("certificate") == certificate and name not in names:
            changes.append(Change("snis", entry.id, None))
    return changes
