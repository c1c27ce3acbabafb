"""Who is billed for what: customers, master policies, billing set-ups, and messages that could not be processed."""

from __future__ import annotations

import datetime as dt
import json
from itertools import groupby
from typing import Any

import strawberry

from api.graphql.accounts import BillingAccount, account_of
from api.graphql.balances import figures_of
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.personal import of_dead_letter
from api.graphql.scalars import Money, Payload, Position, money
from application.query_trail import DataClass
from domain.accounts.setup import SETUP
from domain.customers.customer import CUSTOMER, CustomerKind
from domain.errors import refuse
from domain.members.dead_letter import DEAD_LETTER, DeadLetter
from domain.products.master_policy import MASTER_POLICY
from projections.register.reads import DEAD_LETTERS, accounts_below, accounts_owned_by, totals_below


@strawberry.type(description="A postal address.")
class PostalAddress:
    line1: str
    line2: str | None
    city: str
    state: str | None
    postal_code: str | None
    country: str


@strawberry.type(description="A customer: a group sponsor, one of its units, or a person.")
class BillingCustomer:
    reference: strawberry.ID = strawberry.field(description="The customer number.")
    kind: str = strawberry.field(description="ORGANIZATION or INDIVIDUAL.")
    role: str = strawberry.field(description="What the customer is.")
    name: str = strawberry.field(description="The legal name.")
    email: str | None = strawberry.field(description="Where mail goes.")
    parent: str | None = strawberry.field(description="The organisation it belongs to.")
    address: PostalAddress | None = strawberry.field(description="The billing address.")

    @strawberry.field(description="The accounts it owns, by number.")
    def accounts(self, info: strawberry.Info) -> list[BillingAccount]:
        return [account_of(row) for row in accounts_owned_by(info.context.reads, str(self.reference))]


@strawberry.type(description="A transaction of a master policy.")
class PolicyTransaction:
    transaction_id: str
    type: str
    effective_date: dt.date


@strawberry.type(description="The billing product of a master policy.")
class MasterPolicy:
    number: strawberry.ID = strawberry.field(description="The policy number.")
    sponsor: str = strawberry.field(description="The sponsor.")
    product: str = strawberry.field(description="The product.")
    bill_type: str = strawberry.field(description="How it is billed.")
    currency: str = strawberry.field(description="ISO 4217 code.")
    effective_date: dt.date = strawberry.field(description="The first day.")
    expiration_date: dt.date | None = strawberry.field(description="The first day it does not cover; null: open.")
    setup: str | None = strawberry.field(description="The set-up in force.")
    setup_revision: int = strawberry.field(description="Its revision.")
    roll_on_mode: str = strawberry.field(description="AUTOMATIC or MANUAL.")
    multiple_premium_sequences: bool = strawberry.field(description="Whether items may have several sequences.")
    transactions: list[PolicyTransaction] = strawberry.field(description="Its transactions, in order of recording.")
    version: int = strawberry.field(description="The position of its stream.")


@strawberry.type(description="One place to bill in a set-up.")
class SetupEntry:
    key: str = strawberry.field(description="Unit, class and payroll frequency; `sponsor` for the only one.")
    account: str | None = strawberry.field(description="The account.")
    enabled: bool = strawberry.field(description="Whether it bills.")
    not_used: bool = strawberry.field(description="Whether it was marked as not used.")
    complete: bool = strawberry.field(description="Whether it needs nothing more.")


@strawberry.type(description="Which account bills which members of a master policy.")
class BillingSetup:
    setup_ref: strawberry.ID = strawberry.field(description="Its reference.")
    master_policy: str = strawberry.field(description="The policy.")
    sponsor: str = strawberry.field(description="The sponsor.")
    bill_type: str = strawberry.field(description="The bill type.")
    allocation_mode: str | None = strawberry.field(description="TRUE_GROUP or INDIVIDUAL.")
    setup_type: str = strawberry.field(description="By what members are told apart.")
    issued_revision: int = strawberry.field(description="The revision in force; 0: none.")
    has_draft: bool = strawberry.field(description="Whether a draft waits to be issued.")
    entries: list[SetupEntry] = strawberry.field(description="Its places to bill.")
    version: int = strawberry.field(description="The position of its stream.")


