"""What is checked when money is received: everything at once, and for money the bank has yet to collect too."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payments.payment import SuspenseEntryOpened
from tests.scenarios.billing import generate, standing
from tests.scenarios.conftest import World

_CARD = {
    "method": "CREDIT_CARD",
    "token_profile": "TP-1",
    "account_holder": "Northwind Mills",
    "channel": "PORTAL",
    "bank_processing": True,
}


def _to(invoice: str, amount: str) -> dict[str, str]:
    return {"kind": "INVOICE", "invoice": invoice, "amount": amount}


@pytest.fixture
def billed(world: World) -> tuple[World, str, str]:
    """An account with a January invoice of 100.00."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    return world, account, generate(world, account)


def _card(world: World, account: str, amount: str, **members: Any) -> dict[str, Any]:
    [record] = world.do("ApplyPayment", **{"account": account, "amount": amount, **_CARD, **members})["records"]
    return dict(record)


@pytest.mark.rule("PAY-020", "PAY-064", "PAY-065", "PAY-067")
def test_targets_of_money_not_collected_yet_are_checked_as_any_other(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    sponsor = world.sponsor("C-2")
    elsewhere = world.account(sponsor, in_single_bill_setup=True)
    policy = world.policy(sponsor, "MP-2")
    world.setup(policy, elsewhere)
    world.member(policy, "MR-2")
    other = generate(world, elsewhere)

    def refused(amount: str, *targets: dict[str, str], **members: Any) -> list[str]:
        offered = {"account": account, "amount": amount, "targets": targets, "allocation": "TARGETS"}
        return world.refused("ApplyPayment", **{**offered, **_CARD, **members})[1]

    assert refused("50.00", _to(other, "50.00")) == ["INVOICE_ACCOUNT_MISMATCH"]
    assert refused("50.00", _to("INV-99999999", "50.00")) == ["INVOICE_NOT_FOUND"]
    assert refused("50.00", _to(invoice, "60.00")) == ["OVER_ALLOCATED"]
    assert refused("150.00", _to(invoice, "150.00")) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]
    assert refused("150.00", _to(invoice, "10.00")) == ["REMAINDER_CHOICE_REQUIRED"]
    assert refused("50.00", _to(other, "50.00"), account_holder=None) == [
        "PAYMENT_DETAILS_INCOMPLETE",
        "INVOICE_ACCOUNT_MISMATCH",
    ]
    assert _card(world, account, "60.00", targets=[_to(invoice, "60.00")])["status"] == "PENDING"
    assert standing(world, account) == {invoice: ("ISSUED", "100.00")}


@pytest.mark.rule("PAY-020", "PAY-067", "PAY-076")
def test_what_a_user_chose_for_money_without_targets_still_holds_when_it_comes(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    kept = _card(world, account, "30.00", remainder="KEEP_UNAPPLIED")
    spread = _card(world, account, "20.00", remainder="DISTRIBUTE")
    for number, record in enumerate((kept, spread)):
        world.do("ApplyHubPaymentEvent", hub_event_id=f"EV-{number}", payment=record["record"], type="COMPLETED")
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "80.00")}
    query = "query ($account: String!) { accountBalances(account: $account) { unapplied { amount } } }"
    assert world.query(query, account=account)["accountBalances"]["unapplied"]["amount"] == "30.00"


@pytest.mark.rule("PAY-022")
def test_an_event_of_the_hub_counts_once_under_its_id(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    record = _card(world, account, "40.00", targets=[_to(invoice, "40.00")])["record"]
    completed = {"hub_event_id": "EV-1", "payment": record, "type": "COMPLETED"}
    first = world.do("ApplyHubPaymentEvent", **completed)
    position = world.head()
    assert world.do("ApplyHubPaymentEvent", **completed) == first  # delivered again, under another idempotency key
    assert world.head() == position
    assert world.refused("ApplyHubPaymentEvent", **{**completed, "type": "FAILED", "reason": "CHARGEBACK"})[1] == [
        "PAYMENT_EVENT_REJECTED"
    ]
    assert world.refused("ApplyHubPaymentEvent", **{**completed, "hub_event_id": "EV-2"})[1] == [
        "PAYMENT_EVENT_REJECTED"
    ]
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "60.00")}


