"""Prometheus metrics, liveness and readiness, on a port of their own.

Labels are method, code, effect and tenant: never anything a caller wrote.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """The server's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "countersign_rpc_total",
            "Calls by method, status code and tenant; none before its credential is known.",
            ("method", "code", "tenant"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "countersign_rpc_seconds",
            "Seconds a call took in the server.",
            ("method",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._decisions = Counter(
            "countersign_decisions_total",
            "Decisions by method, effect and tenant.",
            ("method", "effect", "tenant"),
            registry=self.registry,
        )
        self._glass = Counter(
            "countersign_break_glass_total",
            "Glasses broken, and after-reviews of them closed, by tenant. Alert on the first.",
            ("event", "tenant"),
            registry=self.registry,
        )

        self._guarded = Counter(
            "countersign_sanitizer_guarded_total",
            "Fields that the last look before sending had to mask whole. Above 0 is a bug.",
            registry=self.registry,
        )
        self._recognizer = Counter(
            "countersign_recognizer_total",
            "Questions to recognizers beside the rules by outcome: ok, late, down. "
            "What has no answer is masked whole.",
            ("outcome",),
            registry=self.registry,
        )

        self._witnesses = Counter(
            "countersign_witness_total",
            "Answers of witnesses by name and outcome: cosigned, or the code of what is wrong. "
            "Alert on log.rolled_back and log.forked.",
            ("witness", "outcome"),
            registry=self.registry,
        )

        self._attempts = Counter(
            "countersign_policy_attempts_total",
            "Attempts to have another version of policy answer, by result.",
            ("result",),
            registry=self.registry,
        )
        self._refusals = Counter(
            "countersign_policy_refusals_total",
            "Versions of policy that were refused or could not be had, by code.",
            ("code",),
            registry=self.registry,
        )
        self._shadow = Counter(
            "countersign_policy_shadow_total",
            "Decisions offered to the candidate policy by result: same, different, late (no "
            "answer by its deadline), dropped (it was busy, resting or not there).",
            ("result",),
            registry=self.registry,
        )

    def policy_attempt(self, result: str, code: str) -> None:
        """Count an attempt to have another version of policy answer."""
        self._attempts.labels(result).inc()
        if code:
            self._refusals.labels(code).inc()

    def policy(self, read: Callable[[], tuple[str, float, bool]]) -> None:
        """Tell the active revision, since when (seconds since 1970), and if it is the source's."""
        self.registry.register(_ActivePolicy(read))

    def observer(self, method: str) -> Callable[[str, str, float], None]:
        """A function that counts one call of `method`: code, tenant and seconds."""
        seconds = self._seconds.labels(method)
        counters: dict[tuple[str, str], Counter] = {}

        def observe(code: str, tenant: str, took_s: float) -> None:
            counter = counters.get((code, tenant))
            if counter is None:
                counter = counters[code, tenant] = self._calls.labels(method, code, tenant)
            counter.inc()
            seconds.observe(took_s)

        return observe

    def refused_item(self, method: str, code: str, tenant: str) -> None:
        """Count one item of a batch that led to no decision as a call of its own."""
        self._calls.labels(f"{method} item", code, tenant).inc()

    def decision(self, method: str, effect: str, tenant: str) -> None:
        """Count one decision."""
        self._decisions.labels(method, effect, tenant).inc()

    def glass(self, event: str, tenant: str) -> None:
        """Count a glass `broken`, or one whose after-review was `closed`."""
        self._glass.labels(event, tenant).inc()

    def guarded(self, count: int) -> None:
        """Count what the sanitizer's last look had to mask."""
        self._guarded.inc(count)

    def recognizer(self, outcome: str) -> None:
        """Count one question to recognizers beside the rules."""
        self._recognizer.labels(outcome).inc()

    def witness(self, name: str, outcome: str) -> None:
        """Count one answer of a witness, or that there was none."""
        self._witnesses.labels(name, outcome).inc()

    def shadow(self, result: str) -> None:
        """Count what became of one decision offered to the candidate policy."""
        self._shadow.labels(result).inc()

    def refused_calls(self) -> dict[tuple[str, str], int]:
        """Calls so far that led to no decision, by tenant and status code: for heartbeats.

        Those without a known credential are nobody's: their tenant is empty.
        """
        counts: dict[tuple[str, str], int] = {}
        for metric in self._calls.collect():
            for sample in metric.samples:
                code = sample.labels.get("code", "OK")
                if sample.name.endswith("_total") and code != "OK":
                    key = (sample.labels["tenant"], code)
                    counts[key] = counts.get(key, 0) + int(sample.value)
        return counts

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when scraped."""
        Gauge(name, text, registry=self.registry).set_function(read)


class _ActivePolicy(Collector):
    """The policy that answers, read when scraped."""

    def __init__(self, read: Callable[[], tuple[str, float, bool]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        revision, since_s, in_sync = self._read()
        info = GaugeMetricFamily(
            "countersign_policy_info", "The revision that answers.", labels=("revision",)
        )
        info.add_metric((revision,), 1)
        yield info
        yield GaugeMetricFamily(
            "countersign_policy_age_seconds",
            "How long ago it was activated.",
            value=max(0.0, time.time() - since_s) if since_s else 0.0,
        )
        yield GaugeMetricFamily(
            "countersign_policy_in_sync",
            "0 while its source has another version: refused, not to be had, or rolled back.",
            value=float(in_sync),
        )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Access lines are of no use here."""


class StatusServer:
    """`/metrics`, `/livez` and `/readyz` over HTTP, in a thread of its own."""

    def __init__(
        self, host: str, port: int, metrics: Metrics, readiness: Callable[[], dict[str, str]]
    ) -> None:
        """`readiness` returns what is not ready and why; empty means ready."""
        scrape = make_wsgi_app(metrics.registry)

        def application(environ: Any, start_response: Any) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path == "/metrics":
                page: Iterable[bytes] = scrape(environ, start_response)
                return page
            if path == "/livez":
                return _reply(start_response, "200 OK", {"alive": True})
            if path == "/readyz":
                missing = readiness()
                code = "503 Service Unavailable" if missing else "200 OK"
                return _reply(start_response, code, {"ready": not missing, "missing": missing})
            return _reply(
                start_response, "404 Not Found", {"paths": ["/metrics", "/livez", "/readyz"]}
            )

        self._server = make_server(host, port, application, _Server, _Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="status", daemon=True
        )

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _reply(start_response: Any, code: str, body: dict[str, Any]) -> Iterable[bytes]:
    data = json.dumps(body).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    start_response(code, headers)
    return [data]
