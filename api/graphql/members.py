"""Member records: the record, its modal premium history, its transactions, what it costs and what is not billed yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import strawberry

from api.graphql.cascades import Cascade, cascades_of
from api.graphql.context import Context
from api.graphql.events import EffectiveFrom, EffectiveTo, Event, event_of, stream_history
from api.graphql.guard import needs, read
from api.graphql.member_types import (
    AnybItem,
    Charge,
    ChargeExplanation,
    MemberTransaction,
    ModalPremium,
    anyb_item_of,
    charge_of,
    explanation_of,
    modal_premium_of,
    transaction_of,
)
from api.graphql.paging import DEFAULT_PAGE, LARGEST_PAGE, After, Connection, First, check_range, page, page_of
from api.graphql.reading import reading
from api.graphql.scalars import Money, Position, money
from api.graphql.sight import require_all_visible, visible_accounts
from application.anyb_times import latest
from application.invoices import members_of, priced_member
from application.members import invoiced_amounts
from application.parameters import parameters_in_force
from application.pricing import account_terms, terms_of_accounts
from application.query_trail import DataClass
from domain.accounts.account import ACCOUNT
from domain.errors import refuse
from domain.members.events import MemberAnybChanged
from domain.members.history import premium_history
from domain.members.record import MEMBER_RECORD
from domain.members.record import MemberRecord as RecordState
from domain.members.views import badges, derived_state, placement_history, transactions_in_order, waivers_on
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import PROJECTION_MONTHS, billing_period_of, charges, project
from domain.premium.charges import Charge as DomainCharge
from domain.premium.explanation import explain_charge
from domain.premium.modal_periods import modal_periods
from domain.premium.timeline import Timeline
from domain.premium.transactions import PolicyTransaction
from domain.products.master_policy import MASTER_POLICY
from projections.register.reads import MEMBERS, find_member, invoices_by_charge, locked_members

_DAY = dt.timedelta(days=1)
_ALERT_DAYS = "premium.roll_on_alert_days"
_PAGE_SIZE = "premium.modal_history_page_size"
#: Days of charges that one query shows at most.
_LONGEST = 3_660
#: Locked records of one work list at most; a lock is a rare thing that a person or Policy ends within days.
_MOST_LOCKED = 5_000


@strawberry.type(description="Days on which an account bills the record.")
class Placement:
    account: str = strawberry.field(description="The account.")
    start: dt.date = strawberry.field(description="The first day.")
    end: dt.date | None = strawberry.field(description="The last day; null: open.")
    direct: bool = strawberry.field(description="Whether it is an individual direct account.")
    root_fallback: bool = strawberry.field(description="Whether it is the root's account for want of another.")


@strawberry.type(description="A version of the modal premium (PRM-040, PRM-043).")
class PremiumVersion:
    number: int = strawberry.field(description="Its number, from 1.")
    status: str = strawberry.field(description="ACTIVE, PENDING, INACTIVE or OBSOLETE.")
    transaction_id: str = strawberry.field(description="The transaction that made it.")
    type: str = strawberry.field(description="The type of that transaction.")
    effective_date: dt.date = strawberry.field(description="Its effective date.")
    seasonal: bool = strawberry.field(description="Whether it is a seasonal update.")


@strawberry.type(description="Days on which premium is waived.")
class PremiumWaiver:
    waiver_id: str = strawberry.field(description="Its id.")
    transaction_id: str = strawberry.field(description="The transaction that began it.")
    source: str | None = strawberry.field(description="Where it comes from.")
    start: dt.date = strawberry.field(description="The first waived day.")
    end: dt.date | None = strawberry.field(description="The last waived day; null: open, or void.")
    expiration_date: dt.date | None = strawberry.field(description="The first charged day, if it ends by itself.")
    coverages: list[str] = strawberry.field(description="The coverages; empty: all.")
    state: str = strawberry.field(description="SCHEDULED, ACTIVE, ENDED, EXPIRED or VOID today.")
    status: str = strawberry.field(description="The status of its transaction.")


@strawberry.type(description="What is not billed yet of a member record (PRM-120 to PRM-127).")
class MemberAnyb:
    member_record: str = strawberry.field(description="The member record.")
    total: Money = strawberry.field(description="The sum over its accounts.")
    held: bool = strawberry.field(description="Whether a roll-on is undecided: these are the last published figures.")
    items: list[AnybItem] = strawberry.field(description="Charge by charge.")
    _accounts: strawberry.Private[frozenset[str]] = frozenset()
    _as_of: strawberry.Private[dt.datetime | None] = None

    @strawberry.field(description="When the figures were last worked out (PRM-124); null: never.")
    def calculated_at(self, info: strawberry.Info) -> dt.datetime | None:
        context: Context = info.context
        changed = context.history.last_recorded(
            MEMBER_RECORD.stream(self.member_record), MemberAnybChanged, self._as_of
        )
        worked_out = (one.of_record(self.member_record) for one in context.anyb_times.of(self._accounts).values())
        return latest((changed, *worked_out), self._as_of)


@strawberry.type(description="A member record.")
class MemberRecord:
    number: strawberry.ID = strawberry.field(description="Its number.")
    customer: str = strawberry.field(description="The person's customer number.")
    master_policy: str = strawberry.field(description="The master policy.")
    locked: bool = strawberry.field(description="Whether a roll-on is undecided.")

    @strawberry.field(description="From when it is covered.")
    async def effective_date(self, info: strawberry.Info) -> dt.date:
        return (await self._state(info.context)).effective_date

    @strawberry.field(description="FUTURE, IN_FORCE, STOPPED, LAPSED or ENDED, on a day (default: today).")
    async def state(self, info: strawberry.Info, on: dt.date | None = None) -> str:
        return str(derived_state(await self._state(info.context), on or info.context.today()))

    @strawberry.field(description="Its marks on a day (default: today).")
    async def badges(self, info: strawberry.Info, on: dt.date | None = None) -> list[str]:
        return [str(badge) for badge in badges(await self._state(info.context), on or info.context.today())]

    @strawberry.field(description="The visible accounts that bill it, in order (PLT-034).")
    async def placements(self, info: strawberry.Info) -> list[Placement]:
        placed = placement_history(await self._state(info.context))
        visible = visible_accounts(info.context, (one.account for one in placed))
        return [
            Placement(
                account=one.account,
                start=one.start,
                end=None if one.end is None else one.end - _DAY,
                direct=one.direct,
                root_fallback=one.root_fallback,
            )
            for one in placed
            if one.account in visible
        ]

    @strawberry.field(description="The versions of its modal premium.")
    async def versions(self, info: strawberry.Info) -> list[PremiumVersion]:
        return versions_of(await self._state(info.context))

    @strawberry.field(
        description="Its transactions. Needs `modalhistory.view`.", permission_classes=[needs("modalhistory.view")]
    )
    async def transactions(self, info: strawberry.Info) -> list[MemberTransaction]:
        state = await self._state(info.context)
        return _visible_transactions(info.context, transactions_in_order(state), state.currency)

    @strawberry.field(description="What is not billed yet. Needs `anyb.view`.", permission_classes=[needs("anyb.view")])
    async def anyb(self, info: strawberry.Info) -> MemberAnyb:
        return _visible_anyb(info.context, await self._state(info.context))

    @strawberry.field(description="The position of its stream, for `expected_version`.")
    async def version(self, info: strawberry.Info) -> int:
        loaded = await info.context.state_of(MEMBER_RECORD, str(self.number))
        return 0 if loaded is None else int(loaded.version)

    @strawberry.field(
        description="What happened to it, in order; `asOf` limits it to what was recorded by then. Refused when"
        " accounts outside the caller's scope bill it: the events name them."
    )
    async def history(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        as_of: dt.datetime | None = None,
        date_from: EffectiveFrom = None,
        date_to: EffectiveTo = None,
    ) -> Connection[Event]:
        placed = placement_history(await self._state(info.context))
        require_all_visible(info.context, (one.account for one in placed))
        return stream_history(
            info.context,
            [MEMBER_RECORD.stream(str(self.number))],
            first,
            after,
            as_of,
            date_from=date_from,
            date_to=date_to,
        )

    async def _state(self, context: Context) -> RecordState:
        loaded = await context.state_of(MEMBER_RECORD, str(self.number))
        assert loaded is not None
        return loaded.state


@strawberry.type(description="A modal period of a member record (CAL-101 to CAL-104).")
class ModalPeriod:
    from_: dt.date = strawberry.field(name="from", description="Its first day.")
    to: dt.date = strawberry.field(description="Its last day.")
    partial: bool = strawberry.field(description="Whether another modality or the end of the term cuts it.")
    modality: str = strawberry.field(description="The frequency of its premium.")
    anchor: dt.date = strawberry.field(description="The day from which the modal periods are counted.")


@strawberry.type(description="A member record that waits for decisions on backed-off transactions (PRM-110).")
class PendingRollOn:
    member_record: str = strawberry.field(description="The member record.")
    master_policy: str = strawberry.field(description="The master policy.")
    accounts: list[str] = strawberry.field(description="The accounts that bill it.")
    caused_by: str = strawberry.field(description="The transaction that came out of sequence.")
    mode: str = strawberry.field(description="AUTOMATIC or INSTRUCTED.")
    requested_at: dt.datetime = strawberry.field(description="Since when.")
    days_pending: int = strawberry.field(description="Whole days since then.")
    overdue: bool = strawberry.field(description="Whether that is longer than such a lock should last.")
    backed_off: list[MemberTransaction] = strawberry.field(description="The transactions to decide on, in order.")


@strawberry.type(description="How an unbilled amount comes about: what was invoiced, what it should be, and why.")
class AnybExplanation:
    item: AnybItem = strawberry.field(description="The unbilled amount.")
    invoices: list[str] = strawberry.field(description="The live invoices that carry the charge.")
    corrected: ChargeExplanation | None = strawberry.field(description="The charge of today; null: it costs nothing.")
    transactions: list[MemberTransaction] = strawberry.field(description="The transactions behind the difference.")
    events: list[Event] = strawberry.field(description="The events that recorded them.")


def require_member(context: Context, number: str, as_of: dt.datetime | None = None) -> RecordState:
    """The state of a record, as it was known at an instant. Raises MEMBER_RECORD_NOT_FOUND."""
    if as_of is None:
        loaded = context.state(MEMBER_RECORD, number)
        if loaded is not None:
            return loaded.state
    else:
        state = context.history.state_at(MEMBER_RECORD, number, as_of)
        if state is not None:
            return state
    raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")


def versions_of(state: RecordState) -> list[PremiumVersion]:
    """The versions of a record."""
    return [
        PremiumVersion(
            number=one.number,
            status=str(one.status),
            transaction_id=one.origin,
            type=str(one.type),
            effective_date=one.effective_date,
            seasonal=one.seasonal,
        )
        for one in state.versions
    ]


def waivers_of(state: RecordState, today: dt.date) -> list[PremiumWaiver]:
    """The waivers of a record by start, those undone included (PRM-090, state machine "Waiver")."""
    return [
        PremiumWaiver(
            waiver_id=one.transaction.waiver_id or one.transaction.transaction_id,
            transaction_id=one.transaction.transaction_id,
            source=None if one.transaction.waiver_source is None else str(one.transaction.waiver_source),
            start=one.transaction.effective_date,
            end=None if one.end is None else one.end - _DAY,
            expiration_date=one.transaction.expiration,
            coverages=list(one.transaction.coverages),
            state=str(one.state),
            status=str(one.transaction.status),
        )
        for one in waivers_on(state, today)
    ]


def anyb_of(state: RecordState, as_of: dt.datetime | None = None) -> MemberAnyb:
    """What was last published as not billed yet."""
    items = [anyb_item_of(line, one.account, state.currency) for one in state.anyb if one.lines for line in one.lines]
    total = sum(one.total for one in state.anyb)
    return MemberAnyb(
        member_record=state.number,
        total=money(total, state.currency),
        held=state.is_roll_on_pending,
        items=items,
        _accounts=frozenset([one.account for one in state.placements] + [one.account for one in state.anyb]),
        _as_of=as_of,
    )


def _visible_transactions(
    context: Context, found: Iterable[PolicyTransaction], currency: str
) -> list[MemberTransaction]:
    """Transactions, without the names of accounts that the caller does not see."""
    shown = [transaction_of(one, currency) for one in found]
    visible = visible_accounts(context, {one.account for one in shown if one.account is not None})
    return [one if one.account in visible else replace(one, account=None) for one in shown]


def _visible_anyb(context: Context, state: RecordState, as_of: dt.datetime | None = None) -> MemberAnyb:
    """The same without accounts that the caller does not see."""
    visible = visible_accounts(context, (one.account for one in state.anyb))
    return anyb_of(replace(state, anyb=tuple(one for one in state.anyb if one.account in visible)), as_of)


def history_of(context: Context, number: str, as_of: dt.datetime | None, all_versions: bool) -> list[ModalPremium]:
    """The rows of the history screen (PRM-040)."""
    state = require_member(context, number, as_of)
    events = context.history.events(MEMBER_RECORD, number, as_of)
    transactions = {one.transaction_id: one for one in state.transactions}
    direct = set(state.direct_accounts)
    return [
        modal_premium_of(
            one.row,
            state,
            one.version,
            one.status,
            transactions,
            later_date=one.row.account in direct,
            waived=one.waived,
        )
        for one in premium_history(state, events, all_versions=all_versions)
    ]


# --- Charges ---------------------------------------------------------------------------------------------------------


def _priced(
    context: Context, account: str, number: str, as_of: dt.datetime | None = None
) -> tuple[RecordState, Timeline, AccountTerms]:
    """A record with the timeline it is billed by, today or as it was known at an instant, and the account's terms."""
    unit = reading(context)
    loaded = context.state(ACCOUNT, account)
    if loaded is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    terms = account_terms(unit, loaded.state)
    if as_of is not None:
        record = require_member(context, number, as_of)
        policy = context.state(MASTER_POLICY, record.master_policy)
        assert policy is not None  # every record has one
        return record, priced_member(record, policy.state).timeline, terms
    for portion in members_of(unit, [number]):
        for member in portion:
            return member.record, member.timeline, terms
    raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")


