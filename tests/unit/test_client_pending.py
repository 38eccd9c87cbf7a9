"""An agent that restarts finds its review again, and never acts twice."""

import json
import threading

import pytest

from countersign.client import (
    AlreadyClaimed,
    Context,
    InvalidContext,
    Outcome,
    Pending,
    PendingFileError,
    Resource,
    ReviewState,
    StillPending,
    Unavailable,
)
from countersign.client.testing import FakeClient
from countersign.client.testing.lines import FakeLine

EXPORT = Context(
    action="db.export",
    resource=Resource("table", "customers"),
    environment="production",
    actor="export-agent",
    arguments={"note": "hunter2"},
)


@pytest.fixture
def fake():
    fake = FakeClient()
    fake.needs_approval("db.export").approve_by("bob")
    return fake


@pytest.fixture
def path(tmp_path):
    return tmp_path / "export.pending"


def test_a_restarted_agent_finds_its_review_and_claims_it(fake, path):
    fake.check(EXPORT).pending.save(path)

    pending = Pending.resume(path)
    assert fake.wait(pending).state is ReviewState.APPROVED
    grant = fake.claim(pending, EXPORT)
    fake.report(grant, Outcome.SUCCEEDED)
    assert fake.reported == [(Outcome.SUCCEEDED, {})]


def test_the_file_is_private_and_holds_no_raw_data(fake, path):
    fake.check(EXPORT).pending.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"hunter2" not in path.read_bytes()
    assert b"customers" not in path.read_bytes()
    assert list(path.parent.iterdir()) == [path]
    assert Pending.resume(path).context is None


def test_the_context_is_kept_when_asked_for(fake, path):
    fake.check(EXPORT).pending.save(path, with_context=True)
    assert Pending.resume(path).context == EXPORT


def test_a_resumed_handle_without_its_context_cannot_save_it(fake, path):
    fake.check(EXPORT).pending.save(path)
    with pytest.raises(PendingFileError):
        Pending.resume(path).save(path, with_context=True)


def test_another_context_is_noticed_before_it_is_sent(fake, path):
    fake.check(EXPORT).pending.save(path)
    other = Context(
        action="db.export",
        resource=Resource("table", "salaries"),
        environment="production",
        actor="export-agent",
    )
    with pytest.raises(InvalidContext, match="not the one under review"):
        fake.claim(Pending.resume(path), other)


def test_the_claims_request_id_is_on_disk_before_it_is_sent(fake, path, monkeypatch):
    pending = fake.check(EXPORT).pending
    pending.save(path)
    fake.wait(pending)
    on_disk = []
    invoke = FakeLine._invoke

    def spy(self, call):
        if call.method == "Claim":
            on_disk.append((call.request.request_id, json.loads(path.read_text())["claims"]))
        return invoke(self, call)

    monkeypatch.setattr(FakeLine, "_invoke", spy)
    fake.claim(pending, EXPORT)
    [(sent, saved)] = on_disk
    assert saved == sent


def test_no_claim_is_sent_when_it_cannot_be_written_down(fake, path):
    pending = fake.check(EXPORT).pending
    pending.save(path)
    fake.wait(pending)
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(PendingFileError) as caught:
        fake.claim(pending, EXPORT)
    assert caught.value.code == "pending.unwritable"
    assert fake.wait(pending).state is ReviewState.APPROVED


def test_an_agent_that_died_while_claiming_does_not_act_again(fake, path):
    pending = fake.check(EXPORT).pending
    pending.save(path)
    fake.wait(pending)
    spent = fake.claim(pending, EXPORT)
    # Here it dies: perhaps before the action, perhaps after.

    resumed = Pending.resume(path)
    with pytest.raises(AlreadyClaimed) as caught:
        fake.claim(resumed, EXPORT)
    assert caught.value.permit_id == spent.permit.id
    fake.report(caught.value.permit_id, Outcome.AMBIGUOUS)
    assert fake.reported == [(Outcome.AMBIGUOUS, {})]


def test_an_agent_whose_claim_never_arrived_still_gets_its_grant(fake, path):
    pending = fake.check(EXPORT).pending
    pending.save(path)
    fake.wait(pending)
    fake.unavailable("Claim", times=1000)
    with pytest.raises(Unavailable):
        fake.claim(pending, EXPORT)
    fake.available()
    assert fake.claim(Pending.resume(path), EXPORT).permit is not None


def test_two_agents_with_one_file_act_once(fake, path):
    fake.check(EXPORT).pending.save(path)
    first, second = Pending.resume(path), Pending.resume(path)
    fake.wait(first)
    fake.claim(first, EXPORT)
    with pytest.raises(AlreadyClaimed):
        fake.claim(second, EXPORT)


def test_a_hundred_threads_with_one_handle_act_once(fake):
    pending = fake.check(EXPORT).pending
    fake.wait(pending)
    grants, refused = [], []

    def claim():
        try:
            grants.append(fake.claim(pending, EXPORT))
        except AlreadyClaimed as error:
            refused.append(error)

    threads = [threading.Thread(target=claim) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(grants) == 1
    assert {error.permit_id for error in refused} <= {grants[0].permit.id, ""}
    assert len(refused) == 99


def test_an_authorize_that_ran_out_of_time_hands_over_the_handle(path):
    fake = FakeClient()
    fake.needs_approval("db.export")
    with pytest.raises(StillPending) as caught:
        fake.authorize(EXPORT, timeout_s=60)
    caught.value.pending.save(path)
    resumed = Pending.resume(path)
    fake.point.approve(resumed.review_id, "bob")
    assert fake.claim(resumed, EXPORT).permit is not None


class TestFilesThatMustNotBeTrusted:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_open_to_others(self, fake, path, mode):
        fake.check(EXPORT).pending.save(path)
        path.chmod(mode)
        with pytest.raises(PendingFileError) as caught:
            Pending.resume(path)
        assert caught.value.code == "pending.exposed"

    @pytest.mark.parametrize(
        "text", ["", "{}", "[]", "not json", '{"format": "countersign-pending/2"}', "\udcff"]
    )
    def test_damaged(self, path, text):
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        path.chmod(0o600)
        with pytest.raises(PendingFileError) as caught:
            Pending.resume(path)
        assert caught.value.code == "pending.malformed"

    def test_cut_short(self, fake, path):
        fake.check(EXPORT).pending.save(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(PendingFileError):
            Pending.resume(path)

    def test_missing(self, path):
        with pytest.raises(PendingFileError, match="cannot be read"):
            Pending.resume(path)
