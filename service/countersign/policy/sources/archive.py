"""A bundle's `.tar.gz`, taken apart strictly: what is not plainly a bundle is refused.

Whoever made the archive may be hostile, so it decides neither how much memory
it takes nor where a file lies. OPA's own bundles write names with one leading
slash (`/data.json`), which is taken off; no other way to say a name is known. What
OPA would run beside Rego (WebAssembly, plans) or apply to a bundle before
(patches) is refused: only Rego and data are compiled again. Pure. Called by `bundle`.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError

MAX_FILES: Final = 10_000
MAX_GROWTH: Final = 8
"""Bytes unpacked for each byte that the archive may have."""
MANIFEST: Final = PurePosixPath(".manifest")
_MAX_NAME: Final = 512
_MAX_DEPTH: Final = 32
_MAX_REVISION: Final = 200
_PART: Final = re.compile(r"[^\x00-\x1f\x7f\\]{1,255}")
_REVISION: Final = re.compile(r"[!-~]+( [!-~]+)*")
_BLOCK: Final = tarfile.BLOCKSIZE
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME})
_MAX_EXTENDED: Final = 4 * _MAX_NAME + 512
_NOT_EXTENDED: Final = re.compile(rb"[0-9]{33}| size=|GNU\.sparse")
_NOT_REGO: Final = {
    ".wasm": "holds WebAssembly",
    "plan.json": "holds a compiled plan",
    "patch.json": "is a patch of another bundle",
}


def unpack(archive: bytes, *, max_bytes: int) -> dict[PurePosixPath, bytes]:
    """The files of a bundle by their names; `max_bytes` is what the archive may have.

    Raises `ConfigurationError`.
    """
    plain = _inflate(archive, max_bytes * MAX_GROWTH)
    _require_short_headers(plain)
    packed = io.BytesIO(plain)
    files: dict[PurePosixPath, bytes] = {}
    try:
        with tarfile.open(fileobj=packed, mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                if count > MAX_FILES:
                    raise _refused(f"has more than {MAX_FILES} entries")
                if member.isdir():
                    continue
                path = _path(member)
                if path in files:
                    raise _refused(f"has {path} twice")
                files[path] = _content(tar, member)
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError):
        raise _refused("is not a whole tar archive") from None
    if not files:
        raise _refused("is empty")
    return files


def own_revision(manifest: bytes) -> str:
    """The revision in a `.manifest`; empty if it says none that can be shown.

    Raises `ConfigurationError` when it is no manifest, or of Rego before version 1.
    """
    try:
        stated: Any = json.loads(manifest)
    except (ValueError, RecursionError):
        stated = None
    if not isinstance(stated, dict):
        raise _refused("has a .manifest that is not a JSON object")
    versions = [stated.get("rego_version", 1)]
    by_file = stated.get("file_rego_versions", {})
    versions += by_file.values() if isinstance(by_file, dict) else [by_file]
    if any(version not in (None, 1) for version in versions):
        raise _refused("is written in Rego v0", "Run `opa fmt --write --v0-v1` on its source.")
    revision = stated.get("revision", "")
    if not isinstance(revision, str) or len(revision) > _MAX_REVISION:
        return ""
    return revision if _REVISION.fullmatch(revision) else ""


def _inflate(archive: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(archive, max_bytes + 1)
    except zlib.error:
        raise _refused("is not a whole gzip file") from None
    if len(plain) > max_bytes:
        raise _refused(f"is larger than {max_bytes} bytes when unpacked")
    if not inflater.eof or inflater.unused_data:
        raise _refused("is not one whole gzip file")
    return plain


def _require_short_headers(plain: bytes) -> None:
    """Look at each header before Python's reader does.

    That one searches extended headers in time that grows with the square of their length,
    and nothing else of this process runs meanwhile; where one gives a size, it goes on
    elsewhere than the headers say.
    """
    at = count = 0
    while True:
        try:
            header = tarfile.TarInfo.frombuf(plain[at : at + _BLOCK], "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return  # the archive's end, or what is none; the reader tells which
        count += 1
        if count > 2 * MAX_FILES:
            raise _refused(f"has more than {MAX_FILES} entries")
        at += _BLOCK
        if header.size < 0:
            raise _refused("is not a whole tar archive")
        if header.type in _EXTENDED:
            _require_short(plain[at : at + header.size], header.size)
        elif not header.isdir():
            _require_file(header)
        if not header.isdir():
            at += -(-header.size // _BLOCK) * _BLOCK


def _require_short(extended: bytes, size: int) -> None:
    if size > _MAX_EXTENDED or _NOT_EXTENDED.search(extended):
        raise _refused("has a header that is more than a file's name")


def _require_file(member: tarfile.TarInfo) -> None:
    if not member.isreg() or member.issparse() or member.type == tarfile.GNUTYPE_SPARSE:
        raise _refused("has an entry that is not a plain file, such as a link")


def _path(member: tarfile.TarInfo) -> PurePosixPath:
    _require_file(member)
    name = member.name
    name = name[2:] if name.startswith("./") else name.removeprefix("/")
    parts = name.split("/")
    if len(name) > _MAX_NAME or len(parts) > _MAX_DEPTH:
        raise _refused("has an entry whose name is too long")
    if any(part in (".", "..") or not _PART.fullmatch(part) for part in parts):
        raise _refused("has an entry whose name leads elsewhere or cannot be a file's")
    _encodable(name)
    for ending, what in _NOT_REGO.items():
        if name.endswith(ending) if ending.startswith(".") else name == ending:
            raise _refused(what, "Have it made by `opa build --target rego`, without patches.")
    return PurePosixPath(name)


def _encodable(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused("has an entry whose name is not UTF-8") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise _refused("ends within a file")
    return content


def _refused(what: str, advice: str = "") -> ConfigurationError:
    return ConfigurationError(
        "policy.bundle_invalid",
        f"the policy bundle {what}",
        advice=advice or "Have it made again by `opa build --bundle`; the active one is untouched.",
    )
