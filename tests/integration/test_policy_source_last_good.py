"""What was accepted last is there when the source is not, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import zlib

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.bundle import build
from countersign.policy.signatures import BundleKey
from countersign.policy.sources.bundle import BundleSource
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.sources.git import GitSettings, GitSource
from countersign.policy.sources.http import HttpPlace
from countersign.policy.sources.last_good import LastGood
from countersign.policy.sources.unsigned import Unsigned
from policy_places import ALLOW, DENY, Git, Web, allowed, bundle, keys, ssh_key, written


class World:
    """A web server with a signed bundle, and the service's own directory."""

    def __init__(self, web: Web, tmp_path) -> None:
        self.web, self.at = web, tmp_path
        self.private, self.public = keys(tmp_path)
        self.cache = tmp_path / "cache"
        self.kept = self.cache / "accepted.json"
        self.url = f"{web.url}/b.tar.gz"

    def publish(self, rego: str, revision: str) -> None:
        policy = written(self.at / "p", main_rego=rego)
        options = ["--signing-key", str(self.private)]
        path = bundle(policy, self.at / "b.tar.gz", *options, revision=revision)
        self.web.body = path.read_bytes()

    def vanish(self) -> None:
        self.web.answer = lambda request: request.send_error(503)

    def source(self) -> LastGood:
        """As after a start of the service."""
        place = HttpPlace(self.url, token=None, ca=None, deadline_s=10, max_bytes=1 << 20)
        key = BundleKey(opa=realparts.opa(), file=self.public, algorithm="RS256")
        return LastGood(BundleSource(place, key), self.cache)

    def accepted(self, revision: str = "1") -> None:
        self.publish(ALLOW, revision)
        source = self.source()
        source.accept(source.fetch(""))


@pytest.fixture
def world(tmp_path):
    with Web().running() as web:
        yield World(web, tmp_path)


def refused(source: LastGood, known: str = "") -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        source.fetch(known)
    return caught.value


def test_a_service_starts_with_it_when_the_source_is_away_and_says_so(world, caplog):
    world.accepted()
    world.vanish()
    source = world.source()
    snapshot = source.fetch("")
    assert snapshot.revision == "1"
    assert f"bundle {world.url}, last accepted on disk at 20" in snapshot.origin
    assert snapshot.signed_by.startswith("key signing.pub.pem")
    assert "503" in caplog.text
    assert build(realparts.opa(), snapshot).revision == "1"
    for known in (snapshot.version, ""):  # running, it goes on saying so
        assert "503" in refused(source, known).message
    world.web.answer = world.web.serve
    back = source.fetch(snapshot.version)  # fetched and verified again, though it is the same
    assert (back.files, back.origin) == (snapshot.files, f"bundle {world.url}")
    assert source.fetch(back.version) is None


def test_it_starts_with_it_when_what_is_there_is_not_trusted(world, caplog):
    world.accepted()
    path = bundle(written(world.at / "p", main_rego=DENY), world.at / "b.tar.gz", revision="2")
    world.web.body = path.read_bytes()
    assert world.source().fetch("").revision == "1"
    assert "not signed" in caplog.text


def test_what_was_never_accepted_is_not_kept(world):
    world.publish(ALLOW, "1")
    assert world.source().fetch("")
    assert world.source().kept() is None
    world.vanish()
    assert refused(world.source()).code == "policy.unreachable"


def test_it_is_the_last_accepted_one_even_after_a_roll_back(world):
    world.publish(ALLOW, "1")
    source = world.source()
    first = source.fetch("")
    source.accept(first)
    world.publish(DENY, "2")
    second = source.fetch(first.version)
    assert source.kept().revision == "1"
    source.accept(second)
    assert source.kept().revision == "2"
    source.accept(first)
    assert source.kept().revision == "1"
    source.accept(source.kept())
    assert source.kept().version == f"kept/{first.version}"


def test_under_another_key_or_address_it_vouches_for_nothing(world):
    world.accepted()
    world.vanish()
    good = world.public.read_bytes()
    _, other = keys(world.at, "other")
    world.public.write_bytes(other.read_bytes())
    with pytest.raises(ConfigurationError, match="would not be accepted now"):
        world.source().kept()
    assert "would not be accepted now" in refused(world.source()).message
    world.public.write_bytes(good)
    world.url += ".other"
    assert world.source().kept() is None
    assert refused(world.source()).code == "policy.unreachable"
    world.url = world.url.removesuffix(".other")
    assert world.source().fetch("").revision == "1"


@pytest.mark.parametrize("part", ["version", "evidence"])
def test_what_was_put_there_with_a_hash_of_its_own_lacks_the_signature(world, part):
    world.accepted()
    world.vanish()
    policy = written(world.at / "forged", main_rego=DENY)
    forged = bundle(policy, world.at / "forged.tar.gz", revision="1").read_bytes()
    said = json.loads(world.kept.read_bytes().partition(b"\n")[2])
    said["evidence"] = base64.b64encode(forged).decode()
    if part == "version":
        said["version"] = f"sha256:{hashlib.sha256(forged).hexdigest()}"
    body = json.dumps(said).encode()
    world.kept.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    error = refused(world.source())
    assert "would not be accepted now" in error.message
    assert ("not signed" in error.message) == (part == "version")