@strawberry.type(description="Why a message could not be processed.")
class FailureReason:
    code: str
    message: str
    hint: str


@strawberry.type(description="A message that could not be processed and is kept (MEM-091).")
class KeptMessage:
    number: strawberry.ID = strawberry.field(description="Its number.")
    kind: str = strawberry.field(description="What kind of message it is.")
    key: str = strawberry.field(description="The record it concerns; later messages of it wait.")
    command: str = strawberry.field(description="The command it was.")
    payload: Payload = strawberry.field(
        description="What it says.", extensions=[of_dead_letter(DataClass.IDENTITY, DataClass.SENSITIVE)]
    )
    state: str = strawberry.field(description="OPEN, WAITING, RESOLVED or DISCARDED.")
    attempts: int = strawberry.field(description="How often it failed again.")
    received_at: dt.datetime | None = strawberry.field(description="When it came.")
    reasons: list[FailureReason] = strawberry.field(description="Why it failed, the last time.")
    outcome: str | None = strawberry.field(description="What became of it.")


def _letter(state: DeadLetter) -> KeptMessage:
    return KeptMessage(
        number=strawberry.ID(state.number),
        kind=str(state.kind),
        key=state.key,
        command=state.command,
        payload=Payload(json.loads(state.payload)),
        state=str(state.state),
        attempts=state.attempts,
        received_at=state.received_at,
        reasons=[FailureReason(code=one.code, message=one.message, hint=one.hint) for one in state.reasons],
        outcome=state.outcome,
    )


@strawberry.type(description="What the active accounts of one currency owe and have together (ACC-096).")
class ConsolidatedBalance:
    currency: str = strawberry.field(description="ISO 4217 code.")
    due_and_unpaid: Money = strawberry.field(description="Remaining due less open credit of their live invoices.")
    anyb: Money = strawberry.field(description="Amendments not yet billed.")
    account_balance: Money = strawberry.field(description="Due and unpaid less the money kept for them.")
    calculated_at: dt.datetime = strawberry.field(description="When the oldest of the summed figures last changed.")


def _consolidated(rows: list[dict[str, Any]]) -> list[ConsolidatedBalance]:
    """The sums of accounts of all kinds, a currency each."""
    found = []
    for currency, several in groupby(rows, key=lambda row: str(row["currency"])):
        summed = list(several)
        figures = [figures_of(row) for row in summed]
        found.append(
            ConsolidatedBalance(
                currency=currency,
                due_and_unpaid=money(sum(due for due, _ in figures), currency),
                anyb=money(sum(row["anyb"] for row in summed), currency),
                account_balance=money(sum(balance for _, balance in figures), currency),
                calculated_at=min(row["changed_at"] for row in summed),
            )
        )
    return found


@strawberry.type(description="An account in the consolidated view of a customer.")
class ConsolidatedBilling:
    customer: str = strawberry.field(description="The customer.")
    accounts: list[BillingAccount] = strawberry.field(
        description="The visible accounts of the customer and its units, the first 200 by number."
    )
    balances: list[ConsolidatedBalance] = strawberry.field(
        description="What the visible active ones among them, all of them, owe and have, by currency (ACC-096)."
    )
    partial_scope: bool = strawberry.field(
        description="Whether active accounts outside the caller's scope are left out (PLT-036)."
    )


