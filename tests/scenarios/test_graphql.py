"""What a user sees of a billing cycle over GraphQL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend
from tests.scenarios.conftest import World

_ACCOUNT = """
query ($account: String!) {
  billingAccount(number: $account) {
    number name status billType allocationMode tags version masterPolicies
    schedule { frequency dueDays }
    balances { dueAndUnpaid { amount currency } totalPaid { amount } accountBalance { amount } anyb { amount } }
    invoices { totalCount pageInfo { hasNextPage } nodes {
      number status periodStart periodEnd remainingDue { amount } statement { totalDue { amount } }
      items { nodes { line memberRecord coverage amount { amount } remainingDue { amount } } }
      payments { payment allocated { amount } }
    } }
    payments { nodes { payment status method allocated { amount } invoices { invoice applied { amount } }
      allocations { nodes { invoice line amount { amount } } } } }
    memberBalances { totalCount nodes { memberRecord memberBalance { amount } paid { amount } } }
    history(first: 3) { nodes { type recordedAt actor payload } pageInfo { endCursor hasNextPage } }
  }
  freshness { position lagMs }
}
"""


def test_an_account_with_everything_on_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="2400.00")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.do(
        "ApplyPayment", account=account, amount="250.00", method="CHECK", check_number="1", check_date="2024-12-20",
        reference="CHK-1", allocation="RULES",
    )  # fmt: skip
    found = world.query(_ACCOUNT, account=account.lower())["billingAccount"]
    assert found["balances"]["dueAndUnpaid"] == {"amount": "50.00", "currency": "USD"}
    [invoice] = found["invoices"]["nodes"]
    assert (invoice["status"], invoice["remainingDue"]["amount"]) == ("PARTIALLY_PAID", "50.00")
    assert invoice["payments"] == [{"payment": "PAY-00000001", "allocated": {"amount": "250.00"}}]
    assert [item["amount"]["amount"] for item in invoice["items"]["nodes"]] == ["100.00", "200.00"]
    [payment] = found["payments"]["nodes"]
    allocated = [part["amount"]["amount"] for part in payment["allocations"]["nodes"]]
    assert allocated == ["83.33", "166.67"]
    assert [one["memberBalance"]["amount"] for one in found["memberBalances"]["nodes"]] == ["16.67", "33.33"]
    assert found["memberBalances"]["totalCount"] == 2
    some = """query ($a: String!, $after: String, $member: String) {
      memberBalances(account: $a, first: 1, after: $after, member: $member) {
        totalCount pageInfo { hasNextPage endCursor } nodes { memberRecord } } }"""
    page = world.query(some, a=account)["memberBalances"]
    assert (page["totalCount"], page["nodes"]) == (2, [{"memberRecord": "MR-1"}])
    page = world.query(some, a=account, after=page["pageInfo"]["endCursor"])["memberBalances"]
    assert (page["totalCount"], page["nodes"]) == (2, [{"memberRecord": "MR-2"}])
    assert not page["pageInfo"]["hasNextPage"]
    assert world.query(some, a=account, member="MR-2")["memberBalances"]["totalCount"] == 1
    monkeypatch.setattr("api.graphql.paging.COUNTED", 1)
    assert world.query(some, a=account)["memberBalances"]["totalCount"] is None
    assert world.query(some, a=account, member="MR-2")["memberBalances"]["totalCount"] == 1
    assert found["history"]["nodes"][0]["type"] == "BillingAccountCreated"
    assert found["history"]["pageInfo"]["hasNextPage"]


_MEMBER = """
query ($member: String!, $account: String!) {
  memberRecord(number: $member) { number state badges version placements { account start end }
    versions { number status type } anyb { total { amount } held } transactions { transactionId type status version } }
  modalPremiumHistory(memberRecord: $member) { nodes { version versionStatus originVersion transactionType effectiveDate
    modalAmount { amount } proratedAmount { amount } days flags current } }
  memberTransactions(memberRecord: $member) { totalCount nodes { transactionId status rolledOnFrom causedBackOff } }
  memberAnyb(memberRecord: $member) { total { amount } items { modalStart invoiced { amount } corrected { amount }
    amount { amount } sources } }
  accountAnyb(account: $account) { total { amount } heldMembers members { nodes { memberRecord total { amount } } } }
  modalCharges(memberRecord: $member, account: $account, from: "2025-01-01", to: "2025-03-31") {
    periodStart net { amount } days whole billingStart invoices }
  premiumProjection(memberRecord: $member, account: $account, from: "2025-04-01", months: 3) {
    periodStart net { amount } }
  premiumWaivers(memberRecord: $member) { waiverId start end }
  rollOnPending { totalCount nodes { memberRecord causedBy backedOff { transactionId } } }
  explainCharge(memberRecord: $member, account: $account, coverage: "LIFE", periodStart: "2025-01-01") {
    basis paymode modalAmount { amount } gross { amount } coefficient
    pieces { start end days unrounded annualAmount { amount } sources } transactions { transactionId effectiveDate } }
  explainAnyb(memberRecord: $member, account: $account) { item { amount { amount } } invoices
    corrected { gross { amount } } transactions { transactionId } events { type position } }
}
"""


def test_a_member_with_an_out_of_sequence_change(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.on("2025-01-20")
    for transaction, day, annual in (("AM-2", "2025-03-01", "1440.00"), ("AM-1", "2025-01-16", "1320.00")):
        world.do(
            "ApplyAmendment", transaction_id=transaction, member_record="MR-1", effective_date=day, kinds=["GENERAL"],
            amounts=[{"coverage": "LIFE", "annual_amount": annual}],
        )  # fmt: skip
    found = world.query(_MEMBER, account=account, member="MR-1")
    assert found["memberRecord"]["badges"] == ["ROLL_ON_PENDING"]
    statuses = {one["number"]: one["status"] for one in found["memberRecord"]["versions"]}
    assert statuses == {1: "INACTIVE", 2: "ACTIVE", 3: "PENDING"}
    assert found["memberAnyb"]["total"]["amount"] == "0.00"  # held at what was last published
    assert found["accountAnyb"]["heldMembers"] == 1
    [pending] = found["rollOnPending"]["nodes"]
    assert pending == {"memberRecord": "MR-1", "causedBy": "AM-1", "backedOff": [{"transactionId": "AM-2"}]}
    assert [one["net"]["amount"] for one in found["modalCharges"]] == ["100.00", "100.00", "120.00"]
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "AM-2", "action": "ROLL_ON"}])
    found = world.query(_MEMBER, account=account, member="MR-1")
    assert found["rollOnPending"]["totalCount"] == 0
    # 15 days at 1200.00 and 16 at 1320.00 a year: 49.32 + 57.86, rounded once.
    assert [one["net"]["amount"] for one in found["modalCharges"]] == ["107.18", "110.00", "120.00"]
    [item] = found["memberAnyb"]["items"]
    assert (item["invoiced"]["amount"], item["corrected"]["amount"]) == ("100.00", "107.18")
    [explained] = found["explainCharge"]
    assert [(piece["days"], piece["unrounded"]) for piece in explained["pieces"]] == [
        (15, "360000/73"),
        (16, "422400/73"),
    ]
    [unbilled] = found["explainAnyb"]
    assert unbilled["corrected"]["gross"]["amount"] == "107.18"
    assert unbilled["invoices"] == ["INV-00000001"]
    current = [row for row in found["modalPremiumHistory"]["nodes"] if row["current"]]
    assert [(row["effectiveDate"], row["originVersion"]) for row in current] == [
        ("2025-03-01", 4), ("2025-02-01", 3), ("2025-01-16", 3), ("2025-01-01", 1),
    ]  # fmt: skip


_HOSTILE = {
    "deep": ("{ linkedAccounts " * 10 + "{ number }" + " }" * 10, "QUERY_TOO_COMPLEX"),
    "wide": ("{" + " ".join(f"a{i}: freshness {{ position }}" for i in range(600)) + "}", "QUERY_TOO_COMPLEX"),
    "huge page": ("{ billingAccounts(first: 100000) { nodes { number } } }", "QUERY_TOO_COMPLEX"),
    "huge page by default": (
        (
            "query ($n: Int = 200) { billingAccounts(first: $n) { nodes { invoices(first: $n) { edges { cursor"
            " node { number } } } } } }"
        ),
        "QUERY_TOO_COMPLEX",
    ),
    "schema again and again": (
        "{" + " ".join(f"a{i}: __schema {{ types {{ name }} }}" for i in range(11)) + "}",
        "QUERY_TOO_COMPLEX",
    ),
    "cursor": ('{ billingAccounts(after: "nonsense") { nodes { number } } }', "CURSOR_INVALID"),
    "type": ("{ billingAccount(number: 7) { number } }", "REQUEST_INVALID"),
    "syntax": ("{ billingAccount(", "REQUEST_INVALID"),
    "nul": (r'{ billingAccount(number: "\u0000") { number } }', "REQUEST_INVALID"),
    "half a pair": (r'{ billingAccount(number: "\ud800") { number } }', "REQUEST_INVALID"),
    "unknown": ("{ secrets }", "REQUEST_INVALID"),
    "mutation": ("mutation { x }", "REQUEST_INVALID"),
    "loop": ("query { ...A } fragment A on Query { freshness { position } ...A }", "REQUEST_INVALID"),
}


@pytest.mark.rule("PLT-072")
def test_hostile_queries_are_refused_and_write_nothing(world: World) -> None:
    token = world.system.issuer.token("ann", world.roles)
    before = world.head()
    for name, (text, code) in _HOSTILE.items():
        response = world.client.post("/v1/graphql", json={"query": text}, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200, (name, response.text)
        answer = response.json()
        assert {error["extensions"]["code"] for error in answer["errors"]} == {code}, name
        assert answer["data"] is None, name
    assert world.head() == before


@pytest.mark.parametrize(("levels", "codes"), [(10, {"REQUEST_INVALID"}), (11, {"QUERY_TOO_COMPLEX"})])
def test_a_query_may_be_ten_levels_deep(world: World, levels: int, codes: set[str]) -> None:
    """The depth is judged before the names are: ten levels of an unknown field are refused for its name only."""
    token = world.system.issuer.token("ann", world.roles)
    text = "{ secrets " * (levels - 1) + "{ secrets }" + " }" * (levels - 1)
    response = world.client.post("/v1/graphql", json={"query": text}, headers={"Authorization": f"Bearer {token}"})
    assert {error["extensions"]["code"] for error in response.json()["errors"]} == codes


@pytest.mark.rule("PLT-097")
def test_users_of_the_portal_are_not_shown_the_schema(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    world.system.projector.catch_up()

    def answer(text: str, *roles: str) -> dict[str, Any]:
        token = world.system.issuer.token("sue", roles, scope_nodes=["C-1"], person="P-SUE")
        headers = {"Authorization": f"Bearer {token}"}
        found: dict[str, Any] = world.client.post("/v1/graphql", json={"query": text}, headers=headers).json()
        return found

    for text in (
        "{ __schema { types { name } } }",
        '{ __type(name: "Invoice") { name } }',
        "query { ...A } fragment A on Query { freshness { position } hidden: __schema { queryType { name } } }",
    ):
        for roles in (["SPO"], ["MBR"], ["SPO", "MBR"]):
            [error] = answer(text, *roles)["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN", (text, roles)
        assert "errors" not in answer(text, "BOF"), text
    own = answer(f'{{ billingAccount(number: "{account}") {{ __typename number }} }}', "SPO")
    assert own["data"]["billingAccount"] == {"__typename": "BillingAccount", "number": account}
    # Nor is a misspelt field answered with those there are.
    misspelt = f'{{ billingAccount(number: "{account}") {{ nubmer }} }}'
    assert "number" in answer(misspelt, "BOF")["errors"][0]["message"]
    [error] = answer(misspelt, "SPO")["errors"]
    assert (error["extensions"]["code"], "number" in error["message"]) == ("REQUEST_INVALID", False)


def test_every_field_needs_its_privilege(world: World) -> None:
    text = "{ billingAccounts { nodes { number } } } "
    for roles, allowed in ((("BOF",), True), (("HUB",), False)):
        token = world.system.issuer.token("eve", roles)
        response = world.client.post(
            "/v1/graphql", json={"query": text}, headers={"Authorization": f"Bearer {token}"}
        ).json()
        assert ("errors" not in response) is allowed
        if not allowed:
            assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_one_reads_ones_own_writes(world: World) -> None:
    token = world.system.issuer.token("ann", world.roles)
    headers = {"Authorization": f"Bearer {token}"}
    world.calendar()
    world.system.projector.catch_up()
    position = world.client.post("/v1/graphql", json={"query": "{ freshness { position } }"}, headers=headers).json()
    reached = position["data"]["freshness"]["position"]
    text = "query ($p: Position) { billingAccounts(minPosition: $p, waitMs: 50) { totalCount } }"
    for wanted, code in ((reached, None), (reached + 5, "PROJECTION_BEHIND")):
        answer = world.client.post(
            "/v1/graphql", json={"query": text, "variables": {"p": wanted}}, headers=headers
        ).json()
        assert (answer["errors"][0]["extensions"]["code"] if "errors" in answer else None) == code
    by_default = text.replace("Position)", f"Position = {reached + 5})", 1)
    answer = world.client.post("/v1/graphql", json={"query": by_default}, headers=headers).json()
    assert answer["errors"][0]["extensions"]["code"] == "PROJECTION_BEHIND"


@pytest.mark.rule("PLT-033", "PLT-016")
def test_a_sponsor_sees_its_own_accounts_only(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    other = world.account(world.sponsor("C-2"))

    def codes(text: str) -> set[str]:
        token = world.system.issuer.token("sue", ["SPO"], scope_nodes=["C-1"], person="P-SUE")
        answer = world.client.post(
            "/v1/graphql", json={"query": text}, headers={"Authorization": f"Bearer {token}"}
        ).json()
        return {error["extensions"]["code"] for error in answer.get("errors", ())}

    assert codes(f'{{ billingAccount(number: "{account}") {{ number balances {{ anyb {{ amount }} }} }} }}') == set()
    assert codes(f'{{ billingAccount(number: "{other}") {{ number }} }}') == {"BILLING_ACCOUNT_NOT_FOUND"}
    assert codes('{ billingAccount(number: "LB999999998") { number } }') == {"BILLING_ACCOUNT_NOT_FOUND"}
    assert codes("{ billingAccounts { nodes { number } } }") == {"FORBIDDEN"}
    assert codes('{ billingAccounts(owner: "C-1") { nodes { number } } }') == set()


def test_a_history_is_limited_by_what_was_recorded_and_by_what_is_effective(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy)
    world.on("2025-02-10")
    amend(world, "MR-1", "2025-01-16", ("LIFE", "2400.00"))
    amend(world, "MR-1", "2025-03-01", ("LIFE", "3600.00"))
    text = """query ($asOf: DateTime, $from: Date, $to: Date) {
      memberRecord(number: "MR-1") { history(asOf: $asOf, dateFrom: $from, dateTo: $to) { nodes { eventId } } }
      events(stream: "member:MR-1", asOf: $asOf, dateFrom: $from, dateTo: $to) { nodes {
        eventId effectiveDate recordedAt } } }"""
    roles = ("AUD",)
    everything = world.query(text, roles=roles)["events"]["nodes"]
    early, late = "2025-01-01T00:00:00Z", "2025-02-10T12:00:01Z"
    pairs = [
        (early, None, None),
        (None, "2025-01-16", None),
        (None, None, "2025-01-31"),
        (late, "2025-01-16", "2025-02-28"),
    ]
    for as_of, first, last in pairs:
        found = world.query(text, roles=roles, asOf=as_of, **{"from": first, "to": last})
        wanted = [
            one["eventId"]
            for one in everything
            if (as_of is None or one["recordedAt"] <= as_of)
            and (first is None or one["effectiveDate"] >= first)
            and (last is None or one["effectiveDate"] <= last)
        ]
        assert 0 < len(wanted) < len(everything)
        assert [one["eventId"] for one in found["events"]["nodes"]] == wanted
        assert [one["eventId"] for one in found["memberRecord"]["history"]["nodes"]] == wanted
    token = world.system.issuer.token("ann", roles, person="P-ANN")
    answer = world.client.post(
        "/v1/graphql",
        json={"query": text, "variables": {"from": "2025-02-01", "to": "2025-01-01"}},
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"DATE_RANGE_INVALID"}