@pytest.mark.rule("PAY-014", "PAY-018", "PAY-019", "PAY-005")
def test_everything_wrong_with_a_payment_is_told_at_once(billed: tuple[World, str, str]) -> None:
    world, account, _ = billed
    wrong = {"account": account, "method": "CHECK", "effective_date": "2030-01-01", "bank_processing": True}
    told = ["EFFECTIVE_DATE_IN_FUTURE", "PAYMENT_DETAILS_INCOMPLETE", "BANK_PROCESSING_NOT_ALLOWED"]
    assert world.refused("ApplyPayment", amount="10.001", **wrong) == (422, ["AMOUNT_INVALID", *told])
    assert world.refused("ApplyPayment", amount="0.00", currency="EUR", **wrong) == (
        422,
        ["AMOUNT_INVALID", "CURRENCY_MISMATCH", *told],
    )


@pytest.mark.rule("PAY-004")
def test_money_of_the_bank_does_not_come_by_the_methods_of_internal_money_and_credits(
    billed: tuple[World, str, str],
) -> None:
    world, account, _ = billed
    for method in ("INTERNAL", "CREDIT"):
        assert world.refused("ApplyPayment", account=account, amount="10.00", method=method) == (
            422,
            ["PAYMENT_METHOD_INVALID"],
        )


@pytest.mark.rule("PAY-027", "PAY-032")
def test_another_sources_designation_is_checked_before_anything_is_created(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    offered = {"account": account, "amount": "120.00", "designation": "INVOICES"}

    def refused(*targets: dict[str, str], **members: Any) -> list[str]:
        return world.refused("AcceptExternalPayment", **{**offered, "targets": targets, **members})[1]

    assert refused(_to_external("INV-99999999", "10.00")) == ["INVOICE_NOT_FOUND"]
    assert refused(_to_external(invoice, "100.01")) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]
    assert refused(_to_external(invoice, "60.00"), _to_external(invoice, "50.00")) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]
    assert refused() == ["PAYMENT_DATA_MISSING"]
    assert refused(_to_external(invoice, "10.00"), designation="UNAPPLIED") == ["REQUEST_INVALID"]
    [record] = world.do("AcceptExternalPayment", **offered, targets=[_to_external(invoice, "70.00")])["records"]
    assert (record["allocated"], record["unapplied"]) == ("70.00", "50.00")
    world.check(account)


def _to_external(invoice: str, amount: str) -> dict[str, str]:
    return {"invoice": invoice, "amount": amount}


@pytest.mark.rule("PAY-027")
def test_the_hub_is_told_each_field_it_left_out(billed: tuple[World, str, str]) -> None:
    world, _, _ = billed
    response = world.send("AcceptHubPayment", payment_reference="HUB-1", method="CASH")
    [problem] = response.json()["problems"]
    assert (problem["code"], problem["params"]) == (
        "PAYMENT_DATA_MISSING",
        {"fields": ["amount", "currency", "targets"]},
    )


