"""Bearer tokens of an OpenID Connect issuer: a signed JWT becomes a principal, or nothing does.

Accepted are RS256 and ES256 alone, with a key of the issuer named by its id and of the kind that goes with the
algorithm; a token without algorithm, with a symmetric one, or with a key inside it proves nothing. Issuer, audience,
subject and expiry must be there and right; clocks may differ by `leeway`.

Claims read beside the standard ones: the roles (path configurable, for instance `realm_access.roles`), `azp` or
`client_id` (the client application; a token about the client itself is a machine's), `person` (who stands behind
several logins), `scope_nodes` (customer tree nodes; absent: all for staff and machines, none for portal users), and
`amr` with `auth_time` (which factors were given, and when).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from application.command import Principal
from application.security import Credentials, NotAuthenticatedError
from domain.platform.privileges import MACHINES, PORTAL, Role, forbidden_combinations, privileges_of
from infrastructure.auth.jwks import KeySource, KeysUnavailableError

_MAX_TOKEN: Final = 16_384
_KEY_OF_ALGORITHM: Final[Mapping[str, type]] = {"RS256": RSAKey, "ES256": ECKey}
#: Authentication methods (RFC 8176) that are a second factor or contain one.
_SECOND_FACTORS: Final = frozenset({"mfa", "otp", "hwk", "swk", "sc", "fpt", "face", "pop"})
_NAME: Final = re.compile(r"^[^\x00-\x1f\x7f]{1,200}$")


class OidcAuthenticator:
    """Authenticates bearer tokens of one issuer. `now` is in seconds since the epoch, from the machine's clock."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: KeySource,
        *,
        now: Callable[[], float],
        roles_claim: str = "roles",
        leeway: int = 30,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._now = now
        self._roles_path = tuple(roles_claim.split("."))
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    @property
    def issuer(self) -> str:
        return self._issuer

    def authenticate(self, credentials: Credentials) -> Principal:
        token = bearer_of(credentials)
        algorithm, kid = _header_of(token)
        try:
            key = self._keys.key(kid)
        except KeysUnavailableError:
            raise NotAuthenticatedError("KEYS_UNAVAILABLE") from None
        if key is None or not isinstance(key, _KEY_OF_ALGORITHM[algorithm]):
            raise NotAuthenticatedError("KEY_UNKNOWN")
        claims = self._verified(token, key, algorithm)
        return self._principal(claims, credentials.address)

    def _verified(self, token: str, key: Key, algorithm: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, key, registry=_registry(algorithm)).claims
            self._claims.validate(claims)
        except JoseError as error:
            raise NotAuthenticatedError(error.error.upper()) from None
        except (ValueError, TypeError, OverflowError):
            raise NotAuthenticatedError("MALFORMED") from None
        return claims

    def _principal(self, claims: Mapping[str, Any], address: str | None) -> Principal:
        subject = _text(claims, "sub")
        client = _text(claims, "azp", "client_id") or subject
        if subject is None or client is None:
            raise NotAuthenticatedError("INVALID_CLAIM")
        roles = frozenset(role for role in _strings(_at(claims, self._roles_path)) if role in set(Role))
        machine = subject == client or (bool(roles) and roles <= set(MACHINES))
        if forbidden_combinations(roles):
            # decision: a token with a forbidden combination of roles (PLT-032) gives none of them, rather than some.
            privileges: frozenset[str] = frozenset()
        else:
            privileges = privileges_of(roles)
        return Principal(
            kind="MACHINE" if machine else "USER",
            identifier=subject,
            client=client,
            privileges=privileges,
            person=None if machine else _text(claims, "person") or subject,
            scope=_scope(claims, roles),
            roles=roles,
            second_factor_at=None if machine else _second_factor_at(claims),
            session=_text(claims, "sid"),
            address=address,
        )


def _registry(*algorithms: str) -> jws.JWSRegistry:
    """Header members that are not known are ignored, as the standard says, unless the token calls them critical."""
    return jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)


def bearer_of(credentials: Credentials) -> str:
    """The bearer token of a request. Raises NotAuthenticatedError."""
    if credentials.authorization is None:
        raise NotAuthenticatedError("MISSING")
    scheme, _, token = credentials.authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN or not token.isascii():
        raise NotAuthenticatedError("MALFORMED")
    return token


def issuer_of(token: str) -> str | None:
    """The issuer a token claims to be from, unverified: good only for choosing who is to verify it."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None


def _header_of(token: str) -> tuple[str, str]:
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, RecursionError):
        raise NotAuthenticatedError("MALFORMED") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_OF_ALGORITHM:
        raise NotAuthenticatedError("ALGORITHM_NOT_ALLOWED")
    if not isinstance(kid, str):
        raise NotAuthenticatedError("KEY_UNKNOWN")
    return algorithm, kid


def _text(claims: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
    return None


def _at(claims: object, path: tuple[str, ...]) -> object:
    for name in path:
        claims = claims.get(name) if isinstance(claims, dict) else None
    return claims


def _strings(value: object) -> tuple[str, ...]:
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def _scope(claims: Mapping[str, Any], roles: frozenset[str]) -> tuple[str, ...] | None:
    if "scope_nodes" in claims:
        return tuple(sorted(set(_strings(claims["scope_nodes"]))))
    return () if roles & set(PORTAL) else None


def _second_factor_at(claims: Mapping[str, Any]) -> dt.datetime | None:
    given = claims.get("auth_time")
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float)
        or _SECOND_FACTORS.isdisjoint(_strings(claims.get("amr")))
    ):
        return None
    try:
        return dt.datetime.fromtimestamp(given, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
