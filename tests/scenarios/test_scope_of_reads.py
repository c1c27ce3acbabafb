"""What a user with a scope sees of things that lie only partly in it (PLT-E06): sponsor C-1 with the units L-1, L-2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.conftest import World
from tests.scenarios.premiums import given, invoiced
from tests.scenarios.test_members_employment_and_moves import locations

ROLES = ("BOF", "SUP")


def asked(world: World, text: str, *scope: str, roles: tuple[str, ...] = ROLES, **variables: Any) -> dict[str, Any]:
    """The answer to a query of a user with this scope, whatever it is; without a scope: of one who sees all."""
    world.system.projector.catch_up()
    token = world.system.issuer.token("una", roles, person="P-UNA", **({"scope_nodes": list(scope)} if scope else {}))
    response = world.client.post(
        "/v1/graphql", json={"query": text, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
    )
    found: dict[str, Any] = response.json()
    return found


def seen(world: World, text: str, *scope: str, **variables: Any) -> dict[str, Any]:
    answer = asked(world, text, *scope, **variables)
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]
    return found


def refusals(world: World, text: str, *scope: str, **variables: Any) -> list[tuple[str, str | None]]:
    """The codes of a query that must be refused, with the reason each gives."""
    problems = [problem for error in asked(world, text, *scope, **variables)["errors"]
                for problem in error["extensions"]["problems"]]  # fmt: skip
    return [(problem["code"], problem["params"].get("reason")) for problem in problems]


def hub_payment(world: World, *parts: tuple[str, str], reference: str = "HUB-1") -> str:
    result = world.do(
        "AcceptHubPayment", payment_reference=reference, amount="1000.00", currency="USD", method="EFT_ACH",
        token_profile="TP-1", account_holder="Northwind Mills",
        targets=[{"account": account, "amount": amount} for account, amount in parts],
    )  # fmt: skip
    return str(result["payment"])


_PAYMENT = """query ($p: String!) { payment(number: $p) { records { account amount { amount } }
  otherAccounts { amount currency } } }"""
_PAYMENTS = """query ($a: String!) { payments(account: $a) { nodes { payment amount { amount }
  otherAccounts { amount } } } }"""
_HISTORY = "query ($p: String!) { payment(number: $p) { records { history { nodes { type } } } } }"


@pytest.mark.rule("PLT-035", "PLT-E06")
def test_a_payment_partly_in_the_scope_shows_its_own_part_and_one_line_of_other_accounts(world: World) -> None:
    accounts, _ = locations(world, "L-1", "L-2")
    first, second = accounts["L-1"], accounts["L-2"]
    both = hub_payment(world, (first, "650.00"), (second, "350.00"))
    own = hub_payment(world, (first, "1000.00"), reference="HUB-2")
    foreign = hub_payment(world, (second, "400.00"), (accounts["C-1"], "600.00"), reference="HUB-3")

    shown = seen(world, _PAYMENT, "L-1", p=both)["payment"]
    assert shown == {
        "records": [{"account": first, "amount": {"amount": "650.00"}}],
        "otherAccounts": {"amount": "350.00", "currency": "USD"},
    }
    assert seen(world, _PAYMENT, "L-1", p=f" {both.lower()} ")["payment"] == shown
    listed = seen(world, _PAYMENTS, "L-1", a=first)["payments"]["nodes"]
    assert {one["payment"]: (one["amount"]["amount"], one["otherAccounts"]) for one in listed} == {
        both: ("650.00", {"amount": "350.00"}), own: ("1000.00", None),
    }  # fmt: skip
    assert refusals(world, _PAYMENT, "L-1", p=foreign) == refusals(world, _PAYMENT, "L-1", p="PAY-99999999")
    assert refusals(world, _PAYMENT, "L-1", p=foreign) == [("PAYMENT_NOT_FOUND", None)]
    # Its history would name the other accounts.
    assert refusals(world, _HISTORY, "L-1", p=both) == [("FORBIDDEN", "SCOPE")]
    assert seen(world, _HISTORY, "L-1", p=own)["payment"]["records"][0]["history"]["nodes"]
    for scope in ((), ("C-1",), ("L-1", "L-2")):
        whole = seen(world, _PAYMENT, *scope, p=both)["payment"]
        assert [one["account"] for one in whole["records"]] == [first, second]
        assert whole["otherAccounts"] is None


_MEMBER = """query ($m: String!) { memberRecord(number: $m) { placements { account start end }
  anyb { total { amount } items { account } } transactions { type account } }
  memberAnyb(memberRecord: $m) { total { amount } }
  modalPremiumHistory(memberRecord: $m) { nodes { account } } }"""
_MEMBER_HISTORY = "query ($m: String!) { memberRecord(number: $m) { history { nodes { type } } } }"


@pytest.mark.rule("PLT-034", "PLT-E06")
def test_a_member_who_moved_away_is_visible_with_the_days_on_visible_accounts_only(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2")
    first, second = accounts["L-1"], accounts["L-2"]
    world.member(policy, "MR-1", location="L-1")
    world.member(policy, "MR-2", location="L-2")
    invoiced(world, first, 5)
    invoiced(world, second, 5)
    given("ApplyEmploymentChange", world, "MR-1", "2025-05-01", location="L-2")

    shown = seen(world, _MEMBER, "L-1", m="MR-1")
    assert shown["memberRecord"]["placements"] == [{"account": first, "start": "2025-01-01", "end": "2025-04-30"}]
    assert shown["memberRecord"]["anyb"] == {"total": {"amount": "-100.00"}, "items": [{"account": first}]}
    assert shown["memberAnyb"]["total"]["amount"] == "-100.00"
    assert {one["account"] for one in shown["modalPremiumHistory"]["nodes"]} == {first}
    assert second not in {one["account"] for one in shown["memberRecord"]["transactions"]}
    assert refusals(world, _MEMBER_HISTORY, "L-1", m="MR-1") == [("FORBIDDEN", "SCOPE")]
    assert refusals(world, _MEMBER, "L-1", m="MR-2")[0] == ("MEMBER_RECORD_NOT_FOUND", None)
    whole = seen(world, _MEMBER, "C-1", m="MR-1")
    assert [one["account"] for one in whole["memberRecord"]["placements"]] == [first, second]
    assert whole["memberAnyb"]["total"]["amount"] == "0.00"
    assert second in {one["account"] for one in whole["modalPremiumHistory"]["nodes"]}
    assert seen(world, _MEMBER_HISTORY, "C-1", m="MR-1")["memberRecord"]["history"]["nodes"]
    # Paid-to-date asks the account that bills the member on the day.
    text = 'query ($m: String!) { paidToDate(memberRecord: $m, on: "2025-06-01") { account } }'
    assert refusals(world, text, "L-1", m="MR-1") == [("ENTITY_NOT_FOUND", None)]
    assert seen(world, text, "L-2", m="MR-1")["paidToDate"]["account"] == second


_CONSOLIDATED = """query ($c: String!) { consolidatedBilling(customer: $c) { partialScope accounts { number }
  balances { currency dueAndUnpaid { amount } accountBalance { amount } } } }"""


@pytest.mark.rule("PLT-036", "PLT-E06")
def test_a_consolidated_balance_counts_visible_accounts_only_and_says_so(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2")
    world.member(policy, "MR-1", location="L-1")
    world.member(policy, "MR-2", annual="2400.00", location="L-2")
    invoiced(world, accounts["L-1"], 1)
    invoiced(world, accounts["L-2"], 1)

    def balance(customer: str, *scope: str) -> tuple[bool, list[str], list[str]]:
        found = seen(world, _CONSOLIDATED, *scope, c=customer)["consolidatedBilling"]
        figures = [one["accountBalance"]["amount"] for one in found["balances"]]
        return found["partialScope"], [one["number"] for one in found["accounts"]], figures

    assert balance("C-1", "L-1") == (True, [accounts["L-1"]], ["100.00"])
    assert balance("C-1", "C-1") == balance("C-1") == (False, sorted(accounts.values()), ["300.00"])
    assert balance("L-2", "C-1") == (False, [accounts["L-2"]], ["200.00"])
    assert refusals(world, _CONSOLIDATED, "L-1", c="L-2") == [("CUSTOMER_NOT_FOUND", None)]
    assert refusals(world, _CONSOLIDATED, "L-1", c="C-99") == [("CUSTOMER_NOT_FOUND", None)]


@pytest.mark.rule("ACC-096", "BAL-022")
def test_the_consolidated_view_sums_active_accounts_by_currency(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2")
    world.member(policy, "MR-1", location="L-1")
    invoiced(world, accounts["L-1"], 1)
    world.account("L-2", currency="CAD")
    hub_payment(world, (accounts["L-2"], "1000.00"))
    found = seen(world, _CONSOLIDATED, c="C-1")["consolidatedBilling"]
    assert found["balances"] == [
        {"currency": "CAD", "dueAndUnpaid": {"amount": "0.00"}, "accountBalance": {"amount": "0.00"}},
        {"currency": "USD", "dueAndUnpaid": {"amount": "100.00"}, "accountBalance": {"amount": "-900.00"}},
    ]


def test_what_was_said_about_a_suspension_is_kept_and_shown(world: World) -> None:
    accounts, _ = locations(world, "L-1", "L-2")
    text = "query ($p: String!) { payment(number: $p) { records { suspension { reason date text } } } }"
    payment = hub_payment(world, (accounts["L-1"], "1000.00"))
    [record] = seen(world, text, p=payment)["payment"]["records"]
    assert record["suspension"] is None
    said = "Northwind says it was meant for another insurer."
    world.do("SuspendPayment", payment=payment, reason="OTHER", text=said, roles=("SUP",))
    [record] = seen(world, text, p=payment)["payment"]["records"]
    assert record["suspension"] == {"reason": "OTHER", "date": "2025-01-01", "text": said}
    world.do(
        "ReleaseSuspendedPayment", payment=payment, targets=[{"account": accounts["L-2"], "amount": "1000.00"}],
        roles=("SUP",),
    )  # fmt: skip
    assert [one["suspension"] for one in seen(world, text, p=payment)["payment"]["records"]] == [None, None]