def _shown(
    context: Context, account: str, number: str, found: list[DomainCharge], terms: AccountTerms, currency: str
) -> list[Charge]:
    """Charges with the invoicing period each is billed in, the one it was first invoiced for if it was (INV-021)."""
    invoiced = invoiced_amounts(reading(context), account, [number]).get(number, ())
    kept = {one.key: one.billing_start for one in invoiced}
    carried = invoices_by_charge(context.reads, account, number)
    shown = []
    for charge in found:
        start = kept.get(charge.key)
        period = billing_period_of(charge, terms) if start is None else terms.invoicing.period_at(start)
        place = (charge.item.coverage, charge.sequence, charge.period_start)
        shown.append(charge_of(charge, currency, period, carried.get(place, [])))
    return shown


def explain_of(
    context: Context,
    account: str,
    number: str,
    coverage: str,
    period_start: dt.date,
    sequence: str | None,
    as_of: dt.datetime | None = None,
) -> list[ChargeExplanation]:
    """How the charges of a coverage in the modal period that begins on a day come about, or came about at an instant:
    by the transactions known then."""
    record, timeline, terms = _priced(context, account, number, as_of)
    found = [
        one
        for one in charges(timeline, terms, period_start, period_start + _DAY)
        if one.item.coverage == coverage and one.period_start == period_start and sequence in (None, one.sequence)
    ]
    shown = _shown(context, account, number, found, terms, record.currency)
    return [
        explanation_of(explain_charge(timeline, terms, charge), told, record)
        for charge, told in zip(found, shown, strict=True)
    ]


