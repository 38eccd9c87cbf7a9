"""Every encoding of every kind of value, one in another, and what only looks encoded."""

# ruff: noqa: RUF001 - letters of other scripts are what these tests are about

import base64
import gzip
import html
import itertools
import quopri
import random
import urllib.parse
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.sanitize import Sanitizer, characters, detect, kinds, views
from countersign.sanitize.checks import luhn
from countersign.sanitize.detect import hidden_finds, resolve, scan
from countersign.sanitize.mask import mask_text
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.survey import Span
from countersign.sanitize.views import Joined

SANITIZER = Sanitizer()
PATTERNS = Patterns()
FUZZED = settings(max_examples=150, deadline=None, derandomize=True)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def fullwidth(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def looking_alike(text):
    return text.translate(str.maketrans("aeopcyxABEKMHOPCTX", "аеорсухАВЕКМНОРСТХ"))


ENCODINGS = {
    "base64": b64,
    "base64 url-safe without padding": lambda t: b64(t).translate({43: 45, 47: 95}).rstrip("="),
    "base64 over lines": lambda t: (
        base64.encodebytes(("x" * 60 + " " + t).encode()).decode().rstrip()
    ),
    "base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "hex with spaces": lambda t: t.encode().hex(" "),
    "hex with colons": lambda t: t.encode().hex(":").upper(),
    "hex with 0x": lambda t: ", ".join(f"0x{byte:02x}" for byte in t.encode()),
    "percent": lambda t: "".join(f"%{byte:02X}" for byte in t.encode()),
    "percent of some": lambda t: urllib.parse.quote(t, safe=""),
    "backslash x": lambda t: "".join(f"\\x{byte:02x}" for byte in t.encode()),
    "backslash u": lambda t: "".join(f"\\u{ord(c):04x}" for c in t if ord(c) < 0x10000),
    "braces": lambda t: "".join(f"\\u{{{ord(c):x}}}" for c in t),
    "octal": lambda t: "".join(f"\\{byte:03o}" for byte in t.encode()),
    "html decimal": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "html hex": lambda t: "".join(f"&#x{ord(c):X};" for c in t),
    "quoted-printable": lambda t: "".join(f"={byte:02X}" for byte in t.encode()),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "variation selectors": "\ufe01".join,
    "fullwidth": fullwidth,
    "mathematical digits": lambda t: t.translate(
        {48 + digit: 0x1D7CE + digit for digit in range(10)} | {64: 0xFF20, 65: 0xFF21}
    ),
    "gzip": lambda t: base64.b64encode(gzip.compress(t.encode(), mtime=0)).decode(),
    "zlib": lambda t: base64.b64encode(zlib.compress(t.encode())).decode(),
    "utf-16": lambda t: base64.b64encode(t.encode("utf-16-le")).decode(),
}
NESTED = ("base64", "base32", "hex", "percent", "backslash u", "html decimal", "zero width",
          "fullwidth")  # fmt: skip


def planted(seed):
    """One value of every kind."""
    rng = random.Random(seed)
    digits = "".join(rng.choices("0123456789", k=11))
    body = "4539" + digits
    account = "".join(rng.choices("0123456789", k=18))
    check = 98 - int(account + "131400") % 97
    key = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 9)))
    return {
        "EMAIL": f"{name}.{rng.choice(['ada', 'bo'])}@{name[::-1]}.example",
        "CREDIT_CARD": next(body + d for d in "0123456789" if luhn((body + d).encode())),
        "IBAN": f"DE{check:02d}{account}",
        "US_SSN": f"{rng.randint(101, 599)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        "PHONE": f"+1-{rng.randint(201, 989)}-{rng.randint(201, 989)}-{rng.randint(1000, 9999)}",
        "SECRET": f"AKIA{key}",
    }


def is_masked(encoded):
    """Nothing of what was planted is left beside the placeholder, and the words around it are."""
    shown = SANITIZER.text(f"see {encoded} now")
    return shown.startswith("see [") and shown.endswith("] now")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_kind_is_masked_in_every_encoding(encoding):
    encode = ENCODINGS[encoding]
    values = [value for seed in range(20) for value in planted(seed).values()]
    missed = [value for value in values if not is_masked(encode(value))]
    assert len(missed) <= 0.02 * len(values), missed


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(NESTED, NESTED)))
def test_every_kind_is_masked_in_one_encoding_inside_another(outer, inner):
    values = [value for seed in range(5) for value in planted(seed).values()]
    missed = [value for value in values if not is_masked(ENCODINGS[outer](ENCODINGS[inner](value)))]
    assert len(missed) <= 0.05 * len(values), missed


