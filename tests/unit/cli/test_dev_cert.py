"""proxyd dev-cert: what it makes, what it renews, and what it leaves alone."""

from __future__ import annotations

import stat

import pytest
import trustme
from cryptography import x509

from proxyd.cli.main import main
from proxyd.crypto.certificate import alternative_names


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command in a directory of the test's; return exit code, output and complaints."""
    directory = tmp_path / "made" / "tls"

    def command(*arguments):
        code = main(["dev-cert", "--directory", str(directory), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    command.directory = directory
    return command


def read(run, name):
    return x509.load_pem_x509_certificate((run.directory / name).read_bytes())


def test_everything_is_made(run):
    """Keys are for their owner alone; the text has the settings and nothing of a key."""
    code, out, _ = run("shop.localhost", "*.dev.test", "192.168.1.20", "localhost")
    assert code == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in run.directory.iterdir()}
    assert modes["ca.key"] == modes["cert.key"] == 0
    assert set(modes) == {"ca.key", "ca.pem", "cert.key", "cert.pem", ".gitignore"}
    assert stat.S_IMODE(run.directory.stat().st_mode) == 0o700
    certificate = read(run, "cert.pem")
    assert alternative_names(certificate) == (
        "localhost",
        "127.0.0.1",
        "::1",
        "shop.localhost",
        "*.dev.test",
        "192.168.1.20",
    )
    certificate.verify_directly_issued_by(read(run, "ca.pem"))
    assert f"PROXYD_SSL_CERT={run.directory}/cert.pem" in out
    assert "PRIVATE" not in out


def test_the_authority_stays_and_the_certificate_is_renewed(run):
    """With its names, where none are given."""
    run("shop.localhost")
    authority, before = read(run, "ca.pem"), read(run, "cert.pem")
    code, out, _ = run("--days", "30")
    after = read(run, "cert.pem")
    assert (code, read(run, "ca.pem")) == (0, authority)
    assert before.serial_number != after.serial_number
    assert "shop.localhost" in alternative_names(after)
    assert (after.not_valid_after_utc - after.not_valid_before_utc).days == 30
    assert "(as it was)" in out
    run("other.localhost")
    assert alternative_names(read(run, "cert.pem"))[3:] == ("other.localhost",)


@pytest.mark.parametrize("what", ["another certificate", "another key", "no key", "no authority", "not PEM"])
def test_what_is_not_its_own_is_left_alone(run, what):
    """Nothing is written; --force makes all of it anew."""
    run()
    if what == "another certificate":
        (run.directory / "cert.pem").write_bytes(trustme.CA().issue_cert("x.test").cert_chain_pems[0].bytes())
    elif what == "another key":
        (run.directory / "ca.key").write_bytes((run.directory / "cert.key").read_bytes())
    elif what == "not PEM":
        (run.directory / "ca.pem").write_text("mine")
    else:
        (run.directory / {"no key": "ca.key", "no authority": "ca.pem"}[what]).unlink()
    before = {path.name: path.read_bytes() for path in run.directory.iterdir()}
    code, _, complaint = run()
    assert code == 1
    assert "--force overwrites them" in complaint
    assert {path.name: path.read_bytes() for path in run.directory.iterdir()} == before
    assert run("--force")[0] == 0
    read(run, "cert.pem").verify_directly_issued_by(read(run, "ca.pem"))


@pytest.mark.parametrize("name", ["a b", "https://x", "", "*", "a.*", "x" * 64 + ".test"])
def test_what_is_no_name_is_refused(run, name):
    """Before anything is written."""
    code, _, complaint = run(name)
    assert (code, "is no host name and no address" in complaint) == (1, True)
    assert not run.directory.exists()


@pytest.mark.parametrize("days", ["0", "x", "-1", "99999"])
def test_days_are_a_number(run, days):
    """The command line is wrong otherwise."""
    with pytest.raises(SystemExit):
        run("--days", days)


def test_a_directory_that_cannot_be_made_is_told(run):
    """With its path."""
    run.directory.parent.write_text("a file")
    code, _, complaint = run()
    assert (code, "made" in complaint) == (1, True)
