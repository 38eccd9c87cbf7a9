"""Commands through `countersign exec`: bound to the byte, started once, or not at all.

Real processes; the service is the SDK's fake. The real one is in `test_exec_e2e`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from countersign.client import Outcome, Person, Resource, Timing
from countersign.client.testing import FakeClient
from countersign.executor import Asked, Journal, Refused, Wanted, enforce, paths
from countersign.executor.command import argument_vector, changed, environment
from countersign.executor.resolve import MAX_BOUND_BYTES, resolve
from countersign.executor.run import Signals, Stopped, run

ASKED = Asked(
    action="deploy.rollback",
    resource=Resource("deployment", "shop"),
    environment="production",
    actor="exec",
    on_behalf_of=(Person("ada"),),
    reason="the last release loses orders",
)
SH = "/bin/sh"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
NOBODY = 65534


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of this user's alone."""
    tmp_path.chmod(0o700)
    return tmp_path.resolve()


@pytest.fixture
def fake() -> FakeClient:
    """A service at which bob approves what is asked."""
    fake = FakeClient(timing=Timing(call_s=0.01, report_s=0.01))
    fake.needs_approval("deploy.rollback").approve_by("bob")
    return fake


class Told:
    """Collects what the executor says, and does something when it starts to wait."""

    def __init__(self, meanwhile=lambda: None):
        self.words: list[str] = []
        self.meanwhile = meanwhile

    def __call__(self, words: str) -> None:
        self.words.append(words)
        if words.startswith("waiting"):
            self.meanwhile()


def shell(script: str, place: Path, **more) -> Wanted:
    return Wanted(argv=(SH, "-c", script), cwd=str(place), **more)


def program(path: Path, content: str = "#!/bin/sh\necho ran >> ran\n", mode: int = 0o755) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def command_of(wanted: Wanted):
    with resolve(wanted) as found:
        return found.command


def refused(wanted: Wanted) -> Refused:
    with pytest.raises(Refused) as error, resolve(wanted):
        pass
    return error.value


def start(wanted: Wanted, **more):
    signals = Signals()
    with resolve(wanted) as found, signals.handled():
        signals.hold()
        return run(found, signals, timeout_s=more.get("timeout_s"))


# --- what is bound ------------------------------------------------------------------


def test_the_context_says_all_that_decides_what_happens(place: Path) -> None:
    script = program(place / "roll back.sh")
    bound = program(place / "values.yaml", "replicas: 3\n", 0o644)
    command = command_of(
        Wanted(
            argv=(str(script), "--to", "41"),
            cwd=str(place),
            env={"REGION": "eu"},
            files=("values.yaml",),
            stdin=b"yes\n",
            again_after="pmt_1",
        )
    )
    interpreter = os.path.realpath(SH)
    assert command.arguments() == {
        "argv": [str(script), "--to", "41"],
        "program": {"path": str(script), "sha256": sha256(script)},
        "interpreter": {"path": interpreter, "sha256": sha256(Path(interpreter))},
        "files": [f"{sha256(bound)}  {bound}"],
        "env": {"REGION": "eu"},
        "cwd": str(place),
        "stdin": {
            "length": 4,
            "sha256": hashlib.sha256(b"yes\n").hexdigest(),
            "text": "yes\n",
        },
        "run_as": command.run_as.to_json(),
        "again_after": "pmt_1",
    }
    assert command.run_as.uid == os.geteuid()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_not_there_is_not_in_the_context(place: Path) -> None:
    """An empty `env` would keep a command from being known to read only."""
    assert set(command_of(shell("true", place)).arguments()) == {
        "argv",
        "cwd",
        "program",
        "run_as",
    }


def test_each_change_is_named(place: Path) -> None:
    first = program(place / "a.sh")
    before = command_of(Wanted(argv=(str(first), "x"), cwd=str(place)))
    first.write_text("#!/bin/sh\necho other\n")
    for wanted, names in (
        (Wanted(argv=(str(first), "x"), cwd=str(place)), ("program",)),
        (Wanted(argv=(str(first), "y"), cwd=str(place)), ("argv", "program")),
        (
            Wanted(argv=(str(first), "x"), cwd=str(place), env={"A": "b"}, stdin=b""),
            ("env", "program", "stdin"),
        ),
        (Wanted(argv=(str(first), "x"), cwd="/"), ("cwd", "program")),
    ):
        assert changed(before, command_of(wanted)) == names
    assert changed(before, before) == ()


def test_a_name_is_looked_up_in_the_path_that_is_passed_and_never_here(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "bin").mkdir(mode=0o755)
    own = program(place / "bin" / "tool")
    program(place / "tool")
    (place / "sh").mkdir()
    search = {"PATH": f":.:bin:{place / 'bin'}:/bin"}
    command = command_of(Wanted(argv=("tool",), cwd=str(place), env=search))
    assert command.argv == (str(own),)
    assert refused(Wanted(argv=("tool",), cwd=str(place))).exit_code == 127
    directory = {"PATH": f"{place}:/bin"}
    assert command_of(Wanted(argv=("sh",), cwd=str(place), env=directory)).argv == (
        f"{os.path.realpath('/bin')}/sh",
    )
    beside = command_of(Wanted(argv=("./bin/../tool",), cwd=str(place)))
    assert beside.argv == (str(place / "tool"),)