@pytest.mark.parametrize("where", [0, 70, -100])
def test_one_changed_byte_is_refused_and_not_served(world, where):
    world.accepted()
    world.vanish()
    data = bytearray(world.kept.read_bytes())
    data[where] ^= 1
    world.kept.write_bytes(data)
    error = refused(world.source())
    assert "damaged" in error.message
    assert "503" in error.message


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", hashlib.sha256(b"").hexdigest().encode()])
def test_what_is_cut_short_is_refused(world, data):
    world.accepted()
    world.vanish()
    world.kept.write_bytes(data)
    assert refused(world.source()).code == "policy.unreachable"
    with pytest.raises(ConfigurationError, match=r"damaged|another version"):
        world.source().kept()


def test_another_form_of_it_is_refused(world):
    world.accepted()
    body = json.dumps({"schema": "countersign/policy-kept/v9"}).encode()
    world.kept.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(ConfigurationError, match="another version"):
        world.source().kept()


def test_nobody_else_may_read_or_have_written_it(world, tmp_path):
    world.accepted()
    assert stat.S_IMODE(world.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.cache.stat().st_mode) == 0o700
    world.kept.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others than its owner"):
        world.source().kept()
    world.kept.chmod(0o600)
    world.cache.chmod(0o770)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        raise_again(world.source())
    world.cache.chmod(0o700)
    world.kept.rename(tmp_path / "elsewhere")
    world.kept.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        world.source().kept()


def raise_again(source: LastGood) -> None:
    """With the advice in the text."""
    try:
        source.kept()
    except ConfigurationError as error:
        raise ConfigurationError(error.code, str(error)) from None


def test_a_disk_that_takes_nothing_leaves_the_old_one_whole(world, monkeypatch):
    world.accepted("1")
    before = world.kept.read_bytes()
    world.publish(DENY, "2")
    source = world.source()
    second = source.fetch("")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            source.accept(second)
    assert world.kept.read_bytes() == before
    assert [path.name for path in world.cache.iterdir()] == ["accepted.json"]


def test_a_revision_is_not_reused_over_a_restart(world):
    world.accepted("1.4")
    world.publish(DENY, "1.4")
    source = world.source()
    assert "last accepted on disk" in source.fetch("").origin
    assert refused(source, "kept/x").code == "policy.revision_reused"


# --- a directory, of which people approve each version ---


def test_a_directory_is_there_as_it_was_accepted_whatever_it_says_now(tmp_path):
    policy = written(tmp_path / "p", sub__data_json="{}")

    def source() -> LastGood:
        return LastGood(Unsigned(DirectorySource(policy)), tmp_path / "cache")

    first = source()
    accepted = first.fetch("")
    first.accept(accepted)
    written(policy, main_rego=DENY)
    again = source().kept()
    assert (again.files, again.revision) == (accepted.files, accepted.revision)
    assert "last accepted on disk" in again.origin
    assert source().fetch("").files != accepted.files
    shutil.rmtree(policy)
    assert source().fetch("").files == accepted.files


# --- git ---


class Repository:
    """A signed repository, and a source of it as after a start of the service."""

    def __init__(self, at) -> None:
        self.at = at
        self.git = Git(at / "repo")
        self.git.key = ssh_key(at, "ann")
        self.signers = allowed(at / "signers", ann=self.git.key)
        self.commit = self.git.commit()
        first = self.source()
        first.accept(first.fetch(""))
        self.git.path.rename(at / "gone")

    def source(self) -> LastGood:
        url = str(self.git.path)
        settings = GitSettings(url=url, ref="main", base=self.at, signers=self.signers)
        return LastGood(GitSource(settings, self.at / "cache"), self.at / "cache")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_git_repository_that_is_away_is_started_without(repository):
    snapshot = repository.source().fetch("")
    assert snapshot.revision == repository.commit
    assert "last accepted on disk" in snapshot.origin
    assert snapshot.signed_by.startswith("ann@example.test")


def test_a_signer_who_left_vouches_for_nothing_kept(repository):
    allowed(repository.signers, ben=ssh_key(repository.at, "ben"))
    assert "would not be accepted now" in refused(repository.source()).message


def test_objects_of_the_cache_that_are_not_what_they_are_called_are_refused(repository):
    [cached] = (repository.at / "cache").glob("git-*")
    [pack] = cached.glob("objects/pack/*.pack")
    data = pack.read_bytes()
    shutil.rmtree(cached / "objects" / "pack")
    git = ["git", "--git-dir", str(cached)]
    subprocess.run([*git, "unpack-objects", "-q"], input=data, check=True, timeout=60)
    assert repository.source().fetch("").revision == repository.commit
    hashed = [*git, "hash-object", "--stdin"]
    told = subprocess.run(hashed, input=ALLOW.encode(), capture_output=True, check=True, timeout=60)
    blob = told.stdout.decode().strip()
    stored = cached / "objects" / blob[:2] / blob[2:]
    stored.chmod(0o600)
    stored.write_bytes(zlib.compress(b"blob %d\0" % len(DENY) + DENY.encode()))
    assert "cannot be read from the cache" in refused(repository.source()).message


def test_a_cache_that_was_emptied_has_nothing(repository):
    [cached] = (repository.at / "cache").glob("git-*")
    shutil.rmtree(cached)
    assert "is not in the cache any more" in refused(repository.source()).message
