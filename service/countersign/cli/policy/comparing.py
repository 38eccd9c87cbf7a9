"""`policy diff`: what an OPA serves, held against a directory or a commit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.cli import output
from countersign.cli.audit.chosen import read_file
from countersign.cli.operator import JsonOption
from countersign.cli.policy import chosen
from countersign.cli.policy.chosen import DirectoryArgument
from countersign.errors import ConfigurationError
from countersign.workbench import difference, versions
from countersign.workbench.difference import Difference

app = typer.Typer()
_REMEDY = "Install it with: pip install 'countersign[server,opa]'"


@app.command()
@chosen.judged
def diff(
    directory: DirectoryArgument = Path("policy"),
    opa: Annotated[str, typer.Option(help="The OPA, such as http://127.0.0.1:8181.")] = "",
    ref: Annotated[
        str, typer.Option(help="Compare a commit, branch or tag instead of the files.")
    ] = "",
    fail_on_difference: Annotated[
        bool, typer.Option("--fail-on-difference", help="Exit code 1 when anything differs.")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Names only, no lines.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with a bearer token for that OPA.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Compare a policy with what an OPA serves; reads only, and sends no input."""
    found = difference_from(opa, directory, ref=ref, token_file=token_file)
    if as_json:
        output.as_json({"ok": not found.any, **dataclasses.asdict(found)})
    else:
        _tell(found, brief=brief)
    return 1 if found.any and fail_on_difference else 0


def difference_from(
    opa: str, directory: Path, *, ref: str = "", token_file: Path | None = None
) -> Difference:
    """Of a directory, or a commit of it, from what the OPA at an address serves."""
    if not opa:
        raise ConfigurationError(
            "policy.opa_address",
            "--opa: must be given",
            advice="Such as --opa http://127.0.0.1:8181",
        )
    served = _client()
    policy = versions.at(directory, ref) if ref else chosen.policy_in(directory)
    token = read_file("--token-file", token_file).decode().strip() if token_file else ""
    paths = tuple(difference.documents(policy))
    return difference.compare(policy, served.read(opa, data=paths, token=token))


@chosen.judged
def served_by(opa: str, *, as_json: bool) -> int:
    """What the OPA at an address serves; `status --opa`."""
    found = _client().read(opa)
    if as_json:
        policies, revisions = sorted(found.policies), dict(found.revisions)
        output.as_json({"url": found.url, "revisions": revisions, "policies": policies})
        return 0
    _tell_revisions(found.revisions)
    for name in sorted(found.policies):
        print(output.safe(f"  {name}"))
    return 0


def _client() -> Any:
    try:
        from countersign.workbench import served  # noqa: PLC0415 - an extra brings what it needs
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "policy.extra_missing", f"{error.name} is not installed", advice=_REMEDY
        ) from None
    return served


def _tell_revisions(revisions: Mapping[str, str]) -> None:
    for name, revision in revisions.items():
        print(output.safe(f"served: {revision or 'no revision'} (bundle {name})"))
    if not revisions:
        print("served: no bundle with a revision")


def _tell(found: Difference, *, brief: bool) -> None:
    _tell_revisions(found.served)
    print(output.safe(f"here:   {found.revision}"))
    for file in found.added:
        print(output.safe(f"added    {file}"))
    for name in found.removed:
        print(output.safe(f"removed  {name}"))
    for each in found.changed:
        print(output.safe(f"changed  {each.file}"))
        for line in () if brief else each.lines:
            print(output.safe(f"    {line}"))
    for line in found.data:
        print(output.safe(f"data     {line}"))
    same = f"{found.same} polic{'y' if found.same == 1 else 'ies'} the same"
    print(f"{same}." if found.any else f"Nothing differs: {same}.")
