"""What a review needs that is slow to make: previews and fingerprints.

Made before the transaction, from the raw context while it is still in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from countersign import canonical
from countersign.flow.judge import Judgement
from countersign.flow.parts import Parts
from countersign.model import Preview, ReviewId, new_id


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a review needs that is slow to make."""

    id: ReviewId
    fingerprint: str
    base_fingerprint: str
    previews: Mapping[str, Preview]


def draft_review(parts: Parts, judgement: Judgement) -> Draft | None:
    """Make the previews and fingerprints; None when policy asks for nobody."""
    requirement = judgement.decision.requirement
    if requirement is None:
        return None
    key, caller = parts.store.key, judgement.caller
    review_id = ReviewId(new_id("rev"))
    tag_key = bytes.fromhex(canonical.keyed_hash(key, "tag/review", review_id.encode()))
    previews = {
        profile: parts.sanitizer.preview(
            judgement.context,
            judgement.findings,
            profile=profile,
            policy_mask=judgement.decision.mask,
            must_show=requirement.must_show,
            tag_key=tag_key,
        )
        for profile in sorted(set(requirement.profiles.values()))
    }
    scope = (caller.tenant.encode(), caller.id.encode())
    base = judgement.context.to_json()
    del base["reason"], base["session"]
    return Draft(
        id=review_id,
        fingerprint=canonical.keyed_hash(key, "fingerprint", *scope, judgement.context_bytes),
        base_fingerprint=canonical.keyed_hash(
            key, "fingerprint/base", *scope, canonical.encode(base)
        ),
        previews=previews,
    )
