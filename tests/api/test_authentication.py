"""Who is asking: tokens that are forged, expired or meant for others, keys that rotate, and API keys."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from api.settings import Rates, Settings
from application.command import Principal
from application.platform.api_keys import secret_hash
from application.security import Credentials, NotAuthenticatedError
from infrastructure.auth.chain import ChainAuthenticator
from infrastructure.auth.jwks import FixedKeys, JwksSource, KeysUnavailableError, fetch_https, signing_keys
from infrastructure.auth.oidc import OidcAuthenticator
from tests.api.conftest import Api, MakeApi, problem

ISSUER, AUDIENCE = "https://login.example.com", "rollon"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC_OF_THE_FORGER = ECKey.generate_key("P-256")
NOW = 1_740_830_400  # 2025-03-01T12:00:00Z


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims with members changed; None takes one out."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-1",
        "azp": "console",
        "roles": ["BOF"],
        "iat": NOW,
        "exp": NOW + 900,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(body: dict[str, Any], key: Any = RSA, alg: str = "RS256", kid: str | None = "rsa-1") -> str:
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return jwt.encode(header, body, key, algorithms=[alg])


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


KEYS = FixedKeys(KeySet.import_key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}))  # type: ignore[typeddict-item]
AUTHENTICATOR = OidcAuthenticator(ISSUER, AUDIENCE, KEYS, now=lambda: NOW)


def authenticate(token: str, authenticator: Any = AUTHENTICATOR) -> Principal:
    found = authenticator.authenticate(Credentials(f"Bearer {token}", "192.0.2.7"))
    assert isinstance(found, Principal)
    return found


def reason(token: str | None, authenticator: Any = AUTHENTICATOR) -> str:
    with pytest.raises(NotAuthenticatedError) as refused:
        authenticator.authenticate(Credentials(token, None))
    return refused.value.reason


class TestTokens:
    """What makes a token good."""

    @pytest.mark.rule("PLT-029")
    def test_a_good_token_gives_the_privileges_of_its_roles(self) -> None:
        for token in (signed(claims()), signed(claims(), EC, "ES256", "ec-1")):
            principal = authenticate(token)
            assert (principal.kind, principal.identifier, principal.client) == ("USER", "u-1", "console")
            assert "account.create" in principal.privileges
            assert "refund.approve" not in principal.privileges
            assert (principal.person, principal.scope, principal.address) == ("u-1", None, "192.0.2.7")

    def test_a_token_without_a_signature_proves_nothing(self) -> None:
        body = part(claims())
        for header in ({"alg": "none", "kid": "rsa-1"}, {"alg": "None", "kid": "rsa-1"}, {"alg": [], "kid": "rsa-1"}):
            assert reason(f"Bearer {part(header)}.{body}.") == "ALGORITHM_NOT_ALLOWED"
        assert reason(f"Bearer {part({'kid': 'rsa-1'})}.{body}.") == "MALFORMED"

    def test_the_public_key_is_no_secret_of_a_symmetric_signature(self) -> None:
        public = RSA.as_pem(private=False)
        for alg, digest in (("HS256", "sha256"), ("HS512", "sha512")):
            text = f"{part({'alg': alg, 'kid': 'rsa-1'})}.{part(claims())}"
            signature = part(hmac.digest(public, text.encode(), digest))
            assert reason(f"Bearer {text}.{signature}") == "ALGORITHM_NOT_ALLOWED"

    def test_an_algorithm_of_the_other_key_kind_is_refused(self) -> None:
        assert reason(f"Bearer {signed(claims(), EC, 'ES256', 'rsa-1')}") == "KEY_UNKNOWN"
        assert reason(f"Bearer {signed(claims(), RSA, 'RS256', 'ec-1')}") == "KEY_UNKNOWN"
        assert reason(f"Bearer {signed(claims(), RSA, 'RS512')}") == "ALGORITHM_NOT_ALLOWED"

    def test_a_token_of_another_key_under_the_same_id_is_refused(self) -> None:
        assert reason(f"Bearer {signed(claims(), OTHER)}") == "BAD_SIGNATURE"

    def test_a_key_that_comes_with_the_token_is_not_used(self) -> None:
        own = EC_OF_THE_FORGER.as_dict(private=False)
        for kid, expected in (("mine", "KEY_UNKNOWN"), ("ec-1", "BAD_SIGNATURE")):
            header = {"alg": "ES256", "kid": kid, "jwk": own, "jku": "https://evil.example.com"}
            token = jwt.encode(header, claims(), EC_OF_THE_FORGER, algorithms=["ES256"])
            assert reason(f"Bearer {token}") == expected

    def test_unknown_members_of_the_header_are_ignored_unless_they_are_critical(self) -> None:
        registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        header = {"alg": "RS256", "kid": "rsa-1", "x5t": "abc", "pi.atm": "1"}
        assert authenticate(jwt.encode(header, claims(), RSA, registry=registry)).identifier == "u-1"
        text = f"{part({**header, 'crit': ['pi.atm']})}.{part(claims())}"
        signature = part(RSA.private_key.sign(text.encode(), PKCS1v15(), SHA256()))  # type: ignore[union-attr]
        assert reason(f"Bearer {text}.{signature}")

    def test_a_token_without_a_key_id_or_with_an_unknown_one_is_refused(self) -> None:
        assert reason(f"Bearer {signed(claims(), kid=None)}") == "KEY_UNKNOWN"
        assert reason(f"Bearer {signed(claims(), kid='rsa-2')}") == "KEY_UNKNOWN"

    def test_changed_claims_break_the_signature(self) -> None:
        header, _, signature = signed(claims()).split(".")
        assert reason(f"Bearer {header}.{part(claims(roles=['ADM']))}.{signature}") == "BAD_SIGNATURE"

    @pytest.mark.parametrize(
        "changed",
        [
            {"iss": "https://other.example.com"},
            {"iss": None},
            {"aud": "other"},
            {"aud": ["other", "another"]},
            {"aud": None},
            {"sub": None},
            {"sub": 7},
            {"sub": ""},
            {"sub": "a\nb"},
            {"exp": None},
            {"exp": NOW - 31},
            {"exp": "tomorrow"},
            {"nbf": NOW + 31},
            {"iat": NOW + 31},
        ],
    )
    def test_issuer_audience_subject_and_times_must_be_there_and_right(self, changed: dict[str, Any]) -> None:
        assert reason(f"Bearer {signed(claims(**changed))}")

    def test_clocks_may_differ_by_half_a_minute(self) -> None:
        for changed in ({"exp": NOW - 29}, {"nbf": NOW + 29}, {"aud": ["other", AUDIENCE]}):
            assert authenticate(signed(claims(**changed))).identifier == "u-1"

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Basic dTpw",
            "Bearer a.b.c",
            "Bearer é.é.é",
            "Bearer " + "x" * 20_000,
            "Token x",
        ],
    )
    def test_what_is_no_token_is_refused(self, header: str | None) -> None:
        assert reason(header) in ("MISSING", "MALFORMED")

    @settings(max_examples=60)
    @given(
        st.lists(
            st.binary(max_size=30) | st.sampled_from([b'{"alg":"RS256","kid":"rsa-1"}', b"null", b"[]"]), max_size=5
        )
    )
    def test_no_token_whatever_raises_anything_else(self, parts: list[bytes]) -> None:
        token = ".".join(part(text) for text in parts)
        for authenticator in (AUTHENTICATOR, ChainAuthenticator([AUTHENTICATOR])):
            assert reason(f"Bearer {token}", authenticator)

    @pytest.mark.rule("PLT-029")
    @pytest.mark.parametrize("roles", [None, "BOF", ["bof"], ["ROOT"], [7, None, {}], {"BOF": True}])
    def test_roles_that_are_none_grant_nothing(self, roles: Any) -> None:
        assert authenticate(signed(claims(roles=roles))).privileges == frozenset()

    @pytest.mark.rule("PLT-032")
    def test_a_forbidden_combination_of_roles_grants_nothing(self) -> None:
        assert authenticate(signed(claims(roles=["AUD", "BOF"]))).privileges == frozenset()
        assert authenticate(signed(claims(roles=["ADM", "SUP"]))).privileges == frozenset()

    def test_roles_may_stand_deeper_in_the_token(self) -> None:
        keycloak = OidcAuthenticator(ISSUER, AUDIENCE, KEYS, now=lambda: NOW, roles_claim="realm_access.roles")
        token = signed(claims(roles=None, realm_access={"roles": ["BOF", "offline_access"]}))
        assert authenticate(token, keycloak).roles == {"BOF"}

    @pytest.mark.rule("PLT-033")
    def test_the_scope_is_all_for_staff_a_list_if_given_and_nothing_for_a_portal_user_without_one(self) -> None:
        assert authenticate(signed(claims())).scope is None
        assert authenticate(signed(claims(scope_nodes=["C-2", "C-1"]))).scope == ("C-1", "C-2")
        assert authenticate(signed(claims(scope_nodes="C-1"))).scope == ()
        assert authenticate(signed(claims(roles=["SPO"]))).scope == ()

    def test_a_client_asking_for_itself_is_a_machine(self) -> None:
        assert authenticate(signed(claims(sub="policy", azp="policy", roles=["POL"]))).kind == "MACHINE"
        assert authenticate(signed(claims(sub="svc-1", azp="policy", roles=["POL"]))).kind == "MACHINE"
        assert authenticate(signed(claims(sub="policy", azp="policy", roles=["POL"]))).person is None


class TestKeyRotation:
    """Keys come from the issuer, and change."""

    @dataclass
    class Provider:
        """An issuer's JWKS address, and a clock."""

        keys: list[Any]
        now: float = 0.0
        fetched: list[str] = field(default_factory=list)
        down: bool = False

        def fetch(self, url: str) -> bytes:
            self.fetched.append(url)
            if self.down:
                raise OSError("no route")
            return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

        def source(self) -> JwksSource:
            return JwksSource("https://login.example.com/jwks", fetch=self.fetch, monotonic=lambda: self.now)

    def test_keys_are_fetched_once_and_again_when_they_are_old(self) -> None:
        provider = self.Provider([RSA])
        source = provider.source()
        for provider.now in (0.0, 1.0, 299.0):
            assert source.key("rsa-1") is not None
        assert len(provider.fetched) == 1
        provider.now = 300.0
        assert source.key("rsa-1") is not None
        assert len(provider.fetched) == 2

    def test_a_new_key_is_found_at_its_first_use_and_a_withdrawn_one_is_not_used_again(self) -> None:
        provider = self.Provider([RSA])
        source = provider.source()
        authenticator = OidcAuthenticator(ISSUER, AUDIENCE, source, now=lambda: NOW)
        assert authenticate(signed(claims()), authenticator)
        provider.keys, provider.now = [EC], 60.0
        assert authenticate(signed(claims(), EC, "ES256", "ec-1"), authenticator)
        assert reason(f"Bearer {signed(claims())}", authenticator) == "KEY_UNKNOWN"

    def test_forged_key_ids_do_not_make_it_ask_the_issuer_more_than_every_ten_seconds(self) -> None:
        provider = self.Provider([RSA])
        source = provider.source()
        for tenth in range(1_000):
            provider.now = tenth / 10
            assert source.key(f"forged-{tenth}") is None
        assert len(provider.fetched) == 10

    def test_when_the_issuer_is_down_known_keys_go_on_for_a_day(self) -> None:
        provider = self.Provider([RSA])
        source = provider.source()
        assert source.key("rsa-1") is not None
        provider.down = True
        for provider.now in (400.0, 80_000.0, 86_399.0):
            assert source.key("rsa-1") is not None
        provider.now = 86_400.0
        with pytest.raises(KeysUnavailableError):
            source.key("rsa-1")
        provider.down, provider.now = False, 86_420.0
        assert source.key("rsa-1") is not None

    def test_an_issuer_that_never_answered_lets_nobody_in(self) -> None:
        provider = self.Provider([RSA], down=True)
        authenticator = OidcAuthenticator(ISSUER, AUDIENCE, provider.source(), now=lambda: NOW)
        assert reason(f"Bearer {signed(claims())}", authenticator) == "KEYS_UNAVAILABLE"

    @pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[7,{}]}'])
    def test_a_document_without_usable_keys_is_none(self, document: bytes) -> None:
        with pytest.raises(ValueError):
            signing_keys(document)

    def test_symmetric_and_encryption_keys_and_other_curves_of_a_document_are_left_out(self) -> None:
        entries = [
            RSA.as_dict(private=False),
            {**OctKey.generate_key(256).as_dict(), "kid": "oct"},
            {**OTHER.as_dict(private=False), "kid": "enc", "use": "enc"},
            {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "p384"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        ]
        assert list(signing_keys(json.dumps({"keys": entries}).encode())) == ["rsa-1"]

    @pytest.mark.parametrize("url", ["http://login.example.com/jwks", "file:///etc/passwd", "ftp://x/y"])
    def test_keys_are_fetched_by_https_only(self, url: str) -> None:
        with pytest.raises(ValueError, match="https"):
            fetch_https(url)


class TestSandboxTokens:
    """POST /v1/sandbox/token."""

    def ask(self, api: Api, **members: Any) -> Any:
        return api.client.post("/v1/sandbox/token", json=members)

    def test_a_token_asked_for_opens_what_its_roles_open(self, api: Api) -> None:
        answer = self.ask(api, user="ann", roles=["BOF"]).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
        headers = {"Authorization": f"Bearer {answer['access_token']}", "Idempotency-Key": "k"}
        assert api.client.post("/v1/commands/OpenBox", json={"payload": {"account": "A"}}, headers=headers).is_success
        problem(api.client.post("/v1/commands/IssueApiKey", json={"payload": {}}, headers=headers), 403, "FORBIDDEN")

    def test_it_can_be_verified_by_the_published_key(self, api: Api) -> None:
        discovery = api.client.get("/v1/sandbox/.well-known/openid-configuration").json()
        jwks = api.client.get("/v1/sandbox/jwks.json").json()
        assert discovery["jwks_uri"] == "http://testserver/v1/sandbox/jwks.json"
        assert all("d" not in key for key in jwks["keys"])
        token = self.ask(api, user="ann", roles=["BOF"], scope_nodes=["C-1"], person="p-1", client="mobile").json()
        keys = FixedKeys(KeySet.import_key_set(jwks))
        verifier = OidcAuthenticator(discovery["issuer"], "rollon", keys, now=time.time)
        principal = authenticate(token["access_token"], verifier)
        assert (principal.client, principal.person, principal.scope) == ("mobile", "p-1", ("C-1",))

    @pytest.mark.rule("PLT-032")
    def test_a_forbidden_combination_is_refused(self, api: Api) -> None:
        document = problem(self.ask(api, user="ann", roles=["AUD", "BOF"]), 422, "ROLE_COMBINATION_FORBIDDEN")
        assert "account.create" in document["problems"][0]["params"]["privileges"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"user": "ann"},
            {"user": "", "roles": []},
            {"user": "ann", "roles": ["ROOT"]},
            {"user": "ann", "roles": [{}]},
            {"user": "ann", "roles": [], "colour": "red"},
            {"user": "ann", "roles": [], "second_factor": "yes"},
            {"user": "a b", "roles": []},
        ],
    )
    def test_a_malformed_request_is_refused(self, api: Api, body: dict[str, Any]) -> None:
        problem(api.client.post("/v1/sandbox/token", json=body), 400, "REQUEST_INVALID")

    def test_outside_a_sandbox_none_of_it_exists(self, make_api: MakeApi) -> None:
        api = make_api(Settings(sandbox=False))
        for method, path in (
            ("POST", "/v1/sandbox/token"),
            ("GET", "/v1/sandbox/jwks.json"),
            ("GET", "/v1/sandbox/clock"),
            ("POST", "/v1/sandbox/clock"),
        ):
            problem(api.client.request(method, path), 404, "ENTITY_NOT_FOUND")

    def test_a_token_of_another_start_of_the_service_is_refused(self, api: Api, make_api: MakeApi) -> None:
        other = make_api()
        headers = {"Authorization": f"Bearer {other.token('BOF')}"}
        problem(api.client.get("/v1/roles", headers=headers), 401, "UNAUTHENTICATED")


