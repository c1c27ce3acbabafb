"""Jobs, files, the sandbox clock, health, metrics, reference pages, headers and log lines."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
import structlog
from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Gauge
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from api.edge import principal_of
from api.rate_limit import RateLimiter
from api.services import Readiness
from api.settings import Limits, Rates, Settings, SettingsError
from application.clock import MovableClock
from application.command import Principal
from application.jobs import ControlAction, JobRun, JobType, RunRequest, RunState
from application.uploads import FileCase, FileKind, FileReceipt, FileState, Upload
from domain.errors import refuse
from domain.platform.error_codes import ERROR_CODES, status_of
from domain.platform.privileges import Role, privileges_of
from tests.api.conftest import Api, MakeApi, pointers, problem

RUN_ID = UUID("0195545c-1d3b-7a2e-8f0c-6d5b4a392817")


class Runner:
    """Starts every job but one that is running already."""

    def __init__(self) -> None:
        self.started: list[tuple[RunRequest, Principal]] = []
        self.asked: tuple[Any, ...] = ()

    def jobs(self) -> Mapping[str, JobType]:
        return {
            "InvoiceGeneration": JobType("InvoiceGeneration", "Generate invoices"),
            "RecurringPayments": JobType("RecurringPayments", "Draw payments", "payment.recurring.run"),
            "AnybRecalculation": JobType("AnybRecalculation", "Recalculate"),
        }

    def start(self, request: RunRequest, principal: Principal) -> JobRun:
        if request.job == "AnybRecalculation":
            raise refuse("RUN_ALREADY_ACTIVE", "a run is active")
        self.started.append((request, principal))
        return self._run(request)

    def run(self, run_id: UUID) -> JobRun | None:
        return self._run(self.started[-1][0]) if run_id == RUN_ID and self.started else None

    def control(self, run_id: UUID, action: ControlAction) -> JobRun | None:
        if action is ControlAction.RESUME:
            raise refuse("STATE_INVALID", "the run is not paused")
        return self.run(run_id)

    def recent(self, job: str | None, state: RunState | None, before: UUID | None, limit: int) -> list[JobRun]:
        self.asked = (job, state, before, limit)
        return [self._run(request) for request, _ in self.started]

    def _run(self, request: RunRequest) -> JobRun:
        began = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
        return JobRun(
            RUN_ID,
            request.job,
            RunState.RUNNING,
            request.run_date,
            "MANUAL",
            selected=3,
            done=1,
            failed=1,
            left=1,
            skipped={"HOLD_ACTIVE": 1},
            started_at=began,
            failures=(("LB000000018", "ACCOUNT_NOT_ACTIVE"),),
        )


class TestJobs:
    """POST /v1/jobs/{JobName}."""

    def start(self, api: Api, job: str, body: Any, *roles: str) -> Any:
        return api.client.post(f"/v1/jobs/{job}", json=body, headers=api.headers(*roles))

    @pytest.mark.rule("PLT-051")
    def test_a_run_is_started_with_its_selection_and_followed(self, make_api: MakeApi) -> None:
        runner = Runner()
        api = make_api(jobs=runner)
        body = {"run_date": "2025-03-01", "accounts": ["LB000000018"], "excluded_accounts": ["LB000000026"]}
        response = self.start(api, "InvoiceGeneration", body, "OPS")
        assert (response.status_code, response.headers["Location"]) == (202, f"/v1/jobs/{RUN_ID}")
        request, principal = runner.started[0]
        assert request == RunRequest("InvoiceGeneration", dt.date(2025, 3, 1), ("LB000000018",), ("LB000000026",))
        assert principal.identifier == "ann"
        run = api.client.get(f"/v1/jobs/{RUN_ID}", headers=api.headers("BOF")).json()
        assert (run["state"], run["selected"], run["skipped"]) == ("RUNNING", 3, {"HOLD_ACTIVE": 1})
        assert run["failures"] == [{"item": "LB000000018", "code": "ACCOUNT_NOT_ACTIVE"}]
        assert run["started_at"] == "2025-03-01T12:00:00Z"

    @pytest.mark.rule("PLT-051")
    def test_a_run_needs_job_run_or_the_jobs_own_privilege(self, make_api: MakeApi) -> None:
        api = make_api(jobs=Runner())
        assert self.start(api, "RecurringPayments", {}, "ARM").status_code == 202
        problem(self.start(api, "InvoiceGeneration", {}, "ARM"), 403, "FORBIDDEN")
        problem(self.start(api, "NoSuchJob", {}, "ARM"), 403, "FORBIDDEN")
        problem(self.start(api, "NoSuchJob", {}, "OPS"), 404, "ENTITY_NOT_FOUND")

    @pytest.mark.rule("PLT-019")
    def test_a_second_run_is_refused_to_be_tried_again(self, make_api: MakeApi) -> None:
        document = problem(
            self.start(make_api(jobs=Runner()), "AnybRecalculation", {}, "OPS"), 409, "RUN_ALREADY_ACTIVE"
        )
        assert document["retryable"] is True

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ([], ""),
            ({"run_date": "2025-02-30"}, "/run_date"),
            ({"run_date": 20250301}, "/run_date"),
            ({"accounts": "LB1"}, "/accounts"),
            ({"accounts": [1]}, "/accounts"),
            ({"excluded_accounts": [""]}, "/excluded_accounts"),
            ({"colour": "red"}, "/colour"),
        ],
    )
    def test_a_malformed_selection_is_refused(self, make_api: MakeApi, body: Any, pointer: str) -> None:
        response = self.start(make_api(jobs=Runner()), "InvoiceGeneration", body, "OPS")
        assert pointers(problem(response, 400, "REQUEST_INVALID")) == [pointer]

    def test_without_a_runner_there_are_no_jobs(self, api: Api) -> None:
        problem(self.start(api, "InvoiceGeneration", {}, "OPS"), 404, "ENTITY_NOT_FOUND")
        problem(api.client.get(f"/v1/jobs/{RUN_ID}", headers=api.headers("OPS")), 404, "ENTITY_NOT_FOUND")
        assert api.client.get("/v1/jobs", headers=api.headers("OPS")).json() == {"jobs": []}

    @pytest.mark.rule("PLT-051")
    def test_a_run_is_paused_and_cancelled_with_the_privilege_for_it(self, make_api: MakeApi) -> None:
        api = make_api(jobs=Runner())
        self.start(api, "InvoiceGeneration", {}, "OPS")

        def control(action: str, role: str, run: UUID = RUN_ID) -> Any:
            return api.client.post(f"/v1/job-runs/{run}/{action}", headers=api.headers(role))

        for action in ("pause", "cancel"):
            assert control(action, "OPS").json()["run_id"] == str(RUN_ID)
            problem(control(action, "SUP"), 403, "FORBIDDEN")
            problem(control(action, "OPS", UUID(int=1)), 404, "ENTITY_NOT_FOUND")
        problem(control("resume", "OPS"), 409, "STATE_INVALID")
        problem(api.client.post(f"/v1/job-runs/{RUN_ID}/stop", headers=api.headers("OPS")), 404, "ENTITY_NOT_FOUND")

    @pytest.mark.rule("PLT-055", "PLT-068", "PLT-069")
    def test_runs_are_listed_by_job_and_state(self, make_api: MakeApi) -> None:
        runner = Runner()
        api = make_api(jobs=runner)
        self.start(api, "InvoiceGeneration", {}, "OPS")
        self.start(api, "InvoiceGeneration", {}, "OPS")
        query = f"job=InvoiceGeneration&state=PAUSED&before={RUN_ID}&first=1"
        page = api.client.get(f"/v1/job-runs?{query}", headers=api.headers("BOF")).json()
        assert (len(page["runs"]), page["more"]) == (1, True)
        assert runner.asked == ("InvoiceGeneration", RunState.PAUSED, RUN_ID, 2)
        assert api.client.get("/v1/job-runs", headers=api.headers("BOF")).json()["more"] is False
        for wrong, pointer in (
            ("state=SLEEPING", "/state"),
            ("before=7", "/before"),
            ("first=201", "/first"),
            ("first=0", "/first"),
            ("colour=red", None),
            ("first=1&first=2", None),
        ):
            document = problem(
                api.client.get(f"/v1/job-runs?{wrong}", headers=api.headers("BOF")), 400, "REQUEST_INVALID"
            )
            assert pointers(document) == [pointer]

    def test_the_jobs_are_listed(self, make_api: MakeApi) -> None:
        api = make_api(jobs=Runner())
        names = [job["name"] for job in api.client.get("/v1/jobs", headers=api.headers("OPS")).json()["jobs"]]
        assert names == ["AnybRecalculation", "InvoiceGeneration", "RecurringPayments"]


class Importer:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.received: dict[str, tuple[Upload, bytes]] = {}

    def kinds(self) -> Mapping[str, FileKind]:
        return {"BANK_STATEMENT": FileKind("BANK_STATEMENT", "A bank statement", "receipts.import", 3_000_000)}

    def accept(self, upload: Upload, principal: Principal) -> FileReceipt:
        if upload.content_type == "application/x-msdownload":
            raise refuse("FILE_TYPE_NOT_ALLOWED", "not a bank format")
        repeated = upload.sha256 in self.received
        self.received[upload.sha256] = (upload, upload.content.read())
        return self._receipt(upload, repeated)

    def receipt(self, sha256: str, principal: Principal) -> FileReceipt | None:
        return self._receipt(self.received[sha256][0], True) if sha256 in self.received else None

    def cases(
        self, principal: Principal, kind: str | None, after: tuple[str, int] | None, limit: int
    ) -> Sequence[FileCase]:
        return []

    def _receipt(self, upload: Upload, repeated: bool) -> FileReceipt:
        received_at = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
        return FileReceipt(
            upload.sha256, upload.kind, upload.size, FileState.AVAILABLE, received_at, repeated, {"rows": 2}
        )


class TestFiles:
    """POST /v1/files."""

    def send(
        self, api: Api, content: Any, query: str = "kind=BANK_STATEMENT&name=may.xml", *roles: str, **headers: str
    ) -> Any:
        sent = {"Content-Type": "application/xml", **api.headers(*(roles or ("ARA",))), **headers}
        query = query or "kind=BANK_STATEMENT&name=may.xml"
        return api.client.post(f"/v1/files?{query}", content=content, headers=sent)

    @pytest.mark.parametrize("size", [10, 2_500_000])
    def test_a_file_is_handed_on_whole_and_known_by_its_hash(self, make_api: MakeApi, size: int) -> None:
        importer = Importer()
        api = make_api(files=importer)
        content = b"0123456789" * (size // 10)
        response = self.send(api, content)
        sha256 = hashlib.sha256(content).hexdigest()
        assert (response.status_code, response.headers["Location"]) == (201, f"/v1/files/{sha256}")
        upload, received = importer.received[sha256]
        assert (received, upload.name, upload.content_type, upload.size) == (
            content,
            "may.xml",
            "application/xml",
            size,
        )
        again = self.send(api, content)
        assert (again.status_code, again.json()["repeated"]) == (200, True)
        receipt = api.client.get(f"/v1/files/{sha256}", headers=api.headers("ARA")).json()
        assert (receipt["state"], receipt["report"]) == ("AVAILABLE", {"rows": 2})

    @pytest.mark.rule("PLT-098")
    def test_a_file_above_its_limit_is_refused_while_it_arrives(self, make_api: MakeApi) -> None:
        importer = Importer()
        api = make_api(files=importer)
        for content in (b"x" * 3_000_001, (b"x" * 65_536 for _ in range(100))):
            problem(self.send(api, content), 413, "FILE_TOO_LARGE")
        assert importer.received == {}

    def test_what_is_no_file_of_a_kind_that_is_taken_in_is_refused(self, make_api: MakeApi) -> None:
        api = make_api(files=Importer())
        problem(self.send(api, b"x", "kind=BANK_STATEMENT", "CCA"), 403, "FORBIDDEN")
        problem(self.send(api, b"x", "kind=NOVEL"), 404, "ENTITY_NOT_FOUND")
        problem(self.send(api, b"x", "name=a"), 400, "REQUEST_INVALID")
        problem(self.send(api, b"x", "kind=BANK_STATEMENT&name=a%00b"), 400, "REQUEST_INVALID")
        problem(self.send(api, b"x", "kind=BANK_STATEMENT&kind=BANK_STATEMENT"), 400, "REQUEST_INVALID")
        problem(self.send(api, b"x", "kind=BANK_STATEMENT&x=1"), 400, "REQUEST_INVALID")
        problem(self.send(api, b""), 400, "REQUEST_INVALID")
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        problem(self.send(api, b"--x--", **form), 415, "MEDIA_TYPE_UNSUPPORTED")
        program = {"Content-Type": "application/x-msdownload"}
        problem(self.send(api, b"MZ", **program), 415, "FILE_TYPE_NOT_ALLOWED")

    def test_an_unknown_file_is_not_found(self, make_api: MakeApi) -> None:
        api = make_api(files=Importer())
        for sha256 in ("0" * 64, "x", "..%2f..%2fetc%2fpasswd"):
            problem(api.client.get(f"/v1/files/{sha256}", headers=api.headers("ARA")), 404, "ENTITY_NOT_FOUND")

    def test_the_kinds_are_listed(self, make_api: MakeApi) -> None:
        api = make_api(files=Importer())
        (kind,) = api.client.get("/v1/files", headers=api.headers("ARA")).json()["kinds"]
        assert (kind["name"], kind["max_bytes"]) == ("BANK_STATEMENT", 3_000_000)


class Offset:
    """Keeps the clock's offset."""

    def __init__(self) -> None:
        self.offset = dt.timedelta()
        self.until: dt.datetime | None = None

    def read(self) -> dt.timedelta:
        return self.offset

    def write(self, offset: dt.timedelta) -> None:
        self.offset = offset

    def recorded_until(self) -> dt.datetime | None:
        return self.until


