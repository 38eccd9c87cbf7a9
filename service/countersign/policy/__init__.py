"""Asking policy: OPA as a supervised child, and its answers decoded strictly.

Start at `protocol` for what the flow sees, `opa` for the implementation.
Invariants kept here: 2 (fail closed: every fault is a typed `PolicyError`) and
3 (no input in logs or exceptions, redirects never followed with it).
"""
