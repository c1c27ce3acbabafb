"""The authenticator of a deployment: API keys by their prefix, tokens by the issuer they name."""

from __future__ import annotations

from collections.abc import Sequence

from application.command import Principal
from application.security import Authenticator, Credentials, NotAuthenticatedError
from infrastructure.auth.api_keys import is_api_key
from infrastructure.auth.oidc import OidcAuthenticator, bearer_of, issuer_of


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
