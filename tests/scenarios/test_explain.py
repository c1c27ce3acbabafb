"""Every figure leads to what it is made of, down to the events."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from tests.scenarios.billing import amend, generate
from tests.scenarios.conftest import World

_EXPLAIN = """
query ($invoice: String!, $line: Int!, $account: String!) {
  explainInvoiceItem(invoice: $invoice, line: $line) {
    item { kind amount { amount } billed { amount } remainingDue { amount } cause }
    sources { transactionId type }
    charges { gross { amount } pieces { start days sources } version }
    chargesWhenBilled { net { amount } pieces { start end days unrounded sources } }
    otherItems { invoice line amount { amount } }
    money { record amount { amount } event { type position } }
    offsets { invoice line amount { amount } matched }
    events { type position }
  }
  explainBalance(account: $account) { dueAndUnpaid { amount } accountBalance { amount } moreInvoices
    invoices { number remainingDue { amount } openCredit { amount } } payments { record unapplied { amount } } }
}
"""


_LINES = "query ($i: String!) { invoice(number: $i) { items { nodes { line modalStart amount { amount } } } } }"


def test_a_correction_is_explained_by_its_transactions_its_charge_and_its_events(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.on("2025-01-18")
    world.do(
        "ApplyAmendment", transaction_id="AM-1", member_record="MR-1", effective_date="2025-01-16", kinds=["GENERAL"],
        amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
    )  # fmt: skip
    second = world.do("GenerateInvoice", account=account, confirmed=True)["invoice"]
    world.do(
        "ApplyPayment", account=account, amount="300.00", method="CHECK", check_number="1", check_date="2024-12-20",
        reference="CHK-1", allocation="RULES",
    )  # fmt: skip
    lines = world.query(
        "query ($i: String!) { invoice(number: $i) { items { nodes { line kind amount { amount } } } } }", i=second
    )["invoice"]["items"]["nodes"]
    [retro] = [line for line in lines if line["kind"] == "RETRO"]
    assert retro["amount"]["amount"] == "7.18"
    found = world.query(_EXPLAIN, invoice=second, line=retro["line"], account=account)
    item = found["explainInvoiceItem"]
    assert [one["transactionId"] for one in item["sources"]] == ["NB-MR-1", "AM-1"]
    assert item["charges"][0]["gross"]["amount"] == "107.18"
    assert [(one["start"], one["days"]) for one in item["charges"][0]["pieces"]] == [
        ("2025-01-01", 15),
        ("2025-01-16", 16),
    ]
    assert item["otherItems"] == [{"invoice": "INV-00000001", "line": 1, "amount": {"amount": "100.00"}}]
    [money] = item["money"]
    assert (money["amount"]["amount"], money["event"]["type"]) == ("7.18", "PaymentAllocated")
    assert (item["item"]["billed"]["amount"], item["item"]["remainingDue"]["amount"]) == ("7.18", "0.00")
    assert [one["type"] for one in item["events"]] == [
        "InvoiceInitialised",
        "InvoiceProjected",
        "AnybConsumed",
        "InvoiceIssued",
    ]
    balance = found["explainBalance"]
    assert balance["accountBalance"]["amount"] == "-82.82"  # 217.18 billed, 300.00 paid
    assert balance["payments"][0]["unapplied"]["amount"] == "82.82"


def test_a_line_is_explained_by_what_was_known_when_it_was_billed_also_after_later_changes(world: World) -> None:
    """100.00 is billed, then the premium rises within the month, and then from its first day on, out of sequence."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoices = [generate(world, account)]
    world.on("2025-01-18")
    amend(world, "MR-1", "2025-01-16", ("LIFE", "1320.00"), transaction_id="AM-1")
    invoices.append(generate(world, account))
    world.on("2025-02-03")
    amend(world, "MR-1", "2025-01-06", ("LIFE", "600.00"), transaction_id="AM-2")
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "AM-1", "action": "ROLL_ON"}])
    invoices.append(generate(world, account))
    known = [
        ("100.00", [("2025-01-01", 31, ["NB-MR-1"])]),
        ("107.18", [("2025-01-01", 15, ["NB-MR-1"]), ("2025-01-16", 16, ["AM-1"])]),
        # 5 days of 1200.00, 10 of 600.00 and 16 of 1320.00 a year: 16.438 + 16.438 + 57.863.
        (
            "90.74",
            [("2025-01-01", 5, ["NB-MR-1"]), ("2025-01-06", 10, ["AM-2"]), ("2025-01-16", 16, ["AM-1/rolled-on"])],
        ),
    ]
    billed = Decimal(0)
    for invoice, (net, pieces) in zip(invoices, known, strict=True):
        nodes = world.query(_LINES, i=invoice)["invoice"]["items"]["nodes"]
        [line] = [one for one in nodes if one["modalStart"] == "2025-01-01"]
        item = world.query(_EXPLAIN, invoice=invoice, line=line["line"], account=account)["explainInvoiceItem"]
        [then] = item["chargesWhenBilled"]
        assert then["net"]["amount"] == net
        assert [(one["start"], one["days"], one["sources"]) for one in then["pieces"]] == pieces
        if len(pieces) > 1:  # a whole period costs its modal amount
            cents = sum(Fraction(one["unrounded"]) for one in then["pieces"])
            assert Decimal(net) * 100 == int(cents + Fraction(1, 2))
        assert Decimal(line["amount"]["amount"]) == Decimal(net) - billed
        billed = Decimal(net)
        assert item["charges"][0]["gross"]["amount"] == "90.74"
