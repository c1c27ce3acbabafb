"""The dispatcher by the rulebook: layers, keys, dry runs, confirmations, conflicts, batches and the audit trail."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from application.clock import ManualClock, UuidSource
from application.command import Command, CommandAnswer, CommandRequest, CommandType, Outcome, Principal
from application.dispatch import (
    BatchRefused,
    CommandRefused,
    Dispatcher,
    Guard,
    Layer,
    canonical_json,
    fingerprint_of,
    layer_of,
)
from application.unit_of_work import UnitOfWork
from domain.errors import Problem, Refusal, refuse
from infrastructure.postgres.command_records import RETENTION, PostgresAuditTrail, forget_old_answers, lock_number
from infrastructure.postgres.database import Database
from infrastructure.unit_of_work import PostgresUnits
from tests.infrastructure.sample import HANDLERS, TILL, TYPES, FillTill, TillFilled, fill_till

CLERK = Principal(
    "USER", "clerk", "console", frozenset({"till.manage"}), person="P-1", session="S-9", address="10.0.0.1"
)


class Desk:
    """Sends commands the way an edge does."""

    def __init__(self, database: Database, clock: ManualClock, ids: UuidSource) -> None:
        self.database = database
        self.clock = clock
        self.ids = ids
        self.keys = 0
        self.handlers = dict(HANDLERS)
        self.dispatcher = self.with_guards()

    def with_guards(self, *guards: Guard) -> Dispatcher:
        units, audit = PostgresUnits(self.database, self.ids), PostgresAuditTrail(self.database)
        return Dispatcher(units, audit, self.clock, self.ids, guards=guards, types=TYPES, handlers=self.handlers)

    def request(self, name: str, payload: dict[str, Any], **members: Any) -> CommandRequest:
        self.keys += 1
        members.setdefault("idempotency_key", f"key-{self.keys}")
        members.setdefault("principal", CLERK)
        return CommandRequest(name, payload, channel="API", **members)

    def send(self, name: str, payload: dict[str, Any], **members: Any) -> CommandAnswer:
        return self.dispatcher.execute(self.request(name, payload, **members))

    def refused(self, name: str, payload: dict[str, Any], **members: Any) -> CommandRefused:
        with pytest.raises(CommandRefused) as caught:
            self.send(name, payload, **members)
        return caught.value

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.conninfo) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture
def desk(database: Database, clock: ManualClock, ids: UuidSource) -> Desk:
    return Desk(database, clock, ids)


@pytest.fixture
def till(desk: Desk) -> str:
    desk.send("OpenTill", {"till": "T1", "name": "front"})
    return "T1"


# Answers


@pytest.mark.rule("PLT-010")
def test_an_answer_gives_command_id_result_events_and_positions(desk: Desk) -> None:
    answer = desk.send("OpenTill", {"till": "T1", "name": "front"})
    [event] = answer.events
    assert answer.result == {"till": "T1"}
    assert (event.type, event.stream, event.stream_position) == ("TillOpened", "till:T1", 1)
    assert event.position == answer.position
    stored = desk.rows("SELECT event_id::text, command_id::text, position FROM event")
    assert stored == [(event.event_id, answer.command_id, answer.position)]


@pytest.mark.rule("PLT-002")
def test_the_server_stamps_actor_channel_and_correlation_and_keeps_on_behalf_of(desk: Desk) -> None:
    correlation, cause = desk.ids.new(), desk.ids.new()
    desk.send(
        "OpenTill",
        {"till": "T1", "name": "front"},
        correlation_id=correlation,
        causation_id=cause,
        on_behalf_of="branch 7",
    )
    [row] = desk.rows(
        "SELECT actor_kind, actor, client, channel, on_behalf_of, correlation_id, causation_id FROM event"
    )
    assert row == ("USER", "clerk", "console", "API", "branch 7", correlation, cause)


@pytest.mark.rule("PLT-006")
def test_an_effective_date_in_the_envelope_does_not_move_the_recording(desk: Desk) -> None:
    desk.send("OpenTill", {"till": "T1", "name": "front"}, effective_date=dt.date(2024, 12, 31))
    assert desk.rows("SELECT effective_date, recorded_at FROM event") == [(dt.date(2024, 12, 31), desk.clock.now())]


# Layers


@pytest.mark.rule("PLT-013", "PLT-016")
def test_a_missing_privilege_is_all_that_is_told_whatever_else_is_wrong(desk: Desk) -> None:
    stranger = replace(CLERK, privileges=frozenset({"other"}))
    unknown = desk.refused("FillTill", {"till": "none", "colour": 1}, principal=stranger, idempotency_key=None)
    assert (unknown.layer, [p.code for p in unknown.problems]) == (Layer.AUTHORISATION, ["FORBIDDEN"])
    desk.send("OpenTill", {"till": "T1", "name": "front"})
    known = desk.refused("FillTill", {"till": "T1", "amount": "1.00"}, principal=stranger)
    assert known.problems == unknown.problems


@pytest.mark.rule("PLT-013")
def test_an_edge_can_ask_for_the_privilege_before_it_reads_the_body(desk: Desk) -> None:
    stranger = replace(CLERK, privileges=frozenset())
    with pytest.raises(CommandRefused) as caught:
        desk.dispatcher.authorise(desk.request("FillTill", {}, principal=stranger))
    assert (caught.value.layer, caught.value.code) == (Layer.AUTHORISATION, "FORBIDDEN")
    desk.dispatcher.authorise(desk.request("FillTill", {}))
    desk.dispatcher.authorise(desk.request("NoSuchCommand", {}, principal=stranger))


@pytest.mark.rule("PLT-003")
@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 101, "a/b", "a\n"])
def test_a_malformed_key_is_refused_at_the_facade(desk: Desk, key: str) -> None:
    refused = desk.refused("FillTill", {"till": 1}, idempotency_key=key)
    assert (refused.code, [p.pointer for p in refused.problems]) == ("REQUEST_INVALID", [None])


@pytest.mark.rule("PLT-003")
def test_the_key_is_mandatory_except_for_dry_runs(desk: Desk) -> None:
    refused = desk.refused("OpenTill", {"till": "T1", "name": "x"}, idempotency_key=None)
    assert (refused.layer, refused.code) == (Layer.FACADE, "IDEMPOTENCY_KEY_MISSING")
    assert desk.send("OpenTill", {"till": "T1", "name": "x"}, idempotency_key=None, dry_run=True).dry_run


@pytest.mark.rule("PLT-013")
def test_an_unknown_command_is_refused(desk: Desk) -> None:
    refused = desk.refused("BurnTill", {})
    assert (refused.layer, refused.code) == (Layer.COMMAND_FACADE, "COMMAND_UNKNOWN")


@pytest.mark.rule("PLT-014", "PLT-018")
def test_all_malformed_unknown_and_missing_members_are_named_at_once_and_no_rule_is_looked_at(desk: Desk) -> None:
    refused = desk.refused(
        "FillTill", {"amount": 12, "colour": "red", "notes": ["a", 5, "b"], "effective_date": "soon"}
    )
    assert refused.layer == Layer.COMMAND_FACADE
    assert [(p.code, p.pointer) for p in refused.problems] == [
        ("REQUEST_INVALID", "/till"),
        ("REQUEST_INVALID", "/amount"),
        ("REQUEST_INVALID", "/effective_date"),
        ("REQUEST_INVALID", "/notes/1"),
        ("REQUEST_INVALID", "/colour"),
    ]


@pytest.mark.rule("PLT-016")
def test_a_refusal_of_a_malformed_member_does_not_repeat_what_was_sent(desk: Desk) -> None:
    refused = desk.refused("FillTill", {"till": "T1", "amount": "Jane Doe 1980-02-03"})
    assert "Jane" not in str(refused.problems)


def test_a_member_name_is_escaped_in_the_pointer(desk: Desk) -> None:
    refused = desk.refused("OpenTill", {"till": "T1", "name": "x", "a/b~c": 1})
    assert [p.pointer for p in refused.problems] == ["/a~1b~0c"]


def test_numbers_and_text_no_field_can_hold_are_refused_like_any_malformed_member(desk: Desk) -> None:
    too_long = desk.refused("OpenTill", {"till": 10**40, "name": "x"})
    assert [(p.code, p.pointer) for p in too_long.problems] == [("REQUEST_INVALID", "/till")]
    no_text = desk.refused("OpenTill", {"till": "T1", "name": "\ud800"})
    assert [p.code for p in no_text.problems] == ["REQUEST_INVALID"]


@pytest.mark.rule("PLT-013")
@pytest.mark.parametrize(
    ("code", "layer"),
    [
        ("BILLING_ACCOUNT_NOT_FOUND", Layer.EXISTENCE),
        ("UNKNOWN_PAYMENT", Layer.EXISTENCE),
        ("CONCURRENT_CHANGE", Layer.CONCURRENCY),
        ("INVOICE_STATUS_CHANGED", Layer.CONCURRENCY),
        ("SELF_APPROVAL_FORBIDDEN", Layer.AUTHORISATION),
        ("REQUEST_INVALID", Layer.COMMAND_FACADE),
        ("HOLD_ACTIVE", Layer.COMMAND_VALIDATION),
    ],
)
def test_the_layer_of_a_refusal_follows_from_its_code(code: str, layer: Layer) -> None:
    assert layer_of(code) == layer


@pytest.mark.rule("PLT-013")
def test_an_unknown_object_is_a_matter_of_existence(desk: Desk) -> None:
    refused = desk.refused("FillTill", {"till": "none", "amount": "1.00"})
    assert (refused.layer, refused.code) == (Layer.EXISTENCE, "TILL_NOT_FOUND")


@pytest.mark.rule("PLT-012")
def test_a_refused_command_stores_nothing_but_its_audit_record(desk: Desk, till: str) -> None:
    before = desk.count("event"), desk.count("stored_answer"), desk.count("number_sequence")
    desk.refused("OpenTill", {"till": till, "name": "again"})
    assert (desk.count("event"), desk.count("stored_answer"), desk.count("number_sequence")) == before
    assert desk.rows("SELECT outcome, codes FROM command_audit ORDER BY position DESC LIMIT 1") == [
        ("REFUSED", ["STATE_INVALID"])
    ]


# Idempotency


@pytest.mark.rule("PLT-004")
def test_a_refusal_binds_no_key_and_an_answer_does(desk: Desk) -> None:
    key = "K1"
    assert desk.refused("FillTill", {"till": "T1", "amount": "1.00"}, idempotency_key=key).code == "TILL_NOT_FOUND"
    desk.send("OpenTill", {"till": "T1", "name": "front"})
    filled = {"till": "T1", "amount": "5.00"}
    first = desk.send("FillTill", filled, idempotency_key=key)
    desk.send("FillTill", {"till": "T1", "amount": "7.00"})
    again = desk.send("FillTill", filled, idempotency_key=key)
    assert replace(again, replayed=False) == first
    assert again.replayed
    assert desk.count("event") == 3
    other_body = desk.refused("FillTill", {"till": "T1", "amount": "1.00"}, idempotency_key=key)
    other_command = desk.refused("EmptyTill", {"till": "T1"}, idempotency_key=key)
    assert (other_body.code, other_command.code) == ("IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_CONFLICT")
    other_client = desk.send("FillTill", filled, idempotency_key=key, principal=replace(CLERK, client="portal"))
    assert not other_client.replayed
    assert other_client.result == {"balance": 1700}


def test_a_refusal_names_a_thousand_members_at_most(desk: Desk) -> None:
    refused = desk.refused("FillTill", {"till": "T1"} | {f"colour{index}": "red" for index in range(5_000)})
    assert len(refused.problems) == 1_000
    assert {problem.code for problem in refused.problems} == {"REQUEST_INVALID"}


@pytest.mark.rule("PLT-E01", "PLT-003")
def test_the_fingerprint_is_over_values_as_sent_in_any_order_of_members() -> None:
    def fingerprint(payload: dict[str, Any], **members: Any) -> bytes:
        return fingerprint_of(CommandRequest("FillTill", payload, CLERK, "API", **members))

    one = fingerprint({"till": "T1", "amount": "100.00"})
    assert fingerprint({"amount": "100.00", "till": "T1"}) == one
    assert fingerprint({"till": "T1", "amount": "100.0"}) != one
    assert fingerprint({"till": "T1", "amount": "100.00"}, expected_version=1) != one
    assert fingerprint({"till": "T1", "amount": "100.00"}, effective_date=dt.date(2025, 1, 1)) != one
    assert fingerprint({"till": "T1", "amount": "100.00"}, confirmations=("confirmed",)) != one
    assert fingerprint({"till": "T1", "amount": "100.00"}, idempotency_key="other", on_behalf_of="x") == one


@pytest.mark.rule("PLT-003")
def test_canonical_json_has_sorted_members_and_no_blanks() -> None:
    assert (
        canonical_json({"b": [1, {"z": None, "ä": "é\n"}], "a": True})
        == '{"a":true,"b":[1,{"z":null,"ä":"é\\n"}]}'.encode()
    )
    assert canonical_json({"b": 10**30, "a": 1}) == b'{"a":1,"b":1000000000000000000000000000000}'


@pytest.mark.rule("PLT-004")
def test_a_replay_is_given_even_where_the_handler_would_refuse_without_reading(desk: Desk, till: str) -> None:
    sent = {"till": till, "amount": "1.00"}
    first = desk.send("FillTill", sent, idempotency_key="K1")

    def refuses_first(command: FillTill, unit: UnitOfWork) -> Outcome:
        raise refuse("REASON_REQUIRED", "The rules have changed.")

    desk.handlers["FillTill"] = refuses_first
    desk.dispatcher = desk.with_guards()
    assert desk.send("FillTill", sent, idempotency_key="K1").events == first.events
    other = desk.refused("FillTill", {"till": till, "amount": "2.00"}, idempotency_key="K1")
    assert other.code == "IDEMPOTENCY_CONFLICT"
    assert desk.refused("FillTill", sent, idempotency_key="K2").code == "REASON_REQUIRED"


@pytest.mark.rule("PLT-004")
def test_a_handler_that_reads_nothing_is_not_run_twice_either(desk: Desk) -> None:
    def blind(command: FillTill, unit: UnitOfWork) -> Outcome:
        unit.append(TILL, str(unit.new_id()), [_filled(1)])
        return Outcome({"blind": True})

    desk.handlers["FillTill"] = blind
    desk.dispatcher = desk.with_guards()
    sent = {"till": "T1", "amount": "1.00"}
    first = desk.send("FillTill", sent, idempotency_key="K1")
    again = desk.send("FillTill", sent, idempotency_key="K1")
    assert (again.events, again.replayed) == (first.events, True)
    assert desk.count("event") == 1


@pytest.mark.rule("PLT-004", "PLT-019")
def test_the_same_key_while_its_first_command_runs_is_in_progress_and_may_be_sent_again(desk: Desk, till: str) -> None:
    with psycopg.connect(desk.database.conninfo) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [lock_number("key console K1")])
        refused = desk.refused("FillTill", {"till": till, "amount": "1.00"}, idempotency_key="K1")
    assert (refused.code, refused.retry_after) == ("COMMAND_IN_PROGRESS", 1)
    assert desk.send("FillTill", {"till": till, "amount": "1.00"}, idempotency_key="K1").result == {"balance": 100}


@pytest.mark.rule("PLT-004")
def test_two_threads_with_one_key_have_one_effect_and_one_answer(desk: Desk, till: str) -> None:
    answers: list[CommandAnswer | str] = []
    start = threading.Barrier(6)

    def send() -> None:
        start.wait()
        try:
            answers.append(desk.send("FillTill", {"till": till, "amount": "3.00"}, idempotency_key="SAME"))
        except CommandRefused as refused:
            answers.append(refused.code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    given = [answer for answer in answers if not isinstance(answer, str)]
    assert {answer for answer in answers if isinstance(answer, str)} <= {"COMMAND_IN_PROGRESS"}
    assert len({answer.command_id for answer in given}) == 1
    assert sum(not answer.replayed for answer in given) == 1
    assert desk.count("event") == 2


@pytest.mark.rule("PLT-004")
def test_privilege_and_scope_come_before_a_stored_answer(desk: Desk, till: str) -> None:
    class Scope(Guard):
        def admit(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
            unit.load(TILL, "other")  # reading here must not give the stored answer away either
            if unit.principal.scope == ():
                raise refuse("TILL_NOT_FOUND", "There is no such till.")

    sent = {"till": till, "amount": "1.00"}
    desk.dispatcher = desk.with_guards(Scope())
    desk.send("FillTill", sent, idempotency_key="K1")
    lost_privilege = replace(CLERK, privileges=frozenset())
    assert desk.refused("FillTill", sent, idempotency_key="K1", principal=lost_privilege).code == "FORBIDDEN"
    lost_scope = replace(CLERK, scope=())
    assert desk.refused("FillTill", sent, idempotency_key="K1", principal=lost_scope).code == "TILL_NOT_FOUND"
    assert desk.send("FillTill", sent, idempotency_key="K1").replayed


@pytest.mark.rule("PLT-005")
def test_a_key_is_free_again_after_the_retention(desk: Desk, till: str) -> None:
    sent = {"till": till, "amount": "1.00"}
    desk.send("FillTill", sent, idempotency_key="K1")
    desk.clock.advance(RETENTION - dt.timedelta(seconds=1))
    assert desk.send("FillTill", sent, idempotency_key="K1").replayed
    desk.clock.advance(dt.timedelta(seconds=1))
    assert not desk.send("FillTill", {"till": till, "amount": "2.00"}, idempotency_key="K1").replayed
    assert desk.count("event") == 3


@pytest.mark.rule("PLT-005")
def test_the_daily_job_forgets_the_answers_older_than_the_retention(desk: Desk, till: str) -> None:
    for number in range(5):
        desk.send("FillTill", {"till": till, "amount": "1.00"}, idempotency_key=f"old-{number}")
    desk.clock.advance(dt.timedelta(days=60))
    desk.send("FillTill", {"till": till, "amount": "1.00"}, idempotency_key="young")
    desk.clock.advance(dt.timedelta(days=30))
    assert forget_old_answers(desk.database, desk.clock.now(), batch=2) == 6
    assert desk.rows("SELECT key FROM stored_answer") == [("young",)]


# Dry runs and confirmations


@pytest.mark.rule("PLT-007")
def test_a_dry_run_tells_all_and_leaves_nothing(desk: Desk, till: str) -> None:
    position = desk.send("FillTill", {"till": till, "amount": "1200.00"}).position
    before = desk.count("event"), desk.count("stored_answer")
    dry = desk.send("EmptyTill", {"till": till}, dry_run=True, idempotency_key="K1")
    [event] = dry.events
    assert dry.dry_run
    assert dry.result == {"amount": 120_000}
    assert dry.missing_confirmations == ("emptied", "large")
    assert (event.type, event.payload, event.position) == (
        "TillEmptied",
        {"amount": {"currency": "USD", "minor": 120_000}},
        None,
    )
    assert dry.position == position
    assert (desk.count("event"), desk.count("stored_answer")) == before
    real = desk.send("EmptyTill", {"till": till}, confirmations=("emptied", "large"), idempotency_key="K1")
    assert real.events[0].stream_position == event.stream_position


@pytest.mark.rule("PLT-007")
def test_a_dry_run_refuses_what_the_command_would_refuse(desk: Desk, till: str) -> None:
    assert desk.refused("OpenTill", {"till": till, "name": "x"}, dry_run=True).code == "STATE_INVALID"


@pytest.mark.rule("PLT-007")
def test_a_dry_run_takes_no_number(desk: Desk) -> None:
    def numbered(command: FillTill, unit: UnitOfWork) -> Outcome:
        number = unit.next_number("invoice")
        unit.append(TILL, f"N{number}", [_filled(1)])
        return Outcome({"number": number})

    desk.handlers["FillTill"] = numbered
    desk.dispatcher = desk.with_guards()
    sent = {"till": "T1", "amount": "1.00"}
    assert desk.send("FillTill", sent, dry_run=True).result == {"number": 1}
    assert desk.send("FillTill", sent).result == {"number": 1}
    assert desk.send("FillTill", sent).result == {"number": 2}


@pytest.mark.rule("PLT-008")
def test_missing_confirmations_are_all_named_and_nothing_is_written_until_all_are_there(desk: Desk, till: str) -> None:
    desk.send("FillTill", {"till": till, "amount": "1000.00"})
    before = desk.count("event")
    none = desk.refused("EmptyTill", {"till": till})
    assert [(p.code, p.params["confirmation"]) for p in none.problems] == [
        ("CONFIRMATION_REQUIRED", "emptied"),
        ("LARGE_AMOUNT", "large"),
    ]
    one = desk.refused("EmptyTill", {"till": till}, confirmations=("emptied",))
    assert [p.code for p in one.problems] == ["LARGE_AMOUNT"]
    assert desk.count("event") == before
    assert desk.send("EmptyTill", {"till": till}, confirmations=("large", "emptied")).result == {"amount": 100_000}


# Conflicts


@pytest.mark.rule("PLT-E02", "PLT-020")
def test_an_expected_version_that_has_passed_is_a_concurrent_change_with_the_current_one(desk: Desk, till: str) -> None:
    filled = {"till": till, "amount": "1.00"}
    seen = [desk.send("FillTill", filled).events[0].stream_position for _ in range(40)][-1]
    changed = [
        desk.send("FillTill", filled, expected_version=version).events[0].stream_position for version in (41, 42)
    ]
    assert (seen, changed) == (41, [42, 43])
    refused = desk.refused("FillTill", filled, expected_version=seen)
    assert (refused.layer, refused.code) == (Layer.CONCURRENCY, "CONCURRENT_CHANGE")
    assert refused.problems[0].params == {"expected_version": 41, "current_version": 43}
    assert desk.send("FillTill", filled, expected_version=43).events[0].stream_position == 44


@pytest.mark.rule("PLT-020")
def test_a_changed_status_is_told_before_the_changed_version(desk: Desk, till: str) -> None:
    desk.send("FillTill", {"till": till, "amount": "1.00"})
    refused = desk.refused("FillTill", {"till": till, "amount": "1.00"}, expected_version=1)
    assert (refused.code, refused.problems[0].params["from"], refused.problems[0].params["to"]) == (
        "S",
        "EMPTY",
        "FILLED",
    )


@pytest.mark.rule("PLT-021", "PLT-E02")
def test_without_an_expected_version_the_command_is_repeated_on_the_new_state(desk: Desk, till: str) -> None:
    disturbed = _Disturbed(desk, till, times=3)
    assert desk.send("FillTill", {"till": till, "amount": "1.00"}).result == {"balance": 3 * 1000 + 100}
    assert disturbed.seen == [0, 1000, 2000, 3000]


@pytest.mark.rule("PLT-021", "PLT-E02")
def test_after_the_fourth_try_the_conflict_is_told(desk: Desk, till: str) -> None:
    disturbed = _Disturbed(desk, till, times=4)
    refused = desk.refused("FillTill", {"till": till, "amount": "1.00"})
    assert (refused.layer, refused.code) == (Layer.CONCURRENCY, "CONCURRENT_CHANGE")
    assert refused.problems[0].params == {"current_version": 5}
    assert len(disturbed.seen) == 4


@pytest.mark.rule("PLT-021")
def test_with_an_expected_version_a_conflict_is_told_at_once(desk: Desk, till: str) -> None:
    disturbed = _Disturbed(desk, till, times=1)
    refused = desk.refused("FillTill", {"till": till, "amount": "1.00"}, expected_version=1)
    assert (refused.code, len(disturbed.seen)) == ("CONCURRENT_CHANGE", 1)


class _Disturbed:
    """Lets somebody else fill the till between a command's load and its save, a number of times."""

    def __init__(self, desk: Desk, till: str, times: int) -> None:
        self.seen: list[int] = []
        other = Desk(desk.database, desk.clock, UuidSource(desk.clock))

        def handler(command: FillTill, unit: UnitOfWork) -> Outcome:
            self.seen.append(unit.load(TILL, command.till).state.balance)
            outcome = fill_till(command, unit)
            if len(self.seen) <= times:
                other.send("FillTill", {"till": till, "amount": "10.00"}, idempotency_key=f"other-{len(self.seen)}")
            return outcome

        desk.handlers["FillTill"] = handler
        desk.dispatcher = desk.with_guards()


