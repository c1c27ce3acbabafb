"""One command at a time: layers, statuses, idempotency, dry runs, and the form of every refusal."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from tests.api.conftest import Api, pointers, problem


def test_a_command_is_answered_with_its_events_and_positions(api: Api) -> None:
    response = api.send("OpenBox", {"account": "A"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["result"] == {"account": "A"}
    (event,) = answer["events"]
    assert (event["type"], event["stream"], event["stream_position"]) == ("BoxOpened", "box:A", 1)
    assert answer["position"] == event["position"]
    assert answer["streams"] == {"box:A": 1}
    assert (answer["warnings"], answer["dry_run"], answer["missing_confirmations"]) == ([], False, [])
    assert UUID(answer["command_id"]).version == UUID(event["id"]).version == 7
    assert "Idempotency-Replayed" not in response.headers


def test_warnings_do_not_stop_a_command(api: Api) -> None:
    api.send("OpenBox", {"account": "A"})
    answer = api.send("FillBox", {"account": "A", "amount": "20000.00"}, "BOF").json()
    assert answer["result"] == {"balance": 2_000_000}
    assert [warning["message"] for warning in answer["warnings"]] == ["a large amount"]


class TestLayers:
    """PLT-013: the first failing layer ends the checks."""

    @pytest.mark.rule("PLT-013", "PLT-029")
    def test_without_credentials_nothing_is_looked_at(self, api: Api) -> None:
        response = api.client.post("/v1/commands/OpenBox", content=b"{nonsense", headers={"Content-Type": "text/html"})
        document = problem(response, 401, "UNAUTHENTICATED")
        assert document["layer"] == "AUTHENTICATION"
        assert response.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.rule("PLT-013", "PLT-016")
    def test_without_the_privilege_the_body_is_not_read(self, api: Api) -> None:
        for body in (b"{not json", b'{"payload":{"account":1,"colour":2}}', b'{"payload":{"account":"A"}}'):
            document = problem(api.post("/v1/commands/OpenBox", body, "CCA"), 403, "FORBIDDEN")
            assert document["layer"] == "AUTHORISATION"
            assert len(document["problems"]) == 1
            assert document["problems"][0]["pointer"] is None

    @pytest.mark.rule("PLT-013")
    def test_media_type_comes_before_size_and_size_before_json(self, api: Api) -> None:
        large = b"[" * 6_000_000
        assert problem(
            api.post("/v1/commands/OpenBox", large, Content_Type="text/plain"), 415, "MEDIA_TYPE_UNSUPPORTED"
        )
        assert problem(api.post("/v1/commands/OpenBox", large), 413, "PAYLOAD_TOO_LARGE")
        assert problem(api.post("/v1/commands/OpenBox", b"[" * 4_000_000), 400, "REQUEST_INVALID")

    @pytest.mark.rule("PLT-013", "PLT-014", "PLT-002", "PLT-003")
    def test_everything_wrong_with_the_envelope_is_reported_at_once_and_before_the_payload(self, api: Api) -> None:
        response = api.send(
            "OpenBox",
            {"colour": 1},
            key=None,
            expected_version=-1,
            effective_date="2025-02-30",
            dry_run="yes",
            confirmations="all",
            correlation_id="1",
            on_behalf_of="",
            colour="red",
        )
        document = problem(response, 400, "REQUEST_INVALID")
        assert document["layer"] == "FACADE"
        assert pointers(document) == [
            "/expected_version",
            "/effective_date",
            "/dry_run",
            "/confirmations",
            "/correlation_id",
            "/on_behalf_of",
            "/colour",
            None,
        ]
        assert document["problems"][-1]["code"] == "IDEMPOTENCY_KEY_MISSING"

    @pytest.mark.rule("PLT-013", "PLT-018")
    def test_an_unknown_command_comes_behind_the_envelope(self, api: Api) -> None:
        problem(api.send("OpenCrate", {}, key=None), 400, "IDEMPOTENCY_KEY_MISSING")
        document = problem(api.send("OpenCrate", {}), 400, "COMMAND_UNKNOWN")
        assert document["layer"] == "COMMAND_FACADE"

    @pytest.mark.rule("PLT-014", "PLT-018")
    def test_malformed_and_unknown_members_of_the_payload_are_named_and_no_rule_is_checked(self, api: Api) -> None:
        response = api.send("FillBox", {"account": 7, "colour": "red", "amount": "1.00"}, "BOF")
        document = problem(response, 400, "REQUEST_INVALID")
        assert document["layer"] == "COMMAND_FACADE"
        assert pointers(document) == ["/account", "/colour"]

    @pytest.mark.rule("PLT-013")
    def test_existence_comes_before_the_rules(self, api: Api) -> None:
        document = problem(
            api.send("FillBox", {"account": "Z", "amount": "-1.00"}, "BOF"), 404, "BILLING_ACCOUNT_NOT_FOUND"
        )
        assert document["layer"] == "EXISTENCE"
        assert len(document["problems"]) == 1

    @pytest.mark.rule("PLT-020", "PLT-013")
    def test_the_expected_version_comes_before_the_rules(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"})
        response = api.send("FillBox", {"account": "A", "amount": "-1.00"}, "BOF", expected_version=7)
        document = problem(response, 409, "CONCURRENT_CHANGE")
        assert document["layer"] == "CONCURRENCY"
        assert document["problems"][0]["params"]["current_version"] == 1

    @pytest.mark.rule("PLT-014", "PLT-017")
    def test_all_rules_that_fail_are_told_and_the_first_gives_the_status(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"})
        api.send("CloseBox", {"account": "A"})
        document = problem(api.send("FillBox", {"account": "A", "amount": "0.00"}, "BOF"), 409, "ACCOUNT_NOT_ACTIVE")
        assert document["layer"] == "COMMAND_VALIDATION"
        assert [member["code"] for member in document["problems"]] == ["ACCOUNT_NOT_ACTIVE", "AMOUNT_INVALID"]
        assert api.events() == 2


class TestIdempotency:
    """PLT-003 to PLT-005."""

    @pytest.mark.rule("PLT-E01", "PLT-004", "PLT-003")
    def test_a_key_is_bound_by_the_first_accepted_command_and_judged_by_its_content(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"})
        api.send("CloseBox", {"account": "A"})
        first = {"account": "A", "amount": "100.00", "note": "first"}
        second = {"account": "A", "amount": "100.00", "note": "second"}
        problem(api.send("FillBox", first, "BOF", key="K1"), 409, "ACCOUNT_NOT_ACTIVE")
        api.send("ReopenBox", {"account": "A"})
        accepted = api.send("FillBox", second, "BOF", key="K1")
        assert accepted.status_code == 200
        events = api.events()
        api.send("CloseBox", {"account": "A"}, confirmations=["confirmed"])

        again = api.send("FillBox", second, "BOF", key="K1")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == accepted.json()
        assert api.events() == events + 1

        problem(api.send("FillBox", first, "BOF", key="K1"), 409, "IDEMPOTENCY_CONFLICT")
        problem(api.send("ReopenBox", {"account": "A"}, key="K1"), 409, "IDEMPOTENCY_CONFLICT")
        assert api.events() == events + 1

        api.send("ReopenBox", {"account": "A"})
        of_another_client = api.send("FillBox", second, "BOF", key="K1", claims={"client": "other"})
        assert of_another_client.json()["result"] == {"balance": 20_000}

        other_order = {"note": "second", "amount": "100.00", "account": "A"}
        assert api.send("FillBox", other_order, "BOF", key="K1").json() == accepted.json()
        other_text = {**second, "amount": "100.0"}
        problem(api.send("FillBox", other_text, "BOF", key="K1"), 409, "IDEMPOTENCY_CONFLICT")

    @pytest.mark.rule("PLT-004")
    def test_the_privilege_is_checked_before_a_stored_answer_is_given(self, api: Api) -> None:
        assert api.send("OpenBox", {"account": "A"}, key="K1").status_code == 200
        problem(api.send("OpenBox", {"account": "A"}, "CCA", key="K1"), 403, "FORBIDDEN")

    @pytest.mark.rule("PLT-003")
    @pytest.mark.parametrize("key", ["", "x" * 101, "a b", "a#0", "a/b"])
    def test_a_malformed_key_is_refused(self, api: Api, key: str) -> None:
        document = problem(
            api.send("OpenBox", {"account": "A"}, headers={"Idempotency-Key": key.encode().decode("latin-1")}),
            400,
            "REQUEST_INVALID",
        )
        assert document["layer"] == "FACADE"
        document = problem(api.send("OpenBox", {"account": "A"}, key=None, idempotency_key=key), 400, "REQUEST_INVALID")
        assert pointers(document) == ["/idempotency_key"]

    @pytest.mark.rule("PLT-003", "PLT-002")
    def test_a_key_given_twice_is_refused(self, api: Api) -> None:
        headers = [*api.headers("ADM", key="K1").items(), ("Idempotency-Key", "K2")]
        response = api.client.post("/v1/commands/OpenBox", json={"payload": {"account": "A"}}, headers=headers)
        problem(response, 400, "REQUEST_INVALID")
        batch = {"commands": [{"name": "OpenBox", "payload": {"account": "A"}}]}
        problem(api.client.post("/v1/commands/batch", json=batch, headers=headers), 400, "REQUEST_INVALID")
        assert api.events() == 0

    def test_the_key_may_come_in_the_envelope_but_not_differ_from_the_headers(self, api: Api) -> None:
        assert api.send("OpenBox", {"account": "A"}, key=None, idempotency_key="K1").status_code == 200
        again = api.send("OpenBox", {"account": "A"}, key="K1", idempotency_key="K1")
        assert again.headers["Idempotency-Replayed"] == "true"
        problem(api.send("OpenBox", {"account": "A"}, key="K1", idempotency_key="K2"), 400, "REQUEST_INVALID")


class TestDryRun:
    """PLT-007."""

    @pytest.mark.rule("PLT-007")
    @pytest.mark.parametrize("path", ["/v1/commands/FillBox?dryRun=true", "/v1/commands/FillBox"])
    def test_a_dry_run_tells_the_events_and_changes_nothing_and_needs_no_key(self, api: Api, path: str) -> None:
        api.send("OpenBox", {"account": "A"})
        member = {} if "?" in path else {"dry_run": True}
        response = api.send("FillBox", {"account": "A", "amount": "1.00"}, "BOF", key=None, path=path, **member)
        answer = response.json()
        assert (response.status_code, answer["dry_run"], answer["result"]) == (200, True, {"balance": 100})
        assert [event["payload"]["amount"] for event in answer["events"]] == [100]
        assert answer["position"] == 1
        assert api.events() == 1

    @pytest.mark.rule("PLT-007", "PLT-008")
    def test_a_dry_run_names_missing_confirmations_and_the_real_one_is_refused_for_each(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"})
        api.send("FillBox", {"account": "A", "amount": "1.00"}, "BOF")
        dry = api.send("CloseBox", {"account": "A"}, dry_run=True)
        assert dry.json()["missing_confirmations"] == ["confirmed"]
        document = problem(api.send("CloseBox", {"account": "A"}), 422, "CONFIRMATION_REQUIRED")
        assert document["problems"][0]["params"] == {"confirmation": "confirmed"}
        assert api.events() == 2
        assert api.send("CloseBox", {"account": "A"}, confirmations=["confirmed"]).status_code == 200

    def test_another_parameter_of_the_query_is_refused(self, api: Api) -> None:
        for query in ("dryRun=yes", "dry_run=true", "dryRun=true&dryRun=false", "x=1"):
            response = api.send("OpenBox", {"account": "A"}, path=f"/v1/commands/OpenBox?{query}")
            problem(response, 400, "REQUEST_INVALID")
        assert api.events() == 0


class TestHostileBodies:
    """What strangers send."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b'"x"',
            b"{",
            b'{"payload":{"account":"A"},"payload":{"account":"B"}}',
            b'{"payload":{"account":"A","account":"B"}}',
            b'{"payload":{"account":"A","amount":1.5}}',
            b'{"payload":{"account":NaN}}',
            b'{"payload":{"account":-Infinity}}',
            b'{"payload":{"account":"\xff"}}',
            b'{"payload":{"account":"\\u0000"}}',
            b'{"payload":{"account":"\\ud800"}}',
            b'{"payload":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
            b"[" * 100_000,
            b'{"payload":null}',
            b'{"payload":[]}',
            b"{}",
            "{'payload':{}}".encode("utf-16"),
        ],
    )
    @pytest.mark.rule("PLT-015")
    def test_a_body_that_is_no_command_is_refused_as_a_problem(self, api: Api, body: bytes) -> None:
        document = problem(api.post("/v1/commands/FillBox", body, "BOF", Idempotency_Key="k"), 400, "REQUEST_INVALID")
        assert document["layer"] == "FACADE"
        assert api.events() == 0

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Content-Type", "text/plain"),
            ("Content-Type", "application/json; charset=latin-1"),
            ("Content-Type", ""),
            ("Content-Encoding", "gzip"),
        ],
    )
    def test_a_body_in_another_form_is_refused(self, api: Api, header: str, value: str) -> None:
        response = api.send("OpenBox", {"account": "A"}, headers={header: value})
        problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")

    def test_a_charset_of_utf8_is_fine(self, api: Api) -> None:
        for number, value in enumerate(("application/json; charset=utf-8", 'application/json;charset="UTF-8"')):
            response = api.send("OpenBox", {"account": f"A{number}"}, headers={"Content-Type": value})
            assert response.status_code == 200

    def test_a_body_of_10_megabytes_is_refused_whether_its_length_is_told_or_not(self, api: Api) -> None:
        body = json.dumps({"payload": {"account": "A", "amount": "1.00", "note": "x" * 10_000_000}}).encode()
        problem(api.post("/v1/commands/FillBox", body, "BOF", Idempotency_Key="k"), 413, "PAYLOAD_TOO_LARGE")
        chunks = iter(body[start : start + 65_536] for start in range(0, len(body), 65_536))
        problem(api.post("/v1/commands/FillBox", chunks, "BOF", Idempotency_Key="k"), 413, "PAYLOAD_TOO_LARGE")
        assert api.events() == 0

    def test_a_body_just_below_the_limit_is_read(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"})
        payload = {"account": "A", "amount": "1.00", "note": "x" * 4_900_000}
        assert api.send("FillBox", payload, "BOF").status_code == 200


class TestFailures:
    """What goes wrong inside stays inside."""

    @pytest.mark.rule("PLT-016", "PLT-017")
    @pytest.mark.parametrize("how", ["invariant", "crash"])
    def test_a_failure_is_answered_500_without_a_word_of_it_and_writes_nothing(self, api: Api, how: str) -> None:
        response = api.send("BreakBox", {"how": how})
        document = problem(response, 500, "INTERNAL_ERROR")
        assert document["layer"] is None
        for secret in ("Smith", "6789", "Traceback", "KeyError", "boxes", "psycopg"):
            assert secret not in response.text
        assert api.events() == 0
        assert ("BreakBox", "FAILED", None, ["INTERNAL_ERROR"]) in api.audit()

    def test_a_database_that_is_away_is_answered_503_to_be_tried_again(self, api: Api) -> None:
        api.database.writers.close()
        document = problem(api.send("OpenBox", {"account": "A"}), 503, "SERVICE_UNAVAILABLE")
        assert document["retryable"] is True
        assert document["retry_after_s"] == 1


class TestRouting:
    """Addresses and methods that do not exist."""

    @pytest.mark.parametrize("path", ["/", "/v2/commands", "/v1/commands/a/b", "/v1/", "/%00", "/v1/commands/"])
    def test_an_unknown_address_is_a_problem(self, api: Api, path: str) -> None:
        problem(api.client.get(path), 404, "ENTITY_NOT_FOUND")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", "/v1/commands/OpenBox", "POST"),
            ("DELETE", "/v1/commands", "GET, POST"),
            ("PUT", "/v1/jobs/x", "POST"),
            ("POST", "/metrics", "GET"),
        ],
    )
    def test_another_method_is_405_and_names_those_there_are(
        self, api: Api, method: str, path: str, allowed: str
    ) -> None:
        response = api.client.request(method, path)
        assert response.json()["status"] == 405
        problem(response, 405, "REQUEST_INVALID")
        assert response.headers["allow"] == allowed


