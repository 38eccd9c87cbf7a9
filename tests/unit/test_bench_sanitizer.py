"""The sanitizer's bench is right: its values are valid, its counting counts."""

from __future__ import annotations

import ipaddress
import json
import logging
import random
import re
import subprocess
import sys

import pytest

import realparts

SCRIPTS = realparts.ROOT / "scripts"
sys.path.append(str(SCRIPTS))

import bench_sanitizer_benign as benign_texts  # noqa: E402 - the scripts are no package
import bench_sanitizer_cases as made  # noqa: E402
import bench_sanitizer_checks as checks  # noqa: E402
import bench_sanitizer_data as data  # noqa: E402
import bench_sanitizer_main as bench  # noqa: E402
import bench_sanitizer_measure as measure  # noqa: E402
import bench_sanitizer_report as report  # noqa: E402
import bench_sanitizer_secrets as secrets  # noqa: E402
import bench_sanitizer_shapes as shapes  # noqa: E402
import bench_sanitizer_useful as useful  # noqa: E402
import bench_sanitizer_values as values  # noqa: E402

ASKED = measure.Measure()


def many(make, count=200, words=made.TUNING.words):
    rng = random.Random(7)
    return [make(rng, words) for _ in range(count)]


def digits(text):
    return "".join(char for char in text if char.isdigit())


# --- made-up values are valid -------------------------------------------------


def test_check_digits_are_those_of_published_examples():
    assert checks.luhn_digit("7992739871") == "3"
    assert checks.luhn_digit("411111111111111") == "1"
    assert checks.iban("GB", "WEST12345698765432") == "GB82WEST12345698765432"
    assert checks.iban("DE", "370400440532013000") == "DE89370400440532013000"
    assert checks.verhoeff_digit("236") == "3"
    assert checks.mod_11_10("8609574271") == "9"
    assert checks.cpf_digits("111444777") == "35"
    assert checks.fiscal_letter("RSSMRA85T10A562") == "S"
    # The first key of all: BIP 173's example program, and the first block's address.
    program = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
    assert checks.segwit(program) == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    first = bytes.fromhex("0062e907b15cbf27d5425399ebf6f0fb50ebb88f18")
    assert checks.base58_check(first) == "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"


def test_cards_pass_the_check_and_have_the_length_of_their_issuer():
    for card in many(values.card):
        number = digits(card)
        doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(number))]
        assert sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0
        assert len(number) == {"36": 14, "37": 15}.get(number[:2], 16)


def test_ibans_leave_one_modulo_97():
    for iban in many(values.iban):
        text = iban.replace(" ", "").upper()
        assert int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def test_addresses_of_machines_are_addresses():
    for ip in many(values.ip):
        ipaddress.ip_address(ip)
    assert all(len(re.findall(r"[0-9A-Fa-f]{2}", mac)) == 6 for mac in many(values.mac))


def test_security_numbers_are_ones_that_can_be_issued():
    for ssn in many(values.ssn):
        area, group, serial = re.split("[- ]", ssn)
        assert area not in {"000", "666"}
        assert area < "900"
        assert group != "00"
        assert serial != "0000"


def test_papers_have_the_form_of_their_country():
    forms = r"[A-Z]{2} \d\d \d\d \d\d [A-D]|\d{8}[A-Z]|[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]"
    forms += r"|\d \d\d \d\d \d\d \d{3} \d{3} \d\d|\d{3}\.\d{3}\.\d{3}-\d\d|\d{6}-\d{3}[0-9A-Y]"
    forms += r"|\d{4} \d{4} \d{4}"
    assert all(re.fullmatch(forms, paper) for paper in many(values.national_id))


def test_a_credential_says_which_part_of_it_is_secret():
    rng = random.Random(7)
    for shape in {**made.TUNING.secrets, **made.HELD_OUT.secrets}.values():
        each = secrets.credential(rng, shape)
        assert each.secret in each.text
        assert not set("<>[]") & set(each.text)
    url = secrets.credential(rng, "redis://:[<m:20>]@h/0")
    assert re.fullmatch(r"[A-Za-z0-9]{20}", url.secret)
    assert url.text == f"redis://:{url.secret}@h/0"


