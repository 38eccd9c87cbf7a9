"""Durable state: one protocol, a backend a module.

`protocol` says what a backend promises; `sqlite` is the embedded default.
"""