class TestSandboxClock:
    """POST /v1/sandbox/clock."""

    @pytest.fixture
    def offset(self) -> Offset:
        return Offset()

    @pytest.fixture
    def movable(self, make_api: MakeApi, api: Api, offset: Offset) -> Api:
        clock = MovableClock(offset, production=False, base=api.clock)
        return make_api(sandbox_clock=clock)

    def move(self, api: Api, body: Any) -> Any:
        return api.client.post("/v1/sandbox/clock", json=body, headers=api.headers("BOF"))

    @pytest.mark.rule("PLT-050")
    def test_the_clock_moves_by_a_step_or_to_an_instant(self, movable: Api) -> None:
        answer = movable.client.get("/v1/sandbox/clock", headers=movable.headers("BOF")).json()
        assert answer == {"now": "2025-03-01T12:00:00Z", "offset_s": 0}
        assert self.move(movable, {"advance": {"days": 1, "hours": 2}}).json()["now"] == "2025-03-02T14:00:00Z"
        moved = self.move(movable, {"now": "2025-04-01T02:00:00-05:00"}).json()
        assert moved == {"now": "2025-04-01T07:00:00Z", "offset_s": 31 * 86_400 - 5 * 3600}

    @pytest.mark.rule("PLT-023", "PLT-050")
    def test_the_clock_goes_back_but_not_behind_what_is_recorded(self, movable: Api, offset: Offset) -> None:
        assert self.move(movable, {"now": "2024-02-29T00:00:00Z"}).json()["now"] == "2024-02-29T00:00:00Z"
        offset.until = dt.datetime(2024, 2, 28, tzinfo=dt.UTC)
        self.move(movable, {"now": "2024-02-28T00:00:00Z"})
        document = problem(self.move(movable, {"now": "2024-02-27T23:59:59Z"}), 400, "REQUEST_INVALID")
        assert "2024-02-28T00:00:00+00:00" in document["detail"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"now": "2025-04-01"},
            {"now": "2025-04-01T02:00:00"},
            {"now": "2025-13-01T02:00:00Z"},
            {"now": 7},
            {"now": "1969-12-31T23:59:59Z"},
            {"now": "2201-01-01T00:00:00Z"},
            {"advance": {}},
            {"advance": {"weeks": 1}},
            {"advance": {"days": -1}},
            {"advance": {"days": True}},
            {"advance": {"days": 10**8}},
            {"advance": {"days": 10**9}},
            {"advance": {"days": 1}, "now": "2025-04-01T02:00:00Z"},
        ],
    )
    def test_another_move_is_refused(self, movable: Api, body: Any) -> None:
        problem(self.move(movable, body), 400, "REQUEST_INVALID")

    @pytest.mark.rule("PLT-050")
    def test_production_has_no_such_address_and_a_sandbox_asks_who_is_moving_it(
        self, movable: Api, make_api: MakeApi
    ) -> None:
        problem(movable.client.post("/v1/sandbox/clock", json={}), 401, "UNAUTHENTICATED")
        production = make_api(Settings(sandbox=False), sandbox_clock=movable.services.sandbox_clock)
        problem(self.move(production, {"advance": {"days": 1}}), 404, "ENTITY_NOT_FOUND")


