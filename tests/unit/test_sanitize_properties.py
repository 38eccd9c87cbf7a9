"""What holds for every context: nothing planted gets out, shapes are kept, nothing raises."""

import json
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer
from countersign.sanitize.checks import luhn

SANITIZER = Sanitizer()
KEY = b"k" * 32
BOUNDED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

WORDS = st.sampled_from("alpha beta gamma delta orders export region status note plan".split())
PROSE = st.lists(WORDS, min_size=0, max_size=6).map(" ".join)


def digits(count):
    return st.text(string.digits, min_size=count, max_size=count)


@st.composite
def emails(draw):
    name = draw(st.text(string.ascii_letters + string.digits + "._+-", min_size=1, max_size=20))
    host = draw(st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12))
    return f"{name}@{host}.{draw(st.sampled_from(['com', 'de', 'co.uk', 'example']))}"


@st.composite
def phones(draw):
    style = draw(st.integers(0, 4))
    if style == 0:
        return f"+49 {draw(st.integers(151, 179))} {draw(st.integers(1000000, 99999999))}"
    if style == 1:
        area, line = draw(st.integers(201, 989)), draw(st.integers(200, 999))
        return f"({area}) {line}-{draw(digits(4))}"
    if style == 2:
        return f"+1-{draw(st.integers(201, 989))}-{draw(st.integers(200, 999))}-{draw(digits(4))}"
    if style == 3:
        return f"07{draw(digits(3))} {draw(digits(6))}"
    return f"0{draw(st.integers(151, 179))} {draw(st.integers(1000000, 99999999))}"


@st.composite
def cards(draw):
    body = draw(st.sampled_from(["4", "51", "55"])) + draw(digits(14))
    body = body[:15]
    check = next(d for d in string.digits if luhn((body + d).encode()))
    number = body + check
    if draw(st.booleans()):
        gap = draw(st.sampled_from([" ", "-"]))
        return gap.join(number[i : i + 4] for i in range(0, 16, 4))
    return number


@st.composite
def ibans(draw):
    country, length = draw(st.sampled_from([("DE", 18), ("NL", 14), ("FR", 23), ("GB", 18)]))
    account = draw(digits(length))
    number = "".join(str(int(char, 36)) for char in account + country + "00")
    text = f"{country}{98 - int(number) % 97:02d}{account}"
    return (
        " ".join(text[i : i + 4] for i in range(0, len(text), 4)) if draw(st.booleans()) else text
    )


@st.composite
def tokens(draw):
    """A provider's key, or letters and digits nobody would read as words."""
    alphabet = string.ascii_letters + string.digits
    style = draw(st.integers(0, 3))
    if style == 0:
        return "AKIA" + draw(
            st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16)
        )
    if style == 1:
        return "ghp_" + draw(st.text(alphabet, min_size=36, max_size=36))
    if style == 2:
        return "xoxb-" + draw(st.text(alphabet, min_size=20, max_size=40))
    parts = draw(
        st.lists(
            st.tuples(st.sampled_from("bcdfghjkmnpqrstvwxz"), st.integers(0, 9)),
            min_size=12,
            max_size=20,
            unique_by=lambda part: part[0],
        )
    )
    return "".join(f"{letter}{digit}" for letter, digit in parts)


PLANTED = st.one_of(emails(), phones(), cards(), ibans(), tokens())


@st.composite
def placed(draw, planted):
    """The planted value somewhere in a JSON object: key, value, prose, number, JSON in a string."""
    style = draw(st.integers(0, 4))
    text = f"{draw(PROSE)} {planted} {draw(PROSE)}".strip()
    value = text
    if style == 1:
        value = {text: draw(WORDS)}
    elif style == 2:
        value = json.dumps({draw(WORDS): [text]})
    elif style == 3 and planted.isdigit():
        value = int(planted)
    elif style == 4:
        value = json.dumps({"inner": json.dumps({text: 1})})
    for _ in range(draw(st.integers(0, 3))):
        value = {draw(WORDS): value} if draw(st.booleans()) else [draw(PROSE), value]
    return {draw(WORDS): value, draw(WORDS) + "_more": draw(PROSE)}


