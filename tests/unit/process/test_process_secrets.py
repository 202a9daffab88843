"""What a running gateway still knows of the secrets in its file."""

from __future__ import annotations

import gc
import secrets

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.model.load import load
from proxyd.process.worker import Worker

SETTINGS = {
    "proxy_listen": "127.0.0.1:0",
    "status_listen": "127.0.0.1:0",
    "admin_listen": "off",
    "proxy_access_log": "off",
}
TEXT = """\
_format_version: "3.0"
_transform: %s
consumers:
  - username: ann
    keyauth_credentials: [{key: "k-%s"}]
    basicauth_credentials: [{username: ann, password: "p-%s"}]
    hmacauth_credentials: [{username: ann, secret: "h-%s"}]
plugins: [{name: key-auth}, {name: basic-auth}]
"""


def write(path, odd, transform="true"):
    """Write a file whose secrets are ``odd`` backwards: the test itself never holds them."""
    path.write_text(TEXT % (transform, *[odd[::-1]] * 3))


def found(odd):
    """Return the beginnings of all texts with the secret in them that something in the process refers to."""
    gc.collect()
    secret = odd[::-1]
    texts, untracked = {}, gc.get_referents(*gc.get_objects())
    while untracked:  # a dictionary of texts is in no list of the collector's
        inner = [one for one in untracked if not gc.is_tracked(one) and id(one) not in texts]
        texts.update((id(one), one) for one in inner)
        untracked = gc.get_referents(*inner)
    texts = [one for one in texts.values() if type(one) in (str, bytes, bytearray)]
    clear = (one if isinstance(one, str) else bytes(one).decode("latin-1") for one in texts)
    return sorted({one[one.index(secret) - 2 :][:2] for one in clear if secret in one and one != secret})


@pytest.mark.parametrize("transform", ["true", "false"])
async def test_keys_and_passwords_are_gone_after_the_load(tmp_path, transform):
    """At the start and after a reload nothing holds them; a secret that signatures need is kept, and not shown."""
    odd, other = secrets.token_hex(), secrets.token_hex()
    file = tmp_path / "kong.yml"

    def read():
        return load(file, env={}, plugins=plugin_configs(), overrides=SETTINGS)

    write(file, odd, transform)
    worker = Worker(read(), read)
    await worker.start()
    assert found(odd) == ["h-"]
    write(file, other, transform)
    assert await worker.reload()
    assert [one for one in found(odd) + found(other) if one != "h-"] == []
    assert odd[::-1] not in repr(vars(worker))
    await worker.stop()