@strawberry.type
class StructureQueries:
    """The root fields of customers, policies, set-ups and kept messages."""

    @read("customer.view", "One customer by its number; null when there is none.")
    def billing_customer(self, info: strawberry.Info, reference: str) -> BillingCustomer | None:
        loaded = info.context.state(CUSTOMER, reference)
        if loaded is None:
            return None
        state = loaded.state
        if state.kind is CustomerKind.INDIVIDUAL:
            info.context.tell(CUSTOMER.stream(state.reference), DataClass.CONTACT, DataClass.IDENTITY)
        address = None
        if state.address is not None:
            parts: dict[str, Any] = {name: getattr(state.address, name, None) for name in PostalAddress.__annotations__}
            address = PostalAddress(**parts)
        return BillingCustomer(
            reference=strawberry.ID(state.reference),
            kind=str(state.kind),
            role=str(state.role),
            name=state.name,
            email=state.email,
            parent=state.parent,
            address=address,
        )

    @read("account.view", "The accounts of a customer and of the units below it, with their sums by currency.")
    def consolidated_billing(
        self, info: strawberry.Info, customer: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> ConsolidatedBilling:
        context: Context = info.context
        scope = context.principal.scope
        accounts = accounts_below(context.reads, customer, scope)
        totals = totals_below(context.reads, customer, scope)
        visible = [row for row in totals if row["visible"]]
        if scope is not None and not accounts:
            # decision: the view may start above the caller's scope, as long as something below is visible; a customer
            # without anything visible gets the guard's answer for an unknown one (PLT-016).
            raise refuse("CUSTOMER_NOT_FOUND", "there is no such customer", pointer="/owner")
        return ConsolidatedBilling(
            customer=customer,
            accounts=[account_of(row) for row in accounts],
            balances=_consolidated(visible),
            partial_scope=len(visible) < len(totals),
        )

    @read("product.view", "One master policy by its number; null when there is none.")
    def master_policy(
        self, info: strawberry.Info, number: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> MasterPolicy | None:
        loaded = info.context.state(MASTER_POLICY, number)
        if loaded is None:
            return None
        state = loaded.state
        return MasterPolicy(
            number=strawberry.ID(state.number),
            sponsor=state.sponsor,
            product=state.product,
            bill_type=str(state.bill_type),
            currency=state.currency,
            effective_date=state.effective_date,
            expiration_date=state.expiration_date,
            setup=state.setup_ref,
            setup_revision=state.setup_revision,
            roll_on_mode=str(state.terms.roll_on_mode),
            multiple_premium_sequences=state.terms.multiple_premium_sequences,
            transactions=[
                PolicyTransaction(transaction_id=one.transaction_id, type=one.type, effective_date=one.effective_date)
                for one in state.transactions
            ],
            version=loaded.version,
        )

    @read("setup.view", "One billing set-up by its reference; null when there is none.")
    def billing_setup(
        self, info: strawberry.Info, setup_ref: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> BillingSetup | None:
        loaded = info.context.state(SETUP, setup_ref)
        if loaded is None:
            return None
        state = loaded.state
        return BillingSetup(
            setup_ref=strawberry.ID(state.setup_ref),
            master_policy=state.master_policy,
            sponsor=state.sponsor,
            bill_type=str(state.bill_type),
            allocation_mode=None if state.allocation_mode is None else str(state.allocation_mode),
            setup_type=str(state.setup_type),
            issued_revision=state.issued_revision,
            has_draft=state.draft is not None,
            entries=[
                SetupEntry(
                    key=str(one.key),
                    account=one.account,
                    enabled=one.enabled,
                    not_used=one.not_used,
                    complete=not one.counts or one.account is not None,
                )
                for one in state.entries
            ],
            version=loaded.version,
        )

    @read("deadletter.view", "Messages that wait to be processed again, in order of receipt.")
    def dead_letters(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        key: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[KeptMessage]:
        found = page(info.context, DEAD_LETTERS, {"key": key}, first, after, lambda row: str(row["dead_letter"]))
        states = info.context.history.states(DEAD_LETTER, found.nodes)
        return found.mapped(lambda number: _letter(states[number].state))

    @read("deadletter.view", "One kept message by its number, whatever became of it; null when there is none.")
    def dead_letter(self, info: strawberry.Info, number: str) -> KeptMessage | None:
        loaded = info.context.state(DEAD_LETTER, number)
        return None if loaded is None else _letter(loaded.state)
