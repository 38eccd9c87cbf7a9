"""The composition root: builds every object, starts and stops them in order.

Nothing else in the package creates parts for somebody else. Called by
`countersign serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from countersign import __version__, rotation
from countersign.audit.backlog import Bounds
from countersign.audit.logkeys import LogKeys
from countersign.audit.note import Signer
from countersign.audit.published import PublishedLogs
from countersign.audit.publisher import Publisher, PublisherSettings
from countersign.audit.witness.asking import Asking
from countersign.audit.witness.cosigning import Cosigning
from countersign.config import Config, opa_candidates
from countersign.directory import Directory
from countersign.edge.activity import Activity
from countersign.edge.admin import Admin
from countersign.edge.authentication import Authenticator
from countersign.edge.decisions import Decisions
from countersign.edge.decode import Decoder
from countersign.edge.deliveries import Deliveries
from countersign.edge.evidence import EvidenceReader
from countersign.edge.metrics import Metrics, StatusServer
from countersign.edge.policy import PolicyVerbs
from countersign.edge.rate import RateLimit
from countersign.edge.reviews import Reviews
from countersign.edge.rpc import Rpc
from countersign.edge.server import EdgeServer, Tls, require_loopback
from countersign.edge.trust import Trust
from countersign.errors import ConfigurationError, UnavailableError
from countersign.faults import fault_points
from countersign.flow import Flow, Parts, operators, ruleset, shadowing
from countersign.flow.notices import directory_changed, started
from countersign.flow.sweep import sweeper
from countersign.issuers import Issuers
from countersign.keyring import keyring_of
from countersign.model import CallerId, JsonObject, Person, PersonId, TenantId
from countersign.permit import PermitKeys
from countersign.policy.activation import Keeper, KeeperSettings
from countersign.policy.admission import Admission
from countersign.policy.binary import find_opa
from countersign.policy.opa import OpaPolicy
from countersign.policy.protocol import ShadowDifference
from countersign.policy.shadow import Shadow
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.versions import Attempt, Change
from countersign.policy_approval import ApprovalSettings, FlowApproval, unasked
from countersign.policy_records import policy_changed
from countersign.policy_source import admission_settings, source_of
from countersign.recognizers import Pool
from countersign.registry import Registers, Registry, Who
from countersign.rotation import KeyHistory
from countersign.sanitize import Sanitizer
from countersign.sinks import sink_of
from countersign.store.sqlite import SqliteStore
from countersign.upkeep import heartbeats, keep_last_used
from countersign.waiters import Waiters

log = logging.getLogger(__name__)

RECONNECT_SPREAD_S: Final = 3.0
REFUSED_WITHIN_S: Final = 1.0
"""How long a service whose store has failed says so to who is calling."""
HEALTH_POLL_S: Final = 0.2
RECEIPT_SLACK_S: Final = 60.0
"""Beyond the longest that a record may wait for its sink."""


def _told(error: BaseException) -> str:
    """An error by its type and SQLite's word for it: its text may hold values."""
    word = getattr(error, "sqlite_errorname", "")
    return f"{type(error).__name__} {word}".strip()


async def serve(
    config: Config, announce: Callable[[int, int], None], *, accept_weaker: bool = False
) -> int:
    """Run the service until SIGTERM or SIGINT; returns the exit code.

    `announce(port, status_port)` is called once it can take calls. Raises
    `ConfigurationError` and `LogError` when it must not start; sanitizer rules
    that are weaker than before are reason enough without `accept_weaker`.
    """
    app = App(config, accept_weaker=accept_weaker)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await app.start(stack)
        except UnavailableError as error:  # what a start writes down
            raise await app.unstartable() from error
        announce(app.edge.port, app.status.port)
        return await app.until_stopped()


