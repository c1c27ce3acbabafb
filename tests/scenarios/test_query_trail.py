"""Who was told what about whom: queries with personal data are recorded before they are answered (PLT-079)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import psycopg
import pytest
from graphql import parse

from api.graphql.context import Context
from api.graphql.execution import record_of
from application.clock import ManualClock
from application.command import Principal
from application.query_trail import DataClass, QueryRecord
from infrastructure.postgres.query_records import PostgresQueryTrail
from tests.scenarios.billing import generate
from tests.scenarios.conftest import World
from tests.scenarios.premiums import individual_account
from tests.scenarios.test_scope_of_reads import asked, seen

_FIND = 'query ($p: String!) { findMembers(text: "Mill", masterPolicy: $p) { nodes { memberRecord lastName } } }'


def trail(world: World, *columns: str) -> list[Any]:
    """The wanted columns of all records, in the order of recording."""
    with world.system.database.reading() as connection, connection.transaction():
        rows = connection.execute("select * from query_audit order by transaction, position")
        names = [one.name for one in rows.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return [one[columns[0]] if len(columns) == 1 else tuple(one[name] for name in columns) for one in found]


@pytest.fixture
def group(world: World) -> tuple[str, str]:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    return account, policy


@pytest.mark.rule("PLT-079")
def test_names_that_were_shown_are_recorded_with_who_asked_and_not_with_the_name_sought(
    world: World, group: tuple[str, str]
) -> None:
    account, policy = group
    found = seen(world, _FIND, p=policy)["findMembers"]["nodes"]
    assert [one["lastName"] for one in found] == ["Miller", "Miller"]
    [(actor, person, kind, query, classes, objects, count)] = trail(
        world, "actor", "person", "actor_kind", "query", "classes", "objects", "object_count"
    )
    assert (person, kind, classes, count) == ("P-UNA", "USER", ["P3"], 2)
    assert objects == ["member:MR-1", "member:MR-2"]
    assert query == [{"field": "findMembers", "arguments": {"text": "***", "masterPolicy": policy}}]
    assert "Mill" not in str([actor, query])
    # Numbers alone tell of nobody, and who is refused is told nothing.
    seen(
        world,
        'query ($p: String!) { findMembers(text: "Mill", masterPolicy: $p) { nodes { memberRecord } } }',
        p=policy,
    )
    seen(
        world,
        "query ($a: String!) { billingAccount(number: $a) { number name balances { anyb { amount } } } }",
        a=account,
    )
    asked(world, _FIND, p=policy, roles=("HUB",))
    assert len(trail(world, "actor")) == 1


_SHOWN = {
    "history": ('{ memberRecord(number: "MR-1") { history { nodes { payload } } } }', ["P3", "P4"], ["member:MR-1"]),
    "payment": ('{ payment(number: "PAY-00000001") { records { history { nodes { payload } } } } }', ["P3"],
                ["payment:PAY-00000001"]),
    "customer": ('{ billingCustomer(reference: "P-MR-1") { email } }', ["P2", "P3"], ["customer:P-MR-1"]),
    "waivers": ('{ premiumWaivers(memberRecord: "MR-1") { source } }', ["P4"], ["member:MR-1"]),
    "stream": ('{ events(stream: "customer:P-MR-1") { nodes { payload } } }', ["P2", "P3"], ["customer:P-MR-1"]),
}  # fmt: skip
_SILENT = (
    '{ memberRecord(number: "MR-1") { number state history { nodes { type recordedAt } } } }',
    '{ billingCustomer(reference: "C-1") { name email } }',
    '{ premiumWaivers(memberRecord: "MR-2") { source } }',
    '{ events(stream: "billing-calendars:all") { nodes { payload } } }',
)


@pytest.mark.rule("PLT-079")
def test_every_way_to_personal_data_is_recorded_with_its_classes(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group(premium_waiver_source="CLAIMS")
    for record in ("MR-1", "MR-2"):
        world.member(policy, record)
    world.do(
        "ApplyPremiumWaiver", transaction_id="WV-1", member_record="MR-1", source="CLAIMS", effective_date="2025-03-01"
    )
    individual = individual_account(world)
    world.do("AcceptExternalPayment", account=account, amount="10.00", designation="UNAPPLIED")
    roles = ("AUD",)
    for expected, (text, classes, objects) in enumerate(_SHOWN.values(), 1):
        assert "errors" not in asked(world, text, roles=roles), text
        records = trail(world, "classes", "objects")
        assert len(records) == expected, text
        assert records[-1] == (classes, objects), text
    name = "query ($a: String!) { billingAccount(number: $a) { name } }"
    for text in _SILENT:
        assert "errors" not in asked(world, text, roles=roles), text
    asked(world, name, a=account, roles=roles)
    assert len(trail(world, "actor")) == len(_SHOWN)
    asked(world, name, a=individual, roles=roles)
    assert trail(world, "classes", "objects")[-1] == (["P3"], [f"account:{individual}"])


@pytest.mark.rule("INV-235")
def test_each_view_of_an_invoice_s_lines_is_recorded(world: World, group: tuple[str, str]) -> None:
    invoice = generate(world, group[0])
    numbers = "query ($i: String!) { invoice(number: $i) { items { nodes { memberRecord } } } }"
    seen(world, "query ($i: String!) { invoice(number: $i) { number status } }", i=invoice)
    assert trail(world, "actor") == []
    for _ in range(2):
        seen(world, numbers, i=invoice)
    assert trail(world, "classes", "objects") == [([], [f"invoice:{invoice}"])] * 2
    seen(world, numbers.replace("memberRecord", "lastName"), i=invoice)
    shown = [f"invoice:{invoice}", "member:MR-1", "member:MR-2"]
    assert trail(world, "classes", "objects")[-1] == (["P3"], shown)


@pytest.mark.rule("PLT-079")
@pytest.mark.parametrize(("people", "named"), [(200, 200), (201, 0)])
def test_above_two_hundred_objects_the_query_and_their_number_are_kept(people: int, named: int) -> None:
    principal = Principal("MACHINE", "crm", "crm", frozenset())
    context = Context(principal, None, ManualClock(dt.datetime(2025, 1, 1, tzinfo=dt.UTC)))  # type: ignore[arg-type]
    for number in range(people):
        context.tell(f"member:MR-{number}", DataClass.IDENTITY)
    document = parse(
        """query ($p: String, $t: String!, $n: Int = 200, $a: String) {
          findMembers(masterPolicy: $p, text: $t, first: $n, after: $a) { totalCount } }"""
    )
    record = record_of(context, document, {"p": "MP-1", "t": "Miller"}, 5, UUID(int=7))
    asked_for = {"masterPolicy": "MP-1", "text": "***", "first": 200, "after": None}
    assert (len(record.objects), record.object_count, record.principal) == (named, people, principal)
    assert record.fields == [{"field": "findMembers", "arguments": asked_for}]


@pytest.mark.rule("PLT-079")
def test_the_trail_is_read_by_auditors_and_reading_it_is_recorded(world: World, group: tuple[str, str]) -> None:
    seen(world, _FIND, p=group[1])
    text = """query ($c: String, $first: Int = 50, $after: String) { recordedQueries(concerning: $c, first: $first,
      after: $after) { pageInfo { hasNextPage endCursor } nodes { person classes objects objectCount query } } }"""
    refused = asked(world, text, roles=("BOF",))
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]

    def read(**criteria: Any) -> Any:
        return asked(world, text, roles=("AUD",), **criteria)["data"]["recordedQueries"]

    [found] = read(c="member:MR-2")["nodes"]
    assert (found["person"], found["classes"], found["objectCount"]) == ("P-UNA", ["P3"], 2)
    assert read(c="member:MR-9")["nodes"] == []
    first = read(first=2)
    assert [one["classes"] for one in first["nodes"]] == [["P3"], ["AUDIT"]]
    rest = read(first=2, after=first["pageInfo"]["endCursor"])
    assert [one["classes"] for one in rest["nodes"]] == [["AUDIT"], ["AUDIT"]]
    assert trail(world, "classes")[1:] == [["AUDIT"]] * 4


@pytest.mark.rule("PLT-079")
def test_what_cannot_be_recorded_is_not_shown(
    world: World, group: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: PostgresQueryTrail, record: QueryRecord) -> None:
        raise psycopg.OperationalError("read-only")

    monkeypatch.setattr(PostgresQueryTrail, "record", failing)
    world.system.projector.catch_up()
    token = world.system.issuer.token("una", ("BOF",))
    headers = {"Authorization": f"Bearer {token}"}
    answer = world.client.post("/v1/graphql", json={"query": _FIND, "variables": {"p": group[1]}}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "Miller" not in answer.text
    plain = {"query": "{ freshness { position } }"}
    assert world.client.post("/v1/graphql", json=plain, headers=headers).status_code == 200
