"""A bundle is taken apart strictly: nothing leads elsewhere or grows without bound."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import PurePosixPath

import pytest

from countersign.errors import ConfigurationError
from countersign.policy.sources import archive as archives
from countersign.policy.sources.archive import own_revision, unpack
from policy_places import archive

REGO = b"package countersign\n"
MAX = 1 << 20


def entry(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def refused(data: bytes, *, max_bytes: int = MAX) -> str:
    with pytest.raises(ConfigurationError) as caught:
        unpack(data, max_bytes=max_bytes)
    assert caught.value.code == "policy.bundle_invalid"
    assert caught.value.advice
    return caught.value.message


def test_files_keep_their_places_and_opas_leading_slash_is_taken_off():
    made = archive(
        ("/data.json", b"{}"),
        ("./a/b/data.json", b"[]"),
        entry("a", tarfile.DIRTYPE),
        ("x.rego", REGO),
    )
    assert unpack(made, max_bytes=MAX) == {
        PurePosixPath("data.json"): b"{}",
        PurePosixPath("a/b/data.json"): b"[]",
        PurePosixPath("x.rego"): REGO,
    }


@pytest.mark.parametrize(
    "name",
    [
        *("../x.rego", "a/../../x.rego", "/../x.rego", "//etc/x.rego", "./../x.rego", ".//x.rego"),
        *("a/./x.rego", "a//x.rego", "a\\..\\x.rego", "a\x01.rego", "a\n.rego", "..", "."),
        *("x" * 256 + ".rego", "/".join("d" * 33) + "/x.rego", "\udcff.rego"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    assert "name" in refused(archive((name, REGO)))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "data.json"),
        (tarfile.LNKTYPE, "data.json"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
    ],
)
def test_links_and_devices_are_refused(kind, target):
    made = archive(("data.json", b"{}"), entry("x.rego", kind, target))
    assert "not a plain file" in refused(made)


def test_two_entries_of_one_name_are_refused_however_it_is_said():
    assert "twice" in refused(archive(("x.rego", REGO), ("/x.rego", b"package other\n")))


@pytest.mark.parametrize(
    "name", ["policy.wasm", "/policy.wasm", "a/x.wasm", "plan.json", "patch.json"]
)
def test_what_opa_would_run_beside_rego_is_refused(name):
    assert "opa build" in _advice(archive(("x.rego", REGO), (name, b"\0")))


def _advice(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        unpack(data, max_bytes=MAX)
    return caught.value.advice


def test_a_bomb_is_not_unpacked():
    bomb = gzip.compress(bytes(9 << 20))
    assert len(bomb) < 16_384
    assert "larger than" in refused(bomb, max_bytes=1 << 20)
    within = archive(("data.json", b'"' + b" " * (1 << 20) + b'"'), ("x.rego", REGO))
    assert len(unpack(within, max_bytes=1 << 20)) == 2


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    four = archive(*((f"{number}.rego", REGO) for number in range(4)))
    assert "more than 3 entries" in refused(four)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        gzip.compress(b"not tar" * 200),
        gzip.compress(b""),
        archive(("x.rego", REGO))[:-9],
        archive(("x.rego", REGO)) + b"more",
        archive(("x.rego", REGO)) + archive(("y.rego", REGO)),
        archive(entry("a", tarfile.DIRTYPE)),
    ],
    ids=["empty", "no gzip", "no tar", "of nothing", "cut", "more", "two", "no files"],
)
def test_what_is_no_whole_archive_is_refused(data):
    assert refused(data)


def test_a_file_that_is_cut_within_the_tar_is_refused():
    plain = io.BytesIO(gzip.decompress(archive(("x.rego", b"package x\n" * 400)))).read(1024)
    assert refused(gzip.compress(plain))


def extended(content: bytes, *, size: int | None = None) -> bytes:
    """An archive with one file, after an extended header that says this."""
    header, file = tarfile.TarInfo("x"), tarfile.TarInfo("x.rego")
    header.type, header.size = tarfile.XHDTYPE, len(content) if size is None else size
    head = header.tobuf(tarfile.GNU_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")
    return gzip.compress(head + file.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 1024)


@pytest.mark.parametrize(
    "content",
    [b"1" * 1000, b"1" * 2_000_000, b"16 path=a/x.rego" * 1000, b"12 size=512\n"],
    ids=["digits", "many digits", "long", "size"],
)
def test_an_extended_header_that_is_more_than_a_name_is_refused(content):
    """Python's reader would search two million digits for hours, and answer nobody meanwhile."""
    assert "header" in refused(extended(content), max_bytes=16 * MAX)


def test_a_negative_size_leads_nowhere():
    assert refused(extended(b"", size=-512))


def test_a_long_name_is_read_in_either_format():
    name = "/".join(["d" * 60] * 4) + "/é.rego"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", format=form) as tar:
            member = tarfile.TarInfo(name)
            member.size = len(REGO)
            tar.addfile(member, io.BytesIO(REGO))
        assert unpack(packed.getvalue(), max_bytes=MAX) == {PurePosixPath(name): REGO}


def test_a_sparse_file_is_refused():
    member = tarfile.TarInfo("x.rego")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x.rego",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        content = b"1\n0\n1000000000000\n".ljust(512, b"\0")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    assert refused(packed.getvalue())


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"revision": "4f2a"}, "4f2a"),
        ({"revision": "release 7", "roots": ["elsewhere"], "rego_version": 1}, "release 7"),
        ({}, ""),
        ({"revision": 7}, ""),
        ({"revision": "\x1b[31mred"}, ""),
        ({"revision": "é"}, ""),
        ({"revision": "x" * 201}, ""),
    ],
)
def test_a_manifest_gives_a_revision_that_can_be_shown_or_none(stated, found):
    assert own_revision(json.dumps(stated).encode()) == found


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"rego_version": 0}',
        b'{"file_rego_versions": {"/x.rego": 0}}',
        b"[" * 9999,
    ],
)
def test_a_manifest_of_something_else_is_refused(manifest):
    with pytest.raises(ConfigurationError):
        own_revision(manifest)
