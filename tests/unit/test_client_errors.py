"""Errors say what happened, where, and what to do; and they travel."""

import pickle

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from countersign.client import errors
from countersign.client.status import STATUS_DETAILS, CallFailed, error_of
from countersign.model import Reason, ReviewState


class Refusal(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, code, message="", trailing=()):
        self._code, self._message, self._trailing = code, message, trailing

    def code(self):
        return self._code

    def details(self):
        return self._message

    def trailing_metadata(self):
        return self._trailing


def rich(code, *details):
    status = status_pb2.Status(code=code.value[0])
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return Refusal(code, "plain", ((STATUS_DETAILS, status.SerializeToString()),))


def seen(refusal):
    return error_of(CallFailed.of(refusal))


@pytest.mark.parametrize("field", ["context.arguments_json/rows", "/on_behalf_of/0/evidence"])
def test_a_field_violation_names_the_field(field):
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field=field, description="is given twice")
    info = error_details_pb2.ErrorInfo(reason="context.invalid", domain="countersign")
    error = seen(rich(grpc.StatusCode.INVALID_ARGUMENT, info, bad))
    assert isinstance(error, errors.InvalidContext)
    assert error.field == field
    assert error.problem == "is given twice"
    assert error.code == "context.invalid"


def test_a_field_of_the_request_is_not_one_of_the_context():
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="request_id", description="is too long")
    error = seen(rich(grpc.StatusCode.INVALID_ARGUMENT, bad))
    assert type(error) is errors.InvalidRequest


def test_the_servers_own_advice_wins():
    info = error_details_pb2.ErrorInfo(reason="rate.limited")
    info.metadata["advice"] = "Wait a minute."
    error = seen(rich(grpc.StatusCode.RESOURCE_EXHAUSTED, info))
    assert isinstance(error, errors.Exhausted)
    assert str(error) == "plain [rate.limited]\n  Wait a minute."


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.NotPermitted),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.PreconditionFailed),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Unavailable),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequest),
        (grpc.StatusCode.INTERNAL, errors.ProtocolError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.ProtocolError),
        (grpc.StatusCode.UNKNOWN, errors.ProtocolError),
    ],
)
def test_plain_codes_are_enough(code, kind):
    error = seen(Refusal(code))
    assert isinstance(error, kind)
    assert error.code
    assert error.advice


@pytest.mark.parametrize(
    "trailing", [None, ((STATUS_DETAILS, b"\xff\xff garbage"),), (("x", "y"),)]
)
def test_garbage_in_the_trailer_changes_nothing(trailing):
    error = seen(Refusal(grpc.StatusCode.NOT_FOUND, "no such review", trailing))
    assert isinstance(error, errors.NotFound)
    assert error.message == "no such review"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (ReviewState.PENDING, errors.StillPending),
        (ReviewState.INFO_REQUESTED, errors.StillPending),
        (ReviewState.EXPIRED, errors.Expired),
        (ReviewState.LAPSED, errors.Lapsed),
        (ReviewState.REVOKED, errors.Revoked),
        (ReviewState.CANCELLED, errors.Cancelled),
        (ReviewState.CLAIMED, errors.AlreadyClaimed),
        (ReviewState.DENIED, errors.Denied),
        (ReviewState.APPROVED, errors.Denied),
        (None, errors.Denied),
    ],
)
def test_every_state_that_is_not_a_grant_has_its_error(state, kind):
    error = errors.refusal(state, [Reason(code="a.b", message="because")], review_id="rev_1")
    assert type(error) is kind
    assert "because" in str(error)
    assert error.review_id == "rev_1"


@pytest.mark.parametrize(
    "error",
    [
        errors.Denied([Reason(code="a.b", message="because")], decision_id="dec_1"),
        errors.AlreadyClaimed(permit_id="prm_1"),
        errors.StillPending(ReviewState.PENDING),
        errors.InvalidContext("arguments/x", "is wrong"),
        errors.Unavailable("unavailable", "gone", advice="wait"),
    ],
)
def test_errors_travel_between_processes(error):
    error.pending = object()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == {k: v for k, v in error.__dict__.items() if k != "pending"}
    assert again.pending is None


def test_every_error_is_drawn_in_the_tree():
    drawn = errors.__doc__
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.CountersignClientError):
            assert name in drawn
