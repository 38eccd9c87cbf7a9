"""Where a value stands and how it is written: shapes and encodings.

A shape makes the arguments of an action around a written value; an encoding
writes the value. Tuning and held-out data have templates of their own. Used by
`bench_sanitizer_cases`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Shape = Callable[[str, str], dict[str, Any]]
"""A key that names the value, and the value as written; returns arguments."""


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def _json_text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


TUNING: Final[Mapping[str, tuple[Shape, ...]]] = {
    "SQL literal": (
        lambda key, value: {"sql": f"UPDATE orders SET {key} = '{_quoted(value)}' WHERE id = 7"},  # noqa: S608
        lambda key, value: {"sql": f"SELECT id FROM orders WHERE {key} IN ('{_quoted(value)}')"},  # noqa: S608
    ),
    "env assignment": (
        lambda key, value: {"env": [f"{key.upper()}={value}", "LOG=debug"]},
        lambda key, value: {"script": f"export {key.upper()}='{value}'\nmake release"},
    ),
    "shell argument": (
        lambda key, value: {"command": f"notify --{key.replace('_', '-')} '{value}' --dry-run"},
        lambda key, value: {"argv": ["tool", f"--{key.replace('_', '-')}={value}", "--wait"]},
    ),
    "URL": (
        lambda key, value: {"link": f"https://api.example.test/v2/find?{key}={value}&page=2"},
        lambda key, value: {"link": f"GET https://api.example.test/v1/lookup?a=1&{key}={value}"},
    ),
    "nested JSON": (
        lambda key, value: {"job": {"items": [{"n": 1, key: value}], "mode": "fast"}},
        lambda key, value: {"change": {"before": {_camel(key): value}, "after": {}}},
    ),
    "JSON in a string": (
        lambda key, value: {"body": json.dumps({"n": 1, "row": {key: value}})},
        lambda key, value: {"payload": json.dumps([{key: value, "ok": True}], ensure_ascii=False)},
    ),
    "HTTP header": (
        lambda key, value: {"headers": {f"X-{key.replace('_', '-').title()}": value}},
        lambda key, value: {
            "request": f"POST /v1/x HTTP/1.1\nX-{key.replace('_', '-')}: {value}\n"
        },
    ),
    "YAML": (
        lambda key, value: {"manifest": f"kind: ConfigMap\ndata:\n  {key}: {_json_text(value)}\n"},
        lambda key, value: {"values": f"app:\n  replicas: 2\n  {_camel(key)}: {value}\n"},
    ),
}
HELD_OUT: Final[Mapping[str, tuple[Shape, ...]]] = {
    "SQL literal": (
        lambda key, value: {
            "sql": f"INSERT INTO leads (id, {key}, state) VALUES (4, '{_quoted(value)}', 'new')"  # noqa: S608
        },
        lambda key, value: {"query": f"DELETE FROM leads WHERE {key} LIKE '{_quoted(value)}'"},  # noqa: S608
    ),
    "env assignment": (
        lambda key, value: {"environment_file": f'MODE=batch\n{key.upper()}="{value}"\nTZ=UTC\n'},
        lambda key, value: {"command": f"{key.upper()}='{value}' ./run --fast"},
    ),
    "shell argument": (
        lambda key, value: {"command": f'crm-cli update 7 --set {key}="{value}" --quiet'},
        lambda key, value: {"argv": ["deploy", f"--{key.replace('_', '-')}", value, "-v"]},
    ),
    "URL": (
        lambda key, value: {"request": f"curl 'https://shop.example.test/api?{key}={value}'"},
        lambda key, value: {
            "callback": f"https://hook.example.test/in?kind=new&{_camel(key)}={value}"
        },
    ),
    "nested JSON": (
        lambda key, value: {"batch": [{"op": "put", "doc": {"fields": {key: value}}}]},
        lambda key, value: {"spec": {"template": {"settings": {_camel(key): value, "ttl": 30}}}},
    ),
    "JSON in a string": (
        lambda key, value: {"message": json.dumps({"event": "sync", "data": {key: value}})},
        lambda key, value: {"input": f"{json.dumps({'fields': [{key: value}]})}"},
    ),
    "HTTP header": (
        lambda key, value: {"http_headers": [f"X-Client-{key.replace('_', '-').title()}: {value}"]},
        lambda key, value: {
            "curl": f"curl -H 'x-{key.replace('_', '-')}: {value}' https://x.test/a"
        },
    ),
    "YAML": (
        lambda key, value: {"file": f"# rollout\nsettings:\n  - name: a\n    {key}: '{value}'\n"},
        lambda key, value: {"yaml": f"jobs:\n  sync:\n    with:\n      {_camel(key)}: {value}\n"},
    ),
}

UNNAMED_TUNING: Final[Mapping[str, tuple[Shape, ...]]] = {
    "nested JSON": (lambda _, value: {"job": {"items": [{"n": 1, "v": value}]}},),
    "key": (lambda _, value: {"index": {value: {"state": "open", "tries": 2}}},),
    "list": (lambda _, value: {"batch": ["first", value, "last"]},),
    "URL": (lambda _, value: {"link": f"https://api.example.test/v1/entries/{value}/state"},),
    "shell argument": (lambda _, value: {"command": f"lookup '{value}' --json"},),
}
UNNAMED_HELD_OUT: Final[Mapping[str, tuple[Shape, ...]]] = {
    "nested JSON": (lambda _, value: {"plan": {"steps": [{"do": "sync", "with": value}]}},),
    "key": (lambda _, value: {"seen": {"by": {value: 3}}},),
    "list": (lambda _, value: {"rows": [[1, value], [2, "none"]]},),
    "URL": (lambda _, value: {"page": f"https://app.example.test/t/{value}"},),
    "shell argument": (lambda _, value: {"argv": ["grep", "-c", value, "app.log"]},),
}
"""Nothing near it says what it is: only for values that tell by themselves."""


# --- encodings ----------------------------------------------------------------


def plain(value: str) -> str:
    return value


def fullwidth(value: str) -> str:
    """Letters, digits and signs in their East Asian full-width forms."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in value)