class App:
    """One running service."""

    edge: EdgeServer
    status: StatusServer

    def __init__(self, config: Config, *, accept_weaker: bool = False) -> None:
        self._config = config
        self._accept_weaker = accept_weaker
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._store_error = "it takes no records"
        self._reached = fault_points(config.fault)
        self._keys = keyring_of(config)
        self._permits = PermitKeys(config.server.issuer, self._keys.permits)
        self._custom_rules = config.custom_rules()
        self._recognizers: Pool | None = None
        self._approval: FlowApproval | None = None
        self._sink = sink_of(config, self._reached)
        self._witnesses = [Asking(place) for place in config.witness_places()]
        if config.log.durability == "locked" and not self._sink.enforcing:
            raise ConfigurationError(
                "audit.not_lockable",
                "log.durability: locked needs a sink that enforces retention; a directory cannot",
                advice='Set log.durability = "durable".',
            )
        self._waiters = Waiters()
        self._metrics = Metrics()
        self._tasks: list[asyncio.Task[None]] = []
        self._issuers = Issuers(config.issuer_sources())
        settings, limits = config.server, config.limits
        self._rate = RateLimit(
            settings.requests_per_s,
            settings.requests_burst,
            tenant_limits=config.tenant_rate,
            person_limit=(limits.requests_per_s_behind, limits.requests_burst_behind),
        )

    def _signer_of(self, tenant: TenantId) -> Signer:
        return Signer(name=self._log_id_of(tenant), key=self._keys.log)

    def _log_keys(self, tenant: TenantId) -> LogKeys:
        return self._key_history.log_keys(tenant, self._signer_of(tenant).verifier)

    def _log_id_of(self, tenant: TenantId) -> str:
        return f"{self._config.log.name}/{tenant}"

    # --- starting: each step is undone by the stack, in reverse ---

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start every part in the order in which they need each other."""
        config = self._config
        opa = find_opa(
            config.path(config.policy.opa) if config.policy.opa else None, opa_candidates()
        )
        directory = config.directory
        self._registry = Registry(
            config.path(directory.callers),
            config.path(directory.people),
            config.path(directory.channels),
            on_change=self._directory_changed,
        )
        self._authenticator = Authenticator(lambda: self._registry.current, self._issuers)
        await self._issuers.start()
        await self._start_sanitizer(stack)
        await self._start_store(stack)
        rules = await ruleset.judged(
            self._store, self._sanitizer, accept_weaker=self._accept_weaker
        )
        await self._start_log(stack)
        await self._start_policy(stack, opa)
        self._shadow = self._candidate(opa)
        await started(
            self._store,
            self._registry.current,
            {
                "started": __version__,
                "issuer": self._permits.issuer,
                **rules,
                "keys": rotation.named(self._keys.public()),
            },
            config.effective,
        )
        await ruleset.remember(self._store, self._sanitizer)
        if self._approval is None:  # which is on record now
            await unasked(self._store)
        flow = self._flow()
        if self._approval is not None:
            self._approval.flow = flow
        self._measure()
        # Undone after the drain: timers and revocations take effect until the last call ends.
        stack.push_async_callback(self._cancel_tasks)
        await self._start_edge(stack, flow)
        self._background(flow)

    async def _start_policy(self, stack: contextlib.AsyncExitStack, opa: Path) -> None:
        section = self._config.policy
        self._policy = OpaPolicy(opa)
        stack.push_async_callback(self._policy.stop)
        await self._policy.start()
        admission = Admission(opa, settings=admission_settings(self._config))
        if section.approval:
            settings = ApprovalSettings(
                tenant=TenantId(section.tenant),
                caller=CallerId(section.approval_caller),
                environment=section.approval_environment,
            )
            self._approval = FlowApproval(self._store, lambda: self._registry.current, settings)
        self._keeper = Keeper(
            self._policy,
            source_of(self._config),
            admission,
            settings=KeeperSettings(poll_s=section.poll_s, keep=section.keep),
            on_change=self._policy_changed,
            on_attempt=self._policy_attempted,
            approver=self._approval,
        )
        stack.push_async_callback(self._keeper.close)
        await self._keeper.start()

    async def _start_sanitizer(self, stack: contextlib.AsyncExitStack) -> None:
        settings, section = self._config.recognizers(), self._config.sanitizer
        if settings:
            self._recognizers = await Pool.start(settings, on_asked=self._metrics.recognizer)
            stack.push_async_callback(self._recognizers.stop)
        self._sanitizer = Sanitizer(
            internal_domains=section.internal_domains,
            max_preview_bytes=section.max_preview_bytes,
            custom=self._custom_rules,
            recognizers=self._recognizers.recognizers if self._recognizers else None,
            on_guarded=self._metrics.guarded,
        )

    async def _start_store(self, stack: contextlib.AsyncExitStack) -> None:
        path = self._config.path(self._config.store.path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = await SqliteStore.open(
            path,
            log_id_of=self._log_id_of,
            reached=self._reached,
            on_failure=self._store_failed,
        )
        stack.push_async_callback(self._store.close)

    async def _start_log(self, stack: contextlib.AsyncExitStack) -> None:
        await asyncio.to_thread(self._sink.check)
        self._key_history = KeyHistory.parse(await self._store.note(rotation.NOTE))
        self._key_history.changed(self._keys.public())  # a retired one refuses before all else
        self._publisher = Publisher(
            source=self._store,
            sink=self._sink,
            log_id_of=self._log_id_of,
            signer_of=self._signer_of,
            keys_of=self._log_keys,
            settings=PublisherSettings(
                flush_after_s=self._config.log.flush_after_s,
                bounds=Bounds(
                    max_bytes=self._config.log.max_backlog_bytes,
                    max_age_s=self._config.log.max_backlog_age_s,
                ),
            ),
            reached=self._reached,
            witnesses=self._witnesses,
        )
        cosigning = Cosigning(
            self._witnesses,
            published=self._publisher,
            sink=self._sink,
            on_answer=self._metrics.witness,
        )
        cosigning.start()
        self._publisher.subscribe(cosigning.notify)
        stack.push_async_callback(cosigning.close)
        await self._publisher.open()
        await self._record_keys()
        await self._publisher.start()
        stack.push_async_callback(self._publisher.close)
        self._store.subscribe(lambda _changes: self._publisher.notify())

    async def _record_keys(self) -> None:
        """What signs from here on, before it signs."""
        tenants = self._registry.current.tenants | set(await self._store.tenants())
        self._key_history = await rotation.recorded(
            self._store,
            self._key_history,
            self._keys.public(),
            tenants=tenants,
            published=self._publisher.published_size,
            log_id_of=self._log_id_of,
        )

    def _candidate(self, opa: Path) -> Shadow | None:
        """What tries a candidate policy, if the settings name one."""
        section, path = self._config.policy.shadow, self._config.path
        if not section.directory:
            return None

        async def record(found: ShadowDifference) -> bool:
            return await shadowing.recorded(self._store, self._publisher, found)

        return Shadow(
            opa,
            DirectorySource(path(section.directory)),
            settings=section.settings(),
            on_result=lambda result: self._metrics.shadow(result.value),
            on_difference=record,
        )

    def _jwks(self) -> JsonObject:
        return self._permits.jwks(self._key_history.permits(self._store.now()))

    def _flow(self) -> Flow:
        parts = Parts(
            store=self._store,
            policy=self._policy,
            sanitizer=self._sanitizer,
            source=self._registry,
            permits=self._permits,
            limits=self._config.flow_limits(),
            lockable=self._sink.enforcing,
            keeper=self._publisher,
            spend_for=self._rate.spend_for_person,
            recognizer=self._recognizers,
            shadow=self._shadow,
        )
        return Flow(parts, self._waiters)

    async def _start_edge(self, stack: contextlib.AsyncExitStack, flow: Flow) -> None:
        settings = self._config.server
        rpc = Rpc(
            self._authenticator,
            self._rate,
            self._metrics,
            self._reached,
            max_request_bytes=max(4 * settings.max_context_bytes, 262_144),
        )
        decoder = Decoder(
            max_context_bytes=settings.max_context_bytes, mask_pointer=self._sanitizer.pointer
        )
        published = PublishedLogs(
            self._publisher,
            self._sink,
            self._store,
            self._signer_of,
            receipt_key=self._keys.receipt,
            include_within_s=self._config.log.max_backlog_age_s + RECEIPT_SLACK_S,
        )
        handlers = (
            Decisions(flow, decoder, EvidenceReader(self._issuers), self._metrics).handlers(rpc),
            Activity(flow, decoder).handlers(rpc),
            Reviews(
                flow, self._metrics, max_assertion_age_s=self._config.limits.max_assertion_age_s
            ).handlers(rpc),
            Deliveries(flow).handlers(rpc),
            self._admin().handlers(rpc),
            Trust(published, self._jwks).handlers(rpc),
        )
        require_loopback("server.status_listen", settings.status_listen)
        host, _, port = settings.status_listen.rpartition(":")
        self.status = StatusServer(host, int(port), self._metrics, self._missing)
        self.status.start()
        stack.callback(self.status.stop)
        self.edge = EdgeServer(settings.listen, self._tls(), handlers)
        await self.edge.start()
        stack.push_async_callback(self._drain)
        await self.edge.set_healthy(healthy=not self._missing())

    def _admin(self) -> Admin:
        directory, path = self._config.directory, self._config.path
        registers = Registers(
            callers=path(directory.callers),
            people=path(directory.people),
            channels=path(directory.channels),
        )
        return Admin(
            self._registry,
            registers,
            groups=self._config.admin.groups,
            last_used=self._store.last_used,
            too_new=self._too_new,
            on_refused=self._admin_refused,
            policy=PolicyVerbs(
                self._keeper,
                TenantId(self._config.policy.tenant),
                self._shadow.status if self._shadow else None,
            ),
        )

    async def _too_new(self, person: Person, proof: str) -> str | None:
        wait_s = self._config.directory.new_account_wait_s
        return await operators.too_new(self._store, wait_s, person, proof)

    async def _admin_refused(self, person: Person, verb: str, who: Who | None, code: str) -> None:
        subject: JsonObject | None = {"kind": who.kind.value, "id": who.id} if who else None
        await operators.refused(self._store, person, verb, subject, code)

    def _tls(self) -> Tls | None:
        settings, path = self._config.server, self._config.path
        if not settings.tls_certificate and not settings.tls_key:
            return None
        return Tls(
            certificate=path(settings.tls_certificate),
            key=path(settings.tls_key),
            client_ca=path(settings.tls_client_ca) if settings.tls_client_ca else None,
        )

    def _background(self, flow: Flow) -> None:
        self._spawn("sweeper", sweeper(flow.parts))
        self._spawn("policy", self._keeper.run())
        self._spawn("directory", self._registry.watch(self._config.directory.poll_s))
        self._spawn("health", self._follow_health())
        if self._shadow:
            self._spawn("policy shadow", self._shadow.run())
        registry = self._registry
        self._spawn(
            "heartbeat",
            heartbeats(
                self._store,
                self._metrics.refused_calls,
                lambda: registry.current.tenants,
                self._config.log.heartbeat_s,
            ),
        )
        self._spawn("last used", keep_last_used(self._store, self._authenticator.drain_used))
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _spawn(self, name: str, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        self._tasks.append(asyncio.create_task(run(), name=name))

    # --- running ---

    async def until_stopped(self) -> int:
        """Wait for the end, and return the exit code."""
        await self._stopping.wait()
        log.info("stopping")
        return self._exit_code

    async def unstartable(self) -> ConfigurationError:
        """Why a start that could not be recorded came to nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return ConfigurationError(
            "store.unusable",
            f"{self._config.store.path}: the store cannot commit: {self._store_error}",
            advice="Make room on its disk (SQLITE_FULL) or mend it, and start again: what was "
            "acknowledged is there.",
        )

    def _store_failed(self, error: BaseException) -> None:
        """A failed commit: nothing may be decided any more (invariant 1)."""
        self._store_error = _told(error)
        log.critical("the store failed and the service ends: %s", self._store_error)
        self._exit_code = 1
        self._stopping.set()

    def _reload(self) -> None:
        """SIGHUP: read callers, people and policy again."""
        self._spawn("reload", self._reload_all())

    async def _reload_all(self) -> None:
        self._keeper.look()
        await self._registry.reload()

    def _missing(self) -> dict[str, str]:
        """What is not ready and why."""
        missing = {}
        if not self._policy.ready:
            missing["policy"] = f"OPA is {self._policy.status().state.value}"
        if self._store.failed:
            missing["store"] = "a commit failed"
        # Whoever waits for locks is kept by the first failure, others by a full backlog.
        locked = self._config.log.durability == "locked"
        failures = self._publisher.failures if locked else self._publisher.stopped
        for tenant, failure in failures.items():
            missing[f"log {tenant}"] = failure.code
        if not self._publisher.running:
            missing["log"] = "the publisher is not running"
        if self._stopping.is_set():
            missing["server"] = "stopping"
        return missing

    async def _follow_health(self) -> None:
        healthy = None
        while True:
            now = not self._missing()
            if now != healthy:
                healthy = now
                await self.edge.set_healthy(healthy=now)
            await asyncio.sleep(HEALTH_POLL_S)

    async def _directory_changed(self, old: Directory, new: Directory, by: PersonId | None) -> None:
        await directory_changed(self._store, old, new, by)

    async def _policy_changed(self, change: Change) -> None:
        tenants, keeper = self._registry.current.tenants, TenantId(self._config.policy.tenant)
        await policy_changed(self._store, change, tenants, keeper)

    def _policy_attempted(self, attempt: Attempt) -> None:
        self._metrics.policy_attempt(attempt.result.value, attempt.code)

    def _measure(self) -> None:
        gauge = self._metrics.gauge
        gauge("countersign_waiters", "Awaits in progress.", lambda: len(self._waiters))
        gauge("countersign_policy_ready", "Whether OPA answers.", lambda: float(self._policy.ready))
        self._metrics.policy(self._policy_now)
        gauge("countersign_opa_restarts", "OPA restarts.", lambda: self._policy.status().restarts)
        if self._shadow:
            shadow = self._shadow
            gauge(
                "countersign_policy_shadow_ready",
                "Whether a candidate policy is being tried.",
                lambda: float(shadow.ready),
            )
        if self._recognizers:
            pool = self._recognizers
            gauge(
                "countersign_recognizers_ready",
                "0 while what recognizers beside the rules should look at is masked whole.",
                lambda: float(pool.ready),
            )
        gauge(
            "countersign_directory_stale",
            "1 while an invalid callers or people file is being ignored.",
            lambda: float(self._registry.error is not None),
        )
        gauge(
            "countersign_directory_age_seconds",
            "How long ago the registers were last confirmed; too old ones approve nothing.",
            self._registry.age_s,
        )
        gauge(
            "countersign_issuer_failures",
            "Issuers whose keys could not be read.",
            lambda: len(self._issuers.failures),
        )
        gauge(
            "countersign_log_failures",
            "Logs whose last publication failed.",
            lambda: len(self._publisher.failures),
        )

    def _policy_now(self) -> tuple[str, float, bool]:
        """The active revision, since when, and whether it is what the source has."""
        status = self._keeper.status()
        last, active = status.attempt, status.active
        behind = status.held or (last is not None and bool(last.code))
        return (active.revision, active.at_s, not behind) if active else ("", 0.0, False)

    # --- stopping ---

    async def _drain(self) -> None:
        """Health off, waiters away, running calls to their end."""
        self._stopping.set()
        await self.edge.set_healthy(healthy=False)
        failed = self._exit_code != 0
        self._waiters.release(spread_s=0 if failed else RECONNECT_SPREAD_S)
        if failed:  # those that queue would hear CANCELLED; let in, they are refused at once
            await asyncio.sleep(REFUSED_WITHIN_S)
        grace_s = REFUSED_WITHIN_S if failed else RECONNECT_SPREAD_S + self._config.server.drain_s
        await self.edge.stop(grace_s)

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a background task failed: %s", type(outcome).__name__)
