from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from pathlib import Path

import pytest
import trustme
import uvloop

from proxyd.crypto.certificate import TlsError, read_pem
from proxyd.errors import GatewayError, Kind, Retry
from proxyd.upstream.connector import Endpoint, dial
from proxyd.upstream.tls import Contexts, TlsInputs, make_context


class Client(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(None)

    async def close(self):
        self.transport.abort()
        await self.lost


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a test's body on each loop, and see that no socket is left open by it."""

    def run(coroutine):
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.sleep(0))  # the first loop of a process opens descriptors that stay
        before = descriptors()
        with asyncio.Runner(loop_factory=factory) as runner:
            result = runner.run(coroutine)
        gc.collect()
        assert descriptors() == before
        return result

    return run


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_context(authority, *names, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def pem(blob):
    return blob.bytes().decode()


def trusting(authority, **fields):
    return make_context(TlsInputs(verify=True, authorities=(pem(authority.cert_pem),), **fields))


@contextlib.asynccontextmanager
async def serving(tls=None, path=None):
    """Serve; yields the port, and what is taken of each connection's first line."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError):
            while await reader.read(100):
                pass
        writer.close()

    if path:
        server = await asyncio.start_unix_server(serve, path)
        yield 0
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.01)  # the streams' own clean-up


async def failure(endpoint, limit=5.0):
    with pytest.raises(GatewayError) as caught:
        await dial(endpoint, Client, limit)
    assert caught.value.retry is Retry.SAFE
    return caught.value


def test_connects(run):
    """A TCP connection is made, without Nagle's delay."""

    async def body():
        async with serving() as port:
            client = await dial(Endpoint("127.0.0.1", port), Client, 5)
            sock = client.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            await client.close()

    run(body())


def test_connects_to_a_unix_socket(run, tmp_path):
    """A path takes the place of host and port."""

    async def body():
        path = str(tmp_path / "s")
        async with serving(path=path):
            client = await dial(Endpoint("", 0, path), Client, 5)
            await client.close()
        error = await failure(Endpoint("", 0, str(tmp_path / "none")))
        assert (error.kind, error.cause) == (
            Kind.CONNECT_FAILED,
            f"unix:{tmp_path}/none: No such file or directory",
        )

    run(body())


def test_refused(run):
    """A closed port is a refusal."""

    async def body():
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can listen there meanwhile
            port = holder.getsockname()[1]
            error = await failure(Endpoint("127.0.0.1", port))
        assert (error.kind, error.status) == (Kind.CONNECT_REFUSED, 502)
        assert error.cause == f"127.0.0.1:{port}: connection refused"

    run(body())


def test_timeout(run):
    """A listener whose queue is full is given up after the timeout."""

    async def body():
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            for _ in range(8):  # more than the queue holds
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            error = await failure(Endpoint("127.0.0.1", port), 0.1)
        assert (error.kind, error.status) == (Kind.CONNECT_TIMEOUT, 504)
        assert error.cause == f"127.0.0.1:{port}: no connection within 0.1 s"

    run(body())


def test_timeout_covers_the_handshake(run):
    """A peer that accepts and says nothing is given up, and its connection closed."""

    async def body():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            error = await failure(Endpoint("127.0.0.1", port, tls=make_context(TlsInputs())), 0.1)
            listener.setblocking(False)
            accepted, _ = listener.accept()
            with accepted:
                await until_closed(accepted)
        assert error.kind is Kind.CONNECT_TIMEOUT

    run(body())


async def until_closed(sock):
    """Read what came, until the other side has closed."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            while await loop.sock_recv(sock, 4096):
                pass


def test_cancelled(run):
    """A dial that is given up by its caller leaves no connection behind, whichever step it was in."""

    async def body():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
            port = listener.getsockname()[1]
            for tls in (None, make_context(TlsInputs())):
                for turns in range(6):
                    task = asyncio.ensure_future(dial(Endpoint("127.0.0.1", port, tls=tls), Client, 5))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
                    if isinstance(outcome, Client):
                        await outcome.close()
                    else:
                        assert isinstance(outcome, asyncio.CancelledError)
            while True:
                try:
                    accepted, _ = listener.accept()
                except BlockingIOError:
                    break
                with accepted:
                    await until_closed(accepted)

    run(body())


def test_verified(run, authority):
    """A certificate that leads to the given CA and carries the name is accepted; ALPN is offered."""

    async def body():
        tls = server_context(authority, "api.test")
        tls.set_alpn_protocols(["h2", "http/1.1"])
        async with serving(tls) as port:
            client = await dial(
                Endpoint("127.0.0.1", port, tls=trusting(authority), server_name="api.test"), Client, 5
            )
            connection = client.transport.get_extra_info("ssl_object")
            assert connection.selected_alpn_protocol() == "http/1.1"
            assert connection.version() in {"TLSv1.2", "TLSv1.3"}
            await client.close()

    run(body())


def test_verified_by_address(run, authority):
    """Without a name, the certificate must carry the address."""

    async def body():
        async with serving(server_context(authority, "127.0.0.1")) as port:
            client = await dial(Endpoint("127.0.0.1", port, tls=trusting(authority)), Client, 5)
            await client.close()

    run(body())


def test_unverified(run, authority):
    """With verification off, any certificate will do."""

    async def body():
        async with serving(server_context(authority, "other.test")) as port:
            endpoint = Endpoint("127.0.0.1", port, tls=make_context(TlsInputs()), server_name="api.test")
            client = await dial(endpoint, Client, 5)
            await client.close()

    run(body())


def test_bad_certificates(run, authority):
    """An unknown CA and a wrong name are told apart in the cause."""

    async def body():
        async with serving(server_context(authority, "api.test")) as port:
            unknown = await failure(
                Endpoint("127.0.0.1", port, tls=trusting(trustme.CA()), server_name="api.test")
            )
            mismatch = await failure(
                Endpoint("127.0.0.1", port, tls=trusting(authority), server_name="web.test")
            )
        assert (unknown.kind, mismatch.kind) == (Kind.TLS_FAILED, Kind.TLS_FAILED)
        assert "certificate verify failed: unable to get local issuer certificate" in unknown.cause
        assert "certificate verify failed: Hostname mismatch" in mismatch.cause
        assert mismatch.cause.endswith("not valid for 'web.test'")

    run(body())


def test_chain_depth(run, authority):
    """A chain with more intermediates than allowed is refused."""

    async def body():
        intermediate = authority.create_child_ca()
        async with serving(server_context(intermediate, "api.test")) as port:
            accepted = trusting(authority, depth=1)
            client = await dial(Endpoint("127.0.0.1", port, tls=accepted, server_name="api.test"), Client, 5)
            await client.close()
            error = await failure(
                Endpoint("127.0.0.1", port, tls=trusting(authority, depth=0), server_name="api.test")
            )
        assert error.kind is Kind.TLS_FAILED
        assert error.cause.endswith("certificate chain too long: 1 intermediates, 0 accepted")

    run(body())


def test_plain_text_peer(run):
    """A peer that speaks no TLS is a TLS failure, not a refusal."""

    async def body():
        async def greet(reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        error = await failure(Endpoint("127.0.0.1", port, tls=make_context(TlsInputs())))
        server.close()
        await asyncio.sleep(0.01)
        assert error.kind is Kind.TLS_FAILED
        assert "TLS handshake failed: wrong version number" in error.cause

    run(body())


def test_peer_that_hangs_up_in_the_handshake(run):
    """A connection that ends within the handshake is a TLS failure."""

    async def body():
        async def hang_up(reader, writer):
            await reader.read(10)
            writer.transport.abort()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        error = await failure(Endpoint("127.0.0.1", port, tls=make_context(TlsInputs())))
        server.close()
        await asyncio.sleep(0.01)
        assert error.kind is Kind.TLS_FAILED

    run(body())


def test_client_certificate(run, authority):
    """The configured certificate is shown to a peer that asks for one."""

    async def body():
        client_ca = trustme.CA()
        own = client_ca.issue_cert("gateway.test")
        chain = "".join(pem(blob) for blob in own.cert_chain_pems)
        with_own = make_context(TlsInputs(certificate=chain, key=pem(own.private_key_pem)))
        async with serving(server_context(authority, "api.test", client_ca=client_ca)) as port:
            client = await dial(Endpoint("127.0.0.1", port, tls=with_own), Client, 5)
            client.transport.write(b"x")
            await asyncio.sleep(0.05)  # a refusal would arrive after a TLS 1.3 handshake has ended
            assert not client.lost.done()
            await client.close()

    run(body())


def test_unusable_material():
    """Broken certificates and keys are refused when the context is made."""
    with pytest.raises(TlsError, match="CA certificate is not usable"):
        make_context(TlsInputs(verify=True, authorities=("-----BEGIN CERTIFICATE-----\nx",)))
    with pytest.raises(TlsError, match="client certificate is not usable"):
        make_context(TlsInputs(certificate="-----BEGIN CERTIFICATE-----\nx", key="-----BEGIN"))
    own, other = (trustme.CA().issue_cert("a.test") for _ in range(2))
    with pytest.raises(TlsError, match="the key is not the certificate's"):
        make_context(TlsInputs(certificate=pem(own.cert_chain_pems[0]), key=pem(other.private_key_pem)))


def test_contexts_are_shared_by_their_inputs():
    """Equal inputs share a context, others do not, and unused ones are forgotten."""
    contexts = Contexts()
    first = contexts.get(TlsInputs())
    assert contexts.get(TlsInputs()) is first
    assert contexts.get(TlsInputs(verify=True)) is not first
    contexts.keep({first})
    assert repr(contexts) == "<Contexts 1>"
    assert contexts.get(TlsInputs()) is first


def test_verification_settings(authority):
    """A verifying context checks the name and wants TLS 1.2 at least; an own key stays out of repr."""
    context = trusting(authority)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert "secret" not in repr(TlsInputs(certificate="c", key="secret"))


def test_pem_as_text_or_path(tmp_path):
    """PEM text is itself; anything else is a path, whose errors are told."""
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    assert read_pem("-----BEGIN X") == "-----BEGIN X"
    assert read_pem(str(path)) == "-----BEGIN CERTIFICATE-----"
    with pytest.raises(TlsError, match="No such file or directory"):
        read_pem(str(tmp_path / "none.pem"))
    path.write_text("hello")
    with pytest.raises(TlsError, match="holds no PEM certificate or key"):
        read_pem(str(path))


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (Endpoint("10.0.0.1", 80), "10.0.0.1:80"),
        (Endpoint("::1", 80), "[::1]:80"),
        (Endpoint("", 0, "/run/a"), "unix:/run/a"),
    ],
)
def test_endpoints_are_named(endpoint, text):
    """An endpoint is written as people write it."""
    assert str(endpoint) == text
