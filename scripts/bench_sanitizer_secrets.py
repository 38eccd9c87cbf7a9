"""Made-up credentials by shape: what providers' tokens look like, filled with noise.

A shape is text with `<a:32>` in it: so many characters of one alphabet. Where
brackets stand in it, only what is between them is secret. A third of the shapes
belongs to one set only, so that a provider nobody tuned for is among those held
out. Used by `bench_sanitizer_cases`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import re
from typing import Final

_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789"
_ALPHABETS: Final = {
    "a": _LOWER + _DIGITS,
    "A": _LOWER.upper() + _DIGITS,
    "m": _LOWER + _LOWER.upper() + _DIGITS,
    "u": _LOWER + _LOWER.upper() + _DIGITS + "_-",
    "b": _LOWER + _LOWER.upper() + _DIGITS + "+/",
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": _DIGITS,
    "k": "qpzry9x8gf2tvdw0s3jn54khce6mua7l".upper(),
}
_RUN: Final = re.compile(r"<([a-zA-Z]):(\d+)>")

BOTH: Final = {
    "aws access key": "AKIA<A:16>",
    "aws session key": "ASIA<A:16>",
    "github classic": "ghp_<m:36>",
    "github server": "ghs_<m:36>",
    "github fine-grained": "github_pat_<m:22>_<m:59>",
    "gitlab personal": "glpat-<u:20>",
    "slack bot": "xoxb-<d:12>-<d:12>-<m:24>",
    "slack app": "xapp-1-A<A:10>-<d:13>-<h:64>",
    "slack webhook": "https://hooks.slack.com/services/[T<A:8>/B<A:10>/<m:24>]",
    "stripe live": "sk_live_<m:24>",
    "stripe restricted": "rk_live_<m:99>",
    "google api": "AIza<u:35>",
    "google client": "GOCSPX-<u:28>",
    "google access": "ya29.<u:120>",
    "sendgrid": "SG.<u:22>.<u:43>",
    "npm": "npm_<m:36>",
    "pypi": "pypi-AgEIcHlwaS5vcmc<u:150>",
    "docker hub": "dckr_pat_<u:27>",
    "vault service": "hvs.<u:90>",
    "openai project": "sk-proj-<u:74>T3BlbkFJ<u:74>",
    "anthropic": "sk-ant-api03-<u:93>AA",
    "hugging face": "hf_<m:34>",
    "databricks": "dapi<h:32>",
    "telegram bot": "<d:10>:AA<u:33>",
    "discord bot": "MT<m:22>.<u:6>.<u:38>",
    "twilio key": "SK<h:32>",
    "mailchimp": "<h:32>-us14",
    "azure client": "<m:3>8Q~<u:34>",
    "azure storage": "DefaultEndpointsProtocol=https;AccountName=files;AccountKey=[<b:86>==]",
    "age identity": "AGE-SECRET-KEY-1<k:58>",
    "hex, 32 bytes": "<h:64>",
    "base64, 32 bytes": "<b:43>=",
    "password in a URL": "postgres://app:[<m:14>]@db.internal.test:5432/shop",
}
TUNING_ONLY: Final = {
    "github user": "ghu_<m:36>",
    "gitlab deploy": "gldt-<u:20>",
    "shopify": "shpat_<h:32>",
    "square": "sq0csp-<u:43>",
    "digitalocean": "dop_v1_<h:64>",
    "terraform cloud": "<m:14>.atlasv1.<u:67>",
    "new relic": "NRAK-<A:27>",
    "grafana service": "glsa_<m:32>_<h:8>",
    "linear": "lin_api_<m:40>",
    "airtable": "pat<m:14>.<h:64>",
    "atlassian": "ATATT3xFfGF0<u:180>=<H:8>",
    "planetscale": "pscale_tkn_<u:43>",
    "postman": "PMAK-<h:24>-<h:34>",
    "rubygems": "rubygems_<h:48>",
    "redis password": "redis://:[<m:20>]@cache.internal.test:6379/0",
}
HELD_OUT_ONLY: Final = {
    "github refresh": "ghr_<m:76>",
    "gitlab runner": "glrt-<u:20>",
    "square access": "EAAA<u:60>",
    "heroku": "HRKU-AA<u:58>",
    "sentry user": "sntryu_<h:64>",
    "grafana cloud": "glc_eyJ<m:80>",
    "notion": "ntn_<m:46>",
    "bitbucket": "ATBB<m:28><H:8>",
    "figma": "figd_<u:40>",
    "supabase": "sbp_<h:40>",
    "doppler": "dp.pt.<m:43>",
    "pulumi": "pul-<h:40>",
    "replicate": "r8_<m:37>",
    "nuget": "oy2<a:43>",
    "broker password": "amqps://svc:[<m:18>]@mq.internal.test/jobs",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """As it is written, and the part of it that must go."""

    text: str
    secret: str


def credential(rng: random.Random, shape: str) -> Credential:
    """One value of a shape."""
    text = _RUN.sub(lambda run: _noise(rng, run[1], int(run[2])), shape)
    before, _, rest = text.partition("[")
    secret, _, after = rest.partition("]")
    return Credential(before + secret + after, secret or text)


def _noise(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(_ALPHABETS[alphabet]) for _ in range(count))


def signed(rng: random.Random) -> Credential:
    """A JSON web token with a subject."""
    parts = ({"alg": "RS256", "typ": "JWT"}, {"sub": _noise(rng, "a", 10), "exp": 1_900_000_000})
    head = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    text = b".".join([*head, _noise(rng, "u", 86).encode()]).decode()
    return Credential(text, text)


def private_key(rng: random.Random) -> Credential:
    """An armoured private key; the lines between are noise."""
    lines = "\n".join(_noise(rng, "b", 64) for _ in range(4))
    text = f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----"
    return Credential(text, lines)