class TestApiKeys:
    """PLT-095."""

    def issue(self, api: Api, **payload: Any) -> dict[str, Any]:
        wanted = {"client": "policy", "privileges": ["payment.apply"], "expires_on": "2025-04-01", **payload}
        response = api.send("IssueApiKey", wanted, "ITS", claims={"second_factor": True})
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    def change(self, api: Api, name: str, **payload: Any) -> Any:
        return api.send(name, payload, "ITS", claims={"second_factor": True})

    def use(self, api: Api, key: str) -> int:
        """Put money into box A with the key; the status."""
        headers = {"Authorization": f"Bearer {key}"}
        return api.send("FillBox", {"account": "A", "amount": "1.00"}, headers=headers).status_code

    @pytest.fixture
    def box(self, api: Api) -> Api:
        api.send("OpenBox", {"account": "A"})
        return api

    @pytest.mark.rule("PLT-095")
    def test_a_key_opens_its_named_privileges_and_no_others(self, box: Api) -> None:
        key = self.issue(box)["api_key"]
        assert self.use(box, key) == 200
        response = box.send("CloseBox", {"account": "A"}, headers={"Authorization": f"Bearer {key}"})
        problem(response, 403, "FORBIDDEN")

    @pytest.mark.rule("PLT-095")
    def test_the_secret_has_256_bits_is_told_once_and_is_stored_nowhere(self, box: Api) -> None:
        wanted = {"client": "policy", "privileges": ["payment.apply"], "expires_on": "2025-04-01"}
        first, again = (
            box.send("IssueApiKey", wanted, "ITS", key="K1", claims={"second_factor": True}) for _ in range(2)
        )
        key = first.json()["result"]["api_key"]
        secret = key.rpartition("_")[2] if "_" not in key[36:] else key[36:]
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json()["result"] == {k: v for k, v in first.json()["result"].items() if k != "api_key"}
        with box.database.writing() as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                rows = connection.execute(f'SELECT t::text FROM "{table}" t').fetchall()
                assert not [row for row in rows if secret in row[0]], table
            stored = connection.execute(
                "SELECT payload->>'secret_hash' FROM event WHERE type = 'ApiKeyIssued'"
            ).fetchone()
        assert stored == (secret_hash(secret),)

    def test_a_dry_run_issues_nothing_and_tells_no_secret(self, box: Api) -> None:
        wanted = {"client": "policy", "privileges": ["payment.apply"], "expires_on": "2025-04-01"}
        response = box.send("IssueApiKey", wanted, "ITS", dry_run=True, claims={"second_factor": True})
        assert "api_key" not in response.json()["result"]
        assert box.events() == 1

    @pytest.mark.rule("PLT-095")
    def test_a_key_ends_on_its_day(self, box: Api) -> None:
        key = self.issue(box)["api_key"]
        box.clock.set(dt.datetime(2025, 3, 31, 23, 59, 59, tzinfo=dt.UTC))
        assert self.use(box, key) == 200
        box.clock.set(dt.datetime(2025, 4, 1, tzinfo=dt.UTC))
        assert self.use(box, key) == 401

    @pytest.mark.rule("PLT-095")
    def test_revocation_works_at_once(self, box: Api) -> None:
        issued = self.issue(box)
        assert self.use(box, issued["api_key"]) == 200
        assert self.change(box, "RevokeApiKey", key_id=issued["key_id"], reason="leaked").status_code == 200
        assert self.use(box, issued["api_key"]) == 401
        problem(self.change(box, "RevokeApiKey", key_id=issued["key_id"]), 409, "STATE_INVALID")

    @pytest.mark.rule("PLT-095")
    def test_after_a_rotation_both_keys_are_valid_for_seven_days(self, box: Api) -> None:
        old = self.issue(box, expires_on="2026-03-01")
        new = self.change(box, "RotateApiKey", key_id=old["key_id"], expires_on="2026-03-01").json()["result"]
        assert (self.use(box, old["api_key"]), self.use(box, new["api_key"])) == (200, 200)
        box.clock.advance(dt.timedelta(days=7) - dt.timedelta(microseconds=1))
        assert self.use(box, old["api_key"]) == 200
        box.clock.advance(dt.timedelta(microseconds=1))
        assert (self.use(box, old["api_key"]), self.use(box, new["api_key"])) == (401, 200)
        problem(self.change(box, "RotateApiKey", key_id=old["key_id"], expires_on="2026-01-01"), 409, "STATE_INVALID")

    @pytest.mark.rule("PLT-095")
    def test_a_key_is_used_from_its_addresses_only(self, box: Api) -> None:
        # The test client's address is the word "testclient", which is within no network.
        assert self.use(box, self.issue(box, addresses=["192.0.2.0/24"])["api_key"]) == 401
        assert self.use(box, self.issue(box)["api_key"]) == 200

    def test_a_wrong_secret_an_unknown_key_and_what_is_no_key_are_answered_alike(self, box: Api) -> None:
        issued = self.issue(box)
        key = issued["api_key"]
        unknown = key.replace(issued["key_id"], "0" * 32)
        wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
        answers = []
        for forged in (wrong, unknown, "rk_", "rk_x_y", f"rk_{'é' * 32}_{'x' * 43}", key + "x" * 20):
            response = box.client.get("/v1/roles", headers={"Authorization": f"Bearer {forged}".encode()})
            document = problem(response, 401, "UNAUTHENTICATED")
            answers.append({name: document[name] for name in ("title", "detail", "problems")})
        assert all(answer == answers[0] for answer in answers)

    @pytest.mark.rule("PLT-095")
    def test_a_key_above_its_longest_life_is_refused(self, box: Api) -> None:
        wanted = {"client": "policy", "privileges": ["everything"], "expires_on": "2026-03-02"}
        document = problem(self.change(box, "IssueApiKey", **wanted), 422, "VALUE_OUT_OF_RANGE")
        assert [entry["pointer"] for entry in document["problems"]] == ["/privileges/0", "/expires_on"]

    def test_an_unknown_key_is_not_found(self, box: Api) -> None:
        problem(self.change(box, "RevokeApiKey", key_id="0" * 32), 404, "ENTITY_NOT_FOUND")


