"""The file with the number of the process, and whose it is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from proxyd.errors import ConfigError
from proxyd.process import pid_file
from proxyd.process.pid_file import PidFile


def test_it_is_there_while_it_is_held(tmp_path):
    """The number stands in it; it is gone afterwards, and can be taken again."""
    path = tmp_path / "proxyd.pid"
    one = PidFile(path)
    one.release()
    for _ in range(2):
        one.take(4711)
        assert path.read_text() == "4711\n"
        assert pid_file.find(path) == 4711
        assert repr(one) == f"<PidFile {path} held>"
        one.release()
        assert not path.exists()


def test_a_living_process_keeps_its_file(tmp_path):
    """A second one is told by whom it is held, and leaves it as it is."""
    path = tmp_path / "proxyd.pid"
    first, second = PidFile(path), PidFile(path)
    first.take(4711)
    with pytest.raises(ConfigError, match=r"pid_file: .* belongs to a gateway that runs, process 4711"):
        second.take(4712)
    second.release()
    assert pid_file.find(path) == 4711
    first.release()


def test_a_stale_file_is_nobodys(tmp_path):
    """Whatever process has the number now: without the lock, the file is taken over."""
    path = tmp_path / "proxyd.pid"
    path.write_text(f"{os.getpid()}0\n")
    assert pid_file.find(path) is None
    one = PidFile(path)
    one.take(1)
    assert path.read_text() == "1\n"
    one.release()


def test_a_file_that_another_one_has_put_there_is_left(tmp_path):
    """At the end, only the file that was locked is removed."""
    path = tmp_path / "proxyd.pid"
    one = PidFile(path)
    one.take(1)
    path.unlink()
    path.write_text("2\n")
    one.release()
    assert path.read_text() == "2\n"


@pytest.mark.parametrize("kind", ["no directory", "a link"])
def test_where_it_cannot_be_written_the_setting_is_named(tmp_path, kind):
    """With path and reason; a symbolic link is not followed, for it may lead to a file of somebody else's."""
    path = tmp_path / "missing" / "proxyd.pid" if kind == "no directory" else tmp_path / "link"
    if kind == "a link":
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=rf"pid_file: cannot write {path}: "):
        PidFile(path).take(1)


@pytest.mark.parametrize("content", ["hello\n", "", "0\n", "99999999999999999999\n", "1" + " " * 40 + "2"])
def test_what_is_no_number_is_told(tmp_path, content):
    """An empty file, another one's content, and a number that no process can have."""
    path = tmp_path / "proxyd.pid"
    path.write_text(content)
    with pytest.raises(ValueError, match="holds no number of a process"):
        pid_file.find(path)


def test_what_is_no_regular_file_is_neither_waited_for_nor_removed(tmp_path):
    """Such as a device: /dev/null is what some write for none, and has to stay there."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    one = PidFile(path)
    with pytest.raises(ConfigError, match=r"pid_file: cannot write .*: it is no regular file"):
        one.take(1)
    one.release()
    assert path.is_fifo()
    with pytest.raises(ValueError, match="holds no number of a process"):
        pid_file.find(path)


def test_a_file_with_something_else_in_it_stays_as_it_is(tmp_path):
    """A path that is a mistake costs nobody the file that is there."""
    path = tmp_path / "kong.yml"
    path.write_text("_format_version: '3.0'\n")
    one = PidFile(path)
    with pytest.raises(ConfigError, match="it holds something else than the number of a process"):
        one.take(1)
    one.release()
    assert path.read_text() == "_format_version: '3.0'\n"


def test_another_users_file_is_not_used(tmp_path, monkeypatch):
    """Its owner could have commands signal any process."""
    path = tmp_path / "proxyd.pid"
    path.write_text("1\n")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    one = PidFile(path)
    with pytest.raises(ConfigError, match="it is another user's"):
        one.take(2)
    one.release()
    assert path.read_text() == "1\n"


def test_who_can_only_read_the_file_does_not_make_its_process_look_alive(tmp_path):
    """A lock for reading is no gateway's; and a new file is for its user alone."""
    path = tmp_path / "proxyd.pid"
    path.write_text("4711\n")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert pid_file.find(path) is None
    path.unlink()
    one = PidFile(path)
    one.take(4711)
    assert path.stat().st_mode & 0o777 == 0o600
    one.release()


def test_a_relative_path_is_in_the_runtime_directory():
    """Where systemd has made one; the first, where it has made several."""
    assert pid_file.locate("proxyd.pid", {"RUNTIME_DIRECTORY": "/run/proxyd:/run/two"}) == Path(
        "/run/proxyd/proxyd.pid"
    )
    assert pid_file.locate("/var/run/p.pid", {"RUNTIME_DIRECTORY": "/run/proxyd"}) == Path("/var/run/p.pid")
    assert pid_file.locate("p.pid", {}) == Path("p.pid")
