"""Short words for what the scenarios of a billing cycle say and see, over HTTP and in the log."""

from __future__ import annotations

from typing import Any

from domain.invoices.invoice import InvoiceBalancesCalculated, StatementAmounts
from domain.money import parse_amount
from tests.scenarios.conftest import World

_INVOICES = """
query ($account: String!) { billingAccount(number: $account) {
  balances { dueAndUnpaid { amount } totalPaid { amount } accountBalance { amount } anyb { amount } }
  invoices { nodes { number status remainingDue { amount } items { nodes {
    line memberRecord coverage kind amount { amount } remainingDue { amount } } } } }
} }
"""
_FIGURES = """
    totalDue { amount } remainingDue { amount } openCredit { amount } totalBilled { amount } totalPaid { amount }
    writtenOff { amount } unapplied { amount } memberUnapplied { amount } memberOverpayment { amount }
    suspense { amount } anyb { amount } accountBalance { amount } accountBalanceWithAnyb { amount }
    minimumDue { amount } pastDue { amount } prepaid { amount }
"""
_BALANCES = f"""query ($account: String!, $on: Date, $asOf: DateTime) {{
  accountBalances(account: $account, on: $on, asOf: $asOf) {{
    currency asOfEffective asOfRecorded calculatedAt position {_FIGURES} }} }}"""


def cents(amount: str) -> int:
    """Minor units of an amount in US dollars."""
    return parse_amount(amount, "USD")


def generate(world: World, account: str) -> str:
    """Generate the next invoice; its number."""
    return str(world.do("GenerateInvoice", account=account, confirmed=True)["invoice"])


def discard(world: World, invoice: str) -> dict[str, Any]:
    return world.do("DiscardInvoice", invoice=invoice, reason="Wrong rates", confirmed=True)


def regenerate(world: World, invoice: str) -> str:
    """Generate a discarded invoice's period again; the new number."""
    return str(world.do("RegenerateInvoice", invoice=invoice, confirmed=True)["invoice"])


def pay(world: World, account: str, amount: str, number: str, **members: Any) -> dict[str, Any]:
    """A check that arrives now, allocated by the rules unless told otherwise; its only record."""
    today = world.clock.now().date().isoformat()
    result = world.do(
        "ApplyPayment",
        **{
            "account": account,
            "amount": amount,
            "method": "CHECK",
            "check_number": number,
            "check_date": today,
            "reference": f"CHK-{number}",
            "bank_processing": False,
            "allocation": "RULES",
            **members,
        },
    )
    [record] = result["records"]
    return dict(record)


def pay_invoice(world: World, account: str, invoice: str, amount: str, number: str) -> dict[str, Any]:
    """A check for one invoice; what that does not take stays unapplied."""
    target = {"kind": "INVOICE", "invoice": invoice, "amount": amount}
    return pay(world, account, amount, number, allocation="TARGETS", targets=[target], remainder="KEEP_UNAPPLIED")


_counted = iter(range(1, 1_000_000))


def amend(world: World, member: str, day: str, *amounts: tuple[str, str], **members: Any) -> dict[str, Any]:
    """An amendment from a day on: (coverage, annual amount), or one annual amount of LIFE."""
    return world.do(
        "ApplyAmendment",
        **{
            "transaction_id": f"AM-{next(_counted)}",
            "member_record": member,
            "effective_date": day,
            "kinds": ["GENERAL"],
            "amounts": [{"coverage": coverage, "annual_amount": annual} for coverage, annual in amounts],
            **members,
        },
    )


def amend_for(world: World, member: str, start: str, end: str, annual: str, afterwards: str) -> None:
    """Another annual amount of LIFE from a day up to another, and from there on `afterwards`."""
    amend(world, member, start, ("LIFE", annual))
    amend(world, member, end, ("LIFE", afterwards))


def statement(world: World, invoice: str) -> StatementAmounts:
    """The static amounts of an invoice, as its event carries them."""
    found = [one.statement for one in world.events(InvoiceBalancesCalculated) if one.number == invoice]
    assert len(found) == 1
    amounts: StatementAmounts = found[0]
    return amounts


def account_now(world: World, account: str) -> dict[str, Any]:
    """The account as a user sees it: balances and, by number, invoices with status, remaining due and items."""
    found = world.query(_INVOICES, account=account)["billingAccount"]
    return {
        "balances": {name: figure["amount"] for name, figure in found["balances"].items()},
        "invoices": {one["number"]: one for one in found["invoices"]["nodes"]},
    }


def standing(world: World, account: str) -> dict[str, tuple[str, str]]:
    """By invoice: its status and its remaining due."""
    invoices = account_now(world, account)["invoices"]
    return {number: (one["status"], one["remainingDue"]["amount"]) for number, one in invoices.items()}


def lines(world: World, account: str, invoice: str) -> list[tuple[str, str, str, str]]:
    """The lines of an invoice: kind, member record, coverage, amount."""
    nodes = account_now(world, account)["invoices"][invoice]["items"]["nodes"]
    return [(one["kind"], one["memberRecord"], one["coverage"], one["amount"]["amount"]) for one in nodes]


def paid_on(world: World, account: str, invoice: str) -> list[int]:
    """What is paid on each line of an invoice, in minor units."""
    items = world.check(account).items
    return [item.paid for (number, _), item in sorted(items.items()) if number == invoice]


def offset_on(world: World, account: str, invoice: str) -> list[int]:
    """What is offset of each line of an invoice, in minor units."""
    items = world.check(account).items
    return [item.offset for (number, _), item in sorted(items.items()) if number == invoice]


def unapplied(world: World, account: str) -> int:
    """The unapplied money of the account, in minor units."""
    records = world.check(account).records.values()
    return sum(record.unapplied for record in records if record.account == account)


def consuming(world: World, wanted: bool) -> None:
    """Whether issues of invoices use unapplied money, from today on."""
    world.do("SetParameter", name="autoconsumption.invoice_generation", value=wanted)


def plain(found: Any) -> Any:
    """Amounts of money as their text."""
    if isinstance(found, dict):
        return found["amount"] if found.keys() == {"amount"} else {name: plain(one) for name, one in found.items()}
    return [plain(one) for one in found] if isinstance(found, list) else found


def balances(world: World, account: str, **pair: str) -> dict[str, Any]:
    """The balances of an account, as of a pair of dates if one is given."""
    found: dict[str, Any] = plain(world.query(_BALANCES, account=account, **pair)["accountBalances"])
    return found


def figures_of(found: dict[str, Any]) -> dict[str, Any]:
    """Balances without what tells when they were asked for and calculated."""
    return {name: one for name, one in found.items() if name not in {"asOfRecorded", "calculatedAt", "position"}}
