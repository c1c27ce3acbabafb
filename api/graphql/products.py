"""What one product of an account owes and has, in all and by amount type (BAL-027 to BAL-029, BAL-037).

decision: the product of a line is what its installment pays for, else the one billing product of its master policy
(MEM-015), known by the policy's number; members' overpayment counts for their policy.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import strawberry

from api.graphql.accounts import require_account
from api.graphql.balances import invoice_position
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.scalars import Money, Position, money
from domain.accounts.account import ACCOUNT
from domain.balances.balances import InvoicePosition, Totals, added, due_figures, product_state
from domain.calendar.installment_schedules import INSTALLMENT_SCHEDULES
from domain.errors import refuse
from projections.register.reads import account_rows, overpayment_of_policy, product_dues


@strawberry.type(description="A product's totals in one amount type (BAL-027).")
class AmountTypeTotals:
    amount_type: str = strawberry.field(description="PREMIUM or TAX.")
    billed: Money = strawberry.field(description="Signed sum of its items on live invoices.")
    paid: Money = strawberry.field(description="Money on them.")
    written_off: Money = strawberry.field(description="Written off on them.")
    remaining_due: Money = strawberry.field(description="Billed less paid and written off.")


@strawberry.type(description="What a product of an account owes and has.")
class ProductBalances:
    account: str = strawberry.field(description="The account.")
    product_id: str = strawberry.field(description="The product.")
    currency: str = strawberry.field(description="ISO 4217 code of all its figures.")
    billed: Money = strawberry.field(description="Signed sum of its items on live invoices.")
    paid: Money = strawberry.field(description="Money on them.")
    written_off: Money = strawberry.field(description="Written off on them.")
    remaining_due: Money = strawberry.field(description="Billed less paid and written off, signed.")
    state: str = strawberry.field(
        description="By the sign of the remaining due: PAYMENT_REQUIRED, FULLY_PAID or OVERPAID (BAL-028)."
    )
    display_amount: Money = strawberry.field(
        description="The remaining due without its sign, to be shown by the state."
    )
    amount_types: list[AmountTypeTotals] = strawberry.field(description="The same by amount type.")
    newest_invoice_due: Money = strawberry.field(description="Payable of it on its newest live invoice (BAL-029).")
    prior_due: Money = strawberry.field(description="Payable of it on all older ones.")
    total_due: Money = strawberry.field(description="Both together.")
    minimum_due: Money = strawberry.field(description="What must be paid at least (BAL-031, BAL-032).")
    past_due: Money = strawberry.field(description="The part of it whose due date lies before the day (BAL-033).")
    prepaid: Money = strawberry.field(
        description="Money of it on invoices that are due after the day, and member overpayment (BAL-034)."
    )
    member_overpayment: Money = strawberry.field(description="Money of its members above what they owe.")
    as_of_effective: dt.date = strawberry.field(description="The day.")
    as_of_recorded: dt.datetime = strawberry.field(description="The instant by which events were recorded (BAL-001).")
    calculated_at: dt.datetime = strawberry.field(description="When a figure of the account last changed.")
    position: Position = strawberry.field(description="The position of that change.")


ProductId = Annotated[
    str | None,
    strawberry.argument(
        description="The number of the master policy, which has one billing product (MEM-015), or the product that"
        " installments pay for; needed."
    ),
]
Day = Annotated[
    dt.date | None,
    strawberry.argument(description="The day for past due and prepaid; default: today in the account's time zone."),
]


@strawberry.type
class ProductQueries:
    """The root field of products."""

    @read("balance.view", "What a product of an account owes and has.")
    def product_balances(
        self,
        info: strawberry.Info,
        account: str,
        product_id: ProductId = None,
        on: Day = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> ProductBalances:
        context: Context = info.context
        if product_id is None or not product_id.strip():
            raise refuse("REQUEST_INVALID", "product_id is missing", pointer="/productId")
        number, product = require_account(context, account), product_id.strip()
        rows = product_dues(context.reads, number, product)
        if not rows and not _has_product(context, number, product):
            raise refuse("PRODUCT_NOT_FOUND", "the account has no such product", pointer="/productId")
        return _balances(context, number, product, rows, on)


def _has_product(context: Context, account: str, product: str) -> bool:
    """Whether the account has it without having billed it yet: a policy, or a purchase with a payment plan."""
    loaded = context.state(ACCOUNT, account)
    purchases = context.state(INSTALLMENT_SCHEDULES, account)
    return (loaded is not None and product in loaded.state.master_policies) or (
        purchases is not None and any(one.product == product for one in purchases.state.schedules)
    )


def _balances(
    context: Context, number: str, product: str, rows: list[dict[str, Any]], on: dt.date | None
) -> ProductBalances:
    account = account_rows(context.reads, [number])[number]
    currency = account["currency"]
    by_type: dict[str, list[Totals]] = {}
    by_invoice: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        totals = Totals(row["billed"], row["paid"], row["written_off"])
        by_type.setdefault(row["amount_type"], []).append(totals)
        by_invoice.setdefault(row["invoice"], []).append(row)
    types = {name: added(parts) for name, parts in sorted(by_type.items())}
    total = added(types.values())
    overpayment = overpayment_of_policy(context.reads, number, product)
    day = on or context.today(account["time_zone"])
    dues = due_figures([_position(parts) for parts in by_invoice.values()], day, overpayment)

    def shown(amount: int) -> Money:
        return money(amount, currency)

    return ProductBalances(
        account=number,
        product_id=product,
        currency=currency,
        billed=shown(total.billed),
        paid=shown(total.paid),
        written_off=shown(total.written_off),
        remaining_due=shown(total.remaining_due),
        state=str(product_state(total.remaining_due)),
        display_amount=shown(abs(total.remaining_due)),
        amount_types=[
            AmountTypeTotals(
                amount_type=name,
                billed=shown(one.billed),
                paid=shown(one.paid),
                written_off=shown(one.written_off),
                remaining_due=shown(one.remaining_due),
            )
            for name, one in types.items()
        ],
        newest_invoice_due=shown(dues.newest_invoice_due),
        prior_due=shown(dues.prior_due),
        total_due=shown(dues.total_due),
        minimum_due=shown(dues.minimum_due),
        past_due=shown(dues.past_due),
        prepaid=shown(dues.prepaid),
        member_overpayment=shown(overpayment),
        as_of_effective=day,
        as_of_recorded=context.session.as_of,
        calculated_at=account["changed_at"],
        position=account["position"],
    )


def _position(parts: list[dict[str, Any]]) -> InvoicePosition:
    """The product's part of an invoice, of its parts by amount type."""
    names = ("remaining_due", "open_credit", "paid")
    return invoice_position(parts[0], {name: sum(part[name] for part in parts) for name in names})
