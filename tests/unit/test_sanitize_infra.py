"""Facts of infrastructure: what a plan or a request to a cluster does, and nothing it holds."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer(internal_domains=["corp.example"])
QUIET = settings(max_examples=80, deadline=None, derandomize=True)


def facts(**arguments):
    context = ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="infra.apply",
        resource=Resource(type="workspace", id="x", owner="", attributes={}),
        environment="production",
        arguments=arguments,
        reason="",
        session="",
    )
    return SANITIZER.detect(context, known=lambda _: False).to_policy()["facts"]


def change(*actions, kind="aws_instance", **more):
    return {"address": f"{kind}.web", "type": kind, "change": {"actions": list(actions), **more}}


def plan(*changes):
    return {"format_version": "1.2", "resource_changes": list(changes)}


def test_a_plan_is_counted_by_what_it_does():
    told = facts(
        plan=plan(
            change("create"),
            change("update", kind="aws_iam_role"),
            change("delete", kind="aws_s3_bucket"),
            change("delete", "create", kind="aws_db_instance"),
            change("create", "delete", kind="aws_db_instance"),
            change("no-op", kind="aws_vpc"),
            change("read", kind="aws_caller_identity"),
        )
    )["terraform"]
    assert told == {
        "plans": 1,
        "unread": 0,
        "create": 1,
        "update": 1,
        "replace": 2,
        "delete": 1,
        "other": 0,
        "types": ["aws_db_instance", "aws_iam_role", "aws_instance", "aws_s3_bucket"],
        "destroyed": ["aws_db_instance", "aws_s3_bucket"],
    }


def test_a_plan_is_found_in_a_text_and_at_any_depth():
    text = json.dumps(plan(change("delete")))
    assert facts(plan=text)["terraform"]["delete"] == 1
    assert facts(run={"plans": [plan(change("delete"))]})["terraform"]["delete"] == 1
    assert "terraform" not in facts(plan="Plan: 0 to add, 0 to change, 0 to destroy.")


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "none",
        {},
        {"change": {}},
        {"change": {"actions": "create"}},
        {"change": None, "type": "aws_vpc"},
    ],
)
def test_a_change_that_does_not_say_what_it_does_is_unread(broken):
    assert facts(plan=plan(broken))["terraform"]["unread"] == 1
    assert facts(plan={"resource_changes": "none"})["terraform"]["unread"] == 1


@pytest.mark.parametrize(
    "actions",
    [[], ["forget"], ["create", 7], ["CREATE"], ["create", "update"], ["no-op", "delete"]],
)
def test_actions_out_of_the_ordinary_are_no_creation(actions):
    told = facts(plan=plan(change(*actions)))["terraform"]
    assert (told["other"], told["create"]) == (1, 0)
    assert told["destroyed"] == ["aws_instance"]


def test_two_plans_are_two():
    told = facts(plan=plan(change("create")), also=plan(change("delete")))["terraform"]
    assert (told["plans"], told["delete"]) == (2, 1)


def test_types_that_are_no_plain_names_are_not_shown_and_not_lost():
    told = facts(plan=plan(change("delete", kind="ann smith"), change("delete", kind="aws_vpc")))
    assert told["terraform"]["destroyed"] == ["[OTHER]", "aws_vpc"]
    many = [change("delete", kind=f"aws_thing_{n}") for n in range(30)]
    told = facts(plan=plan(*many, {"change": {"actions": ["delete"]}}))["terraform"]
    assert told["destroyed"][0] == "[OTHER]"
    assert (len(told["destroyed"]), told["destroyed_more"]) == (20, 11)


def test_no_value_of_a_plan_is_in_its_fact():
    told = facts(plan=plan(change("update", before={"tag": "tiger"}, after={"tag": "lion"})))
    assert "tiger" not in json.dumps(told)
    assert "web" not in json.dumps(told)


@QUIET
@given(
    st.lists(st.sampled_from(["create", "delete", "no-op", "odd"]), max_size=6),
    st.lists(st.sampled_from(["create", "no-op"]), max_size=3),
)
def test_more_changes_never_make_a_plan_destroy_less(actions, more):
    def gone(names):
        told = facts(plan=plan(*(change(name) for name in names)))["terraform"]
        return told["delete"] + told["other"] + told["replace"]

    assert gone([*more, *actions]) >= gone(actions)


# --- Kubernetes --------------------------------------------------------------


def manifest(kind="Deployment", namespace="shop", **more):
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", **({"namespace": namespace} if namespace else {})},
        **more,
    }


def test_a_manifest_is_told_by_verb_kind_and_class_of_namespace():
    assert facts(verb="apply", manifest=manifest())["kubernetes"] == {
        "verb": "apply",
        "objects": 1,
        "unread": 0,
        "kinds": ["Deployment"],
        "namespaces": ["named"],
    }
    assert facts(verb="Delete", kind="Pod", namespace="kube-system")["kubernetes"] == {
        "verb": "delete",
        "objects": 1,
        "unread": 0,
        "kinds": ["Pod"],
        "namespaces": ["system"],
    }


def test_what_is_no_cluster_has_no_such_fact():
    for arguments in ({"kind": "csv"}, {"verb": "get"}, {"namespace": "x"}, {}):
        assert "kubernetes" not in facts(**arguments)


def test_every_kind_counts_where_it_stands():
    listed = {"apiVersion": "v1", "kind": "List", "items": [manifest(), manifest("Secret")]}
    told = facts(manifest=json.dumps(listed))["kubernetes"]
    assert told["kinds"] == ["Deployment", "List", "Secret"]
    assert told["unread"] == 0
    template = {"template": {"metadata": {"labels": {"app": "web"}}}}
    told = facts(manifest=manifest(spec=template))["kubernetes"]
    assert told["namespaces"] == ["named"]


def test_a_manifest_that_is_no_json_is_unread():
    yaml = "apiVersion: v1\nkind: ClusterRoleBinding\n"
    assert facts(verb="apply", manifest=yaml)["kubernetes"]["unread"] == 1
    assert facts(manifests=[manifest(), yaml])["kubernetes"]["unread"] == 1
    assert facts(manifests=[json.dumps(manifest()), manifest()])["kubernetes"]["unread"] == 0


@pytest.mark.parametrize("version", [None, 1, ["v1"]])
def test_a_version_that_is_no_text_is_unread(version):
    assert facts(manifest={**manifest(), "apiVersion": version})["kubernetes"]["unread"] == 1


def test_an_object_without_a_namespace_is_not_covered_by_another():
    told = facts(manifests=[manifest(), manifest(namespace="")])["kubernetes"]
    assert told["namespaces"] == ["named", "unstated"]
    subjects = [{"kind": "User", "namespace": "shop"}, {"kind": "User", "namespace": "shop"}]
    told = facts(manifest=manifest("RoleBinding", "", subjects=subjects))["kubernetes"]
    assert told["namespaces"] == ["named", "unstated"]
    assert facts(verb="get", kind="Pod")["kubernetes"]["namespaces"] == ["unstated"]
    assert facts(verb="get", kind="Pod", namespace=["a"])["kubernetes"]["namespaces"] == [
        "unreadable"
    ]


def test_verbs_come_from_a_list_and_two_are_several():
    assert facts(verb="frobnicate", kind="Pod")["kubernetes"]["verb"] == "other"
    assert facts(verb=None, kind="Pod")["kubernetes"]["verb"] == "other"
    told = facts(verb="get", manifest=manifest(verb="delete"))["kubernetes"]
    assert told["verb"] == "multiple"
    assert "verb" not in facts(manifest=manifest())["kubernetes"]


def test_kinds_that_are_no_plain_names_are_not_shown_and_not_lost():
    told = facts(verb="get", kind="ann smith")["kubernetes"]
    assert told["kinds"] == ["[OTHER]"]