def _check_span(first: dt.date, last: dt.date) -> None:
    check_range(first, last, "/from")
    if (last - first).days > _LONGEST:
        raise refuse("REQUEST_INVALID", f"at most {_LONGEST} days", pointer="/to")


def _whole_number(context: Context, name: str, keys: Mapping[str, str]) -> int:
    """A parameter's value of today."""
    return int(str(parameters_in_force(reading(context), (name,), keys, context.today())[name]))


def _pending(state: RecordState, now: dt.datetime, alert_days: int) -> PendingRollOn:
    assert state.lock is not None
    days_pending = (now - state.lock.requested_at).days
    return PendingRollOn(
        member_record=state.number,
        master_policy=state.master_policy,
        accounts=list(dict.fromkeys(one.account for one in state.placements)),
        caused_by=state.lock.caused_by,
        mode=str(state.lock.mode),
        requested_at=state.lock.requested_at,
        days_pending=days_pending,
        overdue=days_pending > alert_days,
        backed_off=[transaction_of(one, state.currency) for one in state.backed_off],
    )


def _record(row: dict[str, Any]) -> MemberRecord:
    return MemberRecord(
        number=strawberry.ID(row["member"]),
        customer=row["customer"],
        master_policy=row["master_policy"],
        locked=row["locked"],
    )


