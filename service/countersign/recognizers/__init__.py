"""Recognizers beside the built-in rules: Presidio's, an operator's own, a model of names.

They run in a child process (`worker`), because what they do has no bound of its
own: Presidio's expressions backtrack, and a pattern that takes too long is skipped
there, so that what it should have found goes on unmasked. Here whoever is late is
ended, and what it was asked about is masked whole (invariant 2).

`pool` keeps the child and is what the service asks; `engine` and `worker` run in
the child and are the only ones to import Presidio, with `entity`, which is the
other direction: our engine as one recognizer of somebody's own Presidio.
"""

from countersign.recognizers.entities import ENTITY_NAME
from countersign.recognizers.pool import Pool, Settings

__all__ = ["ENTITY_NAME", "Pool", "Settings"]
