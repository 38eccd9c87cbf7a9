"""A store with the logs of many tenants, and a publisher of them all."""

import threading
import time

from audit_world import SIGNER, MemorySource
from countersign.audit.local import LocalSink
from countersign.audit.note import Signer
from countersign.audit.publisher import Publisher, PublisherSettings
from countersign.audit.sink import OutageError
from countersign.model import TenantId

PROMPT = PublisherSettings(flush_after_s=0.0, retry_first_s=0.01, retry_max_s=0.05, poll_after_s=1)


class ManySource:
    """As `audit_world.MemorySource`, for several tenants."""

    def __init__(self, names, count=1):
        self.logs = {TenantId(name): MemorySource(count) for name in names}

    async def tenants(self):
        return tuple(self.logs)

    def now(self):
        return next(iter(self.logs.values())).now()

    def __getattr__(self, verb):
        async def ask(tenant, *arguments):
            return await getattr(self.logs[tenant], verb)(tenant, *arguments)

        return ask

    def add(self, count=1):
        for log in self.logs.values():
            log.add(count)


class HangingSink(LocalSink):
    """Takes its patience with every write while it is `away`, and only then gives up.

    `stuck` logs are not answered until the test lets them.
    """

    patience_s = 0.5

    def __init__(self, root):
        super().__init__(root)
        self.away = False
        self.stuck = set()
        self.let = threading.Event()
        self.asked = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def write(self, log_id, files):
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.asked.append(log_id)
        try:
            if log_id in self.stuck:
                self.let.wait(60)
            if self.away:
                time.sleep(self.patience_s)
                raise OutageError("log.sink_unavailable", "nobody answers")
            super().write(log_id, files)
        finally:
            with self._lock:
                self._now -= 1


def many(source, sink, settings=PROMPT):
    return Publisher(
        source=source,
        sink=sink,
        log_id_of=lambda tenant: f"log.example/{tenant}",
        signer_of=lambda tenant: Signer(name=f"log.example/{tenant}", key=SIGNER.key),
        settings=settings,
    )
