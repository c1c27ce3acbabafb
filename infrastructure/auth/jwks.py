"""The signing keys of a token issuer, fetched from its JWKS address and kept for a while.

Keys rotate: a token with an unknown key id makes the keys be fetched again, but not more often than `min_refresh`, so
that forged key ids cannot turn this service against the identity provider. When the provider does not answer, the keys
known last go on for `max_stale`: running sessions do not end because of it (PLT-102).
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

Fetch = Callable[[str], bytes]

_TIMEOUT: Final = 5.0
_MAX_BYTES: Final = 1_000_000


class KeysUnavailableError(Exception):
    """The issuer's keys could not be fetched and none usable are known."""


class KeySource(Protocol):
    """Finds a signing key."""

    def key(self, kid: str) -> Key | None:
        """The key of this id, None when the issuer has none. Raises KeysUnavailableError."""
        ...


class FixedKeys:
    """Keys that are known from the start."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = {key.kid: key for key in keys.keys if key.kid}

    def key(self, kid: str) -> Key | None:
        return self._keys.get(kid)


class JwksSource:
    """The keys behind a JWKS address. All times are in seconds of a monotonic clock."""

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        fetch: Fetch | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        max_age: float = 300,
        min_refresh: float = 10,
        max_stale: float = 86_400,
    ) -> None:
        self._url = url
        self._fetch = fetch or fetch_https
        self._monotonic = monotonic
        self._max_age, self._min_refresh, self._max_stale = max_age, min_refresh, max_stale
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, kid: str) -> Key | None:
        now = self._monotonic()
        fresh = self._fetched_at is not None and now - self._fetched_at < self._max_age
        if not fresh or kid not in self._keys:
            self._refresh(now)
        if self._fetched_at is None or now - self._fetched_at >= self._max_stale:
            raise KeysUnavailableError("the keys of the token issuer are not available")
        return self._keys.get(kid)

    def _refresh(self, now: float) -> None:
        with self._lock:
            if self._tried_at is not None and now - self._tried_at < self._min_refresh:
                return
            self._tried_at = now
            try:
                url = self._url if isinstance(self._url, str) else self._url()
                self._keys = signing_keys(self._fetch(url))
                self._fetched_at = now
            except (OSError, ValueError, JoseError):
                return


def signing_keys(document: bytes) -> dict[str, Key]:
    """The RSA and P-256 signing keys of a JWKS document by key id; keys of other kinds and uses are left out.

    Raises ValueError for a document that is no JWKS, or holds no usable key.
    """
    parsed = json.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWKS document")
    keys: dict[str, Key] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
            continue
        key = _public_key(entry)
        if key is not None:
            keys[entry["kid"]] = key
    if not keys:
        raise ValueError("the JWKS document holds no usable signing key")
    return keys


def _public_key(entry: Mapping[str, Any]) -> Key | None:
    """A key of a kind that tokens may be signed with. A symmetric key is never taken from a public document."""
    try:
        if entry.get("kty") == "RSA":
            return RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e", "kid")})
        if entry.get("kty") == "EC" and entry.get("crv") == "P-256":
            return ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y", "kid")})
    except (JoseError, KeyError, TypeError, ValueError):
        return None
    return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to another place than the one that was configured; it is an error here."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


def fetch_https(url: str) -> bytes:
    """The document at an https address, or at http of this very machine. Raises OSError, ValueError."""
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ValueError("keys are fetched by https only")
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    with _OPENER.open(request, timeout=_TIMEOUT) as response:
        body: bytes = response.read(_MAX_BYTES + 1)
    if len(body) > _MAX_BYTES:
        raise ValueError("the document is too large")
    return body


def discovered_jwks_url(issuer: str, fetch: Fetch = fetch_https) -> str:
    """The JWKS address an issuer names in its discovery document. Raises OSError, ValueError."""
    document = json.loads(fetch(issuer.rstrip("/") + "/.well-known/openid-configuration"))
    if (
        not isinstance(document, dict)
        or document.get("issuer") != issuer
        or not isinstance(document.get("jwks_uri"), str)
    ):
        raise ValueError("the discovery document is not that of the issuer")
    return str(document["jwks_uri"])
