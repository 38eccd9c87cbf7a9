"""What an operator does by their own credential: who may ask, who may decide, which policy does.

Entries are the protocol's own messages. A change is sent once and never again by
itself: a second rotation would make a second token, and a registration repeated
after a lost answer would not show its token any more. Used by the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message

from countersign.client.errors import Unavailable
from countersign.client.exchange import Exchange, Timing
from countersign.client.line import Line
from countersign.client.opened import Opened
from countersign.client.status import CallFailed, error_of
from countersign.client.steps import Call, Conversation
from countersign.credentials import Credential, SubjectKind
from countersign.v1 import admin_pb2
from countersign.v1.admin_pb2_grpc import AdminStub

Entry: TypeAlias = admin_pb2.CallerEntry | admin_pb2.PersonEntry | admin_pb2.ChannelEntry
_KINDS: Final = {
    SubjectKind.CALLER: admin_pb2.SUBJECT_KIND_CALLER,
    SubjectKind.PERSON: admin_pb2.SUBJECT_KIND_PERSON,
    SubjectKind.CHANNEL: admin_pb2.SUBJECT_KIND_CHANNEL,
}


class AdminClient(Opened):
    """Lists and changes what is registered in the tenant of an operator."""

    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        self._endpoint = credential.endpoint
        self._line = Line(credential, AdminStub)
        self._timing = timing or Timing()
        self._exchange = Exchange(self._timing)

    def entries(self, kind: SubjectKind) -> Sequence[Entry]:
        """All registered subjects of a kind, with their ways in."""
        if kind is SubjectKind.CALLER:
            return list(self._read("ListCallers", admin_pb2.ListCallersRequest()).callers)
        if kind is SubjectKind.PERSON:
            return list(self._read("ListPeople", admin_pb2.ListPeopleRequest()).people)
        return list(self._read("ListChannels", admin_pb2.ListChannelsRequest()).channels)

    def put(self, entry: Entry) -> str:
        """Register a subject, or replace all that is registered of it but its credentials.

        Returns the token of a new one, which nobody can show again; else nothing.
        """
        if isinstance(entry, admin_pb2.CallerEntry):
            return self._token("PutCaller", admin_pb2.PutCallerRequest(caller=entry))
        if isinstance(entry, admin_pb2.PersonEntry):
            return self._token("PutPerson", admin_pb2.PutPersonRequest(person=entry))
        return self._token("PutChannel", admin_pb2.PutChannelRequest(channel=entry))

    def remove(self, kind: SubjectKind, id: str) -> None:
        """Remove a subject; its credentials stop working."""
        self._change("RemoveSubject", admin_pb2.RemoveSubjectRequest(kind=_KINDS[kind], id=id))

    def rotate(self, kind: SubjectKind, id: str) -> str:
        """A new token beside the old ones, which nobody can show again."""
        return self._token("RotateToken", admin_pb2.RotateTokenRequest(kind=_KINDS[kind], id=id))

    def revoke(self, kind: SubjectKind, id: str, name: str = "") -> Sequence[str]:
        """Take away the token of this name, or all but the newest; the names of those gone."""
        request = admin_pb2.RevokeTokensRequest(kind=_KINDS[kind], id=id, name=name)
        return list(self._change("RevokeTokens", request).revoked)

    def policy_status(self) -> admin_pb2.PolicyStatusResponse:
        """Which policy answers, what came of the last attempt, and what can be gone back to."""
        answer: admin_pb2.PolicyStatusResponse = self._read(
            "PolicyStatus", admin_pb2.PolicyStatusRequest()
        )
        return answer

    def activate_policy(self, revision: str = "") -> admin_pb2.ActivatePolicyResponse:
        """Have the source's version answer, or a kept one.

        Raises `PreconditionFailed` with the code and words of a refusal, and
        `Unavailable` for what is tried again by itself.
        """
        request = admin_pb2.ActivatePolicyRequest(revision=revision)
        answer: admin_pb2.ActivatePolicyResponse = self._change("ActivatePolicy", request)
        return answer

    def roll_back_policy(self, revision: str = "") -> admin_pb2.RollbackPolicyResponse:
        """Go back to a kept version; unnamed, to the one before the active one."""
        request = admin_pb2.RollbackPolicyRequest(revision=revision)
        answer: admin_pb2.RollbackPolicyResponse = self._change("RollbackPolicy", request)
        return answer

    def _read(self, method: str, request: Message) -> Any:
        return self._line.run(self._exchange.call(method, request))

    def _token(self, method: str, request: Message) -> str:
        return str(self._change(method, request).token)

    def _change(self, method: str, request: Message) -> Any:
        return self._line.run(self._once(method, request))

    def _once(self, method: str, request: Message) -> Conversation[Any]:
        try:
            return (yield Call(method=method, request=request, timeout_s=self._timing.call_s))
        except CallFailed as failed:
            if failed.passing and not failed.reason:
                raise Unavailable(
                    "admin.unanswered",
                    "the server did not answer; the change may have been made",
                    advice="List what is registered before you try again; "
                    "a token that was not shown is replaced by rotating.",
                ) from failed
            raise error_of(failed) from failed
