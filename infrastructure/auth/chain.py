"""The authenticator of a deployment: API keys by their prefix, tokens by the issuer they name."""

from __future__ import annotations

import time
from collections.abc import Sequence

from application.clock import Clock
from application.command import Principal
from application.security import Authenticator, Credentials, NotAuthenticatedError
from infrastructure.auth.api_keys import ApiKeyAuthenticator, is_api_key
from infrastructure.auth.jwks import JwksSource, discovered_jwks_url
from infrastructure.auth.oidc import OidcAuthenticator, bearer_of, issuer_of
from infrastructure.auth.sandbox import SandboxIssuer
from infrastructure.postgres.database import Database


class ChainAuthenticator:
    """Chooses who is to verify a credential; whoever is chosen decides alone."""

    def __init__(self, issuers: Sequence[OidcAuthenticator], api_keys: Authenticator | None = None) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._api_keys = api_keys

    def authenticate(self, credentials: Credentials) -> Principal:
        token = bearer_of(credentials)
        if is_api_key(token):
            if self._api_keys is None:
                raise NotAuthenticatedError("KEY_UNKNOWN")
            return self._api_keys.authenticate(credentials)
        issuer = self._issuers.get(issuer_of(token) or "")
        if issuer is None:
            raise NotAuthenticatedError("ISSUER_UNKNOWN")
        return issuer.authenticate(credentials)


def authenticator_of(
    database: Database,
    clock: Clock,
    *,
    oidc_issuer: str | None,
    oidc_audience: str | None,
    oidc_jwks_url: str | None = None,
    oidc_roles_claim: str = "roles",
    sandbox: SandboxIssuer | None = None,
) -> ChainAuthenticator:
    """The authenticator a deployment is configured for. `clock` tells when API keys end; tokens, which an outside
    issuer dates, go by the machine's own clock. Without `oidc_jwks_url` the issuer's discovery document names it."""
    issuers = [] if sandbox is None else [sandbox.authenticator()]
    if oidc_issuer is not None and oidc_audience is not None:
        keys = JwksSource(oidc_jwks_url or (lambda: discovered_jwks_url(oidc_issuer)))
        issuers.append(OidcAuthenticator(oidc_issuer, oidc_audience, keys, now=time.time, roles_claim=oidc_roles_claim))
    return ChainAuthenticator(issuers, ApiKeyAuthenticator(database, clock))
