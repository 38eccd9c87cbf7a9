"""What one OS user can read, write, signal and reach; run as that user.

A program of its own that needs nothing but Python. Its one argument is JSON:
`places` to walk, `processes` to look into, `sockets` and `pages` to try. Prints
JSON: `read` (path to base64), `closed`, `writable`, `signalled`, `connected`.
Changes nothing: what it could write it opens, and closes again.
"""

import base64
import contextlib
import json
import os
import socket
import sys
import urllib.request
from pathlib import Path

MAX_BYTES = 4_000_000
OF_A_PROCESS = ("environ", "cmdline", "comm", "status", "maps", "mem", "stack", "auxv")

told = json.loads(sys.argv[1])
read: dict[str, str] = {}
closed: list[str] = []
writable: list[str] = []
signalled: list[int] = []
connected: list[str] = []


def look(path: Path) -> None:
    try:
        with path.open("rb") as file:
            read[str(path)] = base64.b64encode(file.read(MAX_BYTES)).decode()
    except OSError:
        closed.append(str(path))


def enter(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        closed.append(str(path))
        return []


def walk(path: Path) -> None:
    try:
        is_directory, is_file = path.is_dir(), path.is_file()
    except OSError:
        closed.append(str(path))
        return
    if os.access(path, os.W_OK):
        writable.append(str(path))
    if is_directory:
        for inner in enter(path):
            walk(inner)
    elif is_file:
        look(path)


for place in told["places"]:
    walk(Path(place))
for process in told["processes"]:
    home = Path("/proc", str(process))
    for name in OF_A_PROCESS:
        look(home / name)
    for folder in ("fd", "cwd"):
        for inner in enter(home / folder):
            if inner.is_file():
                look(inner)
    enter(home / "root")
    for task in enter(home / "task"):
        look(task / "environ")
    with contextlib.suppress(PermissionError):
        os.kill(process, 0)  # asks only whether it may
        signalled.append(process)
for path in told["sockets"]:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as tried:
        tried.connect(path)
        connected.append(path)
for page in told["pages"]:
    with contextlib.suppress(OSError), urllib.request.urlopen(page, timeout=10) as answer:
        read[page] = base64.b64encode(answer.read()).decode()
found = {"read": read, "closed": closed, "writable": writable}
json.dump(found | {"signalled": signalled, "connected": connected}, sys.stdout)
