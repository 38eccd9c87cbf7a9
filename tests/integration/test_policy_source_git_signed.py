"""Commits signed by real ssh keys: whose are taken, and whose are not."""

from __future__ import annotations

import pytest

from countersign.errors import ConfigurationError
from countersign.policy.sources import git as module
from countersign.policy.sources.git import GitSettings, GitSource, History
from policy_places import DENY, Git, allowed, ssh_key


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    at = tmp_path_factory.mktemp("people")
    return {name: ssh_key(at, name) for name in ("ann", "ben", "mallory")}


@pytest.fixture
def git(tmp_path):
    return Git(tmp_path / "repo")


@pytest.fixture
def signers(people, tmp_path):
    return allowed(tmp_path / "allowed_signers", ann=people["ann"], ben=people["ben"])


@pytest.fixture
def at(git, signers, tmp_path):
    def made(**settings) -> GitSource:
        given = {"url": str(git.path), "ref": "main", "base": tmp_path, "signers": signers}
        return GitSource(GitSettings(**(given | settings)), tmp_path / "cache")

    return made


def refused(source: GitSource, known: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        source.fetch(known)
    assert caught.value.code == "policy.signature_invalid"
    assert "git commit" in caught.value.advice
    return caught.value.message


def test_the_signer_is_named_with_the_key(git, at, people):
    git.key = people["ann"]
    commit = git.commit()
    snapshot = at().fetch("")
    assert snapshot.revision == commit
    assert snapshot.signed_by.startswith("ann@example.test (SHA256:")


def test_an_unsigned_commit_is_refused_by_name_and_the_next_signed_one_taken(git, at, people):
    git.key = people["ann"]
    first = git.commit()
    source = at()
    source.accept(source.fetch(""))
    git.key = None
    unsigned = git.commit(main_rego=DENY)
    message = refused(source, first)
    assert unsigned in message
    assert "it has no signature" in message
    git.key = people["ben"]
    signed = git.commit()
    assert source.fetch(first).revision == signed


def test_a_key_that_is_not_listed_signs_nothing(git, at, people, signers, tmp_path):
    git.key = people["mallory"]
    commit = git.commit()
    assert commit in refused(at())
    # Nor does a list in the repository, or one of the committer's own settings, count.
    theirs = allowed(git.path / "allowed_signers", ann=people["mallory"])
    git("config", "gpg.ssh.allowedSignersFile", str(theirs))
    assert git.commit() in refused(at())
    assert str(signers) in refused(at())


def test_a_signature_of_other_bytes_is_none(git, at, people):
    git.key = people["ann"]
    git.commit()
    signed = git("cat-file", "commit", "HEAD")
    forged = signed.replace("change", "forged") + "\n"
    (git.path / "forged").write_text(forged)
    other = git("hash-object", "-t", "commit", "-w", "forged")
    git("update-ref", "refs/heads/main", other)
    assert other in refused(at())


def test_a_signature_for_another_purpose_is_none(git, at, people, tmp_path):
    """The list may say what a key is for; this one is for files, not for git."""
    listed = allowed(tmp_path / "files_only", ann=people["ann"])
    listed.write_text(listed.read_text().replace('namespaces="git"', 'namespaces="file"'))
    git.key = people["ann"]
    git.commit()
    refused(at(signers=listed))


def test_openpgp_is_not_asked(git, at, people):
    """Whatever keyring this machine has, only the listed ssh keys count."""
    git.commit()
    plain = git("cat-file", "commit", "HEAD")
    head, _, message = plain.partition("\n\n")
    armour = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQEz\n -----END PGP SIGNATURE-----"
    (git.path / "forged").write_text(f"{head}\n{armour}\n\n{message}\n")
    git("update-ref", "refs/heads/main", git("hash-object", "-t", "commit", "-w", "forged"))
    refused(at())


def test_the_tip_vouches_unless_every_commit_must_be_signed(git, at, people):
    git.key = people["ann"]
    first = git.commit()
    tip, every = at(), at(history=History.EVERY)
    every.accept(every.fetch(""))
    git.key = None
    between = git.commit("by nobody", main_rego=DENY)
    git.key = people["ann"]
    last = git.commit("on top")
    assert tip.fetch(first).revision == last
    assert between in refused(every, first)


def test_what_is_merged_counts_among_every_commit(git, at, people):
    git.key = people["ann"]
    first = git.commit()
    source = at(history=History.EVERY)
    source.accept(source.fetch(""))
    git("checkout", "--quiet", "-b", "side")
    git.key = people["mallory"]
    side = git.commit("by somebody else", side_rego="package side\n")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", f"-S{people['ann']}", "-m", "merge", "side")
    assert side in refused(source, first)


def test_more_commits_than_can_be_judged_are_not(git, at, people, monkeypatch):
    git.key = people["ann"]
    first = git.commit()
    source = at(history=History.EVERY)
    source.accept(source.fetch(""))
    for _ in range(3):
        git.commit()
    monkeypatch.setattr(module, "MAX_COMMITS", 2)
    with pytest.raises(ConfigurationError, match="more than 2 commits"):
        source.fetch(first)
    monkeypatch.setattr(module, "MAX_COMMITS", 3)
    assert source.fetch(first).revision == git.head


def test_signers_who_leave_vouch_for_nothing_any_more(git, at, people, signers):
    git.key = people["ben"]
    git.commit()
    source = at()
    assert source.fetch("")
    allowed(signers, ann=people["ann"])
    refused(source)


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_list_that_is_missing_or_empty_stops_everything(git, at, people, signers, text):
    git.key = people["ann"]
    git.commit()
    signers.unlink()
    if text is not None:
        signers.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        at().fetch("")
    assert "policy.git.signers" in caught.value.message