def zero_width(value: str) -> str:
    """A zero-width space after every third character."""
    return "".join(char + ("\u200b" if at % 3 == 2 else "") for at, char in enumerate(value))


def percent(value: str) -> str:
    """Every byte, as a careless library does."""
    return "".join(f"%{byte:02X}" for byte in value.encode())


def escaped(value: str) -> str:
    """Every character as a backslash, `u` and four digits, in the text itself."""
    data = value.encode("utf-16-be")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))


def entity(value: str) -> str:
    """Every character as an HTML entity, decimal and hexadecimal in turn."""
    return "".join(
        f"&#{ord(char)};" if at % 2 else f"&#x{ord(char):x};" for at, char in enumerate(value)
    )


def in_base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def in_hex(value: str) -> str:
    return value.encode().hex()


Encoding = Callable[[str], str]
ENCODINGS: Final[Mapping[str, Encoding]] = {
    "fullwidth": fullwidth,
    "zero-width": zero_width,
    "percent": percent,
    "\\u escape": escaped,
    "HTML entity": entity,
    "base64": in_base64,
    "hex": in_hex,
    "base64 of base64": lambda value: in_base64(in_base64(value)),
    "base64 of hex": lambda value: in_base64(in_hex(value)),
    "base64 of percent": lambda value: in_base64(percent(value)),
    "hex of base64": lambda value: in_hex(in_base64(value)),
    "percent of percent": lambda value: percent(value).replace("%", "%25"),
    "\\u escape of fullwidth": lambda value: escaped(fullwidth(value)),
    "base64 of JSON": lambda value: in_base64(json.dumps({"n": 1, "v": value})),
}