def test_a_link_keeps_its_name_and_binds_what_it_leads_to(place: Path) -> None:
    real = program(place / "multi-1.2", "#!/bin/sh\necho $0\n")
    link = place / "applet"
    link.symlink_to(real)
    command = command_of(Wanted(argv=(str(link),), cwd=str(place)))
    assert command.argv == (str(link),)
    assert command.program.path == str(real)
    assert command.program.sha256 == sha256(real)


def test_binary_input_is_bound_by_its_hash(place: Path) -> None:
    said = command_of(shell("true", place, stdin=b"\xff\x00")).arguments()["stdin"]
    assert said == {"length": 2, "sha256": hashlib.sha256(b"\xff\x00").hexdigest()}
    too_much = refused(shell("true", place, stdin=b"x" * (8 * 1024 * 1024 + 1)))
    assert too_much.code == "exec.stdin"


def test_arguments_that_cannot_be_shown_are_refused_by_their_place() -> None:
    for argv, index in ((("a", "b", "x\udcff"), "argument 2 "), (("a", "s\0t"), "argument 1 ")):
        with pytest.raises(Refused) as error:
            argument_vector(argv)
        assert index in str(error.value)
    with pytest.raises(Refused, match="the command is not UTF-8"):
        argument_vector(("\udcff",))
    for nothing in ((), ("",)):
        with pytest.raises(Refused) as error:
            argument_vector(nothing)
        assert error.value.code == "exec.no_command"


def test_only_named_variables_are_passed() -> None:
    own = {"TOKEN": "s3cret", "HOME": "/root", "EMPTY": ""}
    made = environment(["TOKEN", "EMPTY"], ["A=b=c", "B="], own)
    assert made == {"A": "b=c", "B": "", "EMPTY": "", "TOKEN": "s3cret"}
    for passed, given, word in (
        (["NONE"], [], "--pass-env NONE: is not set here"),
        ([], ["s3cret"], "--env number 1: must be NAME=VALUE"),
        (["TOKEN"], ["TOKEN=s3cret"], "--env TOKEN: is given twice"),
        ([], ["s3-cret=1"], "variable 1: has a name"),
        ([], ["X=\udcff"], "--env X is not UTF-8"),
    ):
        with pytest.raises(Refused) as error:
            environment(passed, given, own)
        assert word in str(error.value)
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV"),
        *("IFS", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND"),
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_PAGER", "LESSOPEN", "OPENSSL_CONF"),
        *("DOTNET_STARTUP_HOOKS", "PYTHONPYCACHEPREFIX", "SSH_ASKPASS", "LESSCLOSE", "CLASSPATH"),
        *("SHELLOPTS", "PS4", "GLIBC_TUNABLES", "GCONV_PATH", "JAVA_TOOL_OPTIONS", "BASH_FUNC_x"),
    ],
)
def test_variables_that_run_other_code_are_refused(name: str) -> None:
    for arguments in (([name], []), ([], [f"{name}=x"])):
        with pytest.raises(Refused) as error:
            environment(*arguments, {name: "x"})
        assert error.value.code == "exec.env_hijack"


# --- what may be run ------------------------------------------------------------------


def test_programs_that_cannot_be_relied_on_are_refused(place: Path) -> None:
    def code(name: str) -> str:
        error = refused(Wanted(argv=(f"./{name}",), cwd=str(place)))
        assert error.exit_code == 126, error
        return error.code

    program(place / "plain", mode=0o644)
    program(place / "shared", mode=0o775)
    program(place / "open", mode=0o757)
    program(place / "setuid", mode=0o4755)
    program(place / "setgid", mode=0o2755)
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe", 0o755)
    program(place / "env", "#! env python\n")
    program(place / "bare", "#!\n")
    program(place / "endless", "#!/bin/" + "x" * 300)
    program(place / "gone", "#!/nowhere/sh\n")
    program(place / "nul", "#!/bin/s\0h\n")
    program(place / "nested", f"#!{place}/good\n")
    program(place / "good")
    assert code("plain") == "exec.not_executable"
    assert code("shared") == code("open") == "exec.writable"
    assert code("setuid") == code("setgid") == "exec.setuid"
    assert code("folder") == code("pipe") == "exec.not_a_file"
    assert code("env") == code("bare") == code("endless") == code("nested") == "exec.interpreter"
    assert code("gone") == "exec.unreadable"
    assert code("nul") == "exec.interpreter"
    assert refused(Wanted(argv=("./none",), cwd=str(place))).exit_code == 127
    assert refused(Wanted(argv=("./good/x",), cwd=str(place))).exit_code == 127
    assert refused(Wanted(argv=("./good",), cwd=str(place / "none"))).code == "exec.cwd"
    assert command_of(Wanted(argv=("./good",), cwd=str(place))).argv == (str(place / "good"),)


@pytest.mark.parametrize("white", ["\v", "\f", "\r", "\x1c", "\x85", "\u2003"])
def test_the_interpreter_is_the_one_that_linux_takes(place: Path, white: str) -> None:
    """Only a blank or a tab ends its path; one with a control character is nobody's to read."""
    program(place / "shown", "\x7fELF")
    odd = program(place / f"shown{white}x", "\x7fELF other")
    program(place / "script", f"#!{odd}\n")
    wanted = Wanted(argv=("./script",), cwd=str(place))
    if white >= "\x80":
        found = command_of(wanted).interpreter
        assert found is not None
        assert found.path == str(odd)
    else:
        assert refused(wanted).code == "exec.interpreter"
    program(place / "dos", "#!/bin/sh\r\n")
    assert refused(Wanted(argv=("./dos",), cwd=str(place))).code == "exec.interpreter"
    program(place / "usual", "#! \t/bin/sh\t-e \n")
    usual = command_of(Wanted(argv=("./usual",), cwd=str(place))).interpreter
    assert usual is not None
    assert usual.path == os.path.realpath(SH)


