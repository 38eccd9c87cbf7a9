"""Entra: tenants, registered applications, and access tokens for them.

Answers what MSAL asks: instance discovery, a tenant's OpenID metadata and keys, and
the client credentials grant by secret or by certificate (RFC 6749 §4.4, RFC 7523), each
really checked. Beside it the managed identity address of App Service and that of a
virtual machine, in plain HTTP as there.
"""

from __future__ import annotations

import base64
import dataclasses
import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from simulators.teams.realm import Realm
from simulators.teams.signing import KeyRing, SigningKey, signed

EMULATOR_TENANTS = (
    "d6d49420-f39b-4df7-a1dc-d59a935871db",
    "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
)
"""Tenants of Microsoft's that the Bot Framework SDK lets in as the Emulator."""
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NAMESPACE = uuid.UUID("6b2f6c1e-6b0d-4a53-9a1f-31b1b0a4d0a1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An app registration, or a managed identity, and how it proves itself."""

    app_id: str
    tenant_id: str
    secret: str | None = None
    certificate: x509.Certificate | None = None
    managed: bool = False

    @property
    def object_id(self) -> str:
        """Of its service principal in its tenant."""
        return str(uuid.uuid5(_NAMESPACE, self.tenant_id + self.app_id))


class TokenRefusedError(Exception):
    """An access token is not what its bearer needs."""


class Entra:
    """The login host and the managed identity address of one cloud."""

    def __init__(self, realm: Realm, identity_header: str) -> None:
        self._realm = realm
        self._identity_header = identity_header
        self._applications: dict[str, Application] = {}
        self._spent: set[str] = set()
        self.tenants: set[str] = {*EMULATOR_TENANTS}
        self.keys = KeyRing()

    def register(self, application: Application) -> None:
        """Know an application; its tenant, too."""
        self._applications[application.app_id] = application
        self.tenants.add(application.tenant_id)

    def token(
        self,
        *,
        app_id: str,
        tenant_id: str,
        audience: str,
        version: str = "1.0",
        lifetime_s: float = 3600,
        key: SigningKey | None = None,
        **claims: Any,
    ) -> str:
        """An app-only access token of that tenant; `None` leaves a claim out."""
        now = int(time.time())
        told: dict[str, Any] = {
            "aud": audience, "iat": now, "nbf": now, "exp": int(now + lifetime_s),
            "iss": self.issuer(tenant_id, version), "tid": tenant_id, "ver": version,
            "oid": (oid := Application(app_id=app_id, tenant_id=tenant_id).object_id), "sub": oid,
        }  # fmt: skip
        told |= {"appid": app_id, "appidacr": "1"} if version == "1.0" else {"azp": app_id}
        return signed(told | claims, key or self.keys.current)

    def issuer(self, tenant_id: str, version: str = "1.0") -> str:
        """`iss` of a tenant's tokens."""
        if version == "1.0":
            return f"https://sts.windows.net/{tenant_id}/"
        return f"https://{self._realm.login_host}/{tenant_id}/v2.0"

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a bearer token for the connector. Raises `TokenRefusedError`."""
        try:
            key = self.keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise TokenRefusedError("no such key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=["RS256"],
                audience=self._realm.issuer,
                options={"require": ["exp", "nbf", "iss", "tid", "appid"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefusedError(str(error)) from error
        application = self._applications.get(claims["appid"])
        if application is None or claims["tid"] != application.tenant_id:
            raise TokenRefusedError("no such application")
        if claims["iss"] != self.issuer(application.tenant_id):
            raise TokenRefusedError("another issuer")
        return claims

    # --- the login host -----------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to the login host."""
        tenant, _, path = request.path.lstrip("/").partition("/")
        if path == "discovery/instance":
            return web.json_response(self._instances())
        if tenant not in {*self.tenants, "common", "organizations", "botframework.com"}:
            return _failed(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        match (request.method, path):
            case (
                "GET",
                "v2.0/.well-known/openid-configuration" | ".well-known/openid-configuration",
            ):
                return web.json_response(self._metadata(tenant))
            case ("GET", "discovery/v2.0/keys" | "discovery/keys"):
                return web.json_response(self.keys.jwks())
            case ("POST", "oauth2/v2.0/token"):
                body = (await request.read()).decode()
                return self._grant(tenant, dict(parse_qsl(body)))
        return web.Response(status=404)

    def _instances(self) -> dict[str, Any]:
        host = self._realm.login_host
        return {
            "tenant_discovery_endpoint": f"https://{host}/common/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [
                {"preferred_network": host, "preferred_cache": host, "aliases": [host]},
            ],
        }

    def _metadata(self, tenant: str) -> dict[str, Any]:
        base = f"https://{self._realm.login_host}/{tenant}"
        return {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "token"],
            "subject_types_supported": ["pairwise"],
        }

    def _grant(self, tenant: str, form: Mapping[str, str]) -> web.Response:
        """The client credentials grant."""
        if form.get("grant_type") != "client_credentials":
            return _failed(400, "unsupported_grant_type", 70003, "Only client_credentials here.")
        application = self._applications.get(form.get("client_id", ""))
        if application is None or application.tenant_id != tenant or application.managed:
            return _failed(400, "unauthorized_client", 700016, "Application not found in tenant.")
        if form.get("client_assertion_type") == ASSERTION:
            fault = self._assertion_fault(tenant, application, form.get("client_assertion", ""))
            if fault:
                return _failed(401, "invalid_client", 700027, fault)
        elif application.secret is None or not hmac.compare_digest(
            application.secret.encode(), form.get("client_secret", "").encode()
        ):
            return _failed(401, "invalid_client", 7000215, "Invalid client secret provided.")
        audience, dot, default = form.get("scope", "").rpartition("/.default")
        if not dot or default or audience != self._realm.issuer:
            return _failed(400, "invalid_scope", 1002012, "The provided scope is not valid.")
        token = self.token(app_id=application.app_id, tenant_id=tenant, audience=audience)
        answer = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}
        return web.json_response(answer | {"access_token": token})

    def _assertion_fault(self, tenant: str, application: Application, assertion: str) -> str:
        """What is wrong with the proof by certificate; nothing if it is good."""
        certificate = application.certificate
        if certificate is None:
            return "The application has no certificate."
        key = certificate.public_key()
        assert isinstance(key, RSAPublicKey)
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(
                assertion,
                key,
                algorithms=["RS256", "PS256"],
                audience=f"https://{self._realm.login_host}/{tenant}/oauth2/v2.0/token",
                issuer=application.app_id,
                options={"require": ["exp", "iss", "sub", "aud", "jti"]},
            )
        except jwt.InvalidTokenError as error:
            return f"Client assertion failed signature validation or is not valid: {error}"
        names = {"x5t": hashes.SHA1(), "x5t#S256": hashes.SHA256()}
        thumbprints = {
            name: base64.urlsafe_b64encode(certificate.fingerprint(by)).decode().rstrip("=")
            for name, by in names.items()
        }
        named = {name: header[name].rstrip("=") for name in names if name in header}
        if not named or any(thumbprints[name] != told for name, told in named.items()):
            return "The certificate with that thumbprint is not registered."
        if claims["sub"] != application.app_id or claims["jti"] in self._spent:
            return "The assertion is of another subject, or was used before."
        self._spent.add(claims["jti"])
        return ""

    # --- managed identity ---------------------------------------------------------

    async def answer_identity(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to the managed identity address, of either kind."""
        header, query = request.headers, request.query
        if request.method != "GET":
            return web.Response(status=405)
        if request.path == "/metadata/identity/oauth2/token":
            if header.get("Metadata") != "true":
                return _failed(400, "invalid_request", 0, "Required metadata header not specified")
        elif request.path != "/msi/token":
            return web.Response(status=404)
        elif header.get("X-IDENTITY-HEADER") != self._identity_header:
            return web.json_response({"statusCode": 401, "message": "Unauthorized"}, status=401)
        application = self._applications.get(query.get("client_id", ""))
        if application is None or not application.managed:
            told = {"error": "invalid_request", "error_description": "Identity not found"}
            return web.json_response(told | {"statusCode": 400, "message": "No such"}, status=400)
        if query.get("resource") != self._realm.issuer:
            told = {"error": "invalid_resource", "error_description": "unknown resource"}
            return web.json_response(told | {"statusCode": 500, "message": "No such"}, status=500)
        token = self.token(
            app_id=application.app_id,
            tenant_id=application.tenant_id,
            audience=query["resource"],
            appidacr="2",
        )
        told = {"access_token": token, "client_id": application.app_id, "token_type": "Bearer"}
        told |= {"resource": query["resource"], "expires_in": "3600"}
        return web.json_response(told | {"expires_on": str(int(time.time()) + 3600)})


def _failed(status: int, error: str, number: int, text: str) -> web.Response:
    told = {"error": error, "error_description": f"AADSTS{number}: {text}"}
    return web.json_response(told | {"error_codes": [number]}, status=status)
