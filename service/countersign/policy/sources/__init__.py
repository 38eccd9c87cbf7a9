"""Where policy comes from: each module fetches one kind of place.

A source gives whole, verified `Snapshot`s and decides nothing: what it gives is
compiled and tested before it answers a request. Built by `app` and the command
line.
"""