class TestStatus:
    """PLT-010: what became of a command."""

    @pytest.mark.rule("PLT-010")
    def test_a_command_is_found_by_its_id_with_its_answer(self, api: Api) -> None:
        command_id = api.send("OpenBox", {"account": "A"}).json()["command_id"]
        status = api.client.get(f"/v1/commands/{command_id}", headers=api.headers("CCA")).json()
        assert (status["command"], status["state"], status["codes"]) == ("OpenBox", "DONE", [])
        assert status["answer"]["result"] == {"account": "A"}

    @pytest.mark.rule("PLT-010")
    def test_a_refused_one_is_found_with_its_codes(self, api: Api) -> None:
        document = problem(api.send("CloseBox", {"account": "Z"}), 404, "BILLING_ACCOUNT_NOT_FOUND")
        command_id = document["instance"].removeprefix("urn:uuid:")
        status = api.client.get(f"/v1/commands/{command_id}", headers=api.headers("BOF")).json()
        assert (status["state"], status["layer"], status["answer"]) == ("FAILED", "EXISTENCE", None)
        assert status["codes"] == ["BILLING_ACCOUNT_NOT_FOUND"]

    @pytest.mark.rule("PLT-016")
    def test_that_of_another_client_is_answered_like_an_unknown_one_except_to_the_audit(self, api: Api) -> None:
        command_id = api.send("OpenBox", {"account": "A"}).json()["command_id"]
        path, unknown = f"/v1/commands/{command_id}", "/v1/commands/00000000-0000-7000-8000-000000000000"
        other = problem(api.client.get(path, headers=api.headers("BOF", client="other")), 404, "ENTITY_NOT_FOUND")
        none = problem(api.client.get(unknown, headers=api.headers("BOF")), 404, "ENTITY_NOT_FOUND")
        for member in ("instance", "correlation_id"):
            other.pop(member), none.pop(member)
        assert other == none
        assert api.client.get(path, headers=api.headers("AUD", client="other")).status_code == 200


