"""Everything that speaks S3, and the only package that imports boto3.

boto3 comes with the extra `s3`. Whoever imports a module from here calls
`require` first and imports it then, so that nobody else needs boto3.
"""

from __future__ import annotations

import importlib.util

from countersign.errors import ConfigurationError


def require() -> None:
    """Refuse, with the remedy, where the extra is not installed."""
    if importlib.util.find_spec("boto3") is None:
        raise ConfigurationError(
            "s3.not_installed",
            "boto3 is not installed; buckets need an extra",
            advice="Install it with: pip install 'countersign[s3]'",
        )
