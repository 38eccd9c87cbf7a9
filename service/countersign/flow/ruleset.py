"""Which sanitizer rules are active, and whether they are weaker than before.

What a rule set finds is noted in the store. One that finds less or shows more
than the one before starts only if the operator says so, and the records say it
then. Called by `app` at the start.
"""

from __future__ import annotations

from typing import Final

from countersign.errors import ConfigurationError
from countersign.model import JsonObject, JsonValue
from countersign.sanitize import Sanitizer, weaker
from countersign.store.protocol import Store

NOTE: Final = "sanitizer.manifest"


async def judged(store: Store, sanitizer: Sanitizer, *, accept_weaker: bool) -> JsonObject:
    """What `config.changed` says of the rules. Raises `ConfigurationError` if they are weaker."""
    before = await store.note(NOTE)
    lost = weaker(before, sanitizer.manifest()) if before is not None else []
    if lost and not accept_weaker:
        raise ConfigurationError(
            "sanitizer.weaker",
            "the sanitizer's rules are weaker than those it ran with before: " + "; ".join(lost),
            advice="Put back what is gone, or start once with --accept-weaker; it is recorded.",
        )
    told: JsonObject = {"ruleset": sanitizer.ruleset}
    return {**told, "weaker": list[JsonValue](lost)} if lost else told


async def remember(store: Store, sanitizer: Sanitizer) -> None:
    """These rules are what the next start is held against."""
    manifest = sanitizer.manifest()
    if await store.note(NOTE) != manifest:
        await store.put_note(NOTE, manifest)
