"""Whose accounts a user may act on (PLT-E06): sponsor G with the units L1 and L2, and a user whose scope is L1."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from httpx import Response

from tests.api.conftest import problem
from tests.api.service import WEEKEND, Service, account_of, customer

LIMITED = ("BOF", "SUP")


@pytest.fixture
def group(service: Service) -> Service:
    """G with L1 and L2 under it, each with an account, and an account of somebody else."""
    service.done("CreateBillingCalendar", WEEKEND)
    service.done("SetDefaultBillingCalendar", {"name": "US-EAST"})
    service.done("CreateBillingCustomer", customer("G"))
    for unit in ("L1", "L2"):
        service.done("CreateBillingCustomer", customer(unit, role="LOCATION", parent="G"))
        service.done("CreateBillingCustomer", customer(f"{unit}-X", role="DIVISION", parent=unit))
    return service


def act(service: Service, name: str, payload: Any, *scope: str, key: str | None = None) -> Response:
    """Send a command as a user with this scope."""
    token = service.system.issuer.token("u", LIMITED, scope_nodes=scope)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or str(uuid4())}
    return service.client.post(f"/v1/commands/{name}", json={"payload": payload}, headers=headers)


def body_of(response: Response) -> dict[str, Any]:
    """The body but for the ids of the request."""
    document: dict[str, Any] = response.json()
    return {name: value for name, value in document.items() if name not in ("instance", "correlation_id")}


@pytest.mark.rule("PLT-E06", "PLT-016", "PLT-033")
def test_an_account_outside_the_scope_is_answered_exactly_as_an_unknown_one(group: Service) -> None:
    inside, outside = group.account("L1"), group.account("L2")
    payload = {"content_type": "SUMMARY"}
    assert act(group, "UpdateInvoicePreferences", {"account": inside, **payload}, "L1").status_code == 200
    events = group.events()
    refused = act(group, "UpdateInvoicePreferences", {"account": outside, **payload}, "L1")
    unknown = act(group, "UpdateInvoicePreferences", {"account": "LB999999999", **payload}, "L1")
    problem(refused, 404, "BILLING_ACCOUNT_NOT_FOUND")
    assert body_of(refused) == body_of(unknown)
    assert group.events() == events


@pytest.mark.rule("PLT-033")
def test_a_scope_covers_the_whole_subtree_of_its_customers(group: Service) -> None:
    accounts = {owner: group.account(owner) for owner in ("G", "L1", "L1-X", "L2", "C-100")}

    def reachable(*scope: str) -> set[str]:
        return {
            owner
            for owner, account in accounts.items()
            if act(group, "UpdateInvoicePreferences", {"account": account}, *scope).status_code == 200
        }

    assert reachable("G") == {"G", "L1", "L1-X", "L2"}
    assert reachable("L1") == {"L1", "L1-X"}
    assert reachable("L1-X", "L2") == {"L1-X", "L2"}
    assert reachable() == set()
    assert reachable("NOBODY") == set()


@pytest.mark.rule("PLT-033", "PLT-016")
def test_a_new_account_is_opened_for_a_customer_in_the_scope_only(group: Service) -> None:
    assert act(group, "CreateBillingAccount", account_of("L1-X"), "L1").status_code == 200
    refused = act(group, "CreateBillingAccount", account_of("L2"), "L1")
    problem(refused, 404, "CUSTOMER_NOT_FOUND")
    assert body_of(refused) == body_of(act(group, "CreateBillingAccount", account_of("ZZ"), "L1"))


@pytest.mark.rule("PLT-035")
def test_a_payment_partly_outside_the_scope_is_not_acted_on_as_a_whole(group: Service) -> None:
    first, second, foreign = group.account("L1"), group.account("L2"), group.account("C-100")

    def received(reference: str, *targets: tuple[str, str]) -> str:
        payload = {
            "payment_reference": reference,
            "amount": "1000.00",
            "currency": "USD",
            "method": "EFT_ACH",
            "token_profile": "TP-1",
            "account_holder": "Northwind Mills",
            "targets": [{"account": account, "amount": amount} for account, amount in targets],
        }
        return str(group.done("AcceptHubPayment", payload, "HUB")["payment"])

    both = received("HUB-1", (first, "650.00"), (second, "350.00"))
    elsewhere = received("HUB-2", (second, "400.00"), (foreign, "600.00"))
    own = received("HUB-3", (first, "1000.00"))
    events = group.events()

    document = problem(act(group, "SuspendPayment", {"payment": both, "reason": "MISDIRECTED"}, "L1"), 403, "FORBIDDEN")
    assert document["problems"][0]["params"] == {"reason": "SCOPE"}
    hidden = act(group, "SuspendPayment", {"payment": elsewhere, "reason": "MISDIRECTED"}, "L1")
    problem(hidden, 404, "PAYMENT_NOT_FOUND")
    assert body_of(hidden) == body_of(act(group, "SuspendPayment", {"payment": "PAY-99999999", "reason": "X"}, "L1"))
    assert group.events() == events
    for payment, scope, accounts in ((own, "L1", [first]), (both, "G", [first, second])):
        answer = act(group, "SuspendPayment", {"payment": payment, "reason": "MISDIRECTED"}, scope)
        assert answer.status_code == 200, answer.text
        assert [record["account"] for record in answer.json()["result"]["records"]] == accounts


@pytest.mark.rule("PLT-035")
def test_a_command_that_names_no_customer_or_account_needs_the_scope_all(group: Service) -> None:
    payload = {"name": "retention.years", "value": 8}
    token = group.system.issuer.token("u", ["ADM"], scope_nodes=["G"])
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    answer = group.client.post("/v1/commands/SetParameter", json={"payload": payload}, headers=headers)
    assert problem(answer, 403, "FORBIDDEN")["problems"][0]["params"] == {"reason": "SCOPE"}
    assert group.send("SetParameter", payload, "ADM").status_code == 200


@pytest.mark.rule("PLT-004", "PLT-016")
def test_the_scope_is_checked_before_a_stored_answer_is_given(group: Service) -> None:
    account = group.account("L1")
    payload = {"account": account, "content_type": "SUMMARY"}
    assert act(group, "UpdateInvoicePreferences", payload, "L1", key="K1").status_code == 200
    assert act(group, "UpdateInvoicePreferences", payload, "L1", key="K1").headers["Idempotency-Replayed"] == "true"
    problem(act(group, "UpdateInvoicePreferences", payload, "L2", key="K1"), 404, "BILLING_ACCOUNT_NOT_FOUND")


@pytest.mark.rule("PLT-033")
def test_a_portal_user_without_a_node_of_its_own_reaches_nothing(group: Service) -> None:
    account = group.account("L1")
    group.system.projector.catch_up()

    def seen(**claims: Any) -> Any:
        token = group.system.issuer.token("m", ["SPO"], **claims)
        question = {"query": f'{{ billingAccount(number: "{account}") {{ number }} }}'}
        answer = group.client.post("/v1/graphql", json=question, headers={"Authorization": f"Bearer {token}"}).json()
        errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
        return errors or answer["data"]["billingAccount"]["number"]

    assert seen(scope_nodes=["L1"]) == account
    for claims in ({}, {"scope_nodes": []}, {"scope_nodes": ["L2"]}):
        assert seen(**claims) == ["BILLING_ACCOUNT_NOT_FOUND"]