@pytest.mark.rule("PAY-063")
def test_money_that_moved_since_it_was_read_is_a_concurrent_change(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    [record] = world.do("ApplyPayment", account=account, amount="40.00", remainder="KEEP_UNAPPLIED")["records"]
    seen = {"expected_version": record["version"]}
    world.do("AllocatePayment", record=record["record"], targets=[_to(invoice, "10.00")], remainder="KEEP_UNAPPLIED")
    again = {"record": record["record"], "targets": [_to(invoice, "10.00")], "remainder": "KEEP_UNAPPLIED"}
    response = world.send("AllocatePayment", envelope=seen, **again)
    assert (response.status_code, response.json()["code"]) == (409, "CONCURRENT_CHANGE")


@pytest.mark.rule("PAY-026")
def test_a_reference_sent_again_gets_its_first_answer_whatever_became_of_the_money(
    billed: tuple[World, str, str],
) -> None:
    world, account, invoice = billed
    request = {
        "payment_reference": "HUB-1",
        "amount": "100.00",
        "currency": "USD",
        "method": "CASH",
        "targets": [{"account": account}],
    }
    first = world.do("AcceptHubPayment", **request)
    assert [record["status"] for record in first["records"]] == ["ALLOCATED"]
    world.do("UnallocatePayment", record=first["payment"], reason="MISAPPLIED")
    assert standing(world, account) == {invoice: ("ISSUED", "100.00")}
    assert world.do("AcceptHubPayment", **request) == first
    assert world.refused("AcceptHubPayment", **{**request, "amount": "99.00"}) == (409, ["IDEMPOTENCY_CONFLICT"])


def _hub_event(world: World, record: str, number: int, kind: str, **members: Any) -> Any:
    return world.send(
        "ApplyHubPaymentEvent",
        roles=("HUB",),
        **{"hub_event_id": f"EV-{number}", "payment": record, "type": kind, **members},
    )


@pytest.mark.rule("PAY-020", "PAY-022", "PAY-108")
def test_the_hub_fails_only_money_that_awaits_the_bank(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    [check] = world.do(
        "ApplyPayment", account=account, amount="40.00", method="CHECK", check_number="1", check_date="2024-12-20",
        reference="CHK-1", targets=[_to(invoice, "40.00")],
    )["records"]  # fmt: skip
    collected = _card(world, account, "20.00", targets=[_to(invoice, "20.00")])
    assert _hub_event(world, collected["record"], 1, "COMPLETED").status_code == 200
    failing = _card(world, account, "10.00", targets=[_to(invoice, "10.00")])
    [failed] = _hub_event(world, failing["record"], 2, "FAILED").json()["result"]["records"]  # and says no reason
    assert failed["status"] == "DECLINED"
    withdrawn = _card(world, account, "10.00", targets=[_to(invoice, "10.00")])
    world.do("DeclinePayment", payment=withdrawn["record"], reason="CHARGEBACK", roles=("ARM",))
    for number, one in enumerate((check, collected, failing, withdrawn), start=3):
        answer = _hub_event(world, one["record"], number, "FAILED", reason="OTHER", text="Returned")
        assert (answer.status_code, answer.json()["code"]) == (409, "PAYMENT_EVENT_REJECTED")
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "40.00")}
    world.verify()


@pytest.mark.rule("PAY-101", "PAY-106", "PAY-107")
def test_the_hub_reverses_and_declines_what_it_delivered_and_suspends_it_elsewhere(
    billed: tuple[World, str, str],
) -> None:
    world, account, invoice = billed

    def delivered(number: int) -> str:
        money = {"amount": "30.00", "currency": "USD", "method": "CASH", "targets": [{"account": account}]}
        return str(world.do("AcceptHubPayment", payment_reference=f"HUB-{number}", **money)["payment"])

    def asked(name: str, payment: str, reason: str, role: str) -> tuple[int, str]:
        answer = world.send(name, roles=(role,), payment=payment, reason=reason)
        body = answer.json()
        return answer.status_code, body["result"]["records"][0]["status"] if "result" in body else body["code"]

    first, second = delivered(1), delivered(2)
    assert asked("SuspendPayment", first, "MISDIRECTED", "HUB") == (409, "SUSPEND_FROM_DOMAIN_ONLY")
    assert asked("ReversePayment", first, "ENTRY_ERROR", "ARM") == (409, "SUSPENSION_REQUIRED")
    assert asked("ReversePayment", first, "ENTRY_ERROR", "HUB") == (200, "REVERSED")
    assert asked("DeclinePayment", second, "COUNTERFEIT", "HUB") == (200, "DECLINED")
    assert standing(world, account) == {invoice: ("ISSUED", "100.00")}
    world.check(account)


