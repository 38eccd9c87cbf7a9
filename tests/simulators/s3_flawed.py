"""An S3 server in memory that keeps Object Lock as AWS does, but for the flaws it is given.

The conformance kit has to hold every probe against it without a flaw, and to
find each flaw by name. The flaws are those seen in real servers and those that
would be as bad. Over HTTP, so that boto3 and its signatures are the real ones.

Its clock is its own: `advance` moves it, and nobody has to wait.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import hashlib
import hmac
import itertools
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from xml.etree import ElementTree as ET

KEY_ID: Final = "AKIASIMULATED0000000"
SECRET: Final = "simulated-secret"
_DAY_S: Final = 86_400
_XMLNS: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class RefusedError(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclasses.dataclass
class Held:
    """One version; `body` is None for a delete marker."""

    id: str
    body: bytes | None
    mode: str = ""
    until: float = 0
    hold: bool = False
    sha256: str = ""


@dataclasses.dataclass
class Bucket:
    locked: bool
    versioning: str
    default: tuple[str, int] | None = None
    keys: dict[str, list[Held]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Request:
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def bypass(self) -> bool:
        return self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


Reply = tuple[int, dict[str, str], bytes]


class FlawedS3:
    """The server's state and rules."""

    def __init__(self, *flaws: str) -> None:
        self.flaws = frozenset(flaws)
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], bytes]] = {}
        self.ahead_s = 0.0
        self._ids = itertools.count(1)
        self._guard = threading.RLock()
        self._together = threading.Barrier(2, timeout=5)

    def now(self) -> float:
        return time.time() + self.ahead_s

    def advance(self, seconds: float) -> None:
        self.ahead_s += max(0.0, seconds)

    def has(self, *flaws: str) -> bool:
        return bool(self.flaws.intersection(flaws))

    def answer(self, request: Request) -> Reply:
        """What is asked, by the shape of the request."""
        if self._races(request):
            return self._write_late(request)
        with self._guard:
            if not request.key:
                return self._on_bucket(request)
            return self._on_key(request)

    # --- buckets --------------------------------------------------------------------

    def _on_bucket(self, request: Request) -> Reply:
        if request.method == "PUT" and not request.query:
            locked = request.headers.get("x-amz-bucket-object-lock-enabled") == "true"
            self.buckets[request.bucket] = Bucket(locked, "Enabled" if locked else "")
            return 200, {}, b""
        bucket = self._bucket(request)
        if "delete" in request.query:
            return self._batch(bucket, request)
        if "versions" in request.query:
            return 200, {}, self._listing(bucket, request.query.get("prefix", ""))
        for setting in ("versioning", "object-lock", "lifecycle"):
            if setting in request.query:
                return getattr(self, f"_{setting.replace('-', '_')}")(bucket, request)
        if request.method == "DELETE":
            forced = "x-minio-force-delete" in request.headers and self.has("force-bucket")
            if any(bucket.keys.values()) and not forced and not self.has("bucket-deletion"):
                raise RefusedError(409, "BucketNotEmpty")
            del self.buckets[request.bucket]
            return 204, {}, b""
        return 200, {}, b""

    def _bucket(self, request: Request) -> Bucket:
        if request.bucket not in self.buckets:
            raise RefusedError(404, "NoSuchBucket")
        return self.buckets[request.bucket]

    def _versioning(self, bucket: Bucket, request: Request) -> Reply:
        if request.method == "GET":
            status = f"<Status>{bucket.versioning}</Status>" if bucket.versioning else ""
            return 200, {}, _xml("VersioningConfiguration", status)
        status = _text(request.body, "Status")
        if bucket.locked and status != "Enabled" and not self.has("suspend", "suspend-destroys"):
            raise RefusedError(409, "InvalidBucketState")
        bucket.versioning = status
        return 200, {}, b""

    def _object_lock(self, bucket: Bucket, request: Request) -> Reply:
        if request.method == "GET":
            if not bucket.locked:
                raise RefusedError(404, "ObjectLockConfigurationNotFoundError")
            rule = ""
            if bucket.default:
                mode, days = bucket.default
                rule = f"<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days>"
                rule += "</DefaultRetention></Rule>"
            enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
            return 200, {}, _xml("ObjectLockConfiguration", enabled + rule)
        if _text(request.body, "ObjectLockEnabled") != "Enabled":
            if not self.has("disable"):
                raise RefusedError(400, "MalformedXML")
            bucket.locked = False
            return 200, {}, b""
        days = _text(request.body, "Days")
        if days and int(days) < 1 and not self.has("zero-days"):
            raise RefusedError(400, "InvalidArgument")
        bucket.default = (_text(request.body, "Mode"), int(days)) if days else None
        if not days and self.has("default-retroactive"):
            for held in itertools.chain(*bucket.keys.values()):
                held.mode, held.until = "", 0
        return 200, {}, b""

    def _lifecycle(self, bucket: Bucket, request: Request) -> Reply:
        """Rules act at once: nobody waits a day."""
        if request.method == "DELETE":
            return 204, {}, b""
        prefix, current = _text(request.body, "Prefix"), bool(_text(request.body, "Date"))
        for key, versions in bucket.keys.items():
            if not key.startswith(prefix):
                continue
            for held in versions[-1:] if current else versions[:-1]:
                if self.has("lifecycle") or not self._protected(held):
                    versions.remove(held)
        return 200, {}, b""

    def _listing(self, bucket: Bucket, prefix: str) -> bytes:
        found = []
        for key, versions in sorted(bucket.keys.items()):
            for held in versions if key.startswith(prefix) else ():
                name = "DeleteMarker" if held.body is None else "Version"
                found.append(f"<{name}><Key>{key}</Key><VersionId>{held.id}</VersionId></{name}>")
        return _xml("ListVersionsResult", "<IsTruncated>false</IsTruncated>" + "".join(found))

    def _batch(self, bucket: Bucket, request: Request) -> Reply:
        lines, over = [], False
        for item in ET.fromstring(request.body).iter(f"{{{_namespace()}}}Object"):
            key, version = _child(item, "Key"), _child(item, "VersionId")
            held = self._find(bucket, key, version)
            over = over or not self._protected(held)
            careless = (
                self.has("batch")
                or (request.bypass and self.has("batch-bypass"))
                or (over and self.has("batch-after-ended"))
            )
            if self._protected(held, bypass=request.bypass) and not careless:
                lines.append(f"<Error><Key>{key}</Key><Code>AccessDenied</Code></Error>")
                continue
            bucket.keys[key].remove(held)
            lines.append(f"<Deleted><Key>{key}</Key></Deleted>")
        return 200, {}, _xml("DeleteResult", "".join(lines))

    # --- objects --------------------------------------------------------------------

    def _on_key(self, request: Request) -> Reply:
        bucket, query = self._bucket(request), request.query
        if request.method == "POST" and "uploads" in query:
            upload = f"upload-{next(self._ids)}"
            self.uploads[upload] = (request.key, dict(request.headers), b"")
            told = f"<UploadId>{upload}</UploadId>"
            return 200, {}, _xml("InitiateMultipartUploadResult", told)
        if "uploadId" in query:
            return self._multipart(bucket, request)
        if "retention" in query:
            return self._retention(bucket, request)
        if "legal-hold" in query:
            held = self._find(bucket, request.key, query.get("versionId", ""))
            held.hold = _text(request.body, "Status") == "ON"
            return 200, {}, b""
        if request.method == "PUT":
            return self._put(bucket, request)
        if request.method == "DELETE":
            return self._delete(bucket, request)
        return self._get(bucket, request)

    def _find(self, bucket: Bucket, key: str, version: str) -> Held:
        versions = bucket.keys.get(key, [])
        found = [held for held in versions if held.id == version] if version else versions[-1:]
        if not found:
            raise RefusedError(404, "NoSuchVersion" if version else "NoSuchKey")
        return found[0]

    def _protected(self, held: Held, *, bypass: bool = False) -> bool:
        if held.hold and not self.has("hold"):
            return True
        if held.until <= self.now():
            return False
        return held.mode == "COMPLIANCE" or (held.mode == "GOVERNANCE" and not bypass)

    def _get(self, bucket: Bucket, request: Request) -> Reply:
        held = self._find(bucket, request.key, request.query.get("versionId", ""))
        if held.body is None:
            raise RefusedError(405 if request.query.get("versionId") else 404, "MethodNotAllowed")
        headers = {"x-amz-version-id": held.id}
        if self.has("no-version-id"):
            headers = {}
        if held.mode and not self.has("lock-untold"):
            headers |= {
                "x-amz-object-lock-mode": held.mode,
                "x-amz-object-lock-retain-until-date": _iso(held.until),
            }
        if held.hold:
            headers["x-amz-object-lock-legal-hold"] = "ON"
        if held.sha256 and not self.has("checksum-untold"):
            headers["x-amz-checksum-sha256"] = held.sha256
        return 200, headers, held.body

    def _delete(self, bucket: Bucket, request: Request) -> Reply:
        if "x-minio-force-delete" in request.headers and self.has("force"):
            for key in [key for key in bucket.keys if key.startswith(request.key)]:
                del bucket.keys[key]
            return 204, {}, b""
        version = request.query.get("versionId", "")
        if not version:
            if self.has("marker-destroys") and bucket.keys.get(request.key):
                bucket.keys[request.key].pop()
                return 204, {}, b""
            if bucket.versioning != "Enabled" and self.has("suspend-destroys"):
                bucket.keys[request.key] = []
            marker = Held(id=self._id(), body=None)
            bucket.keys.setdefault(request.key, []).append(marker)
            told = {"x-amz-version-id": marker.id, "x-amz-delete-marker": "true"}
            return 204, told, b""
        held = self._find(bucket, request.key, version)
        careless = self.has("delete") or (request.bypass and self.has("delete-bypass"))
        if self._protected(held, bypass=request.bypass) and not careless:
            raise RefusedError(403, "AccessDenied")
        bucket.keys[request.key].remove(held)
        return 204, {"x-amz-version-id": version}, b""

    def _retention(self, bucket: Bucket, request: Request) -> Reply:
        held = self._find(bucket, request.key, request.query.get("versionId", ""))
        if request.method == "GET":
            raise RefusedError(404, "NoSuchObjectLockConfiguration")
        mode, date = _text(request.body, "Mode"), _text(request.body, "RetainUntilDate")
        until = datetime.fromisoformat(date).timestamp() if date else 0
        bypassed = request.bypass and held.mode == "GOVERNANCE"
        if self._protected(held) and not bypassed:
            self._check_change(held, mode, until, bypass=request.bypass)
        held.mode, held.until = mode, until
        return 200, {}, b""

    def _check_change(self, held: Held, mode: str, until: float, *, bypass: bool) -> None:
        shorter = until < int(held.until)
        allowed = (
            self.has("shorten")
            or (bypass and self.has("shorten-bypass"))
            or (until < self.now() and until and self.has("shorten-to-past"))
            or (not mode and self.has("clear"))
            or (not mode and bypass and self.has("clear-bypass"))
        )
        if shorter and not allowed:
            raise RefusedError(403, "AccessDenied")
        weaker = held.mode == "COMPLIANCE" != mode and bool(mode)
        if weaker and not self.has("mode") and not (bypass and self.has("mode-bypass")):
            raise RefusedError(403, "AccessDenied")

    # --- uploads --------------------------------------------------------------------

    def _put(self, bucket: Bucket, request: Request) -> Reply:
        headers, body, over = request.headers, request.body, ""
        if source := headers.get("x-amz-copy-source"):
            over = "copy-over"
            body = self._copied(source)
        self._check_body(headers, body, copied=bool(over))
        there = any(held.body is not None for held in bucket.keys.get(request.key, [])[-1:])
        if there and headers.get("if-none-match") == "*" and not self.has("exclusive"):
            raise RefusedError(412, "PreconditionFailed")
        lock_lost = over and self.has("copy-unlocked")
        held = self._new(bucket, request.key, {} if lock_lost else headers, body)
        self._store(bucket, request.key, held, over or "overwrite")
        return 200, self._told(held), _xml("CopyObjectResult", "") if over else b""

    def _copied(self, source: str) -> bytes:
        path, _, version = urllib.parse.unquote(source).partition("?versionId=")
        name, _, key = path.lstrip("/").partition("/")
        return self._find(self.buckets[name], key, version).body or b""

    def _multipart(self, bucket: Bucket, request: Request) -> Reply:
        upload = request.query["uploadId"]
        key, headers, body = self.uploads[upload]
        if request.method == "PUT":
            self.uploads[upload] = (key, headers, body + request.body)
            return 200, {"ETag": '"part"'}, b""
        held = self._new(bucket, key, {} if self.has("multipart-unlocked") else headers, body)
        self._store(bucket, key, held, "multipart-over")
        return 200, self._told(held), _xml("CompleteMultipartUploadResult", f"<Key>{key}</Key>")

    def _told(self, held: Held) -> dict[str, str]:
        return {} if self.has("no-version-id") else {"x-amz-version-id": held.id}

    def _check_body(self, headers: Mapping[str, str], body: bytes, *, copied: bool) -> None:
        sha256, md5 = headers.get("x-amz-checksum-sha256"), headers.get("content-md5")
        if sha256 and sha256 != _digest("sha256", body) and not self.has("sha256"):
            raise RefusedError(400, "BadDigest")
        if md5 and md5 != _digest("md5", body) and not self.has("md5"):
            raise RefusedError(400, "BadDigest")
        locked = "x-amz-object-lock-mode" in headers and not copied
        if locked and not (sha256 or md5) and not self.has("no-checksum"):
            raise RefusedError(400, "InvalidRequest")

    def _new(self, bucket: Bucket, key: str, headers: Mapping[str, str], body: bytes) -> Held:
        mode = headers.get("x-amz-object-lock-mode", "")
        date = headers.get("x-amz-object-lock-retain-until-date", "")
        until = datetime.fromisoformat(date).timestamp() if date else 0.0
        if mode or date:
            if not bucket.locked:
                raise RefusedError(400, "InvalidRequest")
            if bool(mode) != bool(date) and not self.has("half-lock"):
                raise RefusedError(400, "InvalidArgument")
            if mode not in {"COMPLIANCE", "GOVERNANCE"} and not self.has("any-mode"):
                raise RefusedError(400, "InvalidArgument")
            if date and until <= self.now() and not self.has("past-date"):
                raise RefusedError(400, "InvalidArgument")
        if self.has("wrap") and until >= 2**32:
            until %= 2**32
        overrides = self.has("default-overrides") or not mode
        if bucket.default and overrides and not self.has("default-ignored"):
            mode, until = bucket.default[0], self.now() + bucket.default[1] * _DAY_S
        hold = headers.get("x-amz-object-lock-legal-hold") == "ON"
        sha256 = headers.get("x-amz-checksum-sha256", "")
        return Held(self._id(), body, mode, until, hold, sha256)

    def _store(self, bucket: Bucket, key: str, held: Held, how: str) -> None:
        if self.has(how) or (bucket.versioning != "Enabled" and self.has("suspend-destroys")):
            bucket.keys[key] = []
        bucket.keys.setdefault(key, []).append(held)

    def _races(self, request: Request) -> bool:
        exclusive = request.method == "PUT" and request.headers.get("if-none-match") == "*"
        return exclusive and self.has("race")

    def _write_late(self, request: Request) -> Reply:
        """Look first, and write when somebody else has looked as well."""
        bucket = self._bucket(request)
        if bucket.keys.get(request.key):
            raise RefusedError(412, "PreconditionFailed")
        with contextlib.suppress(threading.BrokenBarrierError):
            self._together.wait()
        with self._guard:
            held = self._new(bucket, request.key, request.headers, request.body)
            self._store(bucket, request.key, held, "")
        return 200, self._told(held), b""

    def _id(self) -> str:
        return f"v{next(self._ids):06}"

    # --- credentials ----------------------------------------------------------------

    def authorize(self, handler: BaseHTTPRequestHandler) -> None:
        """AWS signature, version 4."""
        given = handler.headers.get("authorization", "")
        if not given:
            if self.has("anonymous"):
                return
            raise RefusedError(403, "AccessDenied")
        scheme, _, rest = given.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key_id, *scope = parts["Credential"].split("/")
        if key_id != KEY_ID and not self.has("any-key"):
            raise RefusedError(403, "InvalidAccessKeyId")
        if self.has("any-key", "any-secret"):
            return
        expected = _signature(handler, scheme, scope, parts["SignedHeaders"].split(";"))
        if not hmac.compare_digest(expected, parts["Signature"]):
            raise RefusedError(403, "SignatureDoesNotMatch")


