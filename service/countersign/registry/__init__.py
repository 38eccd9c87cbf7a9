"""Callers, people and channels as the operator's files have them.

`files` reads the registers, `edit` changes them; `watcher` keeps the last good
version in force while they change. Used by `app`, which gives the current
`Directory` to whoever asks, by the edge for operators, and by the command line.
"""

from countersign.registry.edit import Judge, Registers, add_caller, add_person
from countersign.registry.files import DEFAULT_TENANT, load
from countersign.registry.subjects import Subject, Who, kind_of
from countersign.registry.watcher import OnChange, OnError, Registry

__all__ = [
    "DEFAULT_TENANT",
    "Judge",
    "OnChange",
    "OnError",
    "Registers",
    "Registry",
    "Subject",
    "Who",
    "add_caller",
    "add_person",
    "kind_of",
    "load",
]