def test_a_first_line_is_no_longer_than_linux_reads_it(place: Path) -> None:
    program(place / "all", "#!/bin/sh " + " " * 245 + "\n")
    command_of(Wanted(argv=("./all",), cwd=str(place)))
    program(place / "more", "#!/bin/sh " + " " * 246 + "\n")
    assert refused(Wanted(argv=("./more",), cwd=str(place))).code == "exec.interpreter"


def test_no_more_is_hashed_than_the_bound(place: Path) -> None:
    for name, size in (("huge", MAX_BOUND_BYTES + 1), ("half", MAX_BOUND_BYTES - 1)):
        with program(place / name, "", 0o644).open("wb") as file:
            file.truncate(size)
    assert refused(shell("true", place, files=("huge",))).code == "exec.too_large"
    in_all = refused(shell("true", place, files=("half",)))
    assert in_all.code == "exec.too_large", "the program counts as well"
    assert refused(Wanted(argv=("./huge",), cwd=str(place))).code == "exec.not_executable"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a file system of Linux")
def test_what_the_system_makes_up_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it may wait for ever, and binds nothing."""
    opened: list[str] = []
    really = os.open

    def watched(path: str, *more) -> int:
        opened.append(str(path))
        return really(path, *more)

    monkeypatch.setattr(os, "open", watched)
    made_up = ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/full"]
    for name in (path for path in made_up if Path(path).exists()):
        error = refused(shell("true", place, files=(name,)))
        assert error.code in {"exec.not_a_file", "exec.writable"}
        assert name not in opened, "to open a device may already do something"

    monkeypatch.setattr(paths, "_MOUNTS", place / "none")
    assert refused(shell("true", place, files=("/proc/version",))).code == "exec.unreadable"


def test_a_file_system_of_somebody_else_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves a FUSE mount says whose its files are, and what they hold each time."""
    program(place / "tool")
    wanted = Wanted(argv=("./tool",), cwd=str(place))
    device = (place / "tool").stat().st_dev
    mounts = place / "mounts"
    monkeypatch.setattr(paths, "_MOUNTS", mounts)
    line = f"1 2 {os.major(device)}:{os.minor(device)} / /m rw shared:1 - fuse.x x rw,user_id="
    mounts.write_text(f"{line}{NOBODY},group_id=0\n")
    assert refused(wanted).code == "exec.writable"
    mounts.write_text(f"{line}{os.geteuid()},group_id=0\n")
    command_of(wanted)


def test_a_link_put_there_after_the_path_was_looked_up_is_seen(place: Path) -> None:
    (place / "real").mkdir()
    program(place / "real" / "tool")
    (place / "link").symlink_to("real")
    with ExitStack() as open_files:
        paths.open_trusted("it", str(place / "real" / "tool"), open_files)
        with pytest.raises(Refused) as error:
            paths.open_trusted("it", str(place / "link" / "tool"), open_files)
    assert error.value.code == "exec.writable"


