"""The enforcement point for commands: what `countersign exec` is made of.

`command` says what exactly would run, as arguments an approval binds to (pure).
`resolve` finds it on this machine, `enforce` asks, waits, claims and reports,
`run` starts it once, `journal` remembers a start whose end nobody saw. Knows
the client only; nothing of the server is within its reach. Called by the
command line.
"""

from countersign.executor.command import Command, Refused, Wanted
from countersign.executor.enforce import Asked, Story, enforce
from countersign.executor.journal import Journal

__all__ = ["Asked", "Command", "Journal", "Refused", "Story", "Wanted", "enforce"]
