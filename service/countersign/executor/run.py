"""Starts a command once, passes signals on to it, and says how it ended.

What starts is what `resolve` holds: a program by its open descriptor where the
system can do that, so that nothing can take its place; a script by its path,
because a script must find itself. It gets the bound environment and nothing of
this process but standard output and error: no other descriptor, no terminal,
no ignored or blocked signal, a umask of 022. Neither it nor what it starts gains
rights from a file (setuid, setgid, capabilities): whom it runs as is what was
approved.

Called by `enforce`.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import FrameType
from typing import IO, Any, Final

from countersign.executor.command import NOT_RUNNABLE, Refused
from countersign.executor.resolve import DESCRIPTORS, Resolved, own_account
from countersign.model import JsonObject

TIMED_OUT: Final = 124
KILL_AFTER_S: Final = 10.0
_UMASK: Final = 0o022
_PR_SET_NO_NEW_PRIVS: Final = 38
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_OF_PYTHON: Final = {signal.SIGPIPE, signal.SIGXFSZ}
"""Ignored by Python itself; `subprocess` restores them in the child."""


class Stopped(BaseException):
    """A signal came before the command was started, so it will not be. Nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command that was started ended."""

    status: int
    """As the system says it: negative is the signal that killed it."""
    timed_out: bool

    @property
    def exit_code(self) -> int:
        """What a shell would say."""
        if self.timed_out:
            return TIMED_OUT
        return self.status if self.status >= 0 else 128 - self.status

    @property
    def detail(self) -> JsonObject:
        """What is reported of it: numbers and names of signals, nothing it printed."""
        late: JsonObject = {"timed_out": True} if self.timed_out else {}
        if self.status >= 0:
            return {"exit_code": self.status, **late}
        return {"signal": _name(-self.status), **late}


class Signals:
    """What becomes of signals: an end to waiting, or passed on to the command.

    From `hold` on they are kept until the command has started, because between
    the claim and the start nobody may lose count.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending: int | None = None
        self._group: int | None = None

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Take them over; main thread only. Undoes what this process inherited."""
        before: dict[signal.Signals, Any] = {}
        for number in signal.valid_signals() - _OF_PYTHON:
            name = signal.Signals(number) if number in set(signal.Signals) else None
            if name in _PASSED_ON:
                before[name] = signal.signal(name, self._arrived)
            elif name and signal.getsignal(name) is signal.SIG_IGN:
                before[name] = signal.signal(name, signal.SIG_DFL)
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for name, handler in before.items():
                signal.signal(name, handler)

    def hold(self) -> None:
        """From here on a signal does not interrupt. Raises `Stopped` if one just came."""
        self._held = True
        self.require_none()

    def require_none(self) -> None:
        """Raise `Stopped` when a signal is being held."""
        if self._pending is not None:
            raise Stopped(self._pending)

    def pass_on(self, group: int | None) -> None:
        """Send what comes, and what came, to this process group."""
        self._group = group
        if group is not None and self._pending is not None:
            send(group, self._pending)

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if self._group is not None:
            send(self._group, number)
        elif self._held:
            self._pending = number
        else:
            raise Stopped(number)


def fill_standard_descriptors() -> None:
    """Open what is closed of 0, 1 and 2, or a file of ours would become the command's."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def run(resolved: Resolved, signals: Signals, *, timeout_s: float | None) -> Ended:
    """Start the command, once, and wait for its end. Raises `Refused` if it cannot start."""
    try:
        _gain_no_rights()
        with _standard_input(resolved.stdin) as given:
            child = _start(resolved, given)
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or "this account may not be taken on here"
        raise Refused(
            "exec.not_started",
            f"the program cannot be started: {why}",
            advice="The approval is spent; mend it and ask again.",
            exit_code=NOT_RUNNABLE,
        ) from None
    signals.pass_on(child.pid)
    try:
        return _wait(child, timeout_s)
    finally:
        signals.pass_on(None)


def _start(resolved: Resolved, given: IO[bytes] | int) -> subprocess.Popen[bytes]:
    command = resolved.command
    held = DESCRIPTORS.is_dir()
    if held:
        _keep_descriptors_to_ourselves()
    by_path = not held or command.interpreter is not None
    changes: dict[str, Any] = {}
    if command.run_as != own_account():
        account = command.run_as
        changes = {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
    return subprocess.Popen(  # noqa: S603 - what was approved, without a shell
        [argument.encode() for argument in command.argv],
        executable=command.program.path.encode()
        if by_path
        else f"{DESCRIPTORS}/{resolved.program}",
        cwd=f"{DESCRIPTORS}/{resolved.directory}" if held else command.cwd.encode(),
        env={name.encode(): value.encode() for name, value in command.env.items()},
        stdin=given,
        close_fds=not held,
        start_new_session=True,
        umask=_UMASK,
        **changes,
    )


def _gain_no_rights() -> None:
    """Linux's `no_new_privs`, which what this thread starts inherits and nobody can undo.

    Set here, not between fork and exec: that needs a `preexec_fn`, unsafe beside threads.
    Changing to another account is no gain and still works.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _keep_descriptors_to_ourselves() -> None:
    """All but the three standard ones end at the start, those that others left open here too.

    `close_fds` would close the program before it can be started by its descriptor.
    """
    for name in os.listdir(DESCRIPTORS):  # noqa: PTH208 - names are numbers
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)  # noqa: FBT003 - the call's own form


@contextlib.contextmanager
def _standard_input(data: bytes | None) -> Iterator[IO[bytes] | int]:
    if data is None:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def _wait(child: subprocess.Popen[bytes], timeout_s: float | None) -> Ended:
    try:
        return Ended(status=child.wait(timeout_s), timed_out=False)
    except subprocess.TimeoutExpired:
        send(child.pid, signal.SIGTERM)
    try:
        child.wait(KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        send(child.pid, signal.SIGKILL)
    return Ended(status=child.wait(), timed_out=True)


def send(group: int, number: int) -> None:
    """Signal a process group; one that is gone already needs no signal."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
