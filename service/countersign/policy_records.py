"""What every log says about policy: which version answers, and which was refused and why.

Policy is everybody's, so each tenant's log names the revision and its bundle. Who asked,
where it came from and in which words it was refused stands in the log of the tenant
whose operators see to it (invariant 12). Used by `app`.
"""

from __future__ import annotations

from collections.abc import Collection

from countersign.flow.notices import notice
from countersign.model import JsonObject, TenantId
from countersign.policy.versions import Change, Result
from countersign.store.protocol import Store

KIND = "policy.changed"


async def policy_changed(
    store: Store, change: Change, tenants: Collection[TenantId], keeper: TenantId
) -> None:
    """Record a change in every tenant's log; `keeper` is the one that sees to policy."""
    told = {tenant: _told(change, whole=tenant == keeper) for tenant in sorted(tenants)}
    answers = change.attempt.result in (Result.ACTIVATED, Result.ROLLED_BACK)
    attached = [change.active.bundle.archive] if answers and change.active else []
    await notice(store, KIND, told, attached=attached)


def _told(change: Change, *, whole: bool) -> JsonObject:
    attempt, active, before = change.attempt, change.active, change.before
    told: JsonObject = {"result": attempt.result.value}
    details: JsonObject = {}
    if whole:
        details = {"origin": attempt.origin, "signed_by": attempt.signed_by}
        if attempt.review:
            told["review"] = attempt.review
        if attempt.by:
            told["by"] = attempt.by
    if active is not None:
        told["revision"] = active.revision
    if attempt.result in (Result.ACTIVATED, Result.ROLLED_BACK):
        if active is not None:
            told["bundle"] = active.bundle.sha256
        if before is not None:
            told["before"] = before.revision
        return {**told, **_given(details)}
    # `revision` goes on naming what answers; what does not answer stands apart.
    details |= {"revision": attempt.revision, "code": attempt.code}
    if whole:
        details["message"] = attempt.message
    about = "proposed" if attempt.result is Result.PROPOSED else "refused"
    return {**told, about: _given(details)}


def _given(told: JsonObject) -> JsonObject:
    return {name: value for name, value in told.items() if value}
