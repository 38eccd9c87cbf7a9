"""Values that one line gives to telling names, in environments, commands, queries, headers."""

import time

import pytest

from countersign.sanitize import Sanitizer, assignments

SANITIZER = Sanitizer()


def shown(value):
    return SANITIZER.detail({"x": value})["x"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ACCOUNT_HOLDER=Rose Kowalska", "ACCOUNT_HOLDER=[PERSON]"),
        ("DATE_OF_BIRTH=December 7, 1989", "DATE_OF_BIRTH=[DATE_OF_BIRTH]"),
        ("notify --account-holder 'Mei Costa' --dry-run", None),
        ("notify --social-security-number 647413273 -v", None),
        ("notify --medical-record-number=G0270996 -v", None),
        ("https://x.example/find?account_holder=Rose Kowalska&page=2", None),
        ("GET https://x.example/find?a=1&full_name=Mark van der Hoffmann", None),
        ("https://x.example/find?full_name=rose%20kowalska&page=2", None),
        ("curl -H 'X-Account-Holder: Rose Kowalska' x.example", None),
        ("notify --address '119 Hawthorn Road, Lyon YA7 9GB' -v", None),
        ("POST /v1/x HTTP/1.1\nX-street-address: 8 Birken Road, Bath TE5 0VD\n", None),
        ("notify --medical-record-number [HI]G0270996 -v", None),
        (
            "notify --medical-record-number [SECRET] -v",
            "notify --medical-record-number [SECRET] -v",
        ),
        ('crm --set phone_number="(521) 570-4080" -v', 'crm --set phone_number="[PHONE]" -v'),
    ],
)
def test_a_value_given_to_a_telling_name_is_masked(text, clean):
    said = shown(text)
    if clean:
        assert said.replace('"', "") == clean.replace('"', "")
    for word in (
        *("Rose", "rose", "Kowalska", "kowalska", "Mei", "Costa", "647413273", "G0270996"),
        *("Mark", "Hoffmann", "Hawthorn", "Lyon", "Birken", "Bath", "4080", "1989"),
    ):
        assert word not in said


@pytest.mark.parametrize(
    "argv",
    [
        ["deploy", "--social-security-number", "647413273", "-v"],
        ["deploy", "--account-holder", "Rose Kowalska", "-v"],
    ],
)
def test_the_item_after_an_option_is_its_value(argv):
    said = shown(argv)
    assert said[2].startswith("[")
    assert [said[0], said[1], said[3]] == [argv[0], argv[1], argv[3]]


@pytest.mark.parametrize(
    "text",
    [
        "kubectl get pods --namespace=shop --selector app=web",
        "serve --address 127.0.0.1 --name web",
        "run --account-holder $HOLDER --full-name ${NAME}",
        "https://x.example/find?page=2&sort=name",
        "tar --zip all --diagnosis",
        "make NAME=web ADDRESS=db-2.corp.example:5432",
    ],
)
def test_names_of_things_variables_and_what_does_not_fit_stay(text):
    assert shown(text) == text


def test_a_value_that_fails_is_covered_and_only_it(monkeypatch):
    def fail(text):
        raise RuntimeError(text)

    monkeypatch.setattr(assignments, "spans", fail)
    assert shown({"a": "full_name=Rose Kim", "b": "plain"}) == {"a": "[UNREADABLE]", "b": "plain"}


@pytest.mark.parametrize(
    "unit", [" name=1", ' "ab: ', "--full-name Rose ", "&full_name=a b", "ab."]
)
def test_a_flood_of_names_costs_little(unit):
    text = (unit * 30_000)[:64_000]
    start = time.process_time()
    list(assignments.spans(text))
    assert time.process_time() - start < 0.5