@pytest.mark.parametrize("text", ["jane.doe@corp.test", "4111111111111111", "123-45-6789"])
def test_three_encodings_deep_is_read_and_what_is_deeper_is_not_shown(text):
    three = b64(ENCODINGS["hex"](ENCODINGS["percent"](text)))
    assert is_masked(three)
    deep = text
    for _ in range(views.MAX_DEPTH + 1):
        deep = b64(deep)
    assert SANITIZER.text(f"see {deep}").startswith("see [")
    many = text.replace("1", "%31").replace("j", "%6a")
    for _ in range(views.MAX_DEPTH + 1):
        many = many.replace("%", "%25")
    assert SANITIZER.text(f"see {many}") == "[TOO_LONG]"


def test_what_was_compressed_and_is_too_long_is_covered_and_incomplete():
    bomb = base64.b64encode(gzip.compress(b"a" * 1_000_000)).decode()
    scrubbed = SANITIZER.scrub({"x": f"see {bomb}"}, tag_key=b"k" * 32)
    assert not scrubbed.complete
    assert scrubbed.value == {"x": "see [TOO_LONG]"}


def test_a_text_that_reads_in_too_many_ways_is_covered_and_incomplete():
    text = "word " * 1000 + "%25252525252541 =3D3D3D3D3D3D3D3D41"
    scrubbed = SANITIZER.scrub({"x": text}, tag_key=b"k" * 32)
    assert not scrubbed.complete
    assert scrubbed.value == {"x": "[TOO_LONG]"}


# --- written apart ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("pay 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 now", "pay [CREDIT_CARD] now"),
        ("pay 4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1 now", "pay [CREDIT_CARD] now"),
        ("pay 4111_1111_1111_1111 now", "pay [CREDIT_CARD] now"),
        ("pay 4111+1111+1111+1111 now", "pay [CREDIT_CARD] now"),
        ("ssn 1 2 3 - 4 5 - 6 7 8 9 ok", "ssn [US_SSN] ok"),
        ("mail j o h n @ c o r p . t e s t now", "mail [EMAIL] now"),
        ("mail john at example dot com now", "mail [EMAIL] now"),
        ("mail john (at) example [dot] com now", "mail [EMAIL] now"),
        ("mail john[at]example.com, now", "mail [EMAIL], now"),
        ("mail john @ example . com now", "mail [EMAIL] now"),
        ("sum 4.111111111111111e15 ok", "sum [CREDIT_CARD] ok"),
    ],
)
def test_what_is_written_apart_is_read_together(text, masked):
    assert SANITIZER.text(text) == masked


@pytest.mark.parametrize("char", "٤४๔４𝟜❹➃④")
def test_a_digit_of_any_script_is_a_digit(char):
    assert SANITIZER.text(f"pay {char}111111111111111 now") == "pay [CREDIT_CARD] now"


@pytest.mark.parametrize(
    "text",
    [
        "jаne@соrp.test",
        "ϳane@ϲorp.test",
        "ᎪKIAIOSFODNN7EXAMPLE",
        "jane@corp·test",
        "𝐣𝐚𝐧𝐞@𝒄𝒐𝒓𝒑.test",
    ],
)
def test_letters_that_look_alike_are_read_alike(text):
    assert SANITIZER.text(f"see {text} now") in {"see [EMAIL] now", "see [SECRET] now"}


def test_text_that_nobody_sees_is_found():
    tags = "".join(chr(0xE0000 + ord(char)) for char in "jane@corp.test")
    found = SANITIZER.scrub({"x": f"hello{tags}"}, tag_key=b"k" * 32)
    assert tags not in str(found.value)


# --- what only looks encoded -------------------------------------------------------

BENIGN = [
    "https://x.example/search?q=caf%C3%A9%20au%20lait&page=2&sort=asc%2Cname",
    "/var/lib/app/releases/2026-11-22/bin:/usr/local/bin:/opt/tools/current/bin",
    "<p>Tom &amp; Jerry &lt;3 &nbsp; caf&eacute; &#8211; 10&#37;</p>",
    r"C:\users\new\table\x64\release and \\server\share\notes.txt",
    "SGVsbG8sIHdvcmxkISBUaGlzIGlzIGE",
    "feature/add-customer-export-configuration-to-billing-service",
    "DEADBEEF cafe babe 00 01 02 03 04 05 06 07 08 09 0a 0b 0c",
    "550e8400-e29b-41d4-a716-446655440000",
    "de:ad:be:ef:00:01 and fe:dc:ba:98:76:54",
    "Meet me at noon at the corner dot the i and cross the t",
    "look at example.com, or at docs.example.org for more",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "a b c d e f g h i j k l m n o p",
    "0 1 1 0 1 0 0 1 1 0 1 0 0 1",
    "Москва — столица России, население 13 млн человек",
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας",
    "日本語の文章です。価格は1200円でした。",
    "שלום עולם, זה טקסט בעברית",
    "هذا نص باللغة العربية مع أرقام ٢٠٢٦",
    "Ceci coûte 12,50 €, c'est-à-dire peu — très peu…",
    "हिन्दी में लिखा हुआ एक वाक्य २०२६",
    "emoji 👩‍👩‍👧 🇩🇪 ✅ ❤️ 1️⃣ 2️⃣ 3️⃣",
    "SELECT a AS at, b AS dot FROM t WHERE c = 'x'",
    "x=1;y=20;z=30&limit=50&offset=40",
    "MONDAY\nTUESDAY\nWEDNESDAY\nTHURSDAY\nFRIDAY",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
]


