"""The quick way to canonical bytes gives the same bytes as the spelled-out one."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from countersign import canonical

_TEXTS = st.text(max_size=5) | st.sampled_from(
    ["12:00:07.5", "a,1.5,b", 'x":1.5,', "[1.5]", "worker:2026.1", "\U0001f600", "\ufb33"]
)
_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(_VALUES)
def test_whatever_json_the_quick_way_spells_it_as_rfc_8785_does(value):
    document = {"value": value}
    assert canonical.encode(document) == canonical._spell(document).encode()


def test_a_time_or_a_tag_in_a_string_does_not_take_the_long_way():
    document = {"image": "registry/worker:2026.1", "time": "2026-11-25T12:00:07.250000Z"}
    assert not canonical._FLOAT_TOKEN.search(orjson.dumps(document))