class TestRecords:
    """Ids and the audit trail."""

    @pytest.mark.rule("PLT-002", "PLT-015")
    def test_a_correlation_id_given_is_kept_and_one_not_given_is_made(self, api: Api) -> None:
        given = "0195545c-1d3b-7a2e-8f0c-6d5b4a392817"
        document = problem(
            api.send("CloseBox", {"account": "Z"}, correlation_id=given), 404, "BILLING_ACCOUNT_NOT_FOUND"
        )
        assert document["correlation_id"] == given
        response = api.send("CloseBox", {"account": "Z"}, headers={"X-Correlation-Id": given})
        assert response.json()["correlation_id"] == response.headers["X-Correlation-Id"] == given
        made = api.send("CloseBox", {"account": "Z"})
        assert made.json()["correlation_id"] == made.headers["X-Correlation-Id"] != given

    @pytest.mark.rule("PLT-078")
    def test_every_command_is_on_the_record_also_when_the_edge_refused_it(self, api: Api) -> None:
        api.send("OpenBox", {"account": "A"}, key="K1")
        api.send("OpenBox", {"account": "A"}, key="K1")
        api.send("OpenBox", {"account": "A"}, "CCA")
        api.post("/v1/commands/OpenBox", b"{")
        api.send("OpenBox", {"account": 1})
        api.send("OpenBox", {"account": "A"})
        assert api.audit() == [
            ("OpenBox", "ACCEPTED", None, []),
            ("OpenBox", "REPLAYED", None, []),
            ("OpenBox", "REFUSED", "AUTHORISATION", ["FORBIDDEN"]),
            ("OpenBox", "REFUSED", "FACADE", ["REQUEST_INVALID"]),
            ("OpenBox", "REFUSED", "COMMAND_FACADE", ["REQUEST_INVALID"]),
            ("OpenBox", "REFUSED", "COMMAND_VALIDATION", ["ACCOUNT_DUPLICATE"]),
        ]


def test_the_catalogue_lists_the_commands_and_whether_the_caller_may(api: Api) -> None:
    commands = api.client.get("/v1/commands", headers=api.headers("BOF")).json()["commands"]
    by_name = {command["name"]: command for command in commands}
    assert by_name["OpenBox"]["permitted"] is True
    assert by_name["IssueApiKey"]["permitted"] is False
    assert by_name["FillBox"]["privilege"] == "payment.apply"
    assert [command["room"] for command in commands] == sorted(command["room"] for command in commands)
