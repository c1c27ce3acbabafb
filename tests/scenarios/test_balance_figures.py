"""What accounts, products, invoices and payments owe and have, on a day and as it was for a pair of dates (08)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.scenarios.billing import (
    amend,
    amend_for,
    balances,
    cents,
    consuming,
    discard,
    figures_of,
    generate,
    pay,
    pay_invoice,
    plain,
)
from tests.scenarios.conftest import World
from tests.scenarios.premiums import second_account
from tests.scenarios.test_payments_of_members import individual

_PRODUCT = """query ($account: String!, $product: String, $on: Date) {
  productBalances(account: $account, productId: $product, on: $on) {
    productId currency state asOfEffective calculatedAt position
    billed { amount } paid { amount } writtenOff { amount } remainingDue { amount } displayAmount { amount }
    newestInvoiceDue { amount } priorDue { amount } totalDue { amount } minimumDue { amount } pastDue { amount }
    prepaid { amount } memberOverpayment { amount }
    amountTypes { amountType billed { amount } paid { amount } writtenOff { amount } remainingDue { amount } } } }"""
_INVOICE = """query ($number: String!) { invoice(number: $number) {
    totalBilled { amount } paid { amount } offset { amount } writtenOff { amount } remainingDue { amount }
    openCredit { amount } payable { amount } held { amount } collectibleDue { amount }
    payments { payment transactionDate allocated { amount } } } }"""
_PAYMENT = """query ($number: String!) { payment(number: $number) {
    amount { amount } allocated { amount } memberOverpayment { amount } suspense { amount }
    generalSuspense { amount } refunded { amount } transferred { amount }
    records { account amount { amount } unapplied { amount } transferred { amount }
      members { nodes { memberRecord memberUnapplied { amount } memberOverpayment { amount } } }
      allocations { nodes { invoice amount { amount } } } } } }"""

_UNAPPLIED: dict[str, Any] = {"allocation": "TARGETS", "targets": [], "remainder": "KEEP_UNAPPLIED"}


def product(world: World, account: str, product: str, **on: str) -> dict[str, Any]:
    found: dict[str, Any] = plain(world.query(_PRODUCT, account=account, product=product, **on)["productBalances"])
    return found


def refusal(world: World, role: str = "BOF", **variables: Any) -> tuple[str, str | None]:
    """Code and pointer of a refused product query."""
    token = world.system.issuer.token("ann", (role,), person="P-ANN")
    response = world.client.post(
        "/v1/graphql", json={"query": _PRODUCT, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
    )
    [error] = response.json()["errors"]
    [problem] = error["extensions"].get("problems") or [{}]
    return error["extensions"]["code"], problem.get("pointer")


@pytest.fixture
def months(world: World) -> tuple[World, str, list[str]]:
    """BAL-E05: invoices of 100.00 with 0.00, 30.00 and 70.00 left, behind one more that is settled, and 15.00 of
    member overpayment."""
    world.on("2025-01-20").calendar()
    account = individual(world, ("MR-1", "1200.00"), ("MR-2", "0.00"))
    invoices = [generate(world, account) for _ in range(4)]
    pay_invoice(world, account, invoices[0], "100.00", "1")
    pay_invoice(world, account, invoices[1], "100.00", "2")
    pay_invoice(world, account, invoices[2], "70.00", "3")
    pay_invoice(world, account, invoices[3], "30.00", "4")
    target = {"kind": "MEMBER", "member_record": "MR-2", "amount": "15.00"}
    pay(world, account, "15.00", "5", allocation="TARGETS", targets=[target])
    return world, account, invoices


@pytest.mark.rule("BAL-032", "BAL-033", "BAL-034", "BAL-035")
def test_what_is_past_due_and_prepaid_depends_on_the_day(months: tuple[World, str, list[str]]) -> None:
    world, account, _ = months
    expected = {"totalDue": "100.00", "minimumDue": "100.00", "totalBilled": "400.00", "totalPaid": "300.00"}
    days = {"2025-03-01": ("0.00", "45.00"), "2025-03-15": ("30.00", "45.00"), "2025-04-02": ("100.00", "15.00")}
    for day, (past, prepaid) in days.items():
        ahead = balances(world, account, on=day)
        world.on(day)
        now = balances(world, account)
        for found in (ahead, now):
            assert {name: found[name] for name in expected} == expected
            assert (found["pastDue"], found["prepaid"], found["asOfEffective"]) == (past, prepaid, day)
            assert (found["suspense"], found["memberOverpayment"]) == ("0.00", "15.00")
    pay(world, account, "70.00", "6", **_UNAPPLIED)
    assert balances(world, account)["suspense"] == "70.00"


@pytest.mark.rule("BAL-027", "BAL-028", "BAL-029", "BAL-E05")
def test_a_product_is_told_apart_by_its_newest_invoice_and_those_before(
    months: tuple[World, str, list[str]],
) -> None:
    world, account, _ = months
    world.on("2025-03-15")
    found = product(world, account, "MP-1")
    assert (found["newestInvoiceDue"], found["priorDue"], found["totalDue"]) == ("70.00", "30.00", "100.00")
    assert (found["prepaid"], found["pastDue"], found["minimumDue"]) == ("45.00", "30.00", "100.00")
    assert (found["billed"], found["paid"], found["remainingDue"]) == ("400.00", "300.00", "100.00")
    assert (found["state"], found["displayAmount"]) == ("PAYMENT_REQUIRED", "100.00")
    assert found["amountTypes"] == [
        {"amountType": "PREMIUM", "billed": "400.00", "paid": "300.00", "writtenOff": "0.00", "remainingDue": "100.00"}
    ]
    later = product(world, account, "MP-1", on="2025-04-02")
    assert (later["pastDue"], later["prepaid"]) == ("100.00", "15.00")


@pytest.mark.rule("BAL-E23")
def test_a_product_query_is_checked_for_privilege_form_and_existence_in_this_order(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    assert refusal(world, account=account, product="MP-9") == ("PRODUCT_NOT_FOUND", "/productId")
    assert refusal(world, account="LB999999998", product="MP-9")[0] == "BILLING_ACCOUNT_NOT_FOUND"
    for number in (account, "LB999999998"):
        assert refusal(world, account=number) == ("REQUEST_INVALID", "/productId")
    for product_id in ("MP-9", None):
        assert refusal(world, "SCH", account=account, product=product_id)[0] == "FORBIDDEN"
    # A policy that was not billed yet is a product too.
    assert product(world, account, policy)["state"] == "FULLY_PAID"
    invoice = generate(world, account)
    first, second = product(world, account, policy), product(world, account, policy)
    assert first == second
    pay_invoice(world, account, invoice, "40.00", "1")
    third = product(world, account, policy)
    assert third["position"] > second["position"]
    assert (third["remainingDue"], third["paid"]) == ("60.00", "40.00")


@pytest.mark.rule("BAL-027", "BAL-029")
def test_an_invoice_of_two_policies_gives_each_its_own(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    other = world.policy("C-1", "MP-2")
    world.setup(other, account)
    world.member(other, "MR-2", annual="2400.00")
    invoice = generate(world, account)
    pay_invoice(world, account, invoice, "120.00", "1")
    generate(world, account)
    found = {name: product(world, account, name) for name in (policy, other)}
    together = balances(world, account)
    assert [found[name]["billed"] for name in (policy, other)] == ["200.00", "400.00"]
    for figure, total in (("paid", "totalPaid"), ("totalDue", "totalDue"), ("prepaid", "prepaid")):
        assert sum(cents(one[figure]) for one in found.values()) == cents(together[total]), figure


@pytest.mark.rule("BAL-005", "BAL-038")
def test_an_invoice_tells_what_covers_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    consuming(world, False)
    january = generate(world, account)
    pay_invoice(world, account, january, "50.00", "1")
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "720.00", "1200.00")
    february = generate(world, account)
    assert plain(world.query(_INVOICE, number=january)["invoice"]) == {
        "totalBilled": "100.00", "paid": "50.00", "offset": "40.00", "writtenOff": "0.00", "remainingDue": "10.00",
        "openCredit": "0.00", "payable": "10.00", "held": "0.00", "collectibleDue": "10.00",
        "payments": [{"payment": "PAY-00000001", "transactionDate": "2024-12-20", "allocated": "50.00"}],
    }  # fmt: skip
    discard(world, january)
    gone = plain(world.query(_INVOICE, number=january)["invoice"])
    assert {gone[name] for name in ("paid", "offset", "remainingDue", "payable", "collectibleDue")} == {"0.00"}
    credit = plain(world.query(_INVOICE, number=february)["invoice"])
    assert (credit["totalBilled"], credit["remainingDue"], credit["openCredit"]) == ("60.00", "100.00", "40.00")
    assert credit["payable"] == "60.00"


@pytest.mark.rule("BAL-008", "BAL-039")
def test_a_payment_tells_where_each_part_of_it_is(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    other = second_account(world)
    invoice = generate(world, account)
    target = {"kind": "INVOICE", "invoice": invoice, "amount": "100.00"}
    record = pay(world, account, "160.00", "1", **{**_UNAPPLIED, "targets": [target]})["record"]
    move = {"record": record, "reason": "MISAPPLIED", "targets": [{"account": other, "amount": "25.00"}]}
    asked = ["UNALLOCATION", "RETAIN_REMAINDER"]
    world.do("TransferPayment", roles=("ARM",), **move, confirmations=asked)
    number = record.partition("/")[0]
    # A transfer takes the record off its items first (PAY-114); what stays behind is put back.
    world.do("AllocatePayment", record=record, targets=[target], remainder="KEEP_UNAPPLIED")
    found = plain(world.query(_PAYMENT, number=number)["payment"])
    parts = {one["account"]: one for one in found.pop("records")}
    assert found == {
        "amount": "160.00", "allocated": "100.00", "memberOverpayment": "0.00", "suspense": "60.00",
        "generalSuspense": "0.00", "refunded": "0.00", "transferred": "25.00",
    }  # fmt: skip
    figures = ("amount", "unapplied", "transferred")
    assert [parts[account][name] for name in figures] == ["135.00", "35.00", "25.00"]
    assert [parts[other][name] for name in figures] == ["25.00", "25.00", "0.00"]
    assert parts[account]["allocations"]["nodes"] == [{"invoice": invoice, "amount": "100.00"}]
    world.do("SuspendPayment", roles=("ARM",), payment=record, reason="MISDIRECTED")
    found = plain(world.query(_PAYMENT, number=number)["payment"])
    suspended = found["generalSuspense"]
    assert (found["amount"], found["allocated"], suspended, found["suspense"]) == ("160.00", "0.00", "160.00", "0.00")


@pytest.mark.rule("BAL-035", "BAL-039")
def test_a_payment_tells_whose_member_money_it_holds(months: tuple[World, str, list[str]]) -> None:
    world, _, _ = months
    found = plain(world.query(_PAYMENT, number="PAY-00000005")["payment"])
    assert (found["amount"], found["memberOverpayment"], found["suspense"]) == ("15.00", "15.00", "0.00")
    assert found["records"][0]["members"]["nodes"] == [
        {"memberRecord": "MR-2", "memberUnapplied": "0.00", "memberOverpayment": "15.00"}
    ]
    record = "PAY-00000005"
    world.do("ReleaseMemberOverpayment", roles=("ARA",), record=record, member_record="MR-2", amount="6.00")
    found = plain(world.query(_PAYMENT, number=record)["payment"])
    assert (found["amount"], found["memberOverpayment"], found["suspense"]) == ("15.00", "9.00", "6.00")
    assert found["records"][0]["members"]["nodes"] == [
        {"memberRecord": "MR-2", "memberUnapplied": "6.00", "memberOverpayment": "9.00"}
    ]


@pytest.mark.rule("BAL-001")
def test_the_balances_of_any_past_moment_are_those_that_were_shown_then(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy)
    shown = []

    def look(day: str) -> None:
        """What is shown at noon; whatever comes next happens a day later."""
        world.on(day)
        shown.append((f"{day}T12:30:00Z", balances(world, account)))
        world.clock.set(world.clock.now() + dt.timedelta(days=1))

    look("2024-12-20")
    january = generate(world, account)
    look("2024-12-22")
    pay(world, account, "130.00", "1", **_UNAPPLIED)
    look("2024-12-24")
    pay_invoice(world, account, january, "60.00", "2")
    amend(world, "MR-1", "2025-01-01", ("LIFE", "720.00"))
    look("2025-01-10")
    generate(world, account)
    look("2025-01-20")
    discard(world, january)
    look("2025-01-22")
    world.do("ReversePayment", roles=("ARM",), payment="PAY-00000001", reason="ENTRY_ERROR")
    look("2025-01-24")
    assert len({tuple(sorted(figures_of(found).items())) for _, found in shown}) == len(shown)
    for moment, then in shown:
        past = balances(world, account, on=moment[:10], asOf=moment)
        assert figures_of(past) == figures_of(then), moment
        assert (past["asOfEffective"], past["asOfRecorded"]) == (moment[:10], moment)
        assert past["currency"] == then["currency"]


@pytest.mark.rule("BAL-001")
def test_what_was_recorded_later_counts_on_the_day_it_is_effective(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    consuming(world, False)
    generate(world, account)
    world.on("2025-01-20")
    pay(world, account, "100.00", "1", **_UNAPPLIED, effective_date="2025-01-10")
    for on, as_of, unapplied in (
        ("2025-01-09", None, "0.00"),
        ("2025-01-10", None, "100.00"),
        ("2025-01-10", "2025-01-15T00:00:00Z", "0.00"),
        (None, "2025-01-19T00:00:00Z", "0.00"),
        (None, None, "100.00"),
    ):
        pair = {name: one for name, one in (("on", on), ("asOf", as_of)) if one is not None}
        assert balances(world, account, **pair)["unapplied"] == unapplied, pair


@pytest.mark.rule("BAL-001", "PLT-071")
def test_past_balances_wait_for_the_journal_and_present_ones_do_not(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    world.system.projector.catch_up()
    generate(world, account)  # the journal has not heard of it yet
    token = world.system.issuer.token("ann", world.roles, person="P-ANN")

    def asked(arguments: str, declared: str = "", **variables: object) -> str:
        field = f'accountBalances(account: "{account}", waitMs: 50{arguments})'
        text = f"query Q{declared} {{ {field} {{ totalDue {{ amount }} }} }}"
        answer = world.client.post(
            "/v1/graphql", json={"query": text, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
        ).json()
        if "errors" in answer:
            return str(answer["errors"][0]["extensions"]["code"])
        return str(answer["data"]["accountBalances"]["totalDue"]["amount"])

    behind: list[tuple[str, str, dict[str, object]]] = [
        (', on: "2024-12-20"', "", {}),
        (", asOf: $at", "($at: DateTime)", {"at": "2024-12-21T00:00:00Z"}),
        (", on: $on", '($on: Date = "2024-12-20")', {}),
    ]
    present = [
        ("", "", {}),
        (", on: null", "", {}),
        (", on: $on", "($on: Date)", {"on": None}),
        (", on: $on", "($on: Date)", {}),
    ]
    for arguments, declared, variables in behind:
        assert asked(arguments, declared, **variables) == "PROJECTION_BEHIND", arguments
    for arguments, declared, variables in present:
        assert asked(arguments, declared, **variables) == "100.00", arguments
    world.system.projector.catch_up()
    for arguments, declared, variables in behind + present:
        assert asked(arguments, declared, **variables) == "100.00", arguments


@pytest.mark.rule("BAL-004")
def test_items_of_a_discarded_invoice_count_in_no_balance_until_they_are_billed_again(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))

    def found() -> tuple[str, str, str]:
        now = balances(world, account)
        return now["totalDue"], now["totalBilled"], now["anyb"]

    assert found() == ("100.00", "100.00", "10.00")
    second = generate(world, account)  # February, and what January now costs more
    assert found() == ("220.00", "220.00", "0.00")
    discard(world, second)
    # What January now costs more is unbilled again; February is not invoiced, and its charges wait for their invoice.
    assert found() == ("100.00", "100.00", "10.00")
    generate(world, account)
    assert found() == ("220.00", "220.00", "0.00")


@pytest.mark.rule("BAL-019")
def test_only_money_in_force_counts(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    invoice = generate(world, account)
    paid = [
        pay_invoice(world, account, invoice, amount, number)["record"]
        for number, amount in (("1", "10.00"), ("2", "20.00"), ("3", "40.00"))
    ]

    def found() -> tuple[str, str]:
        now = balances(world, account)
        return now["totalPaid"], now["totalDue"]

    assert found() == ("70.00", "30.00")
    world.do("DeclinePayment", roles=("ARM",), payment=paid[0], reason="INSUFFICIENT_FUNDS")
    assert found() == ("60.00", "40.00")
    world.do("ReversePayment", roles=("ARM",), payment=paid[1], reason="ENTRY_ERROR")
    assert found() == ("40.00", "60.00")
    world.do("SuspendPayment", roles=("ARM",), payment=paid[2], reason="MISDIRECTED")
    assert found() == ("0.00", "100.00")


@pytest.mark.rule("BAL-023", "BAL-024")
def test_figures_change_with_the_event_and_for_its_member_alone(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member)
    generate(world, account)
    world.system.projector.catch_up()
    text = """query ($account: String!, $sponsor: String!) {
      accountBalances(account: $account) { anyb { amount } totalDue { amount } }
      memberBalances(account: $account) { nodes { memberRecord anyb { amount } dueAndUnpaid { amount } } }
      consolidatedBilling(customer: $sponsor) { balances { anyb { amount } dueAndUnpaid { amount } } } }"""
    token = world.system.issuer.token("ann", world.roles, person="P-ANN")

    def seen() -> tuple[list[str], list[list[str]]]:
        """Without waiting for any read model: the account's and the organisation's figures, and each member's."""
        answer = world.client.post(
            "/v1/graphql",
            json={"query": text, "variables": {"account": account, "sponsor": "C-1"}},
            headers={"Authorization": f"Bearer {token}"},
        ).json()["data"]
        own, [above] = plain(answer["accountBalances"]), plain(answer["consolidatedBilling"]["balances"])
        assert [above["anyb"], above["dueAndUnpaid"]] == [own["anyb"], own["totalDue"]]
        members = plain(answer["memberBalances"]["nodes"])
        return [own["anyb"], own["totalDue"]], [[one["anyb"], one["dueAndUnpaid"]] for one in members]

    assert seen() == (["0.00", "200.00"], [["0.00", "100.00"], ["0.00", "100.00"]])
    amend(world, "MR-2", "2025-01-01", ("LIFE", "2400.00"))
    assert seen() == (["100.00", "200.00"], [["0.00", "100.00"], ["100.00", "100.00"]])
    pay(world, account, "200.00", "1")
    assert seen() == (["100.00", "0.00"], [["0.00", "0.00"], ["100.00", "0.00"]])
    february = generate(world, account)
    assert seen() == (["0.00", "400.00"], [["0.00", "100.00"], ["0.00", "300.00"]])
    discard(world, february)
    assert seen() == (["100.00", "0.00"], [["0.00", "0.00"], ["100.00", "0.00"]])
    world.do("ReversePayment", roles=("ARM",), payment="PAY-00000001", reason="ENTRY_ERROR")
    assert seen() == (["100.00", "200.00"], [["0.00", "100.00"], ["100.00", "100.00"]])
    world.do(
        "ApplyMasterPolicyTransaction",
        transaction_id="MC-1",
        master_policy=policy,
        type="CANCELLATION",
        effective_date="2025-01-01",
    )
    assert seen() == (["-200.00", "200.00"], [["-100.00", "100.00"], ["-100.00", "100.00"]])


