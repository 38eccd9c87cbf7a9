"""Bot Framework's login: OpenID metadata, keys with endorsements, tokens for bots."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from simulators.teams.realm import Realm
from simulators.teams.signing import KeyRing, SigningKey, signed

METADATA_PATH = "/v1/.well-known/openidconfiguration"
KEYS_PATH = "/v1/.well-known/keys"


class BotFramework:
    """Signs what Teams sends to a bot, and publishes the keys to check it with."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self.keys = KeyRing(("msteams", "webchat", "slack", "directline"))

    def token(
        self,
        *,
        audience: str,
        service_url: str | None,
        lifetime_s: float = 3600,
        key: SigningKey | None = None,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """What stands in `Authorization` after `Bearer`; `None` leaves a claim out."""
        now = int(time.time())
        told = {"iss": self._realm.issuer, "aud": audience, "serviceurl": service_url}
        told |= {"nbf": now - 300, "exp": int(now + lifetime_s)} | claims
        return signed(told, key or self.keys.current, headers=headers)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to its host."""
        if request.method == "GET" and request.path == METADATA_PATH:
            return web.json_response(self._metadata())
        if request.method == "GET" and request.path == KEYS_PATH:
            return web.json_response(self.keys.jwks())
        return web.Response(status=404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self._realm.issuer,
            "authorization_endpoint": "https://invalid.botframework.com",
            "jwks_uri": f"https://{self._realm.framework_host}{KEYS_PATH}",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        }
