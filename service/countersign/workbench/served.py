"""What another OPA serves, through opa-python-client: the operator's plane, read only.

Lists policies, reads their text, data and revisions; never sends input, so that
a redirect or a wrong address learns nothing of a context, and never writes. The
only module here that knows that client for an OPA that is not ours. Blocking.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

from opa_client.errors import PolicyNotFoundError
from opa_client.opa import OpaClient
from requests import RequestException

from countersign.errors import ConfigurationError
from countersign.workbench.serving import Served

_TIMEOUT_S: Final = 10.0
_PORTS: Final = {"http": 8181, "https": 443}


def read(url: str, *, data: tuple[tuple[str, ...], ...] = (), token: str = "") -> Served:
    """What the OPA at this address serves. Raises `ConfigurationError`."""
    with _failures(url):
        client = _client(url, token)
        try:
            policies = {
                name: str(client.get_policy(quote(name, safe=""))["result"]["raw"])
                for name in sorted(client.get_policies_list())
            }
            found = {path: _document(client, path) for path in data}
            return Served(
                url=url,
                policies=policies,
                revisions=_revisions(client),
                data={path: value for path, value in found.items() if value is not None},
            )
        finally:
            client.close_connection()


def _client(url: str, token: str) -> Any:
    parts = urlsplit(url)
    port = parts.port  # raises ValueError where it is none
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _wrong_address(url, "must be http:// or https:// with a host")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _wrong_address(url, "must have no path: the client asks at the root")
    if parts.username or parts.password:
        raise _wrong_address(url.rpartition("@")[2], "must hold no credentials; use --token-file")
    return OpaClient(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        ssl=parts.scheme == "https",
        token=token or None,
        timeout=_TIMEOUT_S,
    )


def _wrong_address(url: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "policy.opa_address",
        f"--opa {url}: {problem}",
        advice="Such as --opa http://127.0.0.1:8181",
    )


@contextlib.contextmanager
def _failures(url: str) -> Iterator[None]:
    """Foreign errors in our words; what an OPA answered is not quoted."""
    try:
        yield
    except ConfigurationError:
        raise
    except (RequestException, PolicyNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            "policy.opa_unreachable",
            f"--opa {url}: gives no list of its policies ({type(error).__name__})",
            advice="Is it an OPA, does it run there, and does it let you read /v1/policies?",
        ) from None


def _document(client: Any, path: tuple[str, ...]) -> Any:
    """Data at a path; None where there is none, or it is not told."""
    with contextlib.suppress(PolicyNotFoundError):
        return client.get_data("/".join(quote(step, safe="") for step in path))["result"]
    return None


def _revisions(client: Any) -> dict[str, str]:
    """What the bundles call themselves: told beside the version, which every OPA has."""
    with contextlib.suppress(RequestException, PolicyNotFoundError, ValueError, AttributeError):
        told = client.get_data("system/version", query_params={"provenance": "true"})
        bundles = told.get("provenance", {}).get("bundles", {})
        return {str(name): str(each.get("revision", "")) for name, each in bundles.items()}
    return {}