@pytest.mark.parametrize("name", shapes.ENCODINGS)
def test_every_encoding_is_read_again(name):
    value = "jane.doe@example.com"
    written = shapes.ENCODINGS[name](value)
    assert written != value
    assert any(value in reading for reading in measure.readings(f"x {written} y"))


# --- the two sets -------------------------------------------------------------


def test_a_set_is_the_same_every_time_and_the_sets_share_no_case():
    first, again = (list(made.cases(made.TUNING, rounds=1)) for _ in range(2))
    assert first == again
    other = list(made.cases(made.HELD_OUT, rounds=1))
    assert {case.value for case in first}.isdisjoint(case.value for case in other)


def test_the_sets_share_no_template_name_or_street():
    for texts in (made.TUNING.texts, made.HELD_OUT.texts):
        assert set(texts.prose) == set(made.NAMES)
    for name in made.NAMES:
        assert not set(made.TUNING.texts.prose[name]) & set(made.HELD_OUT.texts.prose[name])
    assert not set(made.TUNING.words.people) & set(made.HELD_OUT.words.people)
    given = [{given for given, _ in each.words.people} for each in (made.TUNING, made.HELD_OUT)]
    assert not given[0] & given[1]
    assert not set(made.TUNING.words.streets) & set(made.HELD_OUT.words.streets)


def test_every_value_stands_in_its_case_and_not_around_it():
    for chosen in (made.TUNING, made.HELD_OUT):
        for case in made.cases(chosen, rounds=1):
            every = "\x00".join((*measure.texts(case.arguments), case.reason))
            written = (
                case.written.replace("'", "''") if case.shape == "SQL literal" else case.written
            )
            assert written in every or json.dumps(written)[1:-1] in every or "\n" in written, (
                case.shape
            )
            assert case.value not in "\x00".join(measure.texts(list(case.around)))


def test_little_of_a_value_goes_uncounted_for_what_stands_around_it():
    for case in made.cases(made.HELD_OUT, rounds=1):
        around = "\x00".join(measure.texts(list(case.around)))
        known = measure.known_text(measure.context(case.arguments, case.reason), around)
        counted = measure.runs(case.value, case.value, known)
        assert len(counted) * 2 >= len(measure.runs(case.value, case.value, "")), case.value


def test_every_entity_shape_and_encoding_is_there():
    found = list(made.cases(made.HELD_OUT, rounds=1))
    assert {case.entity for case in found} == set(made.NAMES)
    assert {case.encoding for case in found} == {made.PLAIN, *shapes.ENCODINGS}
    assert {case.shape for case in found} == {"prose", "key", "list", *shapes.HELD_OUT}


# --- counting -----------------------------------------------------------------


class Leaky:
    """A sanitizer's answers, made to measure."""

    def __init__(self, shown, *, facts=None, pointer=""):
        self.shown, self.facts, self.pointer = shown, facts or {}, pointer

    def __call__(self, raw):
        context = {"arguments": self.shown, "reason": ""}
        return {
            "preview": context,
            "facts": self.facts,
            "preview report": [self.pointer],
            "record": context,
            "record report": [self.pointer],
        }


def outcome(monkeypatch, leaving, *, value="4111111111111111", written=None, arguments=None):
    monkeypatch.setattr(ASKED, "leaving", leaving)
    raw = measure.context(arguments or {"n": value})
    return ASKED.of(raw, {value: written or value}, "n")


def test_four_characters_are_a_leak_and_three_are_none(monkeypatch):
    assert outcome(monkeypatch, Leaky({"n": "[CREDIT_CARD] 111"})).survives == ()
    assert outcome(monkeypatch, Leaky({"n": "[CREDIT_CARD]1111"})).survives == ("preview", "record")


def test_a_leak_in_facts_or_a_pointer_counts(monkeypatch):
    masked = {"n": "[CREDIT_CARD]"}
    facts = Leaky(masked, facts={"shell": {"program": "4111"}})
    assert outcome(monkeypatch, facts).survives == ("facts",)
    assert outcome(monkeypatch, Leaky(masked, pointer="/n/4111")).survives == (
        "preview report",
        "record report",
    )


