"""The directory where remote sources keep things: ours alone. Blocking."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from countersign.errors import ConfigurationError


def make_private(directory: Path) -> None:
    """Make it unless it is there. Raises as `require_private`, and `OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(directory)


def require_private(directory: Path) -> None:
    """Refuse one where others could put something in the place of what we put there.

    Raises `ConfigurationError`, and `OSError`.
    """
    seen = directory.stat()
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o022:
        raise ConfigurationError(
            "policy.cache_invalid",
            f"policy.cache {directory} can be written by others than this user",
            advice=f"Run: chmod 700 {directory}, or name another directory.",
        )