class TestSecondFactor:
    """PLT-040: the commands that need one."""

    WANTED: dict[str, Any] = {"client": "policy", "privileges": ["payment.apply"], "expires_on": "2025-04-01"}  # noqa: RUF012

    @pytest.mark.rule("PLT-040")
    def test_without_a_second_factor_the_command_is_refused_before_its_body_is_read(self, api: Api) -> None:
        document = problem(api.post("/v1/commands/IssueApiKey", b"{", "ITS"), 403, "SECOND_FACTOR_REQUIRED")
        assert document["layer"] == "AUTHORISATION"
        assert api.send("IssueApiKey", self.WANTED, "ITS", claims={"second_factor": True}).status_code == 200

    @pytest.mark.rule("PLT-040")
    def test_a_factor_is_read_from_the_token_with_the_time_it_was_given(self) -> None:
        given = authenticate(signed(claims(amr=["pwd", "otp"], auth_time=NOW - 60))).second_factor_at
        assert given == dt.datetime(2025, 3, 1, 11, 59, tzinfo=dt.UTC)
        for changed in (
            {"amr": ["pwd"], "auth_time": NOW},
            {"amr": ["otp"]},
            {"amr": "otp", "auth_time": NOW},
            {"amr": ["otp"], "auth_time": True},
            {"amr": ["otp"], "auth_time": 10**40},
        ):
            assert authenticate(signed(claims(**changed))).second_factor_at is None


