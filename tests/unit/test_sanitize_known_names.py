"""Facts clean a name once: what is kept of it is plain words, and a bounded number of them."""

from countersign.sanitize import Sanitizer, free


def test_a_masked_name_is_masked_each_time_and_only_plain_words_are_kept():
    kept = Sanitizer()._free
    for _ in range(2):
        clean = kept.cleaner()
        assert clean("invoices") == "invoices"
        assert clean("bob@x.example") == "[EMAIL]"
        assert clean("table_17") == "table_17"
    assert kept._known_names == {"invoices"}


def test_only_so_many_names_are_kept(monkeypatch):
    monkeypatch.setattr(free, "_MAX_KNOWN_NAMES", 2)
    kept = Sanitizer()._free
    clean = kept.cleaner()
    assert [clean(name) for name in ("one", "two", "three")] == ["one", "two", "three"]
    assert kept._known_names == {"one", "two"}