def test_case_means_nothing_and_a_tag_is_no_leak(monkeypatch):
    found = outcome(monkeypatch, Leaky({"n": "JANE"}), value="jane@example.com")
    assert found.survives == ("preview", "record")
    found = outcome(monkeypatch, Leaky({"n": "[EMAIL:abcd]"}), value="abcd@example.com")
    assert found.survives == ()


@pytest.mark.parametrize("name", shapes.ENCODINGS)
def test_what_is_left_encoded_is_a_leak(monkeypatch, name):
    value = "jane.doe@example.com"
    written = shapes.ENCODINGS[name](value)
    left = Leaky({"n": f"see {written}"})
    assert outcome(monkeypatch, left, value=value, written=written).survives
    visible = Leaky({"n": written.replace("\u200b", "<U+200B>")})
    assert outcome(monkeypatch, visible, value=value, written=written).survives


def test_runs_that_stand_around_the_value_say_nothing():
    assert measure.runs("openbill", "openbill", "open the case") == {"penb", "enbi", "nbil", "bill"}


def test_benign_characters_are_counted_without_the_value(monkeypatch):
    arguments = {"n": "pay with 4111111111111111 now"}
    found = outcome(monkeypatch, Leaky({"n": "pay with [CREDIT_CARD] now"}), arguments=arguments)
    assert found.masked == 0
    assert found.benign == len("n") + len("pay with  now")
    found = outcome(monkeypatch, Leaky({"n": "[TEXT]"}), arguments=arguments)
    assert found.masked == len("pay with  now")


def test_a_subtree_that_is_gone_counts_with_its_keys():
    assert measure.lost({"a": {"bc": "def", "n": 12}}, {"a": "[POLICY]"}) == 8
    assert measure.lost({"body": '{"k": "value"}'}, {"body": '{"k": "[X]"}'}) == 5
    assert measure.lost(["ab", 123], ["ab", "[X]#2"]) == 3


def test_no_benign_template_is_in_both_halves():
    found = list(benign_texts.texts(40))
    for templates in (
        benign_texts.SQL,
        benign_texts.SHELL,
        benign_texts.YAML,
        benign_texts.COMMITS,
        benign_texts.LOGS,
        benign_texts.PROSE,
    ):
        assert len(templates) % 2 == 0
    assert {(name, half) for name, half, _ in found} == {
        (name, half) for name in benign_texts.CORPORA for half in (False, True)
    }


def test_literals_of_benign_statements_are_not_counted():
    kept = benign_texts.without_literals("SELECT a FROM t WHERE b = 'it''s' AND c = 12 -- why")
    assert "'" not in kept
    assert "12" not in kept
    assert "why" not in kept


def test_a_missed_target_is_said(monkeypatch):
    tally, nothing = report.Tally(), dict.fromkeys(benign_texts.CORPORA, report.Count())
    case = next(iter(made.cases(made.HELD_OUT, rounds=1)))
    lost = measure.Outcome(survives=("preview",), shown="", benign=10, masked=5)
    tally.add(case, lost)
    targets = {target.what: target for target in report.quality_targets(tally, nothing)}
    assert not targets["provider secrets"].met
    assert not targets["card"].met, "nothing measured is nothing met"
    nothing["SQL"] = report.Count(cases=1, benign=100, masked=4)
    targets = {target.what: target for target in report.quality_targets(tally, nothing)}
    assert not targets["benign characters masked, SQL"].met


# --- usefulness ---------------------------------------------------------------


def test_every_action_of_the_example_policies_has_a_context_and_rules():
    actions = useful.actions_of_policies()
    assert {"db.export", "sql.execute", "shell.run", "iam.grant", "deploy.rollback"} <= actions
    assert actions <= set(useful.WHERE_TO_LOOK)
    assert actions <= {context.action for context in useful.contexts()}


def test_the_contexts_of_the_documentation_are_read():
    documented = {context.action for context in useful.contexts()}
    assert "payment.refund" in documented


