"""A review that waits for people, and how to find it again after a restart.

Invariant 5 in the client. Every claim has a request id of its own, so a replayed
answer can only be this very call's lost reply. The id is written to the saved
file *before* the claim is sent: whoever resumes the file claims under a new id,
and when the approval turns out to be spent, the old ids tell by which permit
(`AlreadyClaimed`). No permit got that way is ever acted on.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from countersign import canonical
from countersign.canonical import StrictJsonError
from countersign.client.context import Context
from countersign.client.errors import InvalidContext, PendingFileError
from countersign.client.values import ReviewStatus
from countersign.model import new_id

_FORMAT: Final = "countersign-pending/1"
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


class Pending:
    """The handle of one review. `save` it and a restarted agent can `resume` it."""

    def __init__(
        self,
        *,
        review_id: str,
        decision_id: str,
        digest: bytes,
        salt: bytes,
        context: Context | None = None,
        status: ReviewStatus | None = None,
        claims: Sequence[str] = (),
        path: Path | None = None,
    ) -> None:
        self.review_id = review_id
        self.decision_id = decision_id
        self.context = context
        """What was checked; None when resumed from a file without it."""
        self.status = status
        """The newest snapshot seen; None right after `resume`."""
        self._digest = digest
        self._salt = salt
        self._claims = tuple(claims)
        self._path = path
        """Where it is saved, if it is."""
        self._with_context = path is not None and context is not None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Pending {self.review_id}>"

    @classmethod
    def of(
        cls, status: ReviewStatus, *, context: Context, decision_id: str, salt: bytes
    ) -> Pending:
        """The handle of a review that a Check opened or found open."""
        return cls(
            review_id=status.review_id,
            decision_id=decision_id,
            digest=canonical.commitment(context.canonical_bytes, salt),
            salt=salt,
            context=context,
            status=status,
        )

    def require_same(self, context: Context) -> None:
        """Raise `InvalidContext` unless this is the context under review."""
        digest = canonical.commitment(context.canonical_bytes, self._salt)
        if not hmac.compare_digest(digest, self._digest):
            raise InvalidContext(
                "context",
                "is not the one under review; pass it exactly as it was checked, "
                "or check the new one",
                code="claim.mismatch",
            )

    def begin_claim(self) -> tuple[str, tuple[str, ...]]:
        """A request id for one claim, on disk before it is used, and the earlier ones."""
        with self._lock:
            earlier, request_id = self._claims, new_id("clm")
            if self._path is not None:
                self._write(self._path, claims=(*earlier, request_id))
            self._claims = (*earlier, request_id)
            return request_id, earlier

    # --- on disk -------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, with_context: bool = False) -> None:
        """Write the handle to a file only its owner can read (mode 0600).

        Without the context the file holds ids and a salted digest; whoever
        resumes passes the context to `claim` again. `with_context=True` puts
        the raw arguments on this disk, which is your choice to make. The file
        is kept up to date from here on; remove it when the action is reported.
        """
        if with_context and self.context is None:
            raise PendingFileError(
                "pending.no_context", "this handle was resumed without its context"
            )
        with self._lock:
            self._with_context = with_context
            self._write(Path(path), claims=self._claims)
            self._path = Path(path)

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> Pending:
        """Find a saved review again. Raises `PendingFileError`."""
        file = Path(path)
        return _decode(file, _read_private(file))

    def _write(self, path: Path, *, claims: Sequence[str]) -> None:
        document = {
            "format": _FORMAT,
            "review_id": self.review_id,
            "decision_id": self.decision_id,
            "digest": self._digest.hex(),
            "salt": self._salt.hex(),
            "claims": " ".join(claims),
            "context": "",
        }
        if self._with_context and self.context is not None:
            document["context"] = base64.b64encode(self.context.canonical_bytes).decode()
        _replace_private(path, json.dumps(document, indent=1).encode())


def _decode(path: Path, data: bytes) -> Pending:
    malformed = PendingFileError(
        "pending.malformed",
        f"{path} is not a saved review",
        advice="Name a file that Pending.save wrote; if it is damaged, check the action again.",
    )
    try:
        document = canonical.parse_object(data)
        texts = {key: value for key, value in document.items() if isinstance(value, str)}
        if texts["format"] != _FORMAT:
            raise malformed
        context = base64.b64decode(texts["context"], validate=True)
        return Pending(
            review_id=texts["review_id"],
            decision_id=texts["decision_id"],
            digest=bytes.fromhex(texts["digest"]),
            salt=bytes.fromhex(texts["salt"]),
            claims=texts["claims"].split(),
            context=Context.from_canonical(context) if context else None,
            path=path,
        )
    except (KeyError, ValueError, StrictJsonError, InvalidContext):
        raise malformed from None


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise PendingFileError(
                    "pending.exposed",
                    f"{path} can be used by others than its owner (mode {mode:04o})",
                    advice=f"Run: chmod 600 {path}, after making sure that nobody changed it.",
                )
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise PendingFileError(
            "pending.unreadable",
            f"{path} cannot be read: {error.strerror}",
            advice="Name a file that Pending.save wrote and that belongs to this user.",
        ) from error


def _replace_private(path: Path, data: bytes) -> None:
    """Put a whole new 0600 file in place, on disk before this returns."""
    draft = path.with_name(f"{path.name}.{new_id('draft')}")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        if os.name == "posix":
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    except OSError as error:
        raise PendingFileError(
            "pending.unwritable",
            f"{path} cannot be written: {error.strerror}",
            advice="Name a file in an existing directory that this user may write to.",
        ) from error
