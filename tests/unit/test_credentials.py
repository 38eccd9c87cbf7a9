"""Tokens say what they are, and a credential file is private or refused."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.credentials import (
    MAX_TOKEN_FILE_BYTES,
    Credential,
    SubjectKind,
    new_token,
    proof_of_account,
    proof_of_mtls,
    proof_of_token,
    read_credential,
    read_token_file,
    token_hash,
    token_kind,
    toml_string,
    write_credential,
)
from countersign.errors import ConfigurationError

MTLS_PROOF = "mtls:30d8966438ba15f631db6712208bcc2fcaf6b30c0031971d3666ddde462f6ac2"
ACCOUNT_PROOF = "account:b47a0ecda61b4284f9088b38c0afb69c1fd56bf7c07d0390ebd6dfc7a30c6d28"


def private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_token_carries_256_random_bits_and_says_whose_it_is() -> None:
    caller, person = new_token(SubjectKind.CALLER), new_token(SubjectKind.PERSON)
    assert caller.startswith("csc_")
    assert person.startswith("csp_")
    assert len(base64.urlsafe_b64decode(caller[4:] + "=")) == 32
    assert token_kind(caller) is SubjectKind.CALLER
    assert token_kind(person) is SubjectKind.PERSON
    channel = new_token(SubjectKind.CHANNEL)
    assert channel.startswith("csh_")
    assert token_kind(channel) is SubjectKind.CHANNEL
    assert len({new_token(SubjectKind.CALLER) for _ in range(100)}) == 100


def test_only_a_whole_canonical_token_is_a_token() -> None:
    token = new_token(SubjectKind.CALLER)
    assert token_kind(token[:-1] + "A") is SubjectKind.CALLER
    for wrong in (
        "",
        token[:-1],
        token + "A",
        token + "\n",
        " " + token,
        token[:-1] + "B",  # spare bits set: another spelling of the same 256 bits
        token.replace("csc_", "csx_"),
        token.replace("csc_", "CSC_"),
        token[:10] + "é" + token[11:],
        token[:10] + "\ud800" + token[11:],
    ):
        assert token_kind(wrong) is None


def test_the_hash_covers_the_prefix_so_a_caller_token_is_never_a_persons() -> None:
    token = new_token(SubjectKind.CALLER)
    assert token_hash(token) == hashlib.sha256(token.encode()).hexdigest()
    assert token_hash(token) != token_hash(token.replace("csc_", "csp_", 1))


def test_a_proof_names_one_way_in_for_ever_and_shows_nothing_of_it() -> None:
    # Stores remember these: they must never change.
    assert proof_of_token("ab" * 32) == f"token:{'ab' * 32}"
    assert proof_of_mtls("spiffe://acme/agent") == MTLS_PROOF
    assert proof_of_account("https://login.example", "00u1") == ACCOUNT_PROOF
    for proof in (MTLS_PROOF, ACCOUNT_PROOF):
        assert re.fullmatch(r"(mtls|account):[0-9a-f]{64}", proof)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_two_accounts_never_have_one_proof(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (proof_of_account(*one) == proof_of_account(*other)) == (one == other)
    assert proof_of_account(*one) != proof_of_mtls(one[0])


def test_what_is_written_is_read_back_and_only_the_owner_can(tmp_path: Path) -> None:
    written = Credential(
        endpoint="127.0.0.1:7443",
        token=new_token(SubjectKind.CALLER),
        ca_file=tmp_path / 'a "quoted" \\ näme',
    )
    path = tmp_path / "agent.toml"
    before = os.umask(0)
    try:
        write_credential(path, written)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_credential(path) == written


def test_a_credential_is_never_overwritten(tmp_path: Path) -> None:
    path = private(tmp_path / "agent.toml", "precious")
    credential = Credential(endpoint="localhost:1", token=new_token(SubjectKind.PERSON))
    with pytest.raises(ConfigurationError) as refused:
        write_credential(path, credential)
    assert refused.value.code == "credential.exists"
    assert path.read_text() == "precious"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError):
        write_credential(tmp_path / "link", credential)
    assert not (tmp_path / "elsewhere").exists()


def test_writing_where_nobody_may_says_so(tmp_path: Path) -> None:
    credential = Credential(endpoint="localhost:1", token=new_token(SubjectKind.PERSON))
    with pytest.raises(ConfigurationError) as refused:
        write_credential(tmp_path / "none" / "agent.toml", credential)
    assert refused.value.code == "credential.unwritable"


def test_a_failing_disk_leaves_no_half_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    credential = Credential(endpoint="localhost:1", token=new_token(SubjectKind.PERSON))
    with pytest.raises(ConfigurationError, match="No space left"):
        write_credential(tmp_path / "agent.toml", credential)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_file_others_can_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    token = new_token(SubjectKind.CALLER)
    path = private(tmp_path / "agent.toml", f'endpoint = "localhost:1"\ntoken = "{token}"\n')
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as refused:
        read_credential(path)
    assert refused.value.code == "credential.exposed"
    assert f"chmod 600 {path}" in refused.value.advice
    path.chmod(0o400)
    assert read_credential(path).token == token


def test_file_names_start_at_the_credential_file(tmp_path: Path) -> None:
    path = private(
        tmp_path / "agent.toml",
        'endpoint = "[::1]:7443"\nca_file = "ca.pem"\ncert_file = "/tls/c.pem"\nkey_file = "k"\n',
    )
    credential = read_credential(path)
    assert credential.token is None
    assert credential.ca_file == tmp_path / "ca.pem"
    assert credential.cert_file == Path("/tls/c.pem")
    assert credential.key_file == tmp_path / "k"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("token = TOKEN", "is not TOML (at line 1, column 9)"),
        ("token = \xff", "not TOML"),
        ('token = "TOKEN"', "endpoint is missing"),
        ('endpoint = "h:1"', "token is missing"),
        ('endpoint = "https://h:1"\ntoken = "TOKEN"', "endpoint must be"),
        ('endpoint = "h"\ntoken = "TOKEN"', "endpoint must be"),
        ('endpoint = 7\ntoken = "TOKEN"', "endpoint must be a string"),
        ('endpoint = "h:1"\ntoken = "TOKENx"', "token is not a whole token"),
        ('endpoint = "h:1"\ntoken = ["TOKEN"]', "token must be a string"),
        ('endpoint = "h:1"\ntoken = "TOKEN"\ncert_file = "c"', "give both or neither"),
        ('endpoint = "h:1"\ntoken = "TOKEN"\ntoken_file = "t"', "token, token_file exclude"),
        ('endpoint = "h:1"\nTOKEN = "x"', "unknown key"),
        ("x = " + "[" * 20_000, "not TOML"),
        ("#" * 70_000, "longer than"),
    ],
)
def test_a_wrong_file_is_refused_by_field_and_never_shows_the_token(
    tmp_path: Path, text: str, names: str
) -> None:
    token = new_token(SubjectKind.CALLER)
    path = tmp_path / "agent.toml"
    path.write_bytes(text.replace("TOKEN", token).encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        read_credential(path)
    assert refused.value.code == "credential.malformed"
    assert names in str(refused.value)
    assert str(path) in str(refused.value)
    assert token not in str(refused.value)
    assert refused.value.__suppress_context__


# --- token files --------------------------------------------------------------------


def jwt() -> str:
    """The shape of one; whether it is good is for the server to say."""
    header = base64.urlsafe_b64encode(b'{"alg":"EdDSA"}').decode().rstrip("=")
    return f"{header}.{os.urandom(12).hex()}.{os.urandom(12).hex()}"


def test_a_token_file_starts_at_the_credential_file_too(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    text = 'endpoint = "h:1"\ntoken_file = "../token"\n'
    path = private(tmp_path / "keys" / "agent.toml", text)
    credential = read_credential(path)
    assert credential.token is None
    assert credential.token_file == tmp_path / "keys" / "../token"
    write_credential(tmp_path / "copy.toml", credential)
    assert read_credential(tmp_path / "copy.toml") == credential


def test_a_jwt_is_not_pasted_but_pointed_at() -> None:
    token = jwt()
    with pytest.raises(ConfigurationError, match="name that file as token_file") as refused:
        Credential(endpoint="h:1", token=token)
    assert token not in str(refused.value)


@pytest.mark.parametrize("newline", ["", "\n", "\r\n"])
@pytest.mark.parametrize("token", [jwt(), new_token(SubjectKind.CALLER)], ids=["jwt", "own"])
def test_a_token_file_holds_one_token_and_at_most_a_newline(
    tmp_path: Path, token: str, newline: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes((token + newline).encode())
    path.chmod(0o600)
    read, seen = read_token_file(path)
    assert read == token
    assert os.path.samestat(seen, path.stat())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("TOKEN\n\n", "one whole token"),
        (" TOKEN", "one whole token"),
        ("Bearer TOKEN", "one whole token"),
        ("TOKEN\r\nx-other: 1", "one whole token"),
        ("TOKEN TOKEN", "one whole token"),
        ("TOKEN.more", "one whole token"),
        ('{"access_token": "TOKEN"}', "one whole token"),
        ("TOK\xc3\xa9EN", "one whole token"),
        ("not.a.token", "one whole token"),
        ("TOKEN" + "A" * MAX_TOKEN_FILE_BYTES, "is longer than"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, text: str, names: str) -> None:
    token, path = jwt(), tmp_path / "token"
    path.write_bytes(text.replace("TOKEN", token).encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=names) as refused:
        read_token_file(path)
    assert refused.value.code == "credential.malformed"
    assert str(path) in refused.value.message
    assert "rename" in refused.value.advice
    assert not any(part in str(refused.value) for part in token.split(".")[1:])


def test_a_token_file_that_is_no_file_makes_nobody_wait(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file") as refused:
        read_token_file(tmp_path / "none")
    assert refused.value.code == "credential.unreadable"
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        read_token_file(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_token_file(tmp_path)


ME, SOMEBODY = 1000, 1001


@pytest.mark.parametrize(
    ("owner", "mode", "is_trusted"),
    [
        (ME, 0o600, True),
        (ME, 0o400, True),
        (ME, 0o640, False),
        (ME, 0o604, False),
        (0, 0o640, True),  # as Kubernetes does with an fsGroup
        (0, 0o440, True),
        (0, 0o660, False),
        (0, 0o650, False),
        (0, 0o644, False),
        (0, 0o642, False),
        (SOMEBODY, 0o600, False),
        (SOMEBODY, 0o640, False),
    ],
)
def test_in_whose_hands_a_token_file_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, is_trusted: bool
) -> None:
    path, look = private(tmp_path / "token", jwt()), os.fstat
    path.chmod(mode)

    def as_if_owned(descriptor: int) -> os.stat_result:
        seen = list(look(descriptor))
        seen[4] = owner
        return os.stat_result(seen)

    monkeypatch.setattr(os, "fstat", as_if_owned)
    monkeypatch.setattr(os, "geteuid", lambda: ME)
    if is_trusted:
        read_token_file(path)
        return
    with pytest.raises(ConfigurationError) as refused:
        read_token_file(path)
    assert refused.value.code == "credential.exposed"
    assert ("fsGroup" in refused.value.advice) == (owner != SOMEBODY)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read") as refused:
        read_credential(tmp_path / "none.toml")
    assert refused.value.code == "credential.unreadable"


def test_a_credential_does_not_show_its_token() -> None:
    token = new_token(SubjectKind.PERSON)
    credential = Credential(endpoint="unix:/run/countersign.sock", token=token)
    assert token not in repr(credential)
    assert token not in f"{credential}"
    assert "unix:/run/countersign.sock" in repr(credential)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text: str) -> None:
    import tomllib

    assert tomllib.loads(f"x = {toml_string(text)}") == {"x": text}


def test_the_client_can_import_it_with_the_standard_library_alone() -> None:
    source = Path(sys.modules["countersign.credentials"].__file__ or "").parents[1]
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORT, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


_IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import countersign.credentials"