@pytest.mark.parametrize(
    ("shown", "facts", "place", "how"),
    [
        ({"to": "kim"}, {}, "/to", "shown"),
        ({"to": "[IBAN:69ad]"}, {}, "/to", "by tag"),
        ({"to": "[SECRET]"}, {}, "/to", "missing"),
        ({}, {}, "/to", "missing"),
        ({}, {"destination": {"domain": "corp.test"}}, "facts:destination.domain", "shown"),
        ({}, {"destination": {"domain": "unreadable"}}, "facts:destination.domain", "missing"),
        ({}, {"shell": {"flags": []}}, "facts:shell.flags", "shown"),
        ({"changes": [{"at": "vpc"}]}, {}, "/changes/0/at", "shown"),
        ({"changes": [{"at": "[ADDRESS:69ad]"}]}, {}, "/changes/0/at", "by tag"),
        ({"changes": []}, {}, "/changes/0/at", "missing"),
    ],
)
def test_an_answer_is_shown_by_tag_or_missing(shown, facts, place, how):
    assert useful._look(shown, facts, place) == how


# --- data of one's own --------------------------------------------------------


def own(tmp_path, *lines):
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return path


def test_own_texts_and_contexts_are_read(tmp_path):
    path = own(
        tmp_path,
        {"text": "call 555 0100 now", "spans": [[5, 13]], "entity": "phone"},
        {"context": {"arguments": {"to": "ada@example.com"}}, "values": ["ada@example.com"]},
    )
    first, second = data.read(path)
    assert first.values == ("555 0100",)
    assert first.entity == "phone"
    assert "555" not in first.around
    assert second.context.arguments == {"to": "ada@example.com"}


@pytest.mark.parametrize(
    "line",
    [
        {"values": ["x"]},
        {"text": "a", "context": {}, "values": ["a"]},
        {"text": "quiet"},
        {"text": "quiet", "values": ["hush-hush"]},
        {"text": "quiet", "values": [7]},
        {"text": "quiet", "spans": [3]},
        {"context": {"arguments": {"a": "quiet"}}, "spans": [[0, 2]]},
        {"context": {"arguments": "quiet"}, "values": ["quiet"]},
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_not_quoted(tmp_path, line):
    with pytest.raises(data.DataError, match="line 1: ") as error:
        list(data.read(own(tmp_path, line)))
    assert "quiet" not in str(error.value)
    assert "hush" not in str(error.value)


def test_own_data_is_measured_and_never_printed(tmp_path):
    path = own(
        tmp_path,
        {"text": "mail to ada.kim@example.com", "values": ["ada.kim@example.com"]},
        {"text": "the zebra is striped", "values": ["striped"], "entity": "secret word"},
    )
    done = subprocess.run(
        [sys.executable, SCRIPTS / "bench_sanitizer_main.py", "--data", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "line 2 (secret word): survives in preview, record" in done.stdout
    assert "line 1" not in done.stdout
    assert "ada.kim" not in done.stdout + done.stderr
    assert "striped" not in done.stdout + done.stderr


# --- the whole ----------------------------------------------------------------


def run_bench(*arguments):
    command = [sys.executable, SCRIPTS / "bench_sanitizer_main.py", "--quick", "--no-speed"]
    return subprocess.run(
        [*command, "--entity", "medical record", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_misses_are_told_and_fail_only_when_asked_to_and_held_out_values_stay_unseen():
    told, checked = run_bench("--examples", "99"), run_bench("--check")
    assert (told.returncode, checked.returncode) == (0, 1), told.stdout + told.stderr
    assert report.MISSED in told.stdout
    held_out = [
        case for case in made.cases(made.HELD_OUT, rounds=2) if case.entity == "medical record"
    ]
    assert held_out
    assert not [case.value for case in held_out if case.value in told.stdout]


def test_a_sanitizer_that_failed_was_not_measured(monkeypatch, capsys):
    def failing(_):
        logging.getLogger("countersign.sanitize.survey").error("a value was masked whole: KeyError")
        return 0

    monkeypatch.setattr(bench, "made_data", failing)
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert bench.main() == 1
    assert "1 times: a value was masked whole: KeyError" in capsys.readouterr().out