class TestOperations:
    """Health and metrics (PLT-106)."""

    @pytest.mark.rule("PLT-106")
    def test_health_needs_no_credentials_and_tells_no_data(self, make_api: MakeApi) -> None:
        api = make_api(readiness=(lambda: Readiness("event_store", True, "writable"),))
        assert api.client.get("/health/live").json() == {"status": "live"}
        assert api.client.get("/health/ready").json() == {
            "status": "ready",
            "mode": "SANDBOX",
            "checks": [{"name": "event_store", "ready": True, "detail": "writable"}],
        }

    @pytest.mark.rule("PLT-106")
    def test_a_failing_check_makes_it_not_ready_and_one_that_fails_itself_too(self, make_api: MakeApi) -> None:
        def migrations() -> Readiness:
            raise RuntimeError("password=hunter2")

        api = make_api(readiness=(lambda: Readiness("event_store", False, "read-only"), migrations))
        response = api.client.get("/health/ready")
        document = problem(response, 503, "SERVICE_UNAVAILABLE")
        assert [check["ready"] for check in document["checks"]] == [False, False]
        assert len(document["problems"]) == 2
        assert "hunter2" not in response.text

    @pytest.mark.rule("PLT-106", "PLT-092")
    def test_commands_are_counted_by_name_outcome_and_code_and_names_that_are_none_do_not_grow_it(
        self, make_api: MakeApi
    ) -> None:
        registry = CollectorRegistry()
        Gauge("rollon_projection_lag_seconds", "Lag", registry=registry).set(0.25)
        api = make_api(metrics=registry)
        api.send("OpenBox", {"account": "Ann Smith"}, key="K1")
        api.send("OpenBox", {"account": "Ann Smith"}, key="K1")
        api.send("FillBox", {"account": "Z", "amount": "1.00"}, "BOF")
        api.send("OpenBox", {"account": "Ann Smith"}, "CCA")
        api.send("OpenBox", {"account": "B"}, dry_run=True)
        for number in range(5):
            api.send(f"Invented{number}", {})
        api.client.get("/v1/roles")
        text = api.client.get("/metrics").text
        for line in (
            'rollon_commands_total{code="",name="OpenBox",outcome="ACCEPTED"} 1.0',
            'rollon_commands_total{code="",name="OpenBox",outcome="REPLAYED"} 1.0',
            'rollon_commands_total{code="",name="OpenBox",outcome="DRY_RUN"} 1.0',
            'rollon_commands_total{code="FORBIDDEN",name="OpenBox",outcome="REFUSED"} 1.0',
            'rollon_commands_total{code="BILLING_ACCOUNT_NOT_FOUND",name="FillBox",outcome="REFUSED"} 1.0',
            'rollon_commands_total{code="COMMAND_UNKNOWN",name="unknown",outcome="REFUSED"} 5.0',
            'rollon_command_duration_seconds_count{name="OpenBox"} 4.0',
            "rollon_login_failures_total 1.0",
            "rollon_projection_lag_seconds 0.25",
        ):
            assert line in text.splitlines(), line
        assert "Smith" not in text
        assert "Invented" not in text


