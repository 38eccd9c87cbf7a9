"""Every rule taken from gitleaks finds a value made for it, wherever it stands."""

import json
import random
import re
import string
import time
from re import _constants as ops
from re import _parser as parser

import pytest

from countersign.sanitize import Sanitizer
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.rules import providers

SANITIZER = Sanitizer()
EVERY = Patterns()
RULES = {rule.id.removeprefix("gitleaks."): rule for rule in providers.RULES}


def sample(rule, seed):
    """A text the pattern matches, as (text, value). Longer repetitions stay near their least."""
    pattern = rule.pattern.replace(r"\z", r"\Z").replace("[[:alnum:]]", "[A-Za-z0-9]")
    flags = re.IGNORECASE if "(?i)" in pattern else 0
    tree = parser.parse(pattern.replace("(?i)", ""), flags)
    source, found = random.Random(seed), []
    text = _text(tree, source, found)
    if not any(word in text.lower() for word in rule.keywords):
        text = f"{rule.keywords[0]} {text}"
    return text, found[0] if found and found[0] else text


def _text(tree, source, found):
    return "".join(_piece(op, argument, source, found) for op, argument in tree)


def _piece(op, argument, source, found):
    if op is ops.LITERAL:
        return chr(argument)
    if op is ops.IN:
        return source.choice(_class(argument))
    if op is ops.NOT_LITERAL:
        return "x"
    if op in {ops.MAX_REPEAT, ops.MIN_REPEAT}:
        least, most, inner = argument
        count = source.randint(least, min(most, least + 2))
        return "".join(_text(inner, source, found) for _ in range(count))
    if op is ops.SUBPATTERN:
        group, *_, inner = argument
        text = _text(inner, source, found)
        if group is not None and not found:
            found.append(text)
        return text
    if op is ops.BRANCH:
        return _text(source.choice(argument[1]), source, found)
    assert op in {ops.AT, ops.ANY}, op
    return ""


_CLASSES = {
    ops.CATEGORY_DIGIT: string.digits,
    ops.CATEGORY_WORD: string.ascii_letters + string.digits + "_",
    ops.CATEGORY_SPACE: " ",
}


def _class(items):
    chars = ""
    for op, argument in items:
        if op is ops.NEGATE:
            return ".a1" if len(items) == 3 else string.ascii_lowercase + string.digits
        if op is ops.LITERAL:
            chars += chr(argument)
        elif op is ops.RANGE:
            chars += "".join(map(chr, range(argument[0], argument[1] + 1)))
        else:
            chars += _CLASSES[argument]
    return "".join(char for char in chars if char.isprintable()) or " "


def samples(name, count=3):
    """Values random enough for the rule; what its own pattern does not match is no sample."""
    alone = Patterns((RULES[name],))
    seed = made = 0
    while made < count:
        seed += 1
        assert seed < 400, "no value could be made for this rule"
        text, value = sample(RULES[name], seed)
        if list(alone.find(text.encode(), [0])):
            made += 1
            yield text, value


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_rule_finds_what_it_was_made_for(name):
    for text, value in samples(name):
        data = b"\x00".join((b"before", f"a {text}".encode(), b"after"))
        found = {rule.id for _, _, rule in EVERY.find(data, EVERY.candidates(data))}
        assert RULES[name].id in found, "and its keywords let it look"
        for shown in (SANITIZER.text(text), json.dumps(SANITIZER.detail({"note": f"x {text}"}))):
            assert value.strip() not in shown


def test_all_rules_of_the_file_are_there():
    assert len(RULES) == len(providers.RULES) >= 220
    assert re.fullmatch(r"v8\.\d+\.\d+", providers.VERSION)
    assert all(rule.keywords for rule in providers.RULES)


def mixed(count, alphabet=string.ascii_letters + string.digits):
    return "".join(random.Random(count).choices(alphabet, k=count))