def _signature(
    handler: BaseHTTPRequestHandler, scheme: str, scope: list[str], signed: list[str]
) -> str:
    path, _, query = handler.path.partition("?")
    pairs = sorted(tuple(part.partition("=")[::2]) for part in query.split("&") if part)
    canonical = "\n".join(
        (
            handler.command,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(handler.headers[name].split())}" for name in signed),
            "",
            ";".join(signed),
            handler.headers["x-amz-content-sha256"],
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((scheme, handler.headers["x-amz-date"], "/".join(scope), digest))
    key = f"AWS4{SECRET}".encode()
    for part in (*scope, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: FlawedS3

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self.s3.authorize(self)
            reply = self.s3.answer(Request(self.command, bucket, key, query, headers, body))
        except RefusedError as refused:
            error = f"<Error><Code>{refused.code}</Code></Error>".encode()
            reply = (refused.status, {}, error)
        self._send(*reply)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(0 if status == 204 else len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return email.utils.formatdate(self.s3.now(), usegmt=True)

    def version_string(self) -> str:
        return "flawed-s3"

    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def serving(s3: FlawedS3) -> Iterator[str]:
    """Serve it on loopback; yields its URL."""
    handler = type("Handler", (_Handler,), {"s3": s3})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _namespace() -> str:
    return _XMLNS.split('"')[1]


def _xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0"?><{name} {_XMLNS}>{inner}</{name}>'.encode()


def _text(body: bytes, name: str) -> str:
    found = ET.fromstring(body).find(f".//{{{_namespace()}}}{name}")
    return (found.text or "") if found is not None else ""


def _child(element: ET.Element, name: str) -> str:
    found = element.find(f"{{{_namespace()}}}{name}")
    return (found.text or "") if found is not None else ""


def _digest(name: str, body: bytes) -> str:
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
