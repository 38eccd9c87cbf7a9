"""Callers and people as the operator's files have them.

`files` reads `callers.toml` and `people.toml`, `edit` changes them; `watcher`
keeps the last good version in force while the files change. Used by `app`, which
gives the current `Directory` to whoever asks, and by the command line.
"""

from countersign.registry.edit import add_caller, add_person
from countersign.registry.files import DEFAULT_TENANT, load
from countersign.registry.watcher import OnChange, OnError, Registry

__all__ = [
    "DEFAULT_TENANT",
    "OnChange",
    "OnError",
    "Registry",
    "add_caller",
    "add_person",
    "load",
]
