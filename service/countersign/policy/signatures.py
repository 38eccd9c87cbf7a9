"""Signatures of bundles, as `opa sign` and `opa build --signing-key` make them.

OPA itself verifies them, by `opa build --verification-key`, so that what a
signature means is its word alone. What it is given is an archive that we made of
the very bytes that are compiled afterwards, so that no other reading of the
delivered one can slip between. OPA does not compare the key's id with that of
the signature; that is done here, on what it verified.

Only signatures by a private key are known: a shared secret would have to be given
on a command line, and whoever can verify with it can sign. Blocking.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, UnusableError, run_opa
from countersign.policy.bundle import unusable

SIGNATURES: Final = PurePosixPath(".signatures.json")
_BY_OPA: Final = [("plugin", "_default")]
"""What `opa build` says beside the signature: that OPA itself made it."""
_MAX_KEY_BYTES: Final = 16_384
_MAX_WORDS: Final = 300
_ADVICE: Final = (
    "Sign it with `opa build --signing-key` or `opa sign`; the active one is untouched."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BundleKey:
    """The public key that bundles must be signed with."""

    opa: Path
    file: Path
    """PEM; read each time, so that it can be replaced."""
    algorithm: str
    """As JWA calls it: RS256, PS256, ES256, …"""
    key_id: str = ""
    """What the signature must call the key; empty: anything."""
    scope: str = ""
    """What the signature must be for; as OPA compares it."""

    def verify(self, files: Mapping[PurePosixPath, bytes]) -> str:
        """Who signed exactly these files: the key's id and fingerprint.

        Raises `ConfigurationError` unless this key signed all of them and no other.
        """
        pem = self._pem()
        if SIGNATURES not in files:
            raise _refused("is not signed, but policy.bundle.verification_key asks for it")
        token = _only_token(files)
        with tempfile.TemporaryDirectory(prefix="countersign-verify-") as scratch:
            self._ask_opa(Path(scratch), files, pem)
        named = _key_id(token)
        if self.key_id and named != self.key_id:
            raise _refused("is signed under another key id than policy.bundle.key_id")
        return (
            f"key {self.key_id or self.file.name} (sha256:{hashlib.sha256(pem).hexdigest()[:16]})"
        )

    def _ask_opa(self, scratch: Path, files: Mapping[PurePosixPath, bytes], pem: bytes) -> None:
        key, archive = scratch / "key.pem", scratch / "bundle.tar.gz"
        key.write_bytes(pem)
        archive.write_bytes(_packed(files))
        arguments = ["--verification-key", key.name, "--signing-alg", self.algorithm]
        if self.key_id:
            arguments += [f"--verification-key-id={self.key_id}"]
        if self.scope:
            arguments += [f"--scope={self.scope}"]
        command = ["build", "--bundle", archive.name, *arguments, "--output", "verified.tar.gz"]
        try:
            run_opa(self.opa, command, cwd=scratch)
        except UnusableError as error:
            raise unusable(error) from None
        except CommandError as error:
            words = error.message.removeprefix("error: ").replace(archive.name, "it")
            raise _refused(f"does not pass OPA's verification: {words[:_MAX_WORDS]}") from None

    def _pem(self) -> bytes:
        try:
            with self.file.open("rb") as file:
                pem = file.read(_MAX_KEY_BYTES + 1)
            load_pem_public_key(pem)
        except OSError as error:
            raise _bad_key(f"{self.file} cannot be read: {error.strerror}") from None
        except (ValueError, UnsupportedAlgorithm):
            raise _bad_key(f"{self.file} is not a public key in PEM") from None
        return pem


def _packed(files: Mapping[PurePosixPath, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(str(path))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _only_token(files: Mapping[PurePosixPath, bytes]) -> str:
    """The one signature, where OPA cannot find another than we do: to it `Signatures` is as good.

    Raises `ConfigurationError`.
    """
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(files[SIGNATURES], object_pairs_hook=list):
            case [("signatures", [str(token)]), *rest] if rest in ([], _BY_OPA):
                return token
    raise _refused(f"has a {SIGNATURES} that does not hold one signature and nothing else")


def _key_id(token: str) -> str | None:
    """What a verified signature calls its key: its claim, else its header."""
    try:
        head, claims = (_decoded(part) for part in token.split(".")[:2])
        found = claims.get("keyid") or head.get("kid")
    except (ValueError, TypeError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _refused(what: str) -> ConfigurationError:
    return ConfigurationError(
        "policy.signature_invalid", f"the policy bundle {what}", advice=_ADVICE
    )


def _bad_key(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "policy.key_invalid",
        f"policy.bundle.verification_key: {problem}",
        advice="`openssl pkey -in signing.pem -pubout` writes the public key of a private one.",
    )
