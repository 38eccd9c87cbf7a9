"""The evidence pack: its counts, its sample, and a page that nothing in a record can break."""

import base64
import hashlib
import json
from collections import Counter
from html.parser import HTMLParser

import pytest

from audit_affairs import day, rows
from audit_world import SIGNER, VKEY
from countersign.audit.controls import CONTROLS, chosen
from countersign.audit.criteria import Criteria
from countersign.audit.evidence import gather, rank
from countersign.audit.report import Pack, render
from countersign.audit.trust import TrustedLog
from countersign.audit.verify import verify
from countersign.errors import ConfigurationError

RECORDS = [json.loads(row.body) for row in rows()]
ALL = Criteria()


def gathered(records=RECORDS, period=ALL, seed="s", size=5):
    return gather(records, period, seed=seed, size=size)


def test_everything_is_counted():
    found = gathered()
    assert (found.records, found.gapless) == (len(RECORDS), True)
    assert found.kinds == Counter(record["kind"] for record in RECORDS)
    assert found.effects == {"needs_approval": 5, "allow": 2, "deny": 1}
    assert found.revisions == {"rev-1": 7, "rev-2": 1}
    assert found.reviewers == {"bob": 2, "carol": 1, "dave": 1}
    assert found.assurances == {"person": 3, "channel": 1}
    assert found.unauthenticated == {"UNAUTHENTICATED": 5}
    assert found.refused_calls == {"INVALID_ARGUMENT": 2}
    assert [row["seq"] for row in found.refused.kept] == [4, 32]
    assert [row["seq"] for row in found.changes.kept] == [0, 1, 31, 33]
    assert [row["seq"] for row in found.emergencies.kept] == [19, 22]
    assert found.longest_silence_s == 1200
    assert len(found.reconciliation.found) == 2


def test_a_period_is_counted_and_the_whole_log_reconciled():
    period = Criteria(since=RECORDS[8]["time"], until=RECORDS[11]["time"])
    found = gathered(period=period)
    assert (found.records, found.first["seq"], found.last["seq"]) == (3, 8, 10)
    assert len(found.reconciliation.found) == 2


def test_a_missing_number_shows():
    assert not gathered(RECORDS[:5] + RECORDS[6:]).gapless


def test_the_sample_is_the_same_for_everybody_with_the_seed():
    acts = [r["seq"] for r in RECORDS if r["kind"] in ("decision", "claim", "break_glass")]

    def draw(seed, seq):
        digest = hashlib.sha256(f"countersign/sample/v1/{seed}/{seq}".encode()).hexdigest()
        assert rank(seed, seq) == int(digest, 16)
        return digest

    for seed in ("s", "another"):
        found = gathered(seed=seed)
        expected = sorted(sorted(acts, key=lambda seq: draw(seed, seq))[:5])
        assert [row["seq"] for row in found.sample] == expected
        assert found.acts == len(acts)
    assert gathered(seed="s").sample != gathered(seed="another").sample
    assert [row["seq"] for row in gathered(size=99).sample] == acts
    assert gathered(size=0).sample == []


def test_records_that_claim_the_same_number_break_nothing():
    found = gathered([RECORDS[2]] * 4 + [{}, {"seq": True}], size=3)
    assert [row["seq"] for row in found.sample] == [2, 2, 2]
    assert not found.gapless


def test_a_sample_is_fair():
    """Each of 40 records is drawn about as often as any other."""
    drawn = Counter()
    for seed in range(400):
        drawn.update(sorted(range(40), key=lambda seq: rank(str(seed), seq))[:10])
    assert 60 < min(drawn.values()) <= max(drawn.values()) < 150


# --- the page ---

TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "strong"}
TAGS |= {"ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}


class Page(HTMLParser):
    """Takes a page apart, and refuses what a report has no use for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.attributes = [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS, tag
        self.attributes |= {name for name, _ in attributes}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return verify(day(tmp_path_factory.mktemp("log")), VKEY)


def page(result, records=RECORDS, **more):
    found = gathered(records, **more)
    return render(
        Pack(
            trusted=TrustedLog(verifier=SIGNER.verifier),
            result=result,
            evidence=found,
            controls=chosen(["soc2", "fedramp"]),
            proofs={row["seq"]: "ab" * 32 for row in found.sample},
        )
    )


def test_the_page_says_what_was_found_and_what_was_not_checked(result):
    text = " ".join(Page(page(result)).text)
    for words in (
        "WHOLE",
        "locks (a directory has none",
        "no witness",
        result.root.hex(),
        "vote.self_approval",
        "UNAUTHENTICATED",
        "dave BROKE THE GLASS",
        "claim.unreported",
        "CC8.1",
        "AU-10",
        VKEY,
        f"sample/{gathered().sample[0]['seq']}.proof",
    ):
        assert words in text, words


def test_the_page_runs_and_fetches_nothing(result):
    text = page(result)
    parsed = Page(text)
    assert parsed.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    for word in ("http://", "https://", "<script", "url(", "@import", "src=", "href=", "onload"):
        assert word not in text.lower(), word
    assert "default-src 'none'; style-src 'sha256-" in text
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in text


EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title></style></td></table><script>",
    "<!--", "]]>", "&lt;b&gt;", "\u202egnp.exe", "\x00\x1b[2J", "\ud800", "a" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_in_a_record_or_finding_becomes_markup(result, evil):
    records = [json.loads(json.dumps(record)) for record in RECORDS]
    for record in records:
        for part in (record, *(value for value in record.values() if isinstance(value, dict))):
            for name, value in list(part.items()):
                if isinstance(value, str) and name not in ("kind", "time"):
                    part[name] = evil
        record["change"] = {evil: evil}
    text = page(result, records, seed=evil)
    text.encode()
    shape = Page(page(result))
    parsed = Page(text)
    assert parsed.attributes == shape.attributes
    assert "<script" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_long_lists_are_cut_in_the_page_and_counted(result):
    many = [*RECORDS, *({**RECORDS[4], "seq": seq} for seq in range(40, 540))]
    assert "And 302 more, in the files." in page(result, many)


def test_the_same_log_gives_the_same_page(result):
    assert page(result) == page(result)


def test_frameworks_are_chosen_by_name():
    assert {name for name, _ in chosen(["soc2"])} == {"soc2"}
    assert len(chosen(["soc2", "fedramp", "soc2"])) == sum(map(len, CONTROLS.values()))
    for names in ([], [""], ["iso"]):
        with pytest.raises(ConfigurationError) as refused:
            chosen(names)
        assert refused.value.code == "audit.controls_unknown"