@pytest.mark.parametrize("text", BENIGN)
def test_no_reading_finds_anything_in_what_only_looks_encoded(text):
    assert only_in_readings([text]) == []


def only_in_readings(texts):
    """Finds that the texts as they stand do not have."""
    joined = Joined(texts)
    as_it_stands = list(scan(joined, PATTERNS))
    return [find for find in hidden_finds(joined, PATTERNS) if find not in as_it_stands]


def benign_blobs():
    rng = random.Random(7)
    png = b"\x89PNG\r\n\x1a\n" + rng.randbytes(6000)
    manifest = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  level: info\n"
    certificate = b"0\x82\x03\x1f0\x82\x02\x07" + rng.randbytes(700) + b"Example Root CA" * 3
    yield base64.b64encode(png).decode()
    yield base64.encodebytes(png).decode()
    yield base64.b64encode(manifest * 5).decode()
    yield base64.encodebytes(certificate).decode()
    yield base64.b64encode(gzip.compress(manifest, mtime=0)).decode()
    for _ in range(200):
        yield rng.randbytes(32).hex()
        yield rng.randbytes(20).hex(":")
        yield base64.b64encode(rng.randbytes(48)).decode()
        yield base64.b32encode(rng.randbytes(20)).decode()


def test_no_reading_finds_anything_in_images_certificates_manifests_and_hashes():
    assert only_in_readings(list(benign_blobs())) == []


# --- the way back ------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("4111", "1111", "@corp.test", "jane", " ", "-", "x", "\\", "\n", "\x00", "\x07", "(at)"),
        *("ü", "日", "\u200b", "\u0301", "😀", "＠", "１"),
        *("%40", "%34%31", "%25", "&#64;", "&amp;", "\\u0031", "\\x31", "=31"),
        *(b64("jane@corp.test"), b"jane@corp.test".hex(), b64("4111111111111111")),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=20).map("".join)


@given(texts=st.lists(TEXTS, max_size=3))
@FUZZED
def test_a_find_leads_back_to_whole_characters_of_its_text(texts):
    joined = Joined(texts)
    for index, start, end, _ in hidden_finds(joined, PATTERNS):
        part = joined.parts[index]
        assert 0 <= start < end <= len(part)
        parts = part[:start], part[start:end], part[end:]
        assert b"".join(parts) == part
        for piece in parts:
            piece.decode()


@given(text=TEXTS)
@FUZZED
def test_what_remains_and_what_was_masked_are_the_text(text):
    taken = []

    def tag(_, value):
        taken.append(value.decode())
        return "\ue000"

    finds = hidden_finds(Joined([text]), PATTERNS)
    size = len(text.encode("utf-8", "replace"))
    spans = resolve([Span(start, end, kinds.EMAIL, "x") for _, start, end, _ in finds], size)
    remains = mask_text(text, spans, tag).split("\ue000")
    whole = "".join(a + b for a, b in itertools.zip_longest(remains, taken, fillvalue=""))
    assert whole == text.encode("utf-8", "replace").decode()


@given(text=st.text(max_size=60))
@FUZZED
def test_a_text_respelled_has_each_character_where_its_reading_says(text):
    (reading, *_), _ = views.read(Joined([text + "\u200b"]))
    data = (text + "\u200b").encode("utf-8", "replace")
    plain = reading.data.decode()
    at = 0
    for char in plain:
        size = len(char.encode())
        start, end = reading.origin(at, at + size)
        assert char in characters.plain(data[start:end].decode())
        at += size


def test_quoted_printable_as_mail_programs_write_it():
    text = quopri.encodestring("Grüße an jane.doe=ada@corp.test, bis bald".encode()).decode()
    assert "[EMAIL]" in SANITIZER.text(text.replace("@", "=40"))


def test_html_as_programs_escape_it():
    assert SANITIZER.text(html.escape("<jane.doe@corp.test>")) == "&lt;[EMAIL]&gt;"


def test_a_key_of_letters_that_look_alike_says_what_its_value_is():
    assert SANITIZER.detail({looking_alike("api_key"): "hunter2"}).popitem()[1] == "[SECRET]"


@pytest.mark.parametrize(
    "value", ["jane.doe&commat;corp.test", "jane%40corp.test", "４" + "1" * 15]
)
def test_the_last_look_masks_what_the_first_forgot_in_disguise(value, monkeypatch):
    monkeypatch.setattr(detect, "_disguised", lambda *_: None)
    scrubbed = SANITIZER.scrub({"note": f"see {value} now", "rows": 7}, tag_key=b"k" * 32)
    assert scrubbed.value == {"note": "[GUARDED]", "rows": 7}
    assert scrubbed.report["guard"] == 1
