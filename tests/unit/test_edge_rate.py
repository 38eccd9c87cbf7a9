"""Rates: of a credential, of a tenant, and of the person behind calls."""

from __future__ import annotations

import pytest

from countersign.edge import rate
from countersign.edge.rate import NO_LIMIT, RateLimit
from countersign.errors import ExhaustedError
from countersign.model import PersonId, TenantId

ACME, OTHER = TenantId("acme"), TenantId("other")
UMA, TOM = PersonId("uma"), PersonId("tom")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def sent(limit: RateLimit, tries: int, *subject: str, tenant: TenantId = ACME) -> list[str]:
    """What each of some requests was refused for; empty when it was not."""
    found = []
    for _ in range(tries):
        try:
            limit.spend(tenant, "Caller", *(subject or ("agent",)))
            found.append("")
        except ExhaustedError as error:
            found.append(error.code)
    return found


def test_a_burst_and_then_so_many_a_second() -> None:
    clock = Clock()
    limit = RateLimit(2, 3, clock)
    assert sent(limit, 5) == ["", "", "", "caller.rate", "caller.rate"]
    clock.now += 0.5
    assert sent(limit, 2) == ["", "caller.rate"]
    clock.now += 3600
    assert sent(limit, 4) == ["", "", "", "caller.rate"]


def test_each_credential_has_its_own_and_none_means_no_limit() -> None:
    limit = RateLimit(1, 1, Clock())
    assert sent(limit, 2) == ["", "caller.rate"]
    assert sent(limit, 2, "other-agent") == ["", "caller.rate"]
    assert sent(limit, 2, tenant=OTHER) == ["", "caller.rate"]
    limit.spend(ACME, "Person", "agent")
    assert sent(RateLimit(0, 1, Clock()), 3) == [""] * 3


def test_a_tenants_machines_share_what_is_the_tenants() -> None:
    clock = Clock()
    limits = {ACME: (1.0, 3)}
    limit = RateLimit(1, 2, clock, tenant_limits=lambda tenant: limits.get(tenant, NO_LIMIT))
    assert sent(limit, 2) == ["", ""]
    assert sent(limit, 2, "other-agent") == ["", "tenant.rate"]
    assert sent(limit, 2, tenant=OTHER) == ["", ""]
    limits[ACME] = NO_LIMIT
    clock.now += 1
    assert sent(limit, 1) == [""]


def test_one_credential_that_is_refused_takes_nothing_from_its_tenant() -> None:
    limit = RateLimit(1, 1, Clock(), tenant_limits=lambda _: (1.0, 2))
    assert sent(limit, 50)[1:] == ["caller.rate"] * 49
    assert sent(limit, 1, "other-agent") == [""]


def test_nobody_gets_more_by_going_through_several_callers() -> None:
    clock = Clock()
    limit = RateLimit(0, 1, clock, person_limit=(1.0, 2))
    for _ in range(2):
        limit.spend_for_person(ACME, UMA)
    with pytest.raises(ExhaustedError) as error:
        limit.spend_for_person(ACME, UMA)
    assert error.value.code == "person.rate"
    limit.spend_for_person(ACME, TOM)
    limit.spend_for_person(OTHER, UMA)
    clock.now += 1
    limit.spend_for_person(ACME, UMA)
    for _ in range(9):
        RateLimit(0, 1, clock).spend_for_person(ACME, UMA)


def test_when_there_are_too_many_only_who_was_away_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate, "MAX_BUCKETS", 2)
    limit = RateLimit(1, 1, Clock())
    assert sent(limit, 1, "first") == [""]
    assert sent(limit, 1, "second") == [""]
    assert sent(limit, 1, "first") == ["caller.rate"]
    assert sent(limit, 1, "third") == [""]
    assert sent(limit, 1, "first") == ["caller.rate"]
    assert sent(limit, 1, "second") == [""]