@pytest.mark.rule("BAL-026")
def test_several_policies_on_an_account_share_its_balance_and_have_each_their_paid_to_date(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    other = world.policy("C-1", "MP-2")
    world.setup(other, account)
    world.member(policy)
    world.member(other, "MR-2", annual="2400.00")
    invoice = generate(world, account)
    text = """query ($account: String!, $sponsor: String!) {
      consolidatedBilling(customer: $sponsor) {
        accounts { number balances { accountBalance { amount } anyb { amount } calculatedAt } }
        balances { currency dueAndUnpaid { amount } accountBalance { amount } anyb { amount } calculatedAt } }
      accountPaidToDate(account: $account) { masterPolicy paidToDate } }"""
    pay_invoice(world, account, invoice, "300.00", "1")
    generate(world, account)
    found = plain(world.query(text, account=account, sponsor="C-1"))
    [shown] = found["consolidatedBilling"]["accounts"]
    [total] = found["consolidatedBilling"]["balances"]
    assert (shown["number"], shown["balances"]["accountBalance"]) == (account, "300.00")
    assert (total["currency"], total["dueAndUnpaid"], total["accountBalance"]) == ("USD", "300.00", "300.00")
    assert total["calculatedAt"] == shown["balances"]["calculatedAt"]
    assert {one["masterPolicy"]: one["paidToDate"] for one in found["accountPaidToDate"]} == {
        policy: "2025-02-01",
        other: "2025-02-01",
    }
