"""The rulebook's examples of the platform, with the commands it tells them by, on the service as it is wired."""

from __future__ import annotations

import pytest
from httpx import Response

from application.clock import ManualClock
from tests.api.conftest import pointers, problem
from tests.api.service import WEEKEND, Service, account_of
from tests.scenarios.billing import generate, pay_invoice
from tests.scenarios.conftest import World


@pytest.fixture
def with_calendar(service: Service) -> Service:
    """The service with a default calendar, so that accounts can be activated."""
    service.done("CreateBillingCalendar", WEEKEND)
    service.done("SetDefaultBillingCalendar", {"name": "US-EAST"})
    return service


@pytest.mark.rule("PLT-E03", "PLT-013")
def test_plt_e03_layers_and_order(service: Service) -> None:
    events = service.events()
    document = problem(service.send("CreateBillingAccount", None, "CCA", content=b"{not json"), 403, "FORBIDDEN")
    assert len(document["problems"]) == 1

    malformed = account_of("C-999", name=7, colour="red")
    document = problem(service.send("CreateBillingAccount", malformed), 400, "REQUEST_INVALID")
    assert pointers(document) == ["/name", "/colour"]

    document = problem(service.send("CreateBillingAccount", account_of("C-999")), 404, "CUSTOMER_NOT_FOUND")
    assert len(document["problems"]) == 1

    # Every registered customer has an address; what can be missing beside the calendar is the e-mail to deliver to.
    wanted = account_of("C-100", delivery_method="EMAIL")
    document = problem(service.send("CreateBillingAccount", wanted), 422, "MANDATORY_FIELDS_MISSING")
    assert [entry["code"] for entry in document["problems"]] == ["MANDATORY_FIELDS_MISSING", "DELIVERY_NOT_POSSIBLE"]
    assert document["problems"][0]["params"]["fields"] == ["business_calendar"]
    assert service.events() == events


@pytest.mark.rule("PLT-E01", "PLT-004")
def test_plt_e01_idempotency(with_calendar: Service) -> None:
    service, account = with_calendar, with_calendar.account()
    first = {"account": account, "type": "INVOICE", "reason": "audit"}
    second = {**first, "reason": "dispute"}
    service.done("CloseBillingAccount", {"account": account, "reason": "CUSTOMER_REQUEST"})
    problem(service.send("CreateHold", first, key="K1"), 409, "ACCOUNT_NOT_ACTIVE")
    service.done("ReopenBillingAccount", {"account": account}, "ADM")
    accepted = service.send("CreateHold", second, key="K1")
    assert accepted.status_code == 200, accepted.text

    (hold,) = accepted.json()["result"]["holds"]
    hold_id = hold["hold_id"]
    service.done("ReleaseHold", {"account": account, "hold_id": hold_id})
    events = service.events()
    again = service.send("CreateHold", second, key="K1")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == accepted.json()
    other_order = dict(reversed(second.items()))
    assert service.send("CreateHold", other_order, key="K1").json() == accepted.json()
    problem(service.send("CreateHold", first, key="K1"), 409, "IDEMPOTENCY_CONFLICT")
    update = {"account": account, "hold_id": hold_id, "reason": "dispute"}
    problem(service.send("UpdateHold", update, key="K1"), 409, "IDEMPOTENCY_CONFLICT")
    assert service.events() == events
    of_another_client = service.send("CreateHold", second, key="K1", client="payroll")
    assert of_another_client.status_code == 200, of_another_client.text
    assert of_another_client.json()["result"]["holds"][0]["hold_id"] != hold_id


@pytest.mark.rule("PLT-E04", "PLT-007", "PLT-020")
def test_plt_e04_dry_run(service: Service, clock: ManualClock) -> None:
    world = World(service.client, service.system, clock).on("2025-03-10")
    account, policy = world.group(start="2025-04-01")
    world.member(policy, start="2025-04-01", annual="3600.00")
    invoice = generate(world, account)
    pay_invoice(world, account, invoice, "200.00", "1")
    last = pay_invoice(world, account, invoice, "100.00", "2")
    head, version = world.head(), len(service.system.log.streams([f"invoice:{invoice}"]))

    discard = {"invoice": invoice, "reason": "Wrong rates"}
    dry = world.send("DiscardInvoice", envelope={"dry_run": True}, key="K1", **discard).json()
    told = [(event["type"], event["payload"]) for event in dry["events"]]
    unallocated = [payload for name, payload in told if name == "PaymentUnallocated"]
    assert sum(sum(line["amounts"]) for payload in unallocated for line in payload["lines"]) == 300_00
    assert [payload["number"] for name, payload in told if name == "InvoiceDiscarded"] == [invoice]
    assert dry["missing_confirmations"] == ["confirmed"]
    assert dry["position"] == world.head() == head

    # Another user takes 100.00 off.
    world.do("UnallocatePayment", record=last["record"], reason="MISAPPLIED")
    seen = {"expected_version": version, "confirmations": ["confirmed"]}
    refused = world.send("DiscardInvoice", envelope=seen, key="K1", **discard)
    document = problem(refused, 409, "INVOICE_STATUS_CHANGED")
    change = document["problems"][0]["params"]
    assert (change["from"], change["to"]) == ("PAID", "PARTIALLY_PAID")
    again = world.send("DiscardInvoice", envelope={"confirmations": ["confirmed"]}, key="K1", **discard)
    assert again.status_code == 200, again.text


@pytest.mark.rule("PLT-E05", "PLT-009")
def test_plt_e05_batch(with_calendar: Service) -> None:
    service = with_calendar
    accounts = [service.account() for _ in "ABC"]
    service.done("CloseBillingAccount", {"account": accounts[1], "reason": "CUSTOMER_REQUEST"})

    def batch(*numbers: str, mode: str = "INDEPENDENT", key: str = "K9") -> Response:
        commands = [
            {"name": "UpdateInvoicePreferences", "payload": {"account": number, "content_type": "SUMMARY"}}
            for number in numbers
        ]
        return service.send("batch", {"mode": mode, "commands": commands}, key=key)

    def codes(response: Response) -> list[str | None]:
        return [result.get("problem", {}).get("code") for result in response.json()["results"]]

    assert codes(batch(*accounts)) == [None, "ACCOUNT_NOT_ACTIVE", None]
    events = service.events()
    again = batch(*accounts)
    assert codes(again) == [None, "ACCOUNT_NOT_ACTIVE", None]
    assert [result.get("replayed") for result in again.json()["results"]] == [True, None, True]
    assert service.events() == events
    problem(batch(*([accounts[0]] * 501), key="K10"), 413, "BATCH_TOO_LARGE")
    problem(batch(accounts[0], accounts[2], mode="ATOMIC", key="K11"), 400, "REQUEST_INVALID")
    assert service.events() == events
