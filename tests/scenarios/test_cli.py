"""The command line as people use it: commands on a database, and the real processes of `serve` and `demo`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from api.cli.bench import command as bench_command
from api.cli.bench import groups
from api.cli.bench.measure import duration, rate
from api.cli.demo import checks
from api.cli.demo import command as demo_command
from api.cli.demo.service import DemoError
from api.cli.main import app
from application.files.enrolment import Maintenance
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.server import EmbeddedServer
from tests.conftest import throwaway_folder
from tests.scenarios.conftest import World
from tests.scenarios.test_imports import ADDED, coverage, enrolment, instruction

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command sets up the logging of its process, which here is that of all the other tests."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def rollon(database_server: EmbeddedServer, service_template: str) -> Iterator[Any]:
    """Runs the command line on a database of its own."""
    conninfo = database_server.copy_database(service_template, "command_line")
    environment = {"DATABASE_URL": conninfo, "ROLLON_SANDBOX": "1", "COLUMNS": "200", "LC_ALL": "C.UTF-8"}

    def run(*arguments: str | Path, columns: str = "200") -> Result:
        return CliRunner().invoke(
            app, [str(argument) for argument in arguments], env={**environment, "COLUMNS": columns}
        )

    yield run
    database_server.drop_database("command_line")


def _written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


class TestImportFile:
    def test_a_broken_file_is_refused_with_the_place_of_every_defect(self, rollon: Any, tmp_path: Path) -> None:
        content = enrolment(
            instruction(Maintenance.ADDITION, "E1", ADDED), instruction(Maintenance.ADDITION, "E2", ADDED)
        )
        path = _written(tmp_path, "broken.834", content.replace(b"DTP*348*D8*20250101", b"DTP*348*D8*20250199"))
        result = rollon("import-file", path)
        assert result.exit_code == 1
        assert re.findall(r"line (\d+), segment (\d+) \(DTP03\)", result.output) == [("12", "12"), ("18", "18")]

    def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(self, rollon: Any, tmp_path: Path) -> None:
        path = _written(tmp_path, "enrol.834", enrolment(instruction(Maintenance.ADDITION, "E1", ADDED)))
        result = rollon("import-file", path, "--dry-run")
        assert (result.exit_code, "ApplyNewBusiness" in result.output) == (0, True)
        assert "taken in before" not in rollon("import-file", path).output

    def test_what_is_left_for_a_person_is_shown_and_a_second_time_has_no_effect(
        self, rollon: Any, tmp_path: Path
    ) -> None:
        path = _written(tmp_path, "enrol.834", enrolment(instruction(Maintenance.ADDITION, "E1", ADDED)))
        first = rollon("import-file", path)
        # There is no such policy: the member's record cannot begin.
        assert first.exit_code == 1
        assert re.search(r"1 steps; done 0, .* refused 1, failed 0", first.output)
        assert "MASTER_POLICY_NOT_FOUND" in first.output
        assert "taken in before" in rollon("import-file", path).output

    def test_premiums_come_from_a_rate_table_where_the_file_has_none(self, rollon: Any, tmp_path: Path) -> None:
        bare = instruction(Maintenance.ADDITION, "E1", coverage(Maintenance.ADDITION, begin="2025-01-01"))
        path = _written(tmp_path, "bare.834", enrolment(bare))
        table = _written(tmp_path, "rates.json", json.dumps({"annual": {"LIF:BASIC": "1200.00"}}).encode())
        assert "PREMIUM_MISSING" in rollon("import-file", path, "--dry-run").output
        assert "ApplyNewBusiness" in rollon("import-file", path, "--dry-run", "--rates", table).output

    @pytest.mark.parametrize("table", [b"no json", b"[]", b'{"other": {}}', b'{"annual": {"LIF": 12.5}}'])
    def test_an_unusable_rate_table_is_misuse(self, rollon: Any, tmp_path: Path, table: bytes) -> None:
        path = _written(tmp_path, "enrol.834", enrolment(instruction(Maintenance.ADDITION, "E1", ADDED)))
        assert rollon("import-file", path, "--rates", _written(tmp_path, "rates.json", table)).exit_code == 2

    def test_a_file_of_another_kind_than_named_is_misuse(self, rollon: Any, tmp_path: Path) -> None:
        path = _written(tmp_path, "enrol.834", enrolment(instruction(Maintenance.ADDITION, "E1", ADDED)))
        result = rollon("import-file", path, "--kind", "BANK_STATEMENT")
        assert (result.exit_code, "ENROLMENT" in result.output) == (2, True)


def test_read_models_and_the_log_are_looked_at_from_the_command_line(rollon: Any, tmp_path: Path) -> None:
    status = rollon("projections", "status")
    assert (status.exit_code, "register" in status.output) == (0, True)
    assert "register: equal" in rollon("projections", "verify").output
    assert rollon("projections", "verify", "nothing").exit_code == 2
    assert "intact" in rollon("audit", "verify").output
    assert "0 events written" in rollon("audit", "export", tmp_path / "log.jsonl").output
    assert rollon("audit", "replay", "account:NONE").exit_code == 1
    lost = rollon("audit", "verify", "account:NONE")
    assert (lost.exit_code, lost.output.splitlines()) == (1, ["there is no event in account:NONE"])


def test_a_table_that_goes_into_a_pipe_is_not_cut(rollon: Any) -> None:
    status = rollon("projections", "status", columns="40")
    assert [name in status.output for name in ("cascades", "register", "FOLLOWING", "RUNNING", "position")] == [
        True
    ] * 5


def test_a_worker_without_a_broker_is_misuse(rollon: Any) -> None:
    result = rollon("worker")
    assert (result.exit_code, "BROKER_URL" in result.output) == (2, True)


# --- Real processes --------------------------------------------------------------------------------------------------


@contextmanager
def _process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TMPDIR": str(folder), "COLUMNS": "160"}
    for name in ("DATABASE_URL", "BROKER_URL", "OIDC_ISSUER"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _answer(url: str, seconds: float = 90) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                content: bytes = response.read()
                return content
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for what a process leaves behind."""
    with throwaway_folder() as folder:
        yield folder