class TestRates:
    """PLT-096."""

    @pytest.fixture
    def limited(self, make_api: MakeApi) -> Callable[..., Api]:
        return lambda **rates: make_api(Settings(sandbox=True, rates=replace(Rates(), **rates)))

    @pytest.mark.rule("PLT-096", "PLT-019")
    def test_above_the_rate_nothing_is_processed_and_the_time_to_wait_is_told(
        self, limited: Callable[..., Api]
    ) -> None:
        api = limited(user=3)
        for number in (0, 1, 1):  # a replayed answer counts
            assert api.send("OpenBox", {"account": f"A{number}"}, key=f"k{number}").status_code == 200
        response = api.send("OpenBox", {"account": "A3"})
        document = problem(response, 429, "RATE_LIMITED")
        assert document["retryable"] is True
        assert 0 < document["retry_after_s"] <= 20
        assert response.headers["Retry-After"] == str(document["retry_after_s"])
        assert api.events() == 2
        assert api.send("OpenBox", {"account": "A3"}, claims={"user": "bob"}).status_code == 200

    @pytest.mark.rule("PLT-096")
    def test_each_kind_of_client_has_its_own_rate(self, limited: Callable[..., Api]) -> None:
        api = limited(user=5, portal=1, machine=3)
        counts = {}
        for kind, roles in (("user", ["BOF"]), ("portal", ["MBR"]), ("machine", ["POL"])):
            headers = api.headers(*roles, user=kind)
            counts[kind] = [api.client.get("/v1/roles", headers=headers).status_code for _ in range(8)].count(200)
        assert counts == {"user": 5, "portal": 1, "machine": 3}
        shipped = Rates()
        assert (shipped.user, shipped.portal, shipped.machine, shipped.logins) == (300, 60, 3_000, 10)

    @pytest.mark.rule("PLT-096")
    def test_log_ins_are_limited_by_address(self, limited: Callable[..., Api]) -> None:
        api = limited(logins=2)
        ask = lambda: api.client.post("/v1/sandbox/token", json={"user": "ann", "roles": []})  # noqa: E731
        assert [ask().status_code for _ in range(3)] == [200, 200, 429]

    def test_a_sandbox_has_no_rates_unless_it_asks_for_them(self) -> None:
        assert Settings.from_environment({}).rates.enabled is False
        assert Settings.from_environment({"ROLLON_RATE_LIMITS": "true"}).rates.enabled is True
        assert Settings.from_environment({"DATABASE_URL": "postgresql://db/x"}).rates.enabled is True
