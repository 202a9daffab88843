"""Tokens of those who administer the gateway, as settings give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from proxyd.model import units

Role = Literal["viewer", "operator", "admin"]
SHORTEST: Final = 20  # characters of a secret: what a person thinks up is shorter


@dataclass(frozen=True, slots=True)
class AdminToken:
    """Who has the secret has the role."""

    role: Role
    secret: str = field(repr=False)


def parse_tokens(value: object) -> tuple[AdminToken, ...]:
    """Return the tokens in words such as ``viewer:SECRET``; raises ValueError, which never holds one."""
    tokens = []
    for number, word in enumerate(units.words(value), 1):
        role, colon, secret = word.partition(":")
        if role not in get_args(Role) or not colon:
            raise ValueError(
                f"token {number} must be ROLE:SECRET", f"a role is one of {', '.join(get_args(Role))}"
            )
        if any(character.isspace() for character in secret):
            raise ValueError(f"token {number} holds white space", "tokens are separated by commas")
        if len(secret) < SHORTEST:
            raise ValueError(
                f"token {number} is too short: {SHORTEST} characters at least", "openssl rand -hex 24"
            )
        tokens.append(AdminToken(cast("Role", role), secret))
    return tuple(tokens)