def test_a_sandbox_is_served_and_leaves_nothing_behind(folder: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with _process(folder, "serve", "--sandbox", "--port", str(port)) as process:
        keys = json.loads(_answer(f"http://127.0.0.1:{port}/v1/sandbox/jwks.json"))
        assert keys["keys"]
        assert list(folder.glob("rollon-sandbox-*"))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"http://127.0.0.1:{port}/graphql" in output
    assert list(folder.glob("rollon-sandbox-*")) == []


def test_the_demonstration_tells_its_story_and_all_its_checks_hold(folder: Path) -> None:
    with _process(folder, "demo") as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "no effect" in output
    invoices = re.findall(r"(INV-\d{8}) .*? 2025-\d\d-01 to ", output)
    assert invoices == ["INV-00000001", "INV-00000002", "INV-00000003"]
    for check in ("hash chains", "conservation of cash", "conservation of what is billed", "ledger agrees"):
        assert re.search(rf"{check}.*\byes\b", output), check
    assert list(folder.glob("rollon-sandbox-*")) == []


def test_a_demonstration_whose_checks_fail_says_so_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing_served(start: object) -> Iterator[tuple[None, None]]:
        yield None, None

    class Told:
        account, cases, received = "A", (), 0

        def __init__(self, *_: object) -> None: ...

        def tell(self) -> None: ...

    monkeypatch.setattr(demo_command, "served", nothing_served)
    monkeypatch.setattr(demo_command, "Story", Told)
    monkeypatch.setattr(demo_command, "_last_position", lambda system: 0)
    monkeypatch.setattr(demo_command, "answers", lambda *_: {})
    monkeypatch.setattr(demo_command, "show", lambda *_: None)
    for holds, code in ((True, 0), (False, 1)):
        found = checks.Check("conservation of cash", holds, "")
        monkeypatch.setattr(demo_command, "checks", lambda *_, found=found: iter([found]))
        assert CliRunner().invoke(app, ["demo"]).exit_code == code

    def broken(self: Told) -> None:
        raise DemoError("a file sent again had an effect")

    monkeypatch.setattr(Told, "tell", broken)
    result = CliRunner().invoke(app, ["demo"])
    assert (result.exit_code, "broke off" in result.output) == (1, True)


def test_the_check_of_cash_finds_a_lost_cent() -> None:
    balances = {
        name: {"amount": amount}
        for name, amount in (
            ("totalPaid", "100.00"),
            ("unapplied", "20.00"),
            ("memberUnapplied", "0.00"),
            ("memberOverpayment", "0.00"),
        )
    }
    found = {"accountBalances": balances, "payments": {"nodes": [{"amount": {"amount": "120.00"}}]}}
    assert checks._cash(found, 12_000).holds
    assert not checks._cash(found, 12_001).holds
    balances["unapplied"] = {"amount": "19.99"}
    assert not checks._cash(found, 12_000).holds


class TestBench:
    def test_figures_are_written_as_records_and_a_floor_not_reached_is_an_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        found = [rate("quick", 50.0, 100.0, "items/s", 0.4), duration("short", 2.0, 1.0, "ms", 0.4)]
        monkeypatch.setattr(bench_command, "MEASURES", {"some": lambda: found})
        path = tmp_path / "figures.jsonl"
        assert CliRunner().invoke(app, ["bench", "--json", str(path)]).exit_code == 0
        assert [json.loads(line) for line in path.read_text().splitlines()] == [
            {"name": "quick", "value": 50.0, "floor": 100.0, "ratio": 0.5, "unit": "items/s"},
            {"name": "short", "value": 2.0, "floor": 1.0, "ratio": 0.5, "unit": "ms"},
        ]
        found.append(rate("slow", 39.0, 100.0, "items/s", 0.4))
        assert CliRunner().invoke(app, ["bench"]).exit_code == 1
        assert CliRunner().invoke(app, ["bench", "nothing"]).exit_code == 2

    def test_a_group_to_measure_on_is_billed_like_one_that_was_enrolled(self, world: World) -> None:
        groups.new_account(world.system)
        measured = groups.group(world.system, members=7, coverages=2)
        answer = groups.send(world.system, "GenerateInvoice", account=measured.account, confirmed=True)
        assert (answer.result["lines"], answer.result["total_due"]["amount"]) == (14, "1400.00")
        assert verify_streams(world.system.database) == []
        assert all(report.equal for report in world.system.rebuilder.verify(list(world.system.projections)))
