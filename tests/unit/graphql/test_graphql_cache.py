"""Documents that are kept: within bounds, and those that are asked for longer than those that were once."""

from __future__ import annotations

from proxyd.graphql.cache import MAX_REFUSED, Cache
from proxyd.graphql.document import Document
from proxyd.graphql.refusal import Refused


def kept(cache, *texts):
    """Keep documents that are new."""
    for text in texts:
        cache.keep(Document(text))


def test_a_document_that_is_asked_for_again_outlives_those_that_are_not():
    """However many new ones come."""
    cache = Cache(max_documents=100)
    kept(cache, "{ real }")
    assert cache.find("{ real }").text == "{ real }"
    kept(cache, *(f"{{ a{i} }}" for i in range(1000)))
    assert cache.find("{ real }") is not None
    assert cache.find("{ a0 }") is None
    assert cache.find("{ a999 }") is not None
    assert repr(cache).startswith("<Cache documents=2+19 ")


def test_the_bytes_of_all_documents_are_bounded():
    """A few large ones are as much as many small ones."""
    cache = Cache(max_size=100_000)
    kept(cache, "{ small }", *(f"{{ a{i} }} #" + "x" * 5000 for i in range(10)))
    assert cache.find("{ small }") is None
    cache = Cache(max_size=100_000)
    for i in range(100):
        text = f"{{ a{i} }} #" + "x" * 5000
        kept(cache, text)
        assert cache.find(text) is not None
    assert cache._size_kept <= 80_000
    assert cache._size_new <= 20_000
    assert len(cache._kept) == 80_000 // Document("{ a } #" + "x" * 5000).size


def test_what_was_asked_for_of_late_has_a_second_chance():
    """Of those that are kept, the one goes that nobody has asked for since."""
    cache = Cache(max_documents=5)  # four of which are kept for good
    for name in "abcd":
        kept(cache, f"{{ {name} }}")
        cache.find(f"{{ {name} }}")
    cache.find("{ a }")
    kept(cache, "{ e }")
    cache.find("{ e }")
    assert [text for text in ("{ a }", "{ c }", "{ d }", "{ e }") if text not in cache._kept] == []
    assert list(cache._new) == ["{ b }"]


def test_refusals_are_kept_without_their_texts():
    """A thousand of them."""
    cache = Cache()
    for i in range(MAX_REFUSED + 1):
        cache.keep_refused(str(i), Refused(400, "A", "b"))
    assert cache.find_refused("0") is None
    assert cache.find_refused("1").code == "A"


def test_all_is_forgotten():
    """Another schema holds."""
    cache = Cache()
    kept(cache, "{ a }", "{ b }")
    cache.find("{ a }")
    cache.keep_refused("x", Refused(400, "A", "b"))
    cache.clear()
    assert repr(cache) == "<Cache documents=0+0 bytes=0+0 refused=0>"
    assert (cache.find("{ a }"), cache.find("{ b }"), cache.find_refused("x")) == (None, None, None)
