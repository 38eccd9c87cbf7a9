"""Texts in which there is nothing to hide: what masking costs those who read.

Templates filled with technical words, commit hashes, digests and ids among them;
every corpus has as many texts as asked for, and is held out in every second
template. Literals and comments of SQL are masked by design, so only what stands
outside them counts. Used by `bench_sanitizer_main`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bench_sanitizer_held_out import HELD_OUT_SHELL

_FILL: Final = re.compile(r"\{(\w+)\}")
_LITERALS: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\b\d+(?:\.\d+)?\b", re.DOTALL)
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "table": ("orders", "invoices", "audit_events", "line_items", "shipments", "feature_flags"),
    "column": ("state", "total", "created_at", "updated_at", "tenant_id", "quantity", "currency"),
    "service": ("billing", "search-api", "ingest", "notifier", "gateway", "report-worker"),
    "space": ("payments", "staging", "data-platform", "kube-system", "observability"),
    "file": ("values.yaml", "src/queue/consumer.go", "deploy/base/kustomization.yaml", "Makefile",
             "internal/store/postgres/migrate.go", "docs/runbook.md"),
    "branch": ("main", "release/2026.11", "fix/retry-budget", "feature/bulk-import"),
    "version": ("2026.11.3", "v1.42.0", "3.0.0-rc.2", "1.8.17"),
    "host": ("registry.example.test", "db-2.internal.test", "metrics.example.test"),
    "number": ("3", "12", "48", "250", "1024", "5000"),
    "literal": ("open", "paid", "EUR", "eu-central-1", "pending"),
    "module": ("vpc", "node_pool", "storage_bucket", "dns_zone"),
    "size": ("m6i.large", "db.r6g.xlarge", "n2-standard-4"),
    "zone": ("eu-central-1", "us-east-1b", "europe-west4"),
    "hash": ("4f2a91c", "9d03be7", "c07e1aa"),
    "sha": ("4f2a91c07e1aa9d03be7b1c8d2e5f60718293a4b", "c07e1aa4f2a91c9d03be75a6b7c8d9e0f1a2b3c4"),
    "digest": ("sha256:" + "9d03be74f2a91c07" * 4, "sha256:" + "1f2e3d4c5b6a7988" * 4),
    "uuid": ("7c9e6679-7425-40de-944b-e07fc1f90ae7", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
    "pod": ("6d4f9c7b8-x2lqp", "7f8b5d9c44-9kq2z", "5c7d6b8f9d-tw4mm"),
    "status": ("Running", "CrashLoopBackOff", "Completed", "Pending"),
}  # fmt: skip

SQL: Final = (
    "SELECT {column}, count(*) FROM {table} WHERE state = '{literal}' GROUP BY {column} LIMIT 9",
    "SELECT o.id, sum(i.{column}) FROM {table} o JOIN {table} i ON i.order_id = o.id GROUP BY o.id",
    "UPDATE {table} SET {column} = '{literal}', updated_at = now() WHERE id = {number}",
    "DELETE FROM {table} WHERE created_at < now() - interval '30 days' AND {column} IS NULL",
    "ALTER TABLE {table} ADD COLUMN {column}_new numeric(12, 2) NOT NULL DEFAULT 0",
    "CREATE INDEX CONCURRENTLY idx_{table}_{column} ON {table} ({column}, id)",
    "INSERT INTO {table} (id, {column}) SELECT id, {column} FROM {table}_staging",
    "WITH last AS (SELECT id, max(updated_at) AS at FROM {table} GROUP BY id) SELECT * FROM last",
)
SHELL: Final = (
    "kubectl -n {space} rollout restart deployment/{service}",
    "kubectl get pods -n {space} -l app={service} -o wide | grep {status}",
    "git log --oneline --since=yesterday -- {file} && git checkout {branch}",
    "terraform plan -target=module.{module} -out=plan.bin -lock-timeout=60s",
    "docker build -t {host}/{service}:{version} --build-arg VERSION={version} .",
    "find /var/log/{service} -name '*.log' -mtime +{number} -exec gzip {{}} +",
    "pg_dump --schema-only --table={table} --host={host} | gzip > /backup/{table}.sql.gz",
    'for f in deploy/*.yaml; do kubectl apply --dry-run=server -f "$f"; done',
    "aws s3 sync ./dist s3://{service}-artifacts/{version}/ --delete --exclude '*.map'",
    "systemctl restart {service}.service; journalctl -u {service} -n {number} --no-pager",
    "helm upgrade --install {service} charts/{service} -n {space} --set image.tag={version}",
    "git cherry-pick -x {sha} && git push origin {branch}",
    "docker pull {host}/{service}@{digest}",
    "kubectl -n {space} logs {service}-{pod} --since=10m | sort | uniq -c",
    "aws sts assume-role --role-arn arn:aws:iam::000000000000:role/{service} --role-session-name x",
    "curl -fsS -X POST https://{host}/api/v1/jobs/{number}/retry -H 'Accept: application/json'",
)
MORE_SHELL: Final = (
    "git revert -m 1 {h} && git push origin HEAD:refs/heads/main",
    "git checkout -b hotfix {h}",
    "git switch --detach {h}",
    "git merge-base --is-ancestor {h} origin/main",
    "git -C /srv/infra fetch origin {h}",
    "git rebase --onto main {h} feature/import",
    "git archive --format=tar {h} | tar -x -C /tmp/src",
    "git ls-tree -r --name-only {h}",
    "git rev-list --count {h}..HEAD",
    "git restore --source={h} config/app.yaml",
    "docker stop {c} && docker rm -f {c}",
    'docker run --rm -v "$PWD":/src -w /src -p 8080:80 --name tmp nginx:1.27-alpine',
    "docker run -v ${PWD}:/app -v ~/.cache/pip:/home/app/.cache/pip -w /app python:3.12 pytest",
    "docker volume rm $(docker volume ls -qf dangling=true)",
    "kubectl create configmap app-config --from-literal=LOG_LEVEL=debug --from-literal=MODE=on",
    "kubectl get events --field-selector type=Warning --sort-by=.lastTimestamp",
    "kubectl drain node-17 --ignore-daemonsets --delete-emptydir-data --timeout=300s",
    "aws ec2 create-snapshot --volume-id vol-049df61146c4d7901 --description nightly",
    "aws ec2 describe-subnets --subnet-ids subnet-0bb1c79de3f0a1b2c",
    "aws iam attach-role-policy --role-name a --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess2",
    "aws elbv2 wait --arn arn:aws:elasticloadbalancing:eu:123456789012:loadbalancer/app/w/{l}",
    "aws ecs stop-task --task arn:aws:ecs:eu-west-1:123456789012:task/prod/{l}{l}",
    "aws route53 list-resource-record-sets --hosted-zone-id Z0123456789ABCDEFGHIJ",
    "aws autoscaling set-desired-capacity --auto-scaling-group-name web --desired-capacity 6",
    "gcloud container clusters get-credentials prod-1 --region europe-west4 --project acme-prod",
    "openssl pkcs12 -in bundle.p12 -info -noout -passin env:P12_PASS",
    "openssl enc -d -aes-256-cbc -in backup.enc -out backup.tar -pass file:/etc/backup/pass",
    "openssl x509 -in /etc/ssl/certs/web.pem -noout -enddate -subject",
    "curl -b cookies.txt -c cookies.txt https://intranet.example.test/login",
    "curl -sS -o /dev/null -w '%{http_code} %{time_total}' https://web.example.test/",
    "flyway -url=jdbc:postgresql://db-1:5432/orders -schemas=public info",
    "export KUBECONFIG=$HOME/.kube/prod-eu-1.yaml",
    "TOKEN=$(vault print token) ./sync.sh",
    "API_KEY=$(cat /run/secrets/api_key) ./report --since 2026-11-01",
    "rsync -avz --delete --exclude=.git ./site/ deploy@web-3.example.test:/srv/www/",
    "ssh -i ~/.ssh/id_ed25519 -p 2022 deploy@build-7.example.test sudo systemctl reload nginx",
    "awk -F: '$3 >= 1000 {print $1, $7}' /etc/passwd",
    "jq -r '.items[] | select(.status.phase != \"Running\") | .metadata.name' pods.json",
    "mount UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /mnt/data",
    "sed -E 's/^(server_name).*$/www.example.test;/' site.conf",
)
"""Everyday work, for the tuning half alone; `h` is a commit, `c` a container, `l` an id."""
_COMMIT: Final = "9d1c3f0a7b2e4d5688f1a0c2b3d4e5f60718293a"
_LOAD: Final = "73e2d6bc24d8a067"
_CONTAINER: Final = "0e5d77ab12c98f41b2a37c6d5e4f30219a8b7c6d5e4f30219a8b7c6d5e4f3021"
YAML: Final = (
    (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: {service}\nspec:\n"
        "  schedule: '15 3 * * *'\n  jobTemplate:\n    spec:\n      template:\n        spec:\n"
        "          serviceAccountName: {service}\n          containers:\n"
        "            - image: {host}/{service}@{digest}\n              envFrom:\n"
        "                - secretRef: {{name: {service}-credentials}}\n"
    ),
    (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {service}\n"
        "  namespace: {space}\nspec:\n"
        "  replicas: {number}\n  strategy:\n    type: RollingUpdate\n  template:\n    spec:\n"
        "      containers:\n        - name: {service}\n"
        "          image: {host}/{service}:{version}\n"
        "          ports:\n            - containerPort: 8080\n          resources:\n"
        "            limits: {{cpu: 750m, memory: 512Mi}}\n"
    ),
    (
        "name: build\non:\n  push:\n    branches: [{branch}]\njobs:\n  test:\n"
        "    runs-on: ubuntu-24.04\n"
        "    steps:\n      - uses: actions/checkout@v4\n      - run: make lint test\n"
    ),
    (
        "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 0.0.0.0:4317\n"
        "exporters:\n  debug:\n    verbosity: detailed\nservice:\n  pipelines:\n    traces:\n"
        "      receivers: [otlp]\n"
    ),
    (
        "database:\n  host: {host}\n  port: 5432\n  name: {table}\n  pool:\n    max: {number}\n"
        "    idle_timeout: 30s\nfeatures:\n  {column}: true\n  {table}: false\nlog_level: info\n"
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {service}\n  labels:\n"
        "    team: {space}\n    tier: backend\nspec:\n  selector:\n    app: {service}\n"
        "  ports:\n    - port: 80\n"
    ),
)
COMMITS: Final = (
    "Turn off {column} in {table} for tenants of {zone}",
    "Retry the {service} queue with back-off\n\nA time-out left messages behind; bound them.",
    "fix({service}): close the cursor before the next page",
    "Move {file} below internal and drop the old alias",
    "Bump the base image to {version}; no change in behaviour",
    'Revert "Read {table} from the replica"\n\nThis reverts commit {hash}.',
    "Add an index on {table}.{column}: the nightly report took {number} minutes",
    "Document how {service} is rolled back from {branch}",
    "Grant the build role read access to {file}",
    "Mark {table}.{column} as required; will be enforced in May",
    "Revert to {sha}\n\nThe roll-out of {version} failed in {space}.",
    "Merge pull request #{number} from {space}/{service}-{number}",
)
LOGS: Final = (
    "2026-11-20T08:14:07.112Z INFO {service} finished status=200 ms={number} path=/v1/{table}",
    "2026-11-20 08:14:09,431 WARN [worker-3] {service}: retry {number} of 5, queue={table}",
    'level=error ts=2026-11-20T08:15:00Z caller=store.go:118 msg="commit failed" rows={number}',
    "[{status}] pod/{service}-6d4f9c7b8-x2lqp restarted {number} times in {space}",
    "E1120 08:16:22.000134 1 reflector.go:138] failed to list {table}: context deadline exceeded",
    "GET /healthz 200 {number}us - {host} - kube-probe/1.31",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 {service} ok ({number} ms)",
    "INFO request_id={uuid} {service} accepted job for {table} in {space}",
    "Successfully assigned {space}/{service}-{pod} to node-{number}",
    "pulled image {host}/{service}@{digest} in 1.2s",
)
PROSE: Final = (
    "The nightly job copies closed rows to the archive and drops them after {number} days.",
    "Retries of the {service} queue pile up after a time-out; this restores the previous limit.",
    "We roll back {service} to {version} because latency doubled since Monday.",
    "Capacity in {zone} is short, so the new nodes start in another region.",
    "Quarterly churn analysis for the product team; no personal columns are read.",
    "Certificates of the gateway run out next week and are replaced during the window.",
    "Moves the Grafana dashboards into Git and lets Terraform own the alerts.",
    "Deletes {number} stale feature flags that no release has used since March.",
    "The Kafka consumer of {service} lags behind; Redis and Postgres are healthy.",
    "Black Friday is near, so the Payments team freezes deployments from Thursday to Monday.",
    "Mark the job as failed and grant the Release Manager role to the pipeline.",
    "Will be removed after the Christmas freeze; Jenkins stays until the second quarter.",
    "Our Frankfurt and Dublin regions fail over to each other, see the Disaster Recovery plan.",
    "Dear colleagues, please read the Change Policy before Friday. Kind regards, Platform Team",
    "General Availability of Search is planned for June, Beta for April.",
    "The Amazon bill doubled because of Kafka Connect; the Finance department asked for a limit.",
    "Use Visual Studio Code or IntelliJ, and never commit from the production console.",
    "Rotate the pager to the Berlin office: New York is on holiday on Martin Luther King Day.",
    "Grace period, retry budget and dead letter queue are explained in the Operations Handbook.",
    "Follow the runbook: drain the node, upgrade the kernel, watch the error budget, then go on.",
)


def _kubernetes(rng: random.Random) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": _word(rng, "service"), "namespace": _word(rng, "space"),
                     "labels": {"app.kubernetes.io/name": _word(rng, "service"), "tier": "back"}},
        "spec": {
            "replicas": rng.randrange(1, 9),
            "template": {"spec": {"containers": [{
                "name": _word(rng, "service"),
                "image": f"{_word(rng, 'host')}/{_word(rng, 'service')}:{_word(rng, 'version')}",
                "args": ["--log-level=info", f"--queue={_word(rng, 'table')}"],
                "resources": {"limits": {"cpu": "750m", "memory": "512Mi"}},
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/data"}],
            }]}},
        },
    }  # fmt: skip


def _terraform(rng: random.Random) -> dict[str, Any]:
    name = _word(rng, "module")
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.8",
        "resource_changes": [{
            "address": f"module.{name}.aws_instance.{_word(rng, 'service').replace('-', '_')}",
            "type": "aws_instance",
            "name": _word(rng, "service"),
            "change": {
                "actions": rng.choice((["create"], ["update"], ["delete", "create"])),
                "before": {"instance_type": "m6i.large", "availability_zone": _word(rng, "zone")},
                "after": {"instance_type": _word(rng, "size"),
                          "tags": {"team": _word(rng, "space")}},
            },
        }],
        "plan": {"create": rng.randrange(5), "update": rng.randrange(5), "destroy": 0},
    }  # fmt: skip


def _word(rng: random.Random, name: str) -> str:
    return rng.choice(_WORDS[name])


def filled(rng: random.Random, template: str) -> str:
    """A template with words in it; doubled braces stay as one."""
    doubled = template.replace("{{", "\x01").replace("}}", "\x02")
    text = _FILL.sub(lambda match: _word(rng, match[1]), doubled)
    return text.replace("\x01", "{").replace("\x02", "}")


Make = Callable[[random.Random, int], dict[str, Any]]


def _of(templates: tuple[str, ...], key: str) -> Make:
    return lambda rng, at: {key: filled(rng, templates[at % len(templates)])}


CORPORA: Final[Mapping[str, Make]] = {
    "SQL": _of(SQL, "sql"),
    "shell": _of(SHELL, "command"),
    "YAML": _of(YAML, "manifest"),
    "Kubernetes JSON": lambda rng, _: {"object": _kubernetes(rng)},
    "Terraform JSON": lambda rng, _: {"plan": _terraform(rng)},
    "JSON in a string": lambda rng, _: {"body": json.dumps(_kubernetes(rng))},
    "commit messages": _of(COMMITS, "message"),
    "log lines": _of(LOGS, "line"),
    "prose": _of(PROSE, "comment"),
}


def texts(count: int) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Corpus, whether it is held out, and arguments; `count` of each corpus."""
    rng = random.Random(3)  # noqa: S311 - made-up data, the same in every run
    for name, make in CORPORA.items():
        for at in range(count):
            yield name, at % 2 == 1 and name != "shell", make(rng, at)
    held_out = _of(HELD_OUT_SHELL, "command")
    for at in range(count):
        yield "shell", True, held_out(rng, at)
    for line in MORE_SHELL[:count]:
        yield "shell", False, {"command": _with_ids(line)}


def _with_ids(line: str) -> str:
    return line.replace("{h}", _COMMIT).replace("{c}", _CONTAINER).replace("{l}", _LOAD)


def without_literals(statement: str) -> str:
    """A statement without what is masked by design."""
    return _LITERALS.sub("", statement)
