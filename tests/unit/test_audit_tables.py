"""Records found and written as tables: which ones, in which columns, the same bytes each time."""

import csv
import io
import json
import sys

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_affairs import day, rows
from countersign.audit.criteria import Criteria
from countersign.audit.directory import Directory
from countersign.audit.flat import COLUMNS, flat
from countersign.audit.ocsf import event
from countersign.audit.reading import find_records, read_records
from countersign.audit.tables import WRITERS
from countersign.errors import ConfigurationError

RECORDS = [json.loads(row.body) for row in rows()]


def found(**wanted):
    return [record["seq"] for record in RECORDS if Criteria(**wanted).fit(record)]


def test_records_are_found_by_what_they_are_about():
    assert found(kind="vote") == [5, 13, 25]
    assert found(kind="vote*") == [4, 5, 13, 25]
    assert found(action="db.d*") == [10]
    assert found(person="bob") == [5, 25, 38]
    assert found(person="carol") == [13, 22]
    assert found(person="olga") == [31]
    assert found(effect="deny") == [10, 26]
    assert found(subject="rev_slow") == [28, 29, 30]
    assert found(subject="pmt_exp") == [6, 7]
    assert found(actor="agent", kind="activity") == [39]
    assert found(kind="vote", person="carol", action="db.export") == []
    assert found() == list(range(len(RECORDS)))


def test_a_time_begins_at_its_first_moment_and_ends_before_its_last():
    first, last = RECORDS[10]["time"], RECORDS[13]["time"]
    assert found(since=first, until=last) == [10, 11, 12]
    assert found(since=last) == list(range(13, len(RECORDS)))


class Opened(Directory):
    def __init__(self, root):
        super().__init__(root)
        self.seen = []

    def read(self, name, *more):
        self.seen.append(name)
        return super().read(name, *more)


@pytest.mark.parametrize("span", [(0, 5), (9, 11), (10, 10), (19, 21), (35, 99), (0, 99)])
def test_segments_of_another_time_are_not_opened_and_nothing_is_missed(tmp_path, span):
    source = Opened(day(tmp_path))
    times = [record["time"] for record in RECORDS] + ["9"] * 99
    wanted = Criteria(since=times[span[0]], until=times[span[1]])
    seqs = [record["seq"] for record in find_records(source, wanted)]
    assert seqs == [seq for seq in range(len(RECORDS)) if span[0] <= seq < span[1]]
    assert len(source.seen) <= (span[1] - span[0]) // 10 + 3
    assert len(source.inventory().segments) == 4


# --- tables ---


def written(format, records=RECORDS):
    out = io.BytesIO()
    assert WRITERS[format](iter(records), out) == len(records)
    return out.getvalue()


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "ocsf"])
def test_the_same_records_are_the_same_bytes(format):
    assert written(format) == written(format)


def test_the_columns_are_stable_and_the_formats_agree():
    expected = [flat(record) for record in RECORDS]
    assert list(expected[0])[:8] == [
        "seq", "time", "kind", "tenant", "log_id", "caller", "actor", "action",
    ]  # fmt: skip
    assert [json.loads(line) for line in written("jsonl").splitlines()] == expected
    table = list(csv.DictReader(io.StringIO(written("csv").decode())))
    assert [row["seq"] for row in table] == [str(row["seq"]) for row in expected]
    assert table[2]["data_classes"] == "contact personal"
    assert table[4]["refused"] == "vote.self_approval"
    read = pyarrow.parquet.read_table(io.BytesIO(written("parquet")))
    assert read.column_names == list(COLUMNS)
    assert read.column("permit").to_pylist() == [row["permit"] for row in expected]
    assert str(read.schema.field("time").type) == "timestamp[us, tz=UTC]"


def test_a_spreadsheet_runs_nothing_of_a_record():
    evil = {**RECORDS[2], "action": '=HYPERLINK("http://x")', "session": "@x", "trace": "+1\n=2"}
    (row,) = csv.DictReader(io.StringIO(written("csv", [evil]).decode(), newline=""))
    assert row["action"] == '\'=HYPERLINK("http://x")'
    assert (row["session"], row["trace"]) == ("'@x", "'+1\n=2")


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError) as refused:
        written("parquet")
    assert refused.value.code == "audit.no_parquet"
    assert "countersign[parquet]" in refused.value.advice


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*COLUMNS, "vote", "reasons", "findings", "change"]), ANY))
def test_no_record_is_too_strange_for_a_table(record):
    for name in WRITERS:
        written(name, [record])


# --- OCSF ---


def test_an_event_has_what_the_class_requires():
    """Required attributes and constraints of API Activity in OCSF 1.3.0."""
    for record in RECORDS:
        told = event(record)
        assert (told["category_uid"], told["class_uid"]) == (6, 6003)
        assert told["type_uid"] == 600300 + told["activity_id"]
        assert told["activity_id"] in (1, 3, 99)
        assert told["metadata"]["version"] == "1.3.0"
        assert told["metadata"]["product"]["vendor_name"]
        assert told["time"] > 1_700_000_000_000
        assert told["severity_id"] in (1, 4)
        assert told["api"]["operation"]
        assert told["actor"]["app_name"]
        assert told["src_endpoint"]["name"]


def test_an_event_says_what_the_record_says():
    vote, denied, glass = (event(RECORDS[seq]) for seq in (5, 10, 19))
    assert vote["actor"]["user"] == {"uid": "bob", "type_id": 1}
    assert vote["metadata"]["correlation_uid"] == "rev_exp"
    assert (denied["status_id"], denied["status_detail"]) == (2, "deny")
    assert denied["resources"] == [{"type": "table", "uid": "drop"}]
    assert glass["severity_id"] == 4
    assert event(RECORDS[9])["status_id"] == 2, "the action failed"


def test_a_segment_that_cannot_be_read_sends_to_verify(tmp_path):
    log = day(tmp_path)
    min(log.glob("records/*/*/*.gz")).write_bytes(b"no")
    with pytest.raises(Exception, match="cannot be read"):
        list(read_records(Directory(log)))
