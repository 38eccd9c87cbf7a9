"""What a record says of a decision, what it leaves open, and why some are not replayed."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest

from countersign import canonical
from countersign.model import ActionContext, Principal, Resource
from countersign.policy.question import QUESTION
from countersign.sanitize import Sanitizer
from countersign.store.protocol import MAX_RECORD_BYTES
from countersign.workbench.impact.quantity import bounds
from countersign.workbench.impact.recorded import KINDS, Case, Unreplayed, cases, read
from countersign.workbench.impact.unknowns import Sort, is_never_masked, masked_in
from impact_records import record
from simulators.world import World
from simulators.world import context as a_context

SANITIZER = Sanitizer()


def case(found):
    assert isinstance(found, Case), found
    return found


def sorts(found):
    return {unknown.pointer: unknown.sort for unknown in case(found).unknowns}


def nothing(_name):
    return None


def test_what_is_not_masked_is_known_and_the_exact_quantity_with_it():
    found = case(read(record({"table": "crm", "row_count": 5210}), nothing, SANITIZER))
    assert found.unknowns == ()
    assert found.input["findings"]["quantity"] == {"rows": 5210, "amount": 0}
    assert found.input["context"]["session"] == ""
    assert found.recorded.codes == {"x.fine"}


def test_a_masked_text_number_boolean_and_key_are_unknown_each_in_its_way():
    arguments = {
        "contact": "ada@example.org",
        "note": "for ada@example.org",
        "who": "Maria Gonzales",
        "phone": 4930901820,
        "diagnosis": True,
        "bob@example.org": {"plan": "gold"},
        "hidden": [1, 2],
        "odd": "a\u202eb",
        "row_count": 50,
    }
    masks = ("/arguments/hidden",)
    found = case(read(record(arguments, mask=masks), nothing, SANITIZER))
    assert sorts(found) == {
        "/arguments": Sort.KEYS,
        "/arguments/contact": Sort.SCALAR,
        "/arguments/note": Sort.TEXT,
        "/arguments/who": Sort.TEXT,
        "/arguments/phone": Sort.SCALAR,
        "/arguments/diagnosis": Sort.SCALAR,
        "/arguments/hidden": Sort.ANYTHING,
        "/arguments/odd": Sort.TEXT,
        "/findings/quantity/rows": Sort.NUMBER,
    }
    rows = found.unknowns[-1]
    assert (rows.least, rows.most) == (10, 99)
    assert {each.pointer for each in found.unknowns if each.maybe_boolean} == {
        "/arguments/diagnosis"
    }
    assert found.recorded.masked == {("arguments", "hidden")}


def test_brackets_that_mask_nothing_are_text_where_the_report_says_so():
    found = case(read(record({"note": "[URGENT] do it"}), nothing, SANITIZER))
    assert found.unknowns == ()
    report = {"masked": []}
    assert masked_in({"note": "[URGENT] do it"}, report), "an old report names no kinds"


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 99, 100, 999, 5210, 99_999, 1_000_000, 10**9])
def test_a_recorded_bucket_holds_the_number_it_was_made_of(rows):
    made = record({"row_count": rows, "contact": "ada@example.org"})
    context = ActionContext(
        actor=Principal(type="workload", id="bot"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="table", id="crm", owner="", attributes={}),
        environment="production",
        arguments={"row_count": rows},
        reason="",
        session="",
    )
    exact = SANITIZER.detect(context, known=lambda _name: False).quantity.rows
    least, most = bounds(made["findings"], "rows")
    assert least <= exact <= most


def test_what_could_not_be_examined_has_no_bounds():
    assert bounds({"facts": {}, "complete": False}, "rows")[1] > 10**15


def test_a_plain_name_is_no_masked_key_where_our_own_rules_masked_it():
    assert is_never_masked("contact")
    assert not is_never_masked("ada@example.org")
    assert not is_never_masked("a1")
    made = record({"ada@example.org": 1})
    (keys,) = case(read(made, nothing, SANITIZER)).unknowns
    assert not keys.may_equal("contact")
    other = copy.deepcopy(made)
    other["mask_report"]["ruleset"] = "custom-1:0123456789abcdef"
    (keys,) = case(read(other, nothing, SANITIZER)).unknowns
    assert keys.may_equal("contact")


# --- what policy said, and what the service said -----------------------------------


def denied(code, message="no", policy="deny", **changes):
    return record(
        effect="deny",
        reasons=[{"code": code, "message": message}],
        policy={**record()["policy"], "effect": policy},
        **changes,
    )


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (denied("context.not_permitted"), Unreplayed.NOT_ASKED),
        (denied("requester.unresolved"), Unreplayed.NOT_ASKED),
        (denied("evidence.mismatch"), Unreplayed.NOT_ASKED),
        (denied("policy.unavailable"), Unreplayed.UNAVAILABLE),
        (denied("review.unsatisfiable"), Unreplayed.OVERRULED),
        (denied("sanitizer.incomplete"), Unreplayed.OVERRULED),
        (
            denied("policy.invalid", "policy is below the floor of the settings for this: x"),
            Unreplayed.OVERRULED,
        ),
        ({"kind": "claim", "effect": "deny"}, Unreplayed.NOT_ASKED),
        (record(clean={"object": "0" * 64}, mask_report={}), Unreplayed.UNREADABLE),
        (record(findings=None), Unreplayed.UNREADABLE),
    ],
)
def test_what_policy_did_not_decide_is_not_replayed(made, why):
    assert read(made, nothing, SANITIZER) is why


def test_a_broken_contract_is_an_answer_of_policy():
    found = case(read(denied("policy.invalid", "breaks the contract"), nothing, SANITIZER))
    assert found.recorded.codes == {"policy.invalid"}


def test_a_duplicate_keeps_policys_effect_and_not_its_reasons():
    made = denied("review.duplicate", policy="needs_approval")
    found = case(read(made, nothing, SANITIZER))
    assert (found.recorded.effect, found.recorded.codes) == ("needs_approval", None)


def test_the_requirement_comes_from_the_record_of_the_review_and_later_reuses_share_it():
    needs = {
        "effect": "needs_approval",
        "policy": {**record()["policy"], "effect": "needs_approval"},
    }
    first = record(**needs, review="rev_1")
    again = record(**needs, review="rev_1", seq=9)
    created = {"kind": "review.created", "review": "rev_1", "requirement": {"stages": []}}
    other = record(**needs, review="rev_2", seq=10)
    found = list(cases([first, created, again, other], nothing, SANITIZER))
    told = [each.recorded.requirement for each in found if isinstance(each, Case)]
    assert told == [{"stages": []}, {"stages": []}, None]


# --- what is kept beside the log ---------------------------------------------------


def kept(value):
    data = canonical.encode(value)
    return hashlib.sha256(data).hexdigest(), data


def test_a_large_context_is_read_from_its_object_and_gone_without_it():
    made = record({"note": "x" * 300})
    parts = {name: made.pop(name) for name in ("clean", "mask_report")}
    name, data = kept({**parts, "resource": made["resource"]})
    made["clean"] = {"object": name}
    found = case(read(made, {name: data}.get, SANITIZER))
    assert found.context["arguments"] == {"note": "x" * 300}
    assert read(made, nothing, SANITIZER) is Unreplayed.PURGED
    assert read(made, {name: data + b" "}.get, SANITIZER) is Unreplayed.PURGED


def test_a_part_that_was_moved_out_is_put_back_and_one_that_only_looks_so_is_not():
    large = {"note": "x" * MAX_RECORD_BYTES}
    made = record()
    name, data = kept(large)
    made["clean"]["arguments"] = {"object": name}
    found = case(read(made, {name: data}.get, SANITIZER))
    assert found.context["arguments"] == large
    small_name, small = kept({"note": "y"})
    made["clean"]["arguments"] = {"object": small_name}
    found = case(read(made, {small_name: small}.get, SANITIZER))
    assert found.context["arguments"] == {"object": small_name}, json.dumps(found.context)


async def test_a_record_gives_back_what_policy_was_asked(tmp_path):
    world = await World.open(tmp_path)
    try:
        review = await world.approved(a_context())
        await world.claim(review.id, a_context())
        records = [each for each in await world.records() if each["kind"] in KINDS]
    finally:
        await world.close()
    for kind, asked in zip(KINDS, (world.policy.asked[0], world.policy.asked[-1]), strict=True):
        (of_kind,) = (each for each in records if each["kind"] == kind)
        found = case(read(of_kind, nothing, SANITIZER))
        QUESTION.validate_python(found.input)
        assert found.unknowns == ()
        assert found.input == asked
