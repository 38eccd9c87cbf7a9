"""The error tree. Every error says what the reader should do about it.

    CountersignError
    ├── ConfigurationError      the operator's files; the process refuses to start
    ├── RequestError            no decision was made, and why
    │   ├── InvalidRequestError     a field is wrong (INVALID_ARGUMENT)
    │   ├── UnauthenticatedError    no or unknown credential
    │   ├── NotPermittedError       known, but not for this
    │   ├── NotFoundError           no such thing, or not yours
    │   ├── PreconditionError       the state does not allow it
    │   ├── ExhaustedError          a rate or quota
    │   └── UnavailableError        a part is down; try again
    ├── PolicyError             OPA or what it answered; becomes a DENY
    └── LogError                the audit log does not hold together

Only the edge turns these into status codes. A message never holds raw data: it
names the field and the remedy, not the value.
"""

from __future__ import annotations


class CountersignError(Exception):
    """Something Countersign refuses or cannot do.

    `code` is stable and dotted, `advice` tells the reader what to do next.
    """

    def __init__(self, code: str, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        text = f"{self.message} [{self.code}]"
        return f"{text}\n  {self.advice}" if self.advice else text


class ConfigurationError(CountersignError):
    """A setting or file of the operator is missing, wrong or unsafe."""


class RequestError(CountersignError):
    """A request that led to no decision."""


class InvalidRequestError(RequestError):
    """A field of the request is wrong. `field` is its path or JSON pointer."""

    def __init__(self, field: str, problem: str, *, code: str = "request.invalid") -> None:
        super().__init__(code, f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnauthenticatedError(RequestError):
    """No credential, or one nobody here knows."""


class NotPermittedError(RequestError):
    """A known subject asked for what it may not do."""


class NotFoundError(RequestError):
    """No such thing; another tenant's or caller's thing looks just the same."""


class PreconditionError(RequestError):
    """The state of the thing does not allow this."""


class ExhaustedError(RequestError):
    """A rate, quota or size is used up."""


class UnavailableError(RequestError):
    """A part we need is down or late. Trying again is right."""


class PolicyError(CountersignError):
    """Policy could not be asked, or answered what the contract does not allow.

    `retryable` tells a passing fault (OPA gone, late) from a wrong policy.
    `detail` is for the author's log: it names schema rules, never the input.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, detail: str = "") -> None:
        super().__init__(code, message)
        self.retryable = retryable
        self.detail = detail


class LogError(CountersignError):
    """The audit log and what was published of it do not agree."""
