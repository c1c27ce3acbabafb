"""The built-in token issuer of a sandbox: anyone may ask it for any roles, so it exists in no production environment.

Its key is made at start and lives in memory; a restart ends all its tokens.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from infrastructure.auth.jwks import FixedKeys
from infrastructure.auth.oidc import OidcAuthenticator

AUDIENCE: Final = "rollon"
#: How long a token lives (PLT-093), in seconds.
TOKEN_SECONDS: Final = 900


class SandboxIssuer:
    """Issues tokens signed with ES256. `now` is in seconds since the epoch."""

    def __init__(self, issuer: str, *, now: Callable[[], float], lifetime: int = TOKEN_SECONDS) -> None:
        self.issuer = issuer
        self.lifetime = lifetime
        self._now = now
        self._key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(8), "use": "sig", "alg": "ES256"})

    def token(
        self,
        user: str,
        roles: Sequence[str],
        *,
        client: str = "sandbox",
        person: str | None = None,
        scope_nodes: Sequence[str] | None = None,
        second_factor: bool = False,
    ) -> str:
        """A token for a user with these roles; with `second_factor`, as if it had been given just now."""
        now = int(self._now())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user,
            "azp": client,
            "roles": list(roles),
            "iat": now,
            "exp": now + self.lifetime,
            "sid": secrets.token_hex(8),
        }
        if person is not None:
            claims["person"] = person
        if scope_nodes is not None:
            claims["scope_nodes"] = list(scope_nodes)
        if second_factor:
            claims |= {"amr": ["pwd", "otp", "mfa"], "auth_time": now}
        return jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key, algorithms=["ES256"])

    def jwks(self) -> dict[str, Any]:
        """The public key, as a JWKS document."""
        return dict(KeySet([self._key]).as_dict(private=False))

    def discovery(self) -> dict[str, Any]:
        """The OpenID Connect discovery document, as far as there is something to discover."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "token_endpoint": f"{self.issuer}/token",
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
        }

    def authenticator(self) -> OidcAuthenticator:
        """What verifies the tokens of this issuer."""
        keys = FixedKeys(KeySet.import_key_set(self.jwks()))  # type: ignore[arg-type]
        return OidcAuthenticator(self.issuer, AUDIENCE, keys, now=self._now)
