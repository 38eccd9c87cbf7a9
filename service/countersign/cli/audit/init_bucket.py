"""`countersign audit init-bucket`: the two buckets of a log, and who may do what there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from countersign.audit import s3
from countersign.cli import output
from countersign.cli.audit.probing import EndpointOption, RegionOption, parse_target
from countersign.cli.operator import JsonOption
from countersign.errors import ConfigurationError

if TYPE_CHECKING:
    from countersign.audit.s3.bucket_policy import Rules
    from countersign.audit.s3.bucket_setup import Step

app = typer.Typer()
_TEN_YEARS: Final = 3_660


@app.command("init-bucket")
def init_bucket(
    records: Annotated[str, typer.Argument(help="s3://BUCKET for the locked records.")],
    tiles: Annotated[str, typer.Option(help="s3://BUCKET for what can be made again.")],
    days: Annotated[int, typer.Option(min=1, help="How long records are locked.")],
    max_days: Annotated[
        int, typer.Option("--max-days", min=1, help="Refuse to lock for longer: it is for good.")
    ] = _TEN_YEARS,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
    governance: Annotated[
        bool, typer.Option("--governance", help="A rehearsal: lock in GOVERNANCE.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Make or check a log's two buckets. Exit code 0 all in place, 1 something is wrong."""
    s3.require()
    # Only now: boto3 comes with an extra, and is slow to import.
    from countersign.audit.s3.bucket_policy import Rules  # noqa: PLC0415
    from countersign.audit.s3.bucket_setup import State, set_up  # noqa: PLC0415
    from countersign.audit.s3.client import Place  # noqa: PLC0415

    rules = Rules(
        records=_bucket("RECORDS", records),
        tiles=_bucket("--tiles", tiles),
        mode="GOVERNANCE" if governance else "COMPLIANCE",
        days=days,
        max_days=max_days,
        tls=not endpoint.startswith("http://"),
    )
    _check(rules)
    steps = set_up(Place(endpoint=endpoint, region=region), rules)
    _print(rules, steps, as_json=as_json)
    return int(any(step.state is State.WRONG for step in steps))


def _bucket(option: str, target: str) -> str:
    bucket, prefix = parse_target(target)
    if prefix:
        raise ConfigurationError(
            "s3.target_invalid",
            f"{option}: a whole bucket is set up, not a prefix in it",
            advice="Name it as s3://BUCKET.",
        )
    return bucket


def _check(rules: Rules) -> None:
    if rules.records == rules.tiles:
        raise ConfigurationError(
            "s3.same_bucket",
            "--tiles: names the bucket of the records",
            advice="Name another: what is rewritten cannot be in the locked bucket.",
        )
    if rules.days > rules.max_days:
        raise ConfigurationError(
            "s3.retention_too_long",
            f"--days: {rules.days} is more than --max-days {rules.max_days}",
            advice="Nobody can shorten COMPLIANCE again. Lower --days, or raise --max-days "
            "if it is meant.",
        )


def _print(rules: Rules, steps: tuple[Step, ...], *, as_json: bool) -> None:
    from countersign.audit.s3.bucket_policy import TO_DO, auditor, writer  # noqa: PLC0415 - above

    if as_json:
        output.as_json(
            {
                "steps": [_plain(step) for step in steps],
                "policies": {"writer": writer(rules), "auditor": auditor(rules)},
                "to_do": list(TO_DO),
            }
        )
        return
    for step in steps:
        detail = f": {step.detail}" if step.detail else ""
        print(output.safe(f"{step.state.value:<9} s3://{step.bucket} {step.what}{detail}"))
    if not rules.tls:
        print("left out  policy: TlsOnly: the endpoint is without TLS")
    for name, policy in (("Countersign itself", writer(rules)), ("Auditors", auditor(rules))):
        print(f"\n{name}, as an IAM policy:\n{json.dumps(policy, indent=2)}")
    print("\nWhat the account's administrators have to see to:")
    for line in TO_DO:
        print(f"- {line}")


def _plain(step: Step) -> dict[str, Any]:
    return {
        "bucket": step.bucket,
        "what": step.what,
        "state": step.state.value,
        "detail": step.detail,
    }