@pytest.mark.rule("PAY-063", "PAY-064", "PAY-114")
def test_what_a_command_would_not_heed_is_refused(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    cash = {"account": account, "amount": "10.00"}
    internal = {**cash, "subtype": "CLAIM_DEDUCTION", "related_entity": "CLM-1"}
    for name, members in (
        ("ApplyPayment", {**cash, "allocation": "RULES", "targets": [_to(invoice, "10.00")]}),
        ("ApplyPayment", {**cash, "allocation": "RULES", "remainder": "KEEP_UNAPPLIED"}),
        ("CreateInternalPayment", {**internal, "allocation": "AUTOMATIC", "targets": [_to(invoice, "10.00")]}),
        ("ApplyPayment", {**cash, "targets": [{**_to(invoice, "10.00"), "member_record": "MR-1"}]}),
        ("ApplyPayment", {**cash, "targets": [{**_to(invoice, "10.00"), "master_policy": "MP-1"}]}),
        ("AcceptExternalPayment", {**cash, "targets": [{**_to_external(invoice, "10.00"), "account": "X"}]}),
    ):
        assert world.refused(name, **members) == (400, ["REQUEST_INVALID"]), members
    [record] = world.do("ApplyPayment", **cash, remainder="KEEP_UNAPPLIED")["records"]
    for_member = {"record": record["record"], "member_record": "MR-1", "targets": [], "remainder": "KEEP_UNAPPLIED"}
    assert world.refused("AllocatePayment", **for_member) == (400, ["REQUEST_INVALID"])
    meant = [{"account": account, "amount": "10.00", "invoice": invoice}]
    moved = {"record": record["record"], "reason": "MISAPPLIED", "targets": meant, "roles": ("ARA",)}
    assert world.refused("TransferPayment", **moved) == (400, ["REQUEST_INVALID"])
    assert standing(world, account) == {invoice: ("ISSUED", "100.00")}


@pytest.mark.rule("PAY-032", "PAY-033", "PAY-037", "PAY-085")
def test_another_sources_money_stays_unapplied_where_automation_is_off_or_it_says_so(
    billed: tuple[World, str, str],
) -> None:
    world, account, invoice = billed
    card = {name: value for name, value in _CARD.items() if name != "channel"}
    pending = world.do(
        "AcceptExternalPayment", account=account, amount="15.00", designation="UNAPPLIED", **card
    )["payment"]  # fmt: skip
    [settled] = _hub_event(world, pending, 1, "COMPLETED").json()["result"]["records"]
    assert (settled["status"], settled["unapplied"]) == ("UNAPPLIED", "15.00")
    world.do("SetParameter", name="allocation.automated_allocation", value=False)
    part = [_to_external(invoice, "20.00")]
    [record] = world.do("AcceptExternalPayment", account=account, amount="20.00", targets=part)["records"]
    assert (record["unapplied"], record["explanation"]) == ("20.00", "AUTOMATION_DISABLED")
    [entry] = [one for one in world.events(SuspenseEntryOpened) if one.record.record_id == record["record"]]
    assert (entry.amount, entry.reason) == (2000, "AUTOMATION_DISABLED")
    assert standing(world, account) == {invoice: ("ISSUED", "100.00")}


_STATED = """
query ($number: String!) { payment(number: $number) { records {
  fundsStatus initiation channel subtype bankProcessing expirationDate } } }
"""


@pytest.mark.rule("PAY-004", "PAY-005", "PAY-012")
def test_a_payment_shows_how_it_came_and_whether_its_funds_are_there(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed

    def stated(payment: str) -> tuple[Any, ...]:
        [record] = world.query(_STATED, number=payment)["payment"]["records"]
        return tuple(record.values())

    part = {"account": account, "amount": "10.00", "targets": [_to(invoice, "10.00")]}
    check = {"method": "CHECK", "check_number": "1", "check_date": "2024-12-20", "reference": "CHK-1"}
    before = world.refused("ApplyPayment", **part, expiration_date="2024-12-19")
    assert before == (400, ["REQUEST_INVALID"])
    paid = world.do("ApplyPayment", **part, **check, expiration_date="2025-06-30")["payment"]
    assert stated(paid) == ("ISSUED", "MANUAL", "UI", None, False, "2025-06-30")
    claim = world.do("CreateInternalPayment", **part, subtype="CLAIM_DEDUCTION", related_entity="CLM-1")["payment"]
    assert stated(claim) == ("CLEARED", "MANUAL", "UI", "CLAIM_DEDUCTION", False, None)
    collected, failed = (_card(world, account, "10.00", targets=part["targets"])["record"] for _ in range(2))
    assert stated(collected) == ("AWAITING", "MANUAL", "PORTAL", None, True, None)
    _hub_event(world, collected, 1, "COMPLETED")
    _hub_event(world, failed, 2, "FAILED")
    assert (stated(collected)[0], stated(failed)[0]) == ("SETTLED", "FAILED")


@pytest.mark.rule("PAY-022")
def test_somebody_is_asked_to_look_into_an_event_of_the_hub_that_was_refused(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed

    def tasks(state: str = "OPEN") -> list[tuple[str, ...]]:
        query = "query ($state: String) { tasks(state: $state) { nodes { type queue subject account code } } }"
        return [tuple(one.values()) for one in world.query(query, roles=("ARM",), state=state)["tasks"]["nodes"]]

    assert _hub_event(world, "PAY-00000001", 1, "COMPLETED").status_code == 404
    assert _hub_event(world, "PAY-00000001", 1, "COMPLETED").status_code == 404  # sent again: one task
    kind = ("HUB_EVENT_REFUSED", "FAILED_OPERATIONS", "PAY-00000001")
    assert tasks() == [(*kind, "", "UNKNOWN_PAYMENT")]
    payment = _card(world, account, "20.00", targets=[_to(invoice, "20.00")])["record"]
    assert payment == "PAY-00000001"
    assert _hub_event(world, payment, 1, "COMPLETED").status_code == 200  # known by now
    assert _hub_event(world, payment, 2, "FAILED").status_code == 409
    assert tasks("CANCELLED") == [(*kind, "", "UNKNOWN_PAYMENT")]
    assert tasks() == [(*kind, account, "PAYMENT_EVENT_REJECTED")]
    told = {"hub_event_id": "EV-3", "payment": payment, "type": "FAILED", "code": "PAYMENT_EVENT_REJECTED"}
    assert world.refused("ReportRefusedHubEvent", **told, roles=("HUB",)) == (403, ["FORBIDDEN"])
    world.verify()


@pytest.mark.rule("PAY-076")
def test_the_targets_of_pending_money_are_replaced_until_it_comes(billed: tuple[World, str, str]) -> None:
    world, account, invoice = billed
    later = generate(world, account)
    pending = _card(world, account, "60.00", targets=[_to(invoice, "60.00")])["record"]
    ask = {"payment": pending, "targets": [_to(later, "40.00")]}
    assert world.refused("PresetAllocation", **ask) == (422, ["REMAINDER_CHOICE_REQUIRED"])
    assert world.refused("PresetAllocation", payment=pending, targets=[_to(later, "60.01")]) == (
        422,
        ["OVER_ALLOCATED"],
    )
    assert world.refused("PresetAllocation", **{**ask, "payment": "PAY-9"}) == (404, ["PAYMENT_NOT_FOUND"])
    [kept] = world.do("PresetAllocation", **ask, remainder="KEEP_UNAPPLIED")["records"]
    assert kept["status"] == "PENDING"
    assert standing(world, account) == {invoice: ("ISSUED", "100.00"), later: ("ISSUED", "100.00")}
    _hub_event(world, pending, 1, "COMPLETED")
    assert standing(world, account) == {invoice: ("ISSUED", "100.00"), later: ("PARTIALLY_PAID", "60.00")}
    assert world.refused("PresetAllocation", **ask, remainder="KEEP_UNAPPLIED") == (409, ["PRESET_NOT_POSSIBLE"])
    world.verify()


@pytest.mark.rule("PAY-028")
@pytest.mark.parametrize("method", ["EFT", "ACH", "EFT_ACH"])
def test_the_hubs_names_of_electronic_money_are_one_method(billed: tuple[World, str, str], method: str) -> None:
    world, account, _ = billed
    money = {"amount": "30.00", "currency": "USD", "method": method, "targets": [{"account": account}]}
    incomplete = world.refused("AcceptHubPayment", payment_reference="HUB-1", **money)
    assert incomplete == (422, ["PAYMENT_DETAILS_INCOMPLETE"])
    named = {"token_profile": "TP-1", "account_holder": "Northwind Mills"}
    paid = world.do("AcceptHubPayment", payment_reference="HUB-1", **money, **named)["payment"]
    query = "query ($number: String!) { payment(number: $number) { records { method } } }"
    assert world.query(query, number=paid)["payment"]["records"] == [{"method": "EFT_ACH"}]