HEX = "0123456789abcdef"
KNOWN = {
    "aws-access-token": "AKIA" + mixed(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "anthropic-api-key": "sk-ant-api03-" + mixed(93) + "AA",
    "databricks-api-token": "dapi" + mixed(32, HEX),
    "digitalocean-pat": "dop_v1_" + mixed(64, HEX),
    "gcp-api-key": "AIza" + mixed(35),
    "github-fine-grained-pat": "github_pat_" + mixed(82),
    "github-pat": "ghp_" + mixed(36),
    "gitlab-pat": "glpat-" + mixed(20),
    "grafana-service-account-token": "glsa_" + mixed(32) + "_" + mixed(8, HEX),
    "huggingface-access-token": "hf_" + mixed(34, string.ascii_letters),
    "linear-api-key": "lin_api_" + mixed(40),
    "new-relic-user-api-key": "newrelic=NRAK-" + mixed(27, string.ascii_lowercase + string.digits),
    "npm-access-token": "npm_" + mixed(36, string.ascii_lowercase + string.digits),
    "openshift-user-token": "sha256~" + mixed(43),
    "postman-api-token": "PMAK-" + mixed(24, HEX) + "-" + mixed(34, HEX),
    "pypi-upload-token": "pypi-AgEIcHlwaS5vcmc" + mixed(60),
    "sendgrid-api-token": "SG." + mixed(66),
    "shopify-access-token": "shpat_" + mixed(32, HEX),
    "slack-bot-token": "xoxb-" + mixed(11, "0123456789") + "-" + mixed(11, "123456789") + "-AbCd",
    "square-access-token": "EAAA" + mixed(60),
    "stripe-access-token": "sk_live_" + mixed(24),
    "telegram-bot-api-token": "telegram_token=" + mixed(9, "12345") + ":A" + mixed(34),
    "twilio-api-key": "SK" + mixed(32, HEX),
    "vault-service-token": "hvs." + mixed(100),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_shapes_are_found_by_their_rule(name):
    for around in ("{}", "use {} for it", '"{}",', "({})", "k\x00{}\x00k"):
        data = around.format(KNOWN[name]).encode()
        found = {rule.id for _, _, rule in EVERY.find(data, EVERY.candidates(data))}
        assert f"gitleaks.{name}" in found


@pytest.mark.parametrize(
    "text",
    [
        "primary_key = customer_account_id",
        "sort_key: created_at_descending",
        "the access policy: read_only_for_everybody",
        "curl -H 'Authorization: [SECRET]' https://x.example/a",
        '<add key="Password" value="[SECRET]" />',
        "airtable, algolia, asana, atlassian, jira: connectors_of_the_team",
    ],
)
def test_names_and_what_is_masked_already_are_no_finds(text):
    assert SANITIZER.text(text) == text


def test_no_rule_matches_across_what_parts_two_values():
    for name in (
        "private-key",
        "kubernetes-secret-yaml",
        "curl-auth-header",
        "nuget-config-password",
    ):
        text, _ = next(samples(name))
        for at in range(8, len(text) - 8, max(1, len(text) // 9)):
            data = (text[:at] + "\x00" + text[at:]).encode()
            for start, end, rule in EVERY.find(data, range(len(EVERY.rules))):
                if rule.id == f"gitleaks.{name}":
                    assert b"\x00" not in data[start:end].rstrip(b"\x00")


def test_all_keywords_at_once_in_a_long_text_cost_linear_time():
    words = " ".join(word for rule in providers.RULES for word in rule.keywords)
    took = []
    for size in (16, 64):
        text = (f"{words} = 'ab01' key: \"curl -H \n" * 40).encode()[: size << 10]
        start = time.process_time()
        list(EVERY.find(text, EVERY.candidates(text)))
        took.append(time.process_time() - start)
    assert took[1] < 2, "a generous bound: it takes a tenth of this"


def test_a_long_random_text_builds_few_states():
    """All rules in one set would take ten times the bound."""
    signs = "abcdef0123456789_=-:.'\" skeytokenap"
    text = "".join(random.Random(2).choices(signs, k=65_000)).encode()
    fresh = Patterns()
    start = time.process_time()
    fresh.candidates(text)
    fresh.candidates(text)
    assert time.process_time() - start < 0.6, "it takes a sixth of this; in one set it took twice"