@pytest.mark.rule("PLT-021")
def test_many_machines_on_one_stream_lose_nothing(desk: Desk, till: str) -> None:
    """Six threads fill one till; what is refused after its retries is sent again, as PLT-019 lets clients do."""
    answers: list[int] = []
    refusals: set[str] = set()

    def fill(number: int) -> None:
        own = Desk(desk.database, desk.clock, UuidSource(desk.clock))
        index = 0
        while index < 10:
            try:
                answer = own.send("FillTill", {"till": till, "amount": "1.00"}, idempotency_key=f"{number}-{index}")
            except CommandRefused as refused:
                refusals.add(refused.code)
            else:
                answers.append(answer.result["balance"])
                index += 1

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusals <= {"CONCURRENT_CHANGE"}
    assert sorted(answers) == [100 * count for count in range(1, 61)]


# Guards


@pytest.mark.rule("PLT-013")
def test_guards_refuse_in_their_layer_and_take_part_in_the_transaction(desk: Desk, till: str) -> None:
    class Once(Guard):
        """A second factor that can be used once."""

        def authorise(self, kind: CommandType, principal: Principal) -> None:
            if principal.identifier == "locked":
                raise refuse("USER_LOCKED", "Too many failures.")

        def accept(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
            if unit.load(TILL, "factor").version:
                raise refuse("SECOND_FACTOR_REUSED", "It was used.")
            unit.append(TILL, "factor", [_filled(1)])

    desk.dispatcher = desk.with_guards(Once())
    locked = desk.refused("FillTill", {"bad": 1}, principal=replace(CLERK, identifier="locked"))
    assert (locked.layer, locked.code) == (Layer.AUTHORISATION, "USER_LOCKED")
    answer = desk.send("FillTill", {"till": till, "amount": "1.00"})
    assert [event.stream for event in answer.events] == ["till:T1", "till:factor"]
    assert desk.refused("FillTill", {"till": till, "amount": "1.00"}).code == "SECOND_FACTOR_REUSED"


# Atomic batches


@pytest.mark.rule("PLT-009")
def test_an_atomic_batch_is_done_as_a_whole_each_item_seeing_the_ones_before(desk: Desk) -> None:
    answers = desk.dispatcher.execute_atomic(
        [
            desk.request("OpenTill", {"till": "T1", "name": "front"}, idempotency_key="B#0"),
            desk.request("FillTill", {"till": "T1", "amount": "2.00"}, idempotency_key="B#1"),
            desk.request("FillTill", {"till": "T1", "amount": "3.00"}, idempotency_key="B#2"),
        ]
    )
    assert [answer.result for answer in answers] == [{"till": "T1"}, {"balance": 200}, {"balance": 500}]
    assert desk.rows("SELECT count(DISTINCT transaction), count(*) FROM event") == [(1, 3)]
    assert desk.rows("SELECT count(*) FROM command_audit WHERE outcome = 'ACCEPTED'") == [(3,)]


@pytest.mark.rule("PLT-009")
def test_an_atomic_batch_with_failing_items_does_nothing_and_tells_the_problems_of_each(desk: Desk, till: str) -> None:
    with pytest.raises(BatchRefused) as caught:
        desk.dispatcher.execute_atomic(
            [
                desk.request("FillTill", {"till": till, "amount": "2.00"}, idempotency_key="B#0"),
                desk.request("OpenTill", {"till": till, "name": "again"}, idempotency_key="B#1"),
                desk.request("EmptyTill", {"till": till}, idempotency_key="B#2"),
            ]
        )
    assert {i: refused.code for i, refused in caught.value.refusals.items()} == {
        1: "STATE_INVALID",
        2: "CONFIRMATION_REQUIRED",
    }
    assert desk.count("event") == 1
    assert not desk.send("FillTill", {"till": till, "amount": "9.00"}, idempotency_key="B#0").replayed


@pytest.mark.rule("PLT-009")
def test_an_atomic_batch_over_two_accounts_or_with_malformed_items_is_refused_before_it_starts(desk: Desk) -> None:
    with pytest.raises(BatchRefused) as caught:
        desk.dispatcher.execute_atomic(
            [
                desk.request("FillTill", {"till": "A", "amount": "2.00"}),
                desk.request("FillTill", {"till": "C", "amount": "2.00"}),
            ]
        )
    assert {i: refused.code for i, refused in caught.value.refusals.items()} == {1: "REQUEST_INVALID"}
    with pytest.raises(BatchRefused) as caught:
        desk.dispatcher.execute_atomic(
            [desk.request("FillTill", {"till": "A"}), desk.request("FillTill", {"till": "A", "amount": 5})]
        )
    assert [(i, refused.problems[0].pointer) for i, refused in caught.value.refusals.items()] == [
        (0, "/amount"),
        (1, "/amount"),
    ]


@pytest.mark.rule("PLT-004", "PLT-009")
def test_an_atomic_batch_sent_again_is_replayed(desk: Desk, till: str) -> None:
    def batch() -> list[CommandRequest]:
        return [
            desk.request("FillTill", {"till": till, "amount": "2.00"}, idempotency_key="B#0"),
            desk.request("FillTill", {"till": till, "amount": "3.00"}, idempotency_key="B#1"),
        ]

    first = desk.dispatcher.execute_atomic(batch())
    again = desk.dispatcher.execute_atomic(batch())
    assert [(a.result, a.events) for a in again] == [(a.result, a.events) for a in first]
    assert all(answer.replayed for answer in again)
    assert desk.count("event") == 3


# The audit trail


@pytest.mark.rule("PLT-078")
def test_every_command_leaves_a_record_of_who_what_and_how_it_ended(desk: Desk) -> None:
    opened = desk.send("OpenTill", {"till": "T1", "name": "front"}, idempotency_key="K1")
    desk.send("OpenTill", {"till": "T1", "name": "front"}, idempotency_key="K1")
    desk.send("FillTill", {"till": "T1", "amount": "1.00"}, dry_run=True)
    refused = desk.refused("FillTill", {"till": "T2", "amount": "1.00", "name": "Jane Doe"})
    rows = desk.rows(
        "SELECT outcome, command, layer, codes, object, positions::text, command_id::text, actor, person, client,"
        " session, address FROM command_audit ORDER BY transaction, position"
    )
    who = ("clerk", "P-1", "console", "S-9", "10.0.0.1")
    assert [row[:6] for row in rows] == [
        ("ACCEPTED", "OpenTill", None, [], "till:T1", '{"till:T1":1}'),
        ("REPLAYED", "OpenTill", None, [], None, '{"till:T1":1}'),
        ("DRY_RUN", "FillTill", None, [], None, '{"till:T1":2}'),
        ("REFUSED", "FillTill", "COMMAND_FACADE", ["REQUEST_INVALID"], None, "{}"),
    ]
    assert rows[0][6] == opened.command_id
    assert rows[3][6] == str(refused.command_id)
    assert {row[7:] for row in rows} == {who}
    assert "Jane" not in str(desk.rows("SELECT command_audit::text FROM command_audit"))
    [(fingerprint,)] = desk.rows("SELECT fingerprint FROM command_audit WHERE outcome = 'REFUSED'")
    assert len(fingerprint) == 32


@pytest.mark.rule("PLT-078")
def test_a_technical_failure_is_recorded_and_goes_on_to_the_caller(desk: Desk, till: str) -> None:
    def broken(command: FillTill, unit: UnitOfWork) -> Outcome:
        unit.append(TILL, "x", [_filled(1)])
        raise ZeroDivisionError("a defect")

    desk.handlers["FillTill"] = broken
    desk.dispatcher = desk.with_guards()
    with pytest.raises(ZeroDivisionError):
        desk.send("FillTill", {"till": till, "amount": "1.00"})
    assert desk.rows("SELECT outcome, codes FROM command_audit ORDER BY position DESC LIMIT 1") == [
        ("FAILED", ["INTERNAL_ERROR"])
    ]
    assert desk.count("event") == 1


@pytest.mark.rule("PLT-078")
def test_an_edge_records_its_own_refusals_through_the_dispatcher(desk: Desk) -> None:
    request = desk.request("FillTill", {}, correlation_id=desk.ids.new())
    refused = desk.dispatcher.refuse(request, Layer.FACADE, [Problem("MEDIA_TYPE_UNSUPPORTED", "JSON only.")])
    assert refused.correlation_id == request.correlation_id
    assert desk.rows("SELECT outcome, layer, codes FROM command_audit") == [
        ("REFUSED", "FACADE", ["MEDIA_TYPE_UNSUPPORTED"])
    ]


def test_a_dead_connection_in_the_pool_is_no_reason_to_fail(desk: Desk, till: str) -> None:
    with psycopg.connect(desk.database.conninfo, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert desk.send("FillTill", {"till": till, "amount": "1.00"}, expected_version=1).result == {"balance": 100}


def test_a_refusal_names_at_least_one_problem() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Refusal([])


def _filled(minor: int) -> TillFilled:
    from domain.money import Money

    return TillFilled(amount=Money(minor, "USD"), effective_date=dt.date(2025, 3, 1))
