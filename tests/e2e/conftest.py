"""The cast of the end-to-end stories."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from service import Service

POLICY = Path(__file__).with_name("policy")
TAIL_CHARACTERS = 4000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the services of a failed story wrote: the reason is often there."""
    report = yield
    if report.failed:
        for service in Service.open:
            said = service.said[-TAIL_CHARACTERS:]
            report.sections.append((f"{service.directory.parent.name} said", said))
    return report


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Service]:
    """A service with the stories' policy and people, not started yet.

    alice owns the agent and may approve others' actions; bob and carol may
    approve; dave and erin may not; oscar, olga and his agent are another tenant.
    """
    with Service(tmp_path / "countersign", policy=POLICY) as service:
        register(service)
        yield service


@pytest.fixture
def running(prepared: Service) -> Service:
    return prepared.start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for the stories of a file that leave it as it was.

    Each story has a table of its own, so that none meets another's reviews.
    """
    with Service(tmp_path_factory.mktemp("shared") / "countersign", policy=POLICY) as service:
        register(service)
        yield service.start()


@pytest.fixture
def examples(tmp_path: Path) -> Iterator[Service]:
    """A service with the example policies that `countersign init` writes."""
    with Service(tmp_path / "countersign") as service:
        register(service)
        yield service


def register(service: Service) -> None:
    service.person("alice", "approvers", "data-owners")
    service.person("bob", "approvers", "data-owners")
    service.person("carol", "approvers", "security")
    service.person("dave")
    service.person("erin")
    service.person("oscar", "approvers", tenant="other")
    service.person("olga", "approvers", tenant="other")
    service.caller("agent", "alice")
    service.caller("cousin", "dave", actors=("agent",))
    service.caller("gateway", "dave", audience="gateway")
    service.caller("stranger", "oscar", tenant="other", actors=("agent",))
