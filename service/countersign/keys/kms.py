"""A key in AWS KMS: key spec ECC_NIST_EDWARDS25519, signing algorithm ED25519_SHA_512.

The message goes to KMS as it is (`RAW`, at most 4,096 bytes; permits, checkpoints and
receipts have less than two thousand). Credentials and region come by the ordinary AWS
chain; the permissions needed are kms:GetPublicKey and kms:Sign on that key. Calls
block. boto3 comes with the extra `s3`; import this after `audit.s3.require` or a like.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from countersign.keys.external import REST_S, SIGNATURE_BYTES, unavailable
from countersign.signing import SigningError


class KmsKey:
    """One key, by its id, ARN or alias. `setting` names it in errors."""

    def __init__(
        self,
        setting: str,
        key_id: str,
        *,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks for the public key. Raises `SigningError`."""
        self._setting = setting
        self._key_id = key_id
        self._clock = clock
        self._rests_until = 0.0
        try:
            self._client: Any = boto3.client(
                "kms",
                config=Config(
                    connect_timeout=deadline_s / 2,
                    read_timeout=deadline_s / 2,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                ),
            )
            der = self._client.get_public_key(KeyId=key_id)["PublicKey"]
        except (BotoCoreError, ClientError, KeyError) as error:
            raise self._problem(error) from None
        self._public = self._read(der)

    def public_key(self) -> Ed25519PublicKey:
        """As KMS said at the start."""
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes, not verified yet. Raises `SigningError`."""
        if self._clock() < self._rests_until:
            raise self._unsigned("did not sign a moment ago")
        try:
            answer = self._client.sign(
                KeyId=self._key_id,
                Message=data,
                MessageType="RAW",
                SigningAlgorithm="ED25519_SHA_512",
            )
            signed = bytes(answer["Signature"])
        except (BotoCoreError, ClientError, KeyError) as error:
            self._rests_until = self._clock() + REST_S
            raise self._problem(error) from None
        if len(signed) != SIGNATURE_BYTES:
            raise self._unsigned("answers with something that is no signature")
        return signed

    def _read(self, der: bytes) -> Ed25519PublicKey:
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise self._unsigned("holds another sort of key than ECC_NIST_EDWARDS25519")
        return key

    def _problem(self, error: Exception) -> SigningError:
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", code))[:64]
        return self._unsigned(f"refuses or cannot be reached ({code})")

    def _unsigned(self, problem: str) -> SigningError:
        advice = "May this role do kms:GetPublicKey and kms:Sign with it, in this region?"
        return unavailable(self._setting, f"AWS KMS {problem}", advice)