def test_what_is_opened_is_judged_and_not_only_what_was_there_before(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program(place / "tool")
    really = os.open

    def opened_up(path: str, *more) -> int:
        tool.chmod(0o666)
        return really(path, *more)

    monkeypatch.setattr(os, "open", opened_up)
    with ExitStack() as open_files, pytest.raises(Refused) as error:
        paths.open_trusted("it", str(tool), open_files)
    assert error.value.code == "exec.writable"


def test_what_others_could_replace_is_refused(place: Path) -> None:
    (place / "shared").mkdir()
    tool = program(place / "shared" / "tool")
    (place / "shared").chmod(0o777)
    assert refused(Wanted(argv=(str(tool),), cwd=str(place))).code == "exec.writable"
    (place / "shared").chmod(0o1777)  # sticky: only the owner of an entry replaces it
    command_of(Wanted(argv=(str(tool),), cwd=str(place)))
    program(place / "script", f"#!{tool}\n")
    data = program(place / "data", "x", 0o666)
    assert refused(shell("true", place, files=(str(data),))).code == "exec.writable"
    (place / "shared").chmod(0o777)
    assert refused(Wanted(argv=("./script",), cwd=str(place))).code == "exec.writable"


@ROOT_ONLY
def test_what_belongs_to_somebody_else_is_refused(place: Path) -> None:
    theirs = program(place / "theirs", mode=0o755)
    os.chown(theirs, NOBODY, NOBODY)
    assert refused(Wanted(argv=(str(theirs),), cwd=str(place))).code == "exec.writable"
    (place / "home").mkdir(mode=0o755)
    inside = program(place / "home" / "tool")
    os.chown(place / "home", NOBODY, NOBODY)
    assert refused(Wanted(argv=(str(inside),), cwd=str(place))).code == "exec.writable"


def test_a_link_that_others_could_turn_is_refused(place: Path) -> None:
    """The interpreter and bound files are opened by their path, links and all."""
    (place / "shared").mkdir()
    (place / "shared" / "sh").symlink_to(SH)
    (place / "shared" / "dir").symlink_to("/bin")
    (place / "good").symlink_to("shared/../data")
    program(place / "data", "x", 0o644)
    program(place / "script", f"#!{place}/shared/sh\n")
    program(place / "deeper", f"#!{place}/shared/dir/sh\n")
    wanted = [Wanted(argv=(f"./{name}",), cwd=str(place)) for name in ("script", "deeper")]
    for each in wanted:
        interpreter = command_of(each).interpreter
        assert interpreter is not None
        assert interpreter.path == os.path.realpath(SH)
    (file,) = command_of(shell("true", place, files=("good",))).files
    assert file.path == str(place / "data")

    (place / "shared").chmod(0o777)
    assert [refused(each).code for each in wanted] == ["exec.writable"] * 2
    (place / "shared" / "round").symlink_to("round")
    round_and_round = refused(shell("true", place, files=("shared/round",)))
    assert round_and_round.code in {"exec.writable", "exec.unreadable"}


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux to tell")
def test_a_working_directory_moved_away_while_it_is_opened_is_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could show one directory, and have the command run in another."""
    (place / "shown" / "sub").mkdir(parents=True)
    (place / "other" / "sub").mkdir(parents=True)
    really = os.open

    def after_a_swap(path: str, *more) -> int:
        if path == str(place / "shown" / "sub"):
            (place / "shown").rename(place / "gone")
            (place / "shown").symlink_to("other")
        return really(path, *more)

    command = command_of(shell("true", place / "other" / ".." / "other"))
    assert command.cwd == str(place / "other")
    assert command_of(Wanted(argv=(SH,), cwd="/" + str(place))).cwd == str(place)
    monkeypatch.setattr(os, "open", after_a_swap)
    assert refused(shell("true", place / "shown" / "sub")).code == "exec.changed"


def test_a_name_that_others_made_is_refused(place: Path) -> None:
    """By `argv[0]` python takes up a venv with code of its own, and busybox is any command."""
    (place / "bin").mkdir()
    (place / "bin" / "tool").symlink_to(program(place / "real"))
    wanted = Wanted(argv=("bin/tool",), cwd=str(place))
    by_path = Wanted(argv=("tool",), cwd=str(place), env={"PATH": str(place / "bin")})
    assert command_of(wanted).argv == command_of(by_path).argv == (str(place / "bin" / "tool"),)
    (place / "bin").chmod(0o777)
    assert refused(wanted).code == refused(by_path).code == "exec.writable"


def test_where_names_are_not_utf8_nothing_is_looked_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert refused(shell("true", place)).code == "exec.not_utf8"


@ROOT_ONLY
def test_a_link_of_somebody_else_in_a_sticky_directory_is_refused(place: Path) -> None:
    (place / "shared").mkdir()
    (place / "shared").chmod(0o1777)
    (place / "shared" / "sh").symlink_to(SH)
    program(place / "script", f"#!{place}/shared/sh\n")
    command_of(Wanted(argv=("./script",), cwd=str(place)))
    os.chown(place / "shared" / "sh", NOBODY, NOBODY, follow_symlinks=False)
    assert refused(Wanted(argv=("./script",), cwd=str(place))).code == "exec.writable"


# --- what it is run as ----------------------------------------------------------------


LOOK_AROUND = """
import json, os, signal, sys
open_now = [int(name) for name in os.listdir("/proc/self/fd")]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def those_of(field):
    # libc keeps 32 and 33 for itself: no program can set them, and its posix_spawn,
    # which make uses, leaves them ignored.
    mask = int(status[field], 16)
    return [number for number in sorted(signal.valid_signals()) if mask >> (number - 1) & 1]
told = {
    "argv": sys.argv[1:],
    "env": open("/proc/self/environ").read(),
    "cwd": os.getcwd(),
    "fds": sorted(number for number in open_now if os.path.exists(f"/proc/self/fd/{number}")),
    "umask": os.umask(0),
    "leader": os.getsid(0) == os.getpid(),
    "stdin": sys.stdin.read(),
    "gains_rights": status["NoNewPrivs"].strip() == "0",
    "blocked": those_of("SigBlk"),
    "ignored": those_of("SigIgn"),
}
json.dump(told, open("told", "w"))
"""


def test_it_gets_the_exact_arguments_and_nothing_of_ours(place: Path) -> None:
    """No variable, descriptor, terminal, mask or ignored signal of this process."""
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    umask = os.umask(0o077)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    arguments = ("two words", "line\nbreak", "", "ü", "--", "-x", "$HOME", "*")
    python = os.path.realpath(sys.executable)
    wanted = Wanted(
        argv=(python, "-I", "-S", "-c", LOOK_AROUND, *arguments),
        cwd=str(place),
        env={"REGION": "eu", "SIGN": "ü"},
    )
    try:
        assert start(wanted).exit_code == 0
    finally:
        os.close(leaked)
        os.umask(umask)
        signal.signal(signal.SIGUSR1, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    told = json.loads((place / "told").read_text())
    assert told["argv"] == list(arguments)
    assert sorted(told["env"].split("\0")) == ["", "REGION=eu", "SIGN=ü"]
    assert told["cwd"] == str(place)
    assert told["fds"] == [0, 1, 2]
    assert told["umask"] == 0o022
    assert told["leader"]
    assert not told["gains_rights"]
    assert told["stdin"] == ""
    assert told["blocked"] == []
    assert told["ignored"] == [signal.SIGPIPE, signal.SIGXFSZ], "as the child's own Python does"


def test_closed_standard_descriptors_do_not_become_files_of_ours() -> None:
    look = """
import os
from countersign.executor.run import fill_standard_descriptors
for number in (0, 1):
    os.close(number)
fill_standard_descriptors()
os.write(2, " ".join(os.readlink(f"/proc/self/fd/{n}") for n in (0, 1)).encode())
"""
    done = subprocess.run([sys.executable, "-c", look], stderr=subprocess.PIPE, check=True)
    assert done.stderr == b"/dev/null /dev/null"


def test_our_own_input_is_not_the_command_s(place: Path) -> None:
    (place / "typed").write_text("what somebody typed")
    kept, typed_in = os.dup(0), os.open(place / "typed", os.O_RDONLY)
    try:
        os.dup2(typed_in, 0)
        assert start(shell("cat > read", place)).exit_code == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(typed_in)
    assert (place / "read").read_text() == ""


def test_input_is_what_was_bound(place: Path) -> None:
    assert start(shell("cat > copy", place, stdin=b"a\0b\xff")).exit_code == 0
    assert (place / "copy").read_bytes() == b"a\0b\xff"


def test_a_program_that_is_swapped_after_its_hash_does_not_run(place: Path) -> None:
    """What is open is what runs, even without the look right before the start."""
    (place / "tool").touch(0o755)
    shutil.copyfile("/bin/true", place / "tool")
    shutil.copyfile("/bin/false", place / "evil")
    (place / "evil").chmod(0o755)
    signals = Signals()
    with resolve(Wanted(argv=("./tool",), cwd=str(place))) as found, signals.handled():
        (place / "evil").rename(place / "tool")
        assert run(found, signals, timeout_s=None).exit_code == 0
        with pytest.raises(Refused) as error:
            found.require_unchanged()
    assert error.value.code == "exec.changed"


@pytest.mark.parametrize("name", ["tool", "data", "sub"])
def test_the_last_look_sees_what_was_written_or_moved(place: Path, name: str) -> None:
    program(place / "tool")
    program(place / "data", "x", 0o644)
    (place / "sub").mkdir()
    wanted = Wanted(argv=(str(place / "tool"),), cwd=str(place / "sub"), files=("../data",))
    with resolve(wanted) as found:
        found.require_unchanged()
        (place / name).rename(place / "old")
        with pytest.raises(Refused) as gone:
            found.require_unchanged()
        if name == "sub":
            (place / name).mkdir()
        else:
            shutil.copy2(place / "old", place / name)  # the same bytes, another file
        with pytest.raises(Refused) as other:
            found.require_unchanged()
    assert {gone.value.code, other.value.code} == {"exec.changed"}


def test_how_it_ended_is_told_as_a_shell_would(place: Path) -> None:
    assert start(shell("exit 7", place)).detail == {"exit_code": 7}
    killed = start(shell("kill -9 $$", place))
    assert (killed.exit_code, killed.detail) == (137, {"signal": "SIGKILL"})
    late = start(shell("exec sleep 600", place), timeout_s=0.05)
    assert (late.exit_code, late.detail) == (124, {"signal": "SIGTERM", "timed_out": True})


def test_a_signal_is_passed_on_to_the_whole_command(place: Path) -> None:
    os.mkfifo(place / "ready")
    script = "trap 'exit 3' TERM; echo > ready; read never < ready & wait"

    def terminate() -> None:
        (place / "ready").read_text()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    ended = start(shell(script, place))
    thread.join()
    assert ended.exit_code == 3


def test_a_signal_between_claim_and_start_keeps_it_from_starting() -> None:
    signals = Signals()
    with signals.handled():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        signals.hold()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped) as stop:
            signals.require_none()
    assert stop.value.exit_code == 130


@ROOT_ONLY
def test_it_runs_as_the_account_that_was_named(place: Path) -> None:
    place.chmod(0o755)
    out = place / "out"
    out.mkdir()
    out.chmod(0o777)
    wanted = shell("(id -u; id -g; id -G) > who", out, user="nobody")
    command = command_of(wanted)
    assert command.arguments()["run_as"] == {
        "user": "nobody",
        "uid": command.run_as.uid,
        "gid": command.run_as.gid,
        "groups": list(command.run_as.groups),
    }
    assert start(wanted).exit_code == 0
    uid, gid, groups = (out / "who").read_text().splitlines()
    assert (int(uid), int(gid)) == (command.run_as.uid, command.run_as.gid)
    assert sorted(map(int, groups.split())) == list(command.run_as.groups)
    assert refused(shell("true", place, user="no-such-account")).code == "exec.user"


@ROOT_ONLY
def test_nobody_gains_rights_from_a_file(place: Path) -> None:
    """Neither what was approved, nor what that starts: sudo would be the shortest way round."""
    place.chmod(0o755)
    (place / "secret").write_text("secret\n")
    (place / "secret").chmod(0o600)
    shutil.copyfile("/bin/cat", place / "able")
    (place / "able").chmod(0o755)
    shutil.copyfile("/bin/cat", place / "root's")
    (place / "root's").chmod(0o4755)
    (place / "out").mkdir()
    (place / "out").chmod(0o777)
    able_to_read_all = struct.pack("<5I", 0x0200_0001, 1 << 1, 0, 0, 0)  # cap_dac_override+ep
    try:
        os.setxattr(place / "able", "security.capability", able_to_read_all)
    except OSError as error:
        pytest.skip(f"a file cannot be given capabilities here: {error.strerror}")
    direct = refused(Wanted(argv=("./able", "secret"), cwd=str(place), user="nobody"))
    assert (direct.code, direct.exit_code) == ("exec.setuid", 126)
    tries = (
        'for by in ./able "./root\'s"; do $by secret >> out/read && echo "$by" >> out/read; done'
    )
    start(shell(tries, place, user="nobody"))
    assert (place / "out" / "read").read_text() == ""


def test_only_root_runs_a_command_as_somebody_else(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)
    error = refused(Wanted(argv=(SH,), cwd="/", user="root"))
    assert (error.code, error.exit_code) == ("exec.user", 125)


# --- with permission, once --------------------------------------------------------------


def test_what_is_approved_runs_once_and_is_reported(place: Path, fake: FakeClient) -> None:
    story = enforce(fake, ASKED, shell("echo ran >> ran", place), say=Told())
    assert (story.exit_code, story.outcome, story.reported) == (0, Outcome.SUCCEEDED, True)
    assert (place / "ran").read_text() == "ran\n"
    (context,) = fake.checked
    assert context.arguments["argv"] == [f"{os.path.realpath('/bin')}/sh", "-c", "echo ran >> ran"]
    assert fake.reported == [(Outcome.SUCCEEDED, {"exit_code": 0})]
    told = story.to_json()
    assert (told["effect"], told["ran"], told["ended"]) == (
        "needs_approval",
        True,
        {"exit_code": 0},
    )
    assert str(told["permit"]).startswith("prm_")


def test_a_failure_is_reported_and_passed_on(place: Path, fake: FakeClient) -> None:
    assert enforce(fake, ASKED, shell("exit 9", place), say=Told()).exit_code == 9
    assert enforce(fake, ASKED, shell("kill -15 $$", place), say=Told()).exit_code == 143
    late = dataclasses.replace(ASKED, timeout_s=0.05)
    assert enforce(fake, late, shell("exec sleep 600", place), say=Told()).exit_code == 124
    assert fake.reported == [
        (Outcome.FAILED, {"exit_code": 9}),
        (Outcome.FAILED, {"signal": "SIGTERM"}),
        (Outcome.FAILED, {"signal": "SIGTERM", "timed_out": True}),
    ]


def test_nothing_runs_without_permission(place: Path) -> None:
    def ends(fake: FakeClient, **more) -> tuple[int, str]:
        asked = dataclasses.replace(ASKED, **more)
        story = enforce(fake, asked, shell("echo ran >> ran", place), say=Told())
        assert story.error is not None
        assert not story.ran
        return story.exit_code, story.error.code

    fake = FakeClient(timing=Timing(call_s=0.01, report_s=0.01))
    assert ends(fake) == (121, "policy.undefined")
    fake.needs_approval("deploy.rollback").deny_by("bob")
    assert ends(fake) == (121, "review.denied")
    fake.needs_approval("deploy.rollback", approve_within_s=5)
    assert ends(fake) == (121, "review.expired")
    fake.needs_approval("deploy.rollback").approve_by("bob").revoke_by("bob")
    fake.needs_approval("deploy.rollback").ask_by("bob", "why?")
    assert ends(fake, wait_s=0.0) == (122, "exec.undecided")
    fake.unavailable("Check", times=99)
    assert ends(fake) == (125, "unavailable")
    fake.available()
    assert ends(fake, action="NOT AN ACTION") == (125, "request.invalid")
    assert not (place / "ran").exists()
    assert fake.reported == []


def test_a_lost_answer_to_the_claim_runs_nothing(place: Path, fake: FakeClient) -> None:
    fake.unavailable("Claim", times=99)
    story = enforce(fake, ASKED, shell("echo ran >> ran", place), say=Told())
    assert (story.exit_code, story.ran) == (125, False)
    assert not (place / "ran").exists()


def test_a_program_swapped_while_people_decide_is_refused_and_spends_nothing(
    place: Path, fake: FakeClient
) -> None:
    tool = program(place / "tool")

    def swap() -> None:
        tool.unlink()
        program(tool, "#!/bin/sh\necho evil >> ran\n")

    wanted = Wanted(argv=(str(tool),), cwd=str(place))
    story = enforce(fake, ASKED, wanted, say=Told(swap))
    assert story.error is not None
    assert (story.exit_code, story.error.code) == (125, "exec.changed")
    assert "the program changed" in str(story.error)
    assert not (place / "ran").exists()
    assert not story.permit
    assert fake.reported == []


def test_a_program_swapped_between_claim_and_start_is_reported_failed(
    place: Path, fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program(place / "tool")
    claim = fake.claim

    def claim_then_swap(*arguments, **more):
        grant = claim(*arguments, **more)
        tool.unlink()
        program(tool, "#!/bin/sh\necho evil >> ran\n")
        return grant

    monkeypatch.setattr(fake, "claim", claim_then_swap)
    story = enforce(fake, ASKED, Wanted(argv=(str(tool),), cwd=str(place)), say=Told())
    assert (story.exit_code, story.ran, story.reported) == (125, False, True)
    assert fake.reported == [(Outcome.FAILED, {"error": "exec.changed"})]
    assert not (place / "ran").exists()


def test_a_signal_during_the_claim_starts_nothing_and_is_reported(
    place: Path, fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = fake.claim

    def claim_and_stop(*arguments, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        return claim(*arguments, **more)

    monkeypatch.setattr(fake, "claim", claim_and_stop)
    story = enforce(fake, ASKED, shell("echo ran >> ran", place), say=Told())
    assert (story.exit_code, story.ran, story.reported) == (143, False, True)
    assert fake.reported == [(Outcome.FAILED, {"error": "SIGTERM"})]
    assert not (place / "ran").exists()


def test_a_permit_that_ran_out_starts_nothing(
    place: Path, fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = fake.claim

    def claim_slowly(*arguments, **more):
        grant = claim(*arguments, **more)
        return dataclasses.replace(grant, usable_until_s=0.0)

    monkeypatch.setattr(fake, "claim", claim_slowly)
    story = enforce(fake, ASKED, shell("echo ran >> ran", place), say=Told())
    assert story.error is not None
    assert (story.exit_code, story.error.code) == (125, "permit.expired")
    assert fake.reported == [(Outcome.FAILED, {"error": "permit.expired"})]
    assert not (place / "ran").exists()


def test_a_program_that_cannot_start_is_126_and_reported(place: Path, fake: FakeClient) -> None:
    program(place / "noise", "\x7fELF but no program")
    wanted = Wanted(argv=("./noise",), cwd=str(place))
    story = enforce(fake, ASKED, wanted, say=Told())
    assert (story.exit_code, story.ran) == (126, False)
    assert fake.reported == [(Outcome.FAILED, {"error": "exec.not_started"})]


def test_a_lost_report_changes_nothing_that_happened(place: Path, fake: FakeClient) -> None:
    fake.unavailable("Report", times=99)
    told = Told()
    story = enforce(fake, ASKED, shell("exit 4", place), say=told)
    assert (story.exit_code, story.outcome, story.reported) == (4, Outcome.FAILED, False)
    assert "was not reported [unavailable]" in told.words[-1]


def test_a_signal_while_waiting_runs_nothing(place: Path, fake: FakeClient) -> None:
    told = Told(lambda: os.kill(os.getpid(), signal.SIGTERM))
    story = enforce(fake, ASKED, shell("echo ran >> ran", place), say=told)
    assert (story.exit_code, story.ran) == (143, False)
    assert not (place / "ran").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# --- the journal ----------------------------------------------------------------------


@pytest.fixture
def journal(place: Path) -> Journal:
    (place / "state").mkdir(mode=0o700)
    return Journal(place / "state")


def test_what_may_have_run_is_not_asked_for_again_by_accident(
    place: Path, fake: FakeClient, journal: Journal
) -> None:
    wanted = shell("echo secret-word >> ran", place)
    fake.unavailable("Report", times=99)
    lost = enforce(fake, ASKED, wanted, journal=journal, say=Told())
    assert not lost.reported
    fake.available()

    other_words = dataclasses.replace(ASKED, reason="please", actor="exec")
    blind = enforce(fake, other_words, wanted, journal=journal, say=Told())
    assert blind.error is not None
    assert (blind.exit_code, blind.error.code) == (123, "exec.may_have_run")
    assert lost.permit in str(blind.error)
    assert len(fake.checked) == 1
    other = enforce(fake, ASKED, shell("true", place), journal=journal, say=Told())
    assert other.exit_code == 0, "another command is no concern of it"

    again = dataclasses.replace(ASKED, again=True)
    told = enforce(fake, again, wanted, journal=journal, say=Told())
    assert (told.exit_code, told.reported) == (0, True)
    assert fake.checked[-1].arguments["again_after"] == lost.permit
    assert (place / "ran").read_text() == "secret-word\n" * 2
    fresh = enforce(fake, ASKED, wanted, journal=journal, say=Told())
    assert fresh.exit_code == 0
    assert "again_after" not in fake.checked[-1].arguments


def test_the_entry_is_there_while_it_runs_and_holds_no_argument(
    place: Path, fake: FakeClient, journal: Journal
) -> None:
    copying = shell("cat state/*.countersign-start > seen; : secret-word", place)
    story = enforce(fake, ASKED, copying, journal=journal, say=Told())
    assert story.exit_code == 0
    seen = json.loads((place / "seen").read_text())
    assert seen["permit"] == story.permit
    assert "secret-word" not in (place / "seen").read_text()
    assert [path.name for path in (place / "state").iterdir()] == ["countersign-exec.key"]
    assert stat.S_IMODE((place / "state" / "countersign-exec.key").stat().st_mode) == 0o600


def test_of_two_at_a_time_one_is_started(place: Path, fake: FakeClient, journal: Journal) -> None:
    wanted = shell("echo ran >> ran", place)
    claim = fake.claim

    def claim_while_another_starts(*arguments, **more):
        grant = claim(*arguments, **more)
        journal.begin(fake.checked[-1], grant, again=False)
        return grant

    fake.claim = claim_while_another_starts  # type: ignore[method-assign]
    story = enforce(fake, ASKED, wanted, journal=journal, say=Told())
    assert (story.exit_code, story.ran) == (123, False)
    assert not (place / "ran").exists()
    fake.claim = claim  # type: ignore[method-assign]
    still = enforce(fake, ASKED, wanted, journal=journal, say=Told())
    assert still.exit_code == 123, "the other's entry stands"


def test_a_directory_of_others_is_no_journal(place: Path) -> None:
    (place / "open").mkdir(mode=0o755)
    (place / "open").chmod(0o755)
    for name, code in (("open", "exec.state_exposed"), ("none", "exec.state")):
        with pytest.raises(Refused) as error:
            Journal(place / name)
        assert error.value.code == code
    assert not (place / "none").exists()


def test_an_entry_cut_short_by_the_crash_still_counts(
    place: Path, fake: FakeClient, journal: Journal
) -> None:
    wanted = shell("true", place)
    fake.unavailable("Report", times=99)
    enforce(fake, ASKED, wanted, journal=journal, say=Told())
    (entry,) = (place / "state").glob("*.countersign-start")
    entry.write_bytes(b'{"deci')
    assert enforce(fake, ASKED, wanted, journal=journal, say=Told()).exit_code == 123


# --- the command line -------------------------------------------------------------------

_WITHOUT_SERVER = """
import runpy, sys
for name in "cryptography grpc_health grpc_reflection jwt prometheus_client re2 uvloop".split():
    sys.modules[name] = None
runpy.run_module("countersign.cli.exec", run_name="__main__")
"""


def typed(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    """The command, with the parts of the server out of reach."""
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_SERVER, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={},
        **more,
    )


WHOLE = ("--action", "a.b", "--resource", "t:1", "--environment", "dev")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, "--pass-env NAME"),
        ((), 125, "Missing argument"),
        (("--bogus", "--", "ls"), 125, "No such option"),
        ((*WHOLE[2:], "--", "ls"), 125, "--action is missing"),
        ((*WHOLE, "--action", "c.d", "--", "ls"), 125, "--action is given twice"),
        ((*WHOLE, "--credential", "a", "--credential", "b", "--", "ls"), 125, "--credential is"),
        ((*WHOLE, "--wait", "soon", "--", "ls"), 125, "--wait: must be"),
        ((*WHOLE, "--on-behalf-of", "ada", "--", "ls"), 125, "--on-behalf-of: must be person:ID"),
        (("--resource", "shop", "--action", "a", "--", "ls"), 125, "--resource: must be TYPE:ID"),
        ((*WHOLE, "--status-fd", "77", "--", "ls"), 125, "--status-fd: is not an open"),
        ((*WHOLE, "--", "ls"), 125, "[credential.missing]"),
        ((*WHOLE, "--credential", "none", "--", "ls"), 125, "cannot be read: No such file"),
        ((*WHOLE, "--credential", "/dev/null", "--", "ls"), 125, "[exec.credential]"),
        ((*WHOLE, "--env", "LD_PRELOAD=x", "--", "ls"), 125, "[exec.env_hijack]"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked(
    place: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = typed(*arguments, cwd=place)
    assert done.returncode == code, done
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@ROOT_ONLY
def test_a_credential_of_somebody_else_is_not_used(place: Path) -> None:
    """It would name another service, which allows anything."""
    planted = place / "planted.credential"
    planted.write_text('endpoint = "127.0.0.1:1"\n')
    planted.chmod(0o600)
    os.chown(planted, NOBODY, NOBODY)
    done = typed(*WHOLE, "--credential", str(planted), "--", "ls", cwd=place)
    assert (done.returncode, "[exec.credential]" in done.stderr) == (125, True)
    (place / "link").symlink_to(planted)
    linked = typed(*WHOLE, "--credential", "link", "--", "ls", cwd=place)
    assert "[exec.credential]" in linked.stderr


@pytest.mark.parametrize("start", [(), ("exec",)])
def test_nothing_is_installed_and_no_completion_answers_instead(
    place: Path, start: tuple[str, ...]
) -> None:
    """It would write as the user of exec, or end in 0 although nothing ran."""
    call = "from countersign.cli import main; main()" if start else _WITHOUT_SERVER
    own = {"HOME": str(place), "SHELL": "/bin/bash", "COMP_WORDS": "exec -", "COMP_CWORD": "1"}
    names = ("COUNTERSIGN EXEC", "COUNTERSIGN_EXEC", "COUNTERSIGN", "EXEC")
    asking = {f"_{name}_COMPLETE": "complete_bash" for name in names}
    for options, variables, said in (
        (("--install-completion", "bash"), {}, "No such option"),
        (("--show-completion", "bash"), {}, "No such option"),
        (WHOLE, {**asking, "_TYPER_COMPLETE_ARGS": "exec -"}, "[credential.missing]"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", call, *start, *options, "--", "ls"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**own, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", **variables},
        )
        assert (done.returncode, done.stdout) == (125, ""), done
        assert said in done.stderr
    assert list(place.iterdir()) == []


def test_options_end_where_the_command_begins(place: Path) -> None:
    """What belongs to the command is never read as an option of exec."""
    for command in (("ls", "--json", "--help"), ("--", "ls", "--json", "--help")):
        done = typed(*WHOLE, *command, cwd=place)
        assert "[credential.missing]" in done.stderr


def test_that_nobody_listens_changes_nothing(place: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_SERVER, *WHOLE, "--", "ls"],
            stderr=writer,
            timeout=60,
            check=False,
            env={},
            cwd=place,
        )
    finally:
        os.close(writer)
    assert done.returncode == 125


def test_json_is_one_line_and_nothing_else(place: Path) -> None:
    done = typed(*WHOLE, "--json", "--", "ls", cwd=place)
    assert done.stdout == ""
    assert json.loads(done.stderr) == {
        "effect": "",
        "decision": "",
        "review": "",
        "permit": "",
        "record": None,
        "ran": False,
        "ended": None,
        "outcome": None,
        "reported": False,
        "exit_code": 125,
        "code": "credential.missing",
    }