@strawberry.type
class MemberQueries:
    """The root fields of member records."""

    @read("member.view", "One member record; null when there is none.")
    def member_record(
        self, info: strawberry.Info, number: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> MemberRecord | None:
        row = find_member(info.context.reads, number)
        return None if row is None else _record(row)

    @read("member.view", "Member records by number; all criteria hold together. `number` is a prefix.")
    def member_records(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        account: str | None = None,
        on: dt.date | None = None,
        master_policy: str | None = None,
        customer: str | None = None,
        number: str | None = None,
        locked: bool | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[MemberRecord]:
        parameters = {
            "account": account, "day": on, "master_policy": master_policy, "customer": customer, "number": number,
            "locked": locked,
        }  # fmt: skip
        return page(info.context, MEMBERS, parameters, first, after, _record)

    @read(
        "modalhistory.view",
        "The modal premium history: rows in their origin version and those of the ACTIVE version, by coverage and plan,"
        " version descending, then effective date descending; with `allVersions` every copy.",
    )
    def modal_premium_history(
        self,
        info: strawberry.Info,
        member_record: str,
        first: Annotated[
            int | None,
            strawberry.argument(description=f"Rows of the page, 1 to {LARGEST_PAGE}; null: as the user has it set."),
        ] = None,
        after: After = None,
        all_versions: bool = False,
        as_of: dt.datetime | None = None,
        on: dt.date | None = None,
        coverage: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[ModalPremium]:
        told = history_of(info.context, member_record, as_of, all_versions)
        visible = visible_accounts(info.context, (row.account for row in told))
        rows = [row for row in told if row.account in visible]
        if on is not None:
            rows = [row for row in rows if row.effective_date <= on]
        if coverage is not None:
            rows = [row for row in rows if row.item.coverage == coverage]
        name = f"history {member_record} {all_versions} {as_of} {on} {coverage}"
        size = _whole_number(info.context, _PAGE_SIZE, {"user": info.context.principal.identifier})
        return page_of(rows, name, size if first is None else first, after, lambda row: row)

    @read("modalhistory.view", "The transactions of a record by effective date, then by recording.")
    def member_transactions(
        self,
        info: strawberry.Info,
        member_record: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        type: str | None = None,
        status: str | None = None,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        descending: bool = False,
        as_of: dt.datetime | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[MemberTransaction]:
        state = require_member(info.context, member_record, as_of)
        ordered = transactions_in_order(state)
        found = [
            one
            for one in (reversed(ordered) if descending else ordered)
            if type in (None, one.type)
            and status in (None, one.status)
            and (date_from is None or one.effective_date >= date_from)
            and (date_to is None or one.effective_date <= date_to)
        ]
        name = f"transactions {member_record} {type} {status} {date_from} {date_to} {descending} {as_of}"
        return page_of(_visible_transactions(info.context, found, state.currency), name, first, after, lambda one: one)

    @read("modalhistory.view", "Records that wait for decisions on backed-off transactions, longest waiting first.")
    def roll_on_pending(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        master_policy: str | None = None,
        account: str | None = None,
        min_days_pending: int = 0,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[PendingRollOn]:
        context: Context = info.context
        numbers = locked_members(context.reads, master_policy, account, _MOST_LOCKED)
        now = context.clock.now()
        states = [one.state for one in context.history.states(MEMBER_RECORD, numbers).values()]
        alert_days = _whole_number(context, _ALERT_DAYS, {})
        pending = [_pending(one, now, alert_days) for one in states if one.lock is not None]
        found = sorted(
            (one for one in pending if one.days_pending >= min_days_pending),
            key=lambda one: (one.requested_at, one.member_record),
        )
        name = f"roll-on {master_policy} {account} {min_days_pending}"
        return page_of(found, name, first, after, lambda one: one)

    @read("anyb.view", "What is not billed yet of a member record, charge by charge.")
    def member_anyb(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str | None = None,
        as_of: dt.datetime | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> MemberAnyb:
        state = require_member(info.context, member_record, as_of)
        found = _visible_anyb(info.context, state, as_of)
        if account is not None:
            published = state.anyb_of(account)
            found.items = [item for item in found.items if item.account == account]
            found.total = money(published.total if published else 0, state.currency)
            found._accounts = frozenset({account})
        return found

    @read("modalhistory.view", "The modal periods of a record on some days, whatever is charged in them.")
    def modal_periods(
        self,
        info: strawberry.Info,
        member_record: str,
        from_: Annotated[dt.date, strawberry.argument(name="from", description="The first day.")],
        to: dt.date,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[ModalPeriod]:
        _check_span(from_, to)
        unit = reading(info.context)
        for portion in members_of(unit, [member_record]):
            for member in portion:
                accounts = {one.account for one in member.record.placements}
                terms, timeline = terms_of_accounts(unit, sorted(accounts)), member.timeline
                return [
                    ModalPeriod(
                        from_=one.start,
                        to=one.to,
                        partial=one.partial,
                        modality=str(one.modality),
                        anchor=timeline.terms.anchor,
                    )
                    for one in modal_periods(timeline, terms, from_, to + _DAY)
                ]
        raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")

    @read(
        "modalhistory.view",
        "How far master policy transactions have come through the member records of a policy, in order of recording.",
    )
    def cascade_status(
        self,
        info: strawberry.Info,
        master_policy: str,
        transaction_id: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[Cascade]:
        return cascades_of(info.context, master_policy, transaction_id)

    @read("modalhistory.view", "What a record costs on an account in the modal periods of some days.")
    def modal_charges(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str,
        from_: Annotated[dt.date, strawberry.argument(name="from", description="The first day.")],
        to: dt.date,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[Charge]:
        _check_span(from_, to)
        record, timeline, terms = _priced(info.context, account, member_record)
        found = charges(timeline, terms, from_, to + _DAY)
        return _shown(info.context, account, member_record, found, terms, record.currency)

    @read("modalhistory.view", "What a record is going to cost on an account from a day on, for 1 to 24 months.")
    def premium_projection(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str,
        from_: Annotated[dt.date | None, strawberry.argument(name="from", description="Default: today.")] = None,
        months: int = 12,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[Charge]:
        if not 1 <= months <= PROJECTION_MONTHS:
            raise refuse("REQUEST_INVALID", f"1 to {PROJECTION_MONTHS} months", pointer="/months")
        record, timeline, terms = _priced(info.context, account, member_record)
        found = project(timeline, terms, from_ or info.context.today(), months)
        return _shown(info.context, account, member_record, found, terms, record.currency)

    @read("modalhistory.view", "The waivers of a record, by start.")
    def premium_waivers(
        self,
        info: strawberry.Info,
        member_record: str,
        as_of: dt.datetime | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[PremiumWaiver]:
        state = require_member(info.context, member_record, as_of)
        shown = waivers_of(state, info.context.today())
        if shown:
            info.context.tell(MEMBER_RECORD.stream(member_record), DataClass.SENSITIVE)
        return shown

    @read("modalhistory.view", "How a charge comes about: transactions, pieces, proration, rounding, sequences.")
    def explain_charge(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str,
        coverage: str,
        period_start: dt.date,
        sequence: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[ChargeExplanation]:
        return explain_of(info.context, account, member_record, coverage, period_start, sequence)

    @read("anyb.view", "How what is not billed yet of a record comes about, charge by charge.")
    def explain_anyb(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[AnybExplanation]:
        context: Context = info.context
        state = require_member(context, member_record)
        transactions = {one.transaction_id: one for one in state.transactions}
        carried = invoices_by_charge(context.reads, account, member_record)
        stream = MEMBER_RECORD.stream(member_record)
        explained = []
        for item in anyb_of(state).items:
            if item.account != account:
                continue
            found = explain_of(context, account, member_record, item.item.coverage, item.modal_start, item.sequence)
            corrected = next((one for one in found if one.charge.item == item.item), None)
            explained.append(
                AnybExplanation(
                    item=item,
                    invoices=carried.get((item.item.coverage, item.sequence, item.modal_start), []),
                    corrected=corrected,
                    transactions=[
                        transaction_of(transactions[one], state.currency) for one in item.sources if one in transactions
                    ],
                    events=[event_of(row) for row in context.history.naming(stream, item.sources)],
                )
            )
        return explained
