"""A bucket: objects stored in a real one, and what answers of others mean."""

from __future__ import annotations

import hashlib
import os

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis_case import free_port
from s3_case import SECRET

from proxyd.errors import ProxydError
from proxyd.model.places import S3
from proxyd.telemetry.s3_bucket import Bucket
from proxyd.telemetry.shipping import StoreError


@pytest.fixture
async def bucket():
    made = []

    def make(place, timeout=20.0):
        made.append(Bucket(S3(**place), timeout, keep=True))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def put(bucket, key, body, **headers):
    await bucket.put(key, body, headers, hashlib.sha256(body).hexdigest())


async def test_an_object_is_stored_whole_however_large(bucket, s3_server, tmp_path):
    """With headers of its own, which are signed as well; a second time it is the same object."""
    body = os.urandom(3 << 20)
    one = bucket(s3_server.place)
    await one.head()
    for _ in range(2):
        await put(one, f"{tmp_path.name}/a/b.log.gz", body, **{"Content-Type": "application/gzip"})
    await put(one, f"{tmp_path.name}/c.log", b"x\n", **{"x-amz-meta-host": "gateway 1"})
    found = await s3_server.objects(f"{tmp_path.name}/")
    assert {key.partition("/")[2]: len(text) for key, text in found.items()} == {
        "a/b.log.gz": 3 << 20,
        "c.log": 2,
    }
    assert found[f"{tmp_path.name}/a/b.log.gz"] == body


@pytest.mark.parametrize(
    ("status", "headers", "text", "told"),
    [
        (500, {}, "<Error><Code>InternalError</Code></Error>", ("answered 500 InternalError", "server", 0.0)),
        (
            503,
            {"Retry-After": "7"},
            "<Error><Code>SlowDown</Code><Key>k</Key></Error>",
            ("answered 503 SlowDown", "throttled", 7.0),
        ),
        (429, {"Retry-After": "soon"}, "", ("answered 429", "throttled", 0.0)),
        (
            403,
            {},
            f"<Error><Code>AccessDenied</Code><x>{SECRET}</x></Error>",
            ("answered 403 AccessDenied", "refused", 0.0),
        ),
        (301, {"Location": "/"}, "", ("answered 301", "refused", 0.0)),
    ],
)
async def test_an_answer_says_what_to_do(bucket, status, headers, text, told):
    """Its status and code, one word for metrics, and how long to wait; nothing else of its text."""

    async def answer(request):
        await request.read()
        return web.Response(status=status, headers=headers, text=text)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    place = {"bucket": "logs", "access_key_id": "a", "secret_access_key": SECRET}
    with pytest.raises(StoreError) as caught:
        await put(bucket({**place, "endpoint": str(server.make_url("/"))}), "k", b"x")
    error = caught.value
    assert (str(error), error.kind, error.after) == told
    await server.close()


async def test_nobody_there_is_an_error_of_the_system(bucket):
    """As everywhere else."""
    place = {"bucket": "logs", "access_key_id": "a", "secret_access_key": "b"}
    with pytest.raises(ConnectionRefusedError):
        await bucket({**place, "endpoint": f"http://127.0.0.1:{free_port()}"}).head()


def test_credentials_come_from_the_settings_or_from_where_amazon_has_them(monkeypatch, tmp_path):
    """Those of the settings are not mixed with others; without any, it is an error that says what to set."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    with pytest.raises(
        ProxydError, match="there are no credentials: set access_key_id and secret_access_key"
    ):
        Bucket(S3(bucket="logs"), 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "their-token")
    assert Bucket(S3(bucket="logs"), 1.0)._credentials.session_token == "their-token"
    ours = Bucket(S3(bucket="logs", access_key_id="a", secret_access_key="ours"), 1.0)
    assert (ours._credentials.access_key_id, ours._credentials.session_token) == ("a", None)
    assert "ours" not in repr(ours)


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ({}, "https://logs.s3.us-east-1.amazonaws.com"),
        (
            {"region": "eu-central-1", "path_style": True},
            "https://s3.eu-central-1.amazonaws.com/logs",
        ),
        ({"endpoint": "http://minio:9000"}, "http://minio:9000/logs"),
        ({"endpoint": "https://s3.example/base", "path_style": False}, "https://logs.s3.example/base"),
    ],
)
def test_where_a_bucket_is(place, url):
    """In the host with Amazon, in the path of an endpoint, and otherwise as is set."""
    one = Bucket(S3(bucket="logs", access_key_id="a", secret_access_key="b", **place), 1.0)
    assert str(one._url).rstrip("/") == url
