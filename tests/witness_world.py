"""Logs that grow and fork, and what they send to a witness."""

import dataclasses

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import LOG_ID, SIGNER
from countersign.audit.cosignature import WitnessSigner
from countersign.audit.merkle import Frontier, consistency_proof, leaf_hash, perfect_root
from countersign.audit.note import Checkpoint, Note, sign
from countersign.audit.plan import checkpoint_name, witnessed_name
from countersign.audit.trust import Trust, TrustedLog
from countersign.audit.witness.request import Request

WITNESS = WitnessSigner(
    name="witness.example/w1", key=Ed25519PrivateKey.from_private_bytes(bytes([7] * 32))
)
TRUST = Trust(logs=(TrustedLog(verifier=SIGNER.verifier),))


def cosign(log, size, time_s, *, note=None, pointer=False, signer=WITNESS):
    """Keep the checkpoint of that size as cosigned at that time, as the service does."""
    plain = note or Note.parse((log / checkpoint_name(size)).read_bytes())
    line = dataclasses.replace(
        signer.cosign(plain, time_s), name=WITNESS.name, key_id=WITNESS.public.key_id
    )
    data = Note(text=plain.text, signatures=(*plain.signatures, line)).encode()
    path = log / witnessed_name(size, WITNESS.public.key_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    if pointer:
        (log / "checkpoint").write_bytes(data)
    return path


class Tree:
    """A log's leaves, and what may be said of their beginnings."""

    def __init__(self, *entries):
        self.leaves = [leaf_hash(entry) for entry in entries]

    @classmethod
    def of(cls, count, word=b"record"):
        return cls(*(b"%s %d" % (word, number) for number in range(count)))

    def forked_at(self, size, count):
        """Another history that begins with the same `size` records."""
        other = Tree.of(count, b"other")
        other.leaves[:size] = self.leaves[:size]
        return other

    def root(self, size):
        return Frontier().extend(self.leaves[:size]).root()

    def proof(self, old, new):
        def read(level, index):
            return perfect_root(self.leaves[index << level : (index + 1) << level])

        return consistency_proof(old, new, read) if 0 < old <= new else ()

    def head(self, size, origin=LOG_ID):
        return Checkpoint(origin=origin, size=size, root=self.root(size))

    def note(self, size, signer=SIGNER, origin=LOG_ID):
        return sign(self.head(size, origin).text(), [signer])

    def request(self, old, new, *, proof=None, signer=SIGNER, origin=LOG_ID):
        return Request(
            old=old,
            proof=self.proof(old, new) if proof is None else proof,
            note=self.note(new, signer, origin),
            head=self.head(new, origin),
        )