class TestReference:
    """Lists and pages."""

    @pytest.mark.rule("PLT-030")
    def test_roles_and_codes_are_listed(self, api: Api) -> None:
        roles = api.client.get("/v1/roles", headers=api.headers("CCA")).json()
        by_role = {role["role"]: set(role["privileges"]) for role in roles["roles"]}
        assert by_role == {str(role): privileges_of([role]) for role in Role}
        codes = api.client.get("/v1/error-codes", headers=api.headers("CCA")).json()["codes"]
        assert {code["code"]: code["status"] for code in codes} == {code: status_of(code) for code in ERROR_CODES}

    def test_the_pages_load_nothing_from_elsewhere_and_show_every_command(self, api: Api) -> None:
        for path in ("/docs", "/redoc"):
            response = api.client.get(path)
            assert response.status_code == 200
            assert not re.search(r'(src|href)="(https?:)?//', response.text)
            assert "default-src 'none'" in response.headers["content-security-policy"]
            for name in api.services.commands:
                assert f"/v1/commands/{name}" in response.text
        assert "<form" in api.client.get("/docs").text
        assert "<form" not in api.client.get("/redoc").text

    def test_the_pages_allow_exactly_their_own_style_and_script(self, api: Api) -> None:
        response = api.client.get("/docs")
        policy = response.headers["content-security-policy"]
        for tag in ("style", "script"):
            (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
            digest = hashlib.sha256(text.encode()).digest()
            assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


class TestFrame:
    """Headers, origins and log lines on every answer."""

    @pytest.mark.parametrize("path", ["/v1/commands", "/health/live", "/nowhere", "/docs"])
    def test_every_answer_has_the_security_headers_and_ids(self, api: Api, path: str) -> None:
        headers = api.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert UUID(headers["x-request-id"])
        assert "server" not in headers

    def test_other_origins_are_let_in_by_list_only(self, make_api: MakeApi, api: Api) -> None:
        open_to = make_api(
            Settings(sandbox=True, rates=Rates(enabled=False), cors_origins=("https://portal.example.com",))
        )
        for client, origin, allowed in (
            (open_to.client, "https://portal.example.com", "https://portal.example.com"),
            (open_to.client, "https://evil.example.com", None),
            (api.client, "https://portal.example.com", None),
        ):
            answer = client.get("/health/live", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.rule("PLT-092")
    def test_log_lines_hold_no_personal_data(self, api: Api) -> None:
        with structlog.testing.capture_logs() as lines:
            api.send("OpenBox", {"account": "Ann Smith"}, claims={"user": "ann.smith@example.com"})
            api.send("BreakBox", {"how": "crash"}, claims={"user": "ann.smith@example.com"})
            api.client.get("/v1/members/ann.smith@example.com?ssn=123-45-6789")
            api.client.post("/v1/commands/OpenBox", headers={"Authorization": "Bearer ann.smith.token"})
        text = json.dumps(lines)
        assert [line["event"] for line in lines] == ["request", "failure", "request", "request", "request"]
        assert [line["status"] for line in lines if line["event"] == "request"] == [200, 500, 404, 401]
        assert lines[1]["kind"] == "builtins.KeyError"
        for personal in ("smith", "Smith", "6789", "ssn"):
            assert personal not in text
        assert lines[0]["route"] == "/v1/commands/{name}"
        assert lines[0]["client"] == "sandbox"
        assert len(lines[0]["principal"]) == 16

    def test_too_many_waiting_requests_are_turned_away(self, make_api: MakeApi) -> None:
        api = make_api(Settings(sandbox=True, rates=Rates(enabled=False), limits=Limits(workers=1, waiting=-1)))
        document = problem(api.client.get("/v1/roles", headers=api.headers("BOF")), 503, "SERVICE_UNAVAILABLE")
        assert document["retry_after_s"] == 1

    def test_other_applications_are_mounted_behind_authentication_or_with_their_own(self, make_api: MakeApi) -> None:
        router = APIRouter()

        async def graphql(request: Request) -> PlainTextResponse:
            return PlainTextResponse(principal_of(request).identifier)

        router.add_api_route("", graphql, methods=["POST"])
        api = make_api(graphql=router, mounts=(("/console", PlainTextResponse("the console")),))
        for path in ("/v1/graphql", "/graphql"):
            problem(api.client.post(path), 401, "UNAUTHENTICATED")
            assert api.client.post(path, headers=api.headers("BOF")).text == "ann"
        answer = api.client.get("/console/anything")
        assert answer.text == "the console"
        assert "content-security-policy" not in answer.headers


class TestSettings:
    """What the environment says."""

    def test_nothing_configured_is_a_sandbox_and_anything_of_ones_own_is_not(self) -> None:
        assert Settings.from_environment({}).sandbox is True
        assert Settings.from_environment({"DATABASE_URL": "postgresql://u:secret@db/x"}).sandbox is False
        named = {"OIDC_ISSUER": "https://login.example.com", "OIDC_AUDIENCE": "rollon"}
        assert Settings.from_environment(named).sandbox is False
        assert Settings.from_environment({**named, "ROLLON_SANDBOX": "true"}).sandbox is True

    def test_secrets_are_not_in_the_text_form(self) -> None:
        settings = Settings.from_environment(
            {"DATABASE_URL": "postgresql://u:secret@db/x", "BROKER_URL": "amqp://secret"}
        )
        assert settings.database_url == "postgresql://u:secret@db/x"
        assert "secret" not in repr(settings)

    def test_every_unusable_value_is_named_at_once(self) -> None:
        with pytest.raises(SettingsError) as refused:
            Settings.from_environment(
                {
                    "ROLLON_SANDBOX": "perhaps",
                    "OIDC_ISSUER": "https://login.example.com",
                    "ROLLON_RATE_USER": "-1",
                    "ROLLON_WORKERS": "1000",
                    "ROLLON_CORS_ORIGINS": "https://a.example.com, *",
                }
            )
        for name in ("ROLLON_SANDBOX", "OIDC_AUDIENCE", "ROLLON_RATE_USER", "ROLLON_WORKERS", "ROLLON_CORS_ORIGINS"):
            assert name in str(refused.value)


def test_a_bucket_refills_evenly_and_many_buckets_do_not_fill_the_memory() -> None:
    now = 0.0
    rates = RateLimiter(lambda: now, sweep_at=100)
    assert [rates.take("a", 60) for _ in range(61)] == [None] * 60 + [1]
    now = 0.5
    assert rates.take("a", 60) == 1
    now = 1.0
    assert rates.take("a", 60) is None
    for number in range(10_000):
        rates.take(f"k{number}", 60)
    assert len(rates._buckets) <= 100  # what is swept is not to be seen from outside
