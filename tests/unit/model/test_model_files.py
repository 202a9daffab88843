"""Files that are watched: what counts as a change, and when."""

from __future__ import annotations

import asyncio
import os

from proxyd.model.files import FileWatch, stamp_of


def watch(path):
    return FileWatch(str(path), stamp_of(str(path)))


def look(one, path, times=1):
    """Look so many times; return what stood in the file whenever it was found to have changed."""
    return [path.read_text() for _ in range(times) if one.see(stamp_of(str(path)))]


def test_a_change_counts_once_it_has_settled(tmp_path):
    """Not at the look that sees it, but at the next one that finds it the same; and once only."""
    path = tmp_path / "kong.yml"
    path.write_text("one")
    one = watch(path)
    assert look(one, path, 3) == []
    path.write_text("half of")
    assert look(one, path) == []
    path.write_text("half of two, and the rest")
    assert look(one, path) == []
    assert look(one, path, 3) == ["half of two, and the rest"]


def test_a_file_put_in_place_of_another_is_a_change(tmp_path):
    """As editors do it; while there is none, nothing happens. The same size and time do not matter."""
    path = tmp_path / "kong.yml"
    path.write_text("one")
    at = path.stat().st_mtime_ns
    one = watch(path)
    path.rename(tmp_path / "backup")
    assert look(one, path, 3) == []
    fresh = tmp_path / "fresh"
    fresh.write_text("two")
    os.utime(fresh, ns=(at, at))
    fresh.rename(path)
    assert look(one, path, 2) == ["two"]


def test_a_swapped_link_of_kubernetes_is_a_change(tmp_path):
    """The file is a link into a directory that is itself a link, which is swapped."""
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kong.yml").write_text(name)
    (tmp_path / "..data").symlink_to("v1")
    path = tmp_path / "kong.yml"
    path.symlink_to("..data/kong.yml")
    one = watch(path)
    (tmp_path / "..data_tmp").symlink_to("v2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert look(one, path, 2) == ["v2"]


def test_what_was_read_for_another_reason_is_no_news(tmp_path):
    """A signal came first."""
    path = tmp_path / "kong.yml"
    path.write_text("one")
    one = watch(path)
    path.write_text("two two")
    assert look(one, path) == []
    one.taken()
    assert look(one, path, 3) == []


async def test_it_looks_by_itself_until_it_is_stopped(tmp_path):
    """And leaves no task behind."""
    path = tmp_path / "kong.yml"
    path.write_text("one")
    changed = asyncio.Event()
    one = watch(path)
    one.start(changed.set, 0.005)
    path.write_text("another")
    async with asyncio.timeout(10):
        await changed.wait()
    assert repr(one) == f"<FileWatch {path} quiet>"
    await one.stop()
    assert repr(one) == f"<FileWatch {path} off>"