def a_context(arguments, *, attributes=None, reason="", session=""):
    return ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(Principal(type="user", id="u-1"),),
        action="db.export",
        resource=Resource(type="db", id="x", owner="data", attributes=attributes or {}),
        environment="production",
        arguments=arguments,
        reason=reason,
        session=session,
    )


def everything_that_leaves(context, key=KEY):
    found = SANITIZER.detect(context, known=lambda _: False)
    written = [json.dumps(found.to_record(), ensure_ascii=False), repr(found)]
    for profile in SANITIZER.profiles:
        made = SANITIZER.preview(
            context, found, profile=profile, policy_mask=[], must_show=[], tag_key=key
        )
        written += [made.context_json, made.facts_json, made.report_json]
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=key)
    written += [json.dumps(clean.context, ensure_ascii=False), json.dumps(clean.report)]
    return written


@given(data=st.data(), planted=PLANTED)
@BOUNDED
def test_nothing_planted_anywhere_gets_out(data, planted):
    place = data.draw(placed(planted))
    prose = f"{data.draw(PROSE)} {planted} {data.draw(PROSE)}"
    contexts = [
        a_context(place),
        a_context({}, attributes=place),
        a_context({}, reason=prose, session=planted),
    ]
    for context in contexts:
        for written in everything_that_leaves(context):
            assert planted not in written
    assert planted not in SANITIZER.text(prose)
    assert planted not in json.dumps(SANITIZER.detail(place), ensure_ascii=False)
    assert planted not in SANITIZER.pointer(f"/arguments/{planted.replace('/', '~1')}")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | PLANTED
    | st.text(string.printable, max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=12) | WORDS | st.sampled_from(["name", "sql", "value", "columns"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(
    st.text(max_size=12) | st.sampled_from(["sql", "command", "url", "rows", "name"]),
    JSON,
    max_size=4,
)


def same_shape(raw, masked):
    if isinstance(masked, str):
        return not isinstance(raw, dict | list)
    if isinstance(raw, dict):
        return (
            isinstance(masked, dict)
            and len(raw) == len(masked)
            and all(map(same_shape, raw.values(), masked.values()))
        )
    if isinstance(raw, list):
        return (
            isinstance(masked, list)
            and len(raw) == len(masked)
            and all(map(same_shape, raw, masked))
        )
    return raw == masked and type(raw) is type(masked)


@given(arguments=OBJECTS, attributes=OBJECTS)
@BOUNDED
def test_shapes_are_kept_and_nothing_raises(arguments, attributes):
    context = a_context(arguments, attributes=attributes)
    found = SANITIZER.detect(context, known=lambda _: False)
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=KEY)
    assert same_shape(arguments, clean.context["arguments"])
    assert same_shape(attributes, clean.context["resource"]["attributes"])
    assert "UNREADABLE" not in str(clean.report["masked"][:1]) or not found.complete
    made = SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=["/arguments/*"], must_show=["/arguments"],
        tag_key=KEY,
    )  # fmt: skip
    json.loads(made.context_json)
    assert made.reviewable is (found.complete and not arguments)


@given(value=st.dictionaries(st.text(max_size=8), JSON, max_size=4), text=st.text(max_size=200))
@BOUNDED
def test_detail_and_text_take_anything(value, text):
    SANITIZER.detail(value)
    SANITIZER.pointer(text)
    masked = SANITIZER.text(text)
    assert SANITIZER.text(masked) == masked, "what is masked stays as it is"


@given(planted=PLANTED, prose=PROSE)
@BOUNDED
def test_masking_only_adds(planted, prose):
    """With the planted value cut out, what was readable reads the same or is masked too."""
    masked = SANITIZER.text(f"{prose} | {planted}")
    assert masked.startswith(f"{prose} | [")


@given(value=emails(), key=st.binary(min_size=16, max_size=32))
@BOUNDED
def test_equal_values_read_alike_inside_a_review_only(value, key):
    context = a_context({"a": f"to {value}", "b": [f"cc {value} now"]})
    found = SANITIZER.detect(context, known=lambda _: False)

    def arguments(tag_key):
        clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=tag_key)
        return clean.context["arguments"]

    one, other = arguments(key), arguments(key + b"x")
    assert one["a"].removeprefix("to ") in one["b"][0]
    assert one["a"] != other["a"]
    assert SANITIZER.text(value).count("[EMAIL]") == 1, "no tag outside a review"
