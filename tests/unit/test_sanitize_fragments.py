"""Settings in strings: values under telling keys are masked as JSON's would be."""

import time

import pytest

from countersign.sanitize import Sanitizer, fragments

SANITIZER = Sanitizer()


def shown(text):
    return SANITIZER.detail({"note": text})["note"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("host: a\npassword: sword fish\nport: 1", "host: a\npassword: [SECRET]\nport: 1"),
        ("a: 1\nfirst_name: Zaphod B\n", "a: 1\nfirst_name: [PERSON]\n"),
        ("A=1\nDB_PASSWORD=sword fish # prod\n", "A=1\nDB_PASSWORD=[SECRET] # prod\n"),
        ("A=1\nexport FULL_NAME='Zaphod B'", "A=1\nexport FULL_NAME=[PERSON]"),
        ("[db]\nuser = app\npasswd = sword fish", "[db]\nuser = app\npasswd = [SECRET]"),
        ("a.b=1\r\napi.token=sword fish\r\nc=2", "a.b=1\napi.token=[SECRET]\nc=2"),
        ('a = 1\nsecret = """\nsword\n"""\nb = 2', "a = 1\nsecret = [SECRET]\nb = 2"),
        ("Host: a\nX-Api-Key: sword fish\n\nbody", "Host: a\nX-Api-Key: [SECRET]\n\nbody"),
        ("Host: a\nCookie: a=b; c=d\n", "Host: a\nCookie: [SECRET]\n"),
        ("a: 1\npassword: >\n  sword\n  fish\nb: 2", "a: 1\npassword: >\n  [SECRET]\nb: 2"),
        ("a: 1\npassword: sword\n  fish\nb: 2", "a: 1\npassword: [SECRET]\nb: 2"),
        ("a: 1\ncredentials:\n  u: x\n  v: y\nb: 2", "a: 1\ncredentials:\n  [SECRET]\nb: 2"),
        (
            "a: 1\npassword: &x !!str sword fish\nb: 2",
            "a: 1\npassword: [SECRET] !!str [SECRET]\nb: 2",
        ),
        (
            "env:\n- name: DB_PASSWORD\n  value: sword\n- name: MODE\n  value: fast",
            "env:\n- name: DB_PASSWORD\n  value: [SECRET]\n- name: MODE\n  value: fast",
        ),
        (
            "kind: Secret\nmetadata:\n  name: db\nstringData:\n  any: sword\n",
            "kind: Secret\nmetadata:\n  name: db\nstringData:\n  [SECRET]\n",
        ),
        ("- name: Zaphod\n  email: x\n", "- name: [PERSON]\n  email: [EMAIL]\n"),
        ("ünïcode: é\npassword: swörd\n", "ünïcode: é\npassword: [SECRET]\n"),
    ],
)
def test_a_value_is_masked_by_the_name_of_its_key(text, masked):
    assert shown(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: apps/v1\nmetadata:\n  name: payments-api\nspec:\n  containers:\n  - name: app",
        "[server]\nhost = 0.0.0.0\nport = 8080\n\n[log]\nlevel = info",
        "on:\n  push:\n    branches: [main]\njobs:\n  build:\n    runs-on: ubuntu-latest",
        "password_policy:\n  min_length: 12\n  rotation_days: 90",
        "name: web\nport: 80",
        "Note: call me\nmaybe tomorrow",
    ],
)
def test_settings_that_tell_nothing_stay_readable(text):
    assert shown(text) == text


def test_what_is_wholly_understood_is_told_from_what_is_not():
    assert fragments.is_read("a: 1\nb:\n  - x\n# remark\n\n[c]\nd = 2")
    assert fragments.is_read("a: |\n  any thing\n  at all\nb: 1")
    assert not fragments.is_read("a: 1\nand then some prose")
    assert not fragments.is_read("")


@pytest.mark.parametrize(
    "piece",
    ["a: b\n", "password:\n", "email:\n \n", " a: |\n", "- name: x\n", "password: '''\n", "\n",
     "kind: Secret\ndata:\n", "name: a b\n  c\n"],
)  # fmt: skip
def test_long_texts_cost_linear_time(piece):
    text = (piece * 60_000)[:60_000]
    start = time.process_time()
    fragments.spans(text)
    fragments.is_read(text)
    assert time.process_time() - start < 1, "a generous bound: it takes a tenth of this"
