"""A second, deliberately naive calculation of charges: day by day, from the text of the rulebook.

It shares nothing with the domain's way but the transaction values and the names of frequencies: it asks for every day
anew what holds, walks periods one by one from the anchor, adds up exact daily amounts, and rounds once. It is slow and
plain on purpose; where it and the domain agree on a random history, a mistake would have to be made twice.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    PolicyTransaction,
    PremiumAmount,
    PremiumSequence,
    TransactionStatus,
    TransactionType,
)

ONE_DAY = dt.timedelta(days=1)
PERIODS_A_YEAR = {
    "WEEKLY": 52, "BIWEEKLY": 26, "EVERY_28_DAYS": 13, "SEMI_MONTHLY": 24, "MONTHLY": 12, "BIMONTHLY": 6,
    "QUARTERLY": 4, "SEMI_ANNUAL": 2, "ANNUAL": 1,
}  # fmt: skip
CYCLES = {"WEEKLY": 7, "BIWEEKLY": 14, "EVERY_28_DAYS": 28}


class BlockedError(Exception):
    """PRM-047."""


# ----------------------------------------------------------------------------------------------- calendar


def aligned(anchor: dt.date, months: int) -> dt.date:
    """The aligned date so many months from the anchor's month (CAL-045, CAL-046)."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    if anchor.day == calendar.monthrange(anchor.year, anchor.month)[1]:
        return dt.date(year, month + 1, last)
    return dt.date(year, month + 1, min(anchor.day, last))


def start_of_period(anchor: dt.date, frequency: str, k: int) -> dt.date:
    """CAL-043 to CAL-048."""
    if frequency in CYCLES:
        return anchor + dt.timedelta(days=CYCLES[frequency] * k)
    if frequency == "SEMI_MONTHLY":
        return aligned(anchor, k // 2) + dt.timedelta(days=15 * (k % 2))
    return aligned(anchor, k * 12 // PERIODS_A_YEAR[frequency])


def period_of(anchor: dt.date, frequency: str, day: dt.date) -> tuple[dt.date, dt.date]:
    """First day and last day of the period that holds the day, found by walking."""
    k = (day - anchor).days * PERIODS_A_YEAR[frequency] // 366
    while start_of_period(anchor, frequency, k) > day:
        k -= 1
    while start_of_period(anchor, frequency, k + 1) <= day:
        k += 1
    return start_of_period(anchor, frequency, k), start_of_period(anchor, frequency, k + 1) - ONE_DAY


def days_from(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + ONE_DAY * step for step in range((last - first).days + 1)]


# ----------------------------------------------------------------------------------------------- accounts


@dataclass(frozen=True)
class PlainAccount:
    """What the calculation needs of an account, in plain values."""

    name: str
    frequency: str
    invoicing_start: dt.date
    basis: str = "ANNUAL_365"
    by_last_day: bool = False
    gaps: tuple[int, ...] = ()
    modality_by_day: tuple[tuple[dt.date, str], ...] = ()
    individual: bool = False
    deduction_dates: tuple[dt.date, ...] = ()

    def modality_on(self, day: dt.date) -> str:
        """PRM-073."""
        chosen = self.modality_by_day[0][1] if self.modality_by_day else self.frequency
        for first, modality in self.modality_by_day:
            if first <= day:
                chosen = modality
        return chosen

    def billing_start(self, first: dt.date, last: dt.date, payroll: str | None) -> dt.date:
        """The first day of the invoicing period that bills an item from first to last day (INV-020 to INV-023)."""
        reference = last if self.by_last_day else first
        if self.individual:
            inside = [day for day in self.deduction_dates if first <= day <= last]
            reference = inside[0] if inside else first
            if not inside and self.deduction_dates and payroll != "SEMI_MONTHLY":
                reference = max(first, self.deduction_dates[0])
        return period_of(self.invoicing_start, self.frequency, reference)[0]


# ----------------------------------------------------------------------------------------------- what holds on a day


@dataclass(frozen=True)
class Held:
    """What a coverage is charged by on one day."""

    item: ItemKey
    annual: int
    sequences: tuple[PremiumSequence, ...]


@dataclass(frozen=True)
class DayState:
    """The member on one day."""

    in_force: bool
    account: str
    modality: str | None
    payroll: str | None
    location: str | None
    stopped: bool
    held: tuple[Held, ...]
    waived: tuple[bool, ...]


def is_start(one: PolicyTransaction) -> bool:
    return one.type in (TransactionType.NEW_BUSINESS, TransactionType.REWRITE)


def is_stop(one: PolicyTransaction) -> bool:
    return AmendmentKind.STOP_BILLING in one.kinds


def is_resume(one: PolicyTransaction) -> bool:
    return AmendmentKind.RESUME_BILLING in one.kinds


def places(one: PolicyTransaction) -> bool:
    if is_stop(one) or is_resume(one):
        return False
    return one.type in (
        TransactionType.NEW_BUSINESS, TransactionType.REWRITE, TransactionType.AMENDMENT, TransactionType.RENEWAL,
        TransactionType.REINSTATEMENT, TransactionType.CONTINUATION, TransactionType.PORTABILITY,
        TransactionType.MOVED_TO_LIST_BILL, TransactionType.EMPLOYMENT_CHANGE,
    )  # fmt: skip


def in_force_in_order(transactions: Iterable[PolicyTransaction]) -> list[PolicyTransaction]:
    """PRM-004, PRM-012, PRM-065: those applied, by date and recording, without rescinded cancellations."""
    applied = [one for one in transactions if one.status is TransactionStatus.APPLIED]
    applied.sort(key=lambda one: (one.effective_date, 0 if is_start(one) else 1, one.order))
    for rescission in [one for one in applied if one.type is TransactionType.RESCIND_CANCELLATION]:
        voided = [
            one
            for one in applied
            if one.type is TransactionType.CANCELLATION
            and one.effective_date == rescission.effective_date
            and one.order < rescission.order
        ]
        applied.remove(rescission)
        if voided:
            applied.remove(voided[-1])
    return applied


def up_to(ordered: list[PolicyTransaction], day: dt.date) -> list[PolicyTransaction]:
    """The transactions that count on the day: from the last start that is not later than it."""
    past = [one for one in ordered if one.effective_date <= day]
    starts = [index for index, one in enumerate(past) if is_start(one)]
    return past[starts[-1] :] if starts else []


def last_stated(past: list[PolicyTransaction], name: str) -> object:
    stated = [getattr(one, name) for one in past if places(one) and getattr(one, name) is not None]
    return stated[-1] if stated else None


def modality_of(past: list[PolicyTransaction]) -> str | None:
    stated: str | None = None
    for one in past:
        if places(one) and one.modality is not None:
            stated = one.modality.value
        elif places(one) and one.modality_from_account:
            stated = None
    return stated


def cancelled_by(past: list[PolicyTransaction]) -> PolicyTransaction | None:
    found = None
    for one in past:
        if one.type is TransactionType.CANCELLATION:
            found = one
        elif one.type is TransactionType.REINSTATEMENT or is_start(one):
            found = None
    return found


def active_stops(past: list[PolicyTransaction]) -> list[PolicyTransaction]:
    stops: list[PolicyTransaction] = []
    for one in past:
        if is_stop(one):
            stops.append(one)
        elif is_resume(one):
            stops = []
    return stops


def amounts_after(past: list[PolicyTransaction]) -> dict[str, Held]:
    """The stored amounts by coverage after the transactions (PRM-061, PRM-070, PRM-071, PRM-082)."""
    if not past:
        return {}
    last, before = past[-1], past[:-1]
    amounts = dict(amounts_after(before))
    if last.type is TransactionType.CONTINUATION_REMOVED:
        return {coverage: Held(one.item, 0, one.sequences) for coverage, one in amounts.items()}
    if is_resume(last):
        stops = active_stops(before)
        if not stops:
            return amounts
        stopped_on = stops[0].effective_date
        at_stop = amounts_after([one for one in before if one.effective_date <= stopped_on])
        since = [one for one in before if one.effective_date > stopped_on]
        if any(one.type is TransactionType.CONTINUATION_REMOVED for one in since):
            at_stop = {coverage: Held(one.item, 0, one.sequences) for coverage, one in at_stop.items()}
        nothing = Held(ItemKey(""), 0, ())
        return {
            coverage: Held(one.item, at_stop.get(coverage, nothing).annual, at_stop.get(coverage, nothing).sequences)
            for coverage, one in amounts.items()
        }
    if places(last) and last.type is not TransactionType.EMPLOYMENT_CHANGE:
        for stated in last.amounts:
            known = amounts.get(stated.key.coverage)
            if stated.annual is None and known is not None and known.item == stated.key:
                del amounts[stated.key.coverage]
        for stated in last.amounts:
            if stated.annual is not None:
                known = amounts.get(stated.key.coverage)
                former = known.sequences if known is not None and known.item == stated.key else ()
                sequences = split_after(former, stated, last.effective_date)
                amounts[stated.key.coverage] = Held(stated.key, stated.annual, sequences)
    return amounts


def split_after(
    former: tuple[PremiumSequence, ...], stated: PremiumAmount, day: dt.date
) -> tuple[PremiumSequence, ...]:
    """The sequences that go on, and those stated: only these when they make up the annual amount (MEM-033)."""
    if stated.sequences and sum(holders_on(stated.sequences, day).values()) == stated.annual:
        return stated.sequences
    taken = {one.lineage or one.replaces or one.sequence_id for one in stated.sequences}
    taken |= {one.replaces for one in stated.sequences if one.replaces}
    left = [one for one in former if (one.lineage or one.replaces or one.sequence_id) not in taken]
    return tuple(one for one in left if one.sequence_id not in taken) + stated.sequences


def waives(past: list[PolicyTransaction], waiver: PolicyTransaction, coverage: str, day: dt.date) -> bool:
    """Whether the waiver waives the premium of the coverage on the day (PRM-090, PRM-095, PRM-097)."""
    if waiver.coverages and coverage not in waiver.coverages:
        return False
    if any(end is not None and end <= day for end in (waiver.until, waiver.expiration)):
        return False
    position = past.index(waiver)
    for index, later in enumerate(past):
        if index > position and later.type is TransactionType.WAIVER_REMOVE and later.waiver_id == waiver.waiver_id:
            return False
        if index > position and later.type is TransactionType.REINSTATEMENT:
            cancelled = cancelled_by(past[:index])
            if cancelled is not None and cancelled.effective_date < later.effective_date:
                return False
    return True


def state_on(ordered: list[PolicyTransaction], day: dt.date, expiration: dt.date | None) -> DayState | None:
    """What holds on the day; None before the start and from the expiration on."""
    past = up_to(ordered, day)
    if not past or (expiration is not None and day >= expiration):
        return None
    amounts = amounts_after(past)
    waivers = [one for one in past if one.type is TransactionType.WAIVER_ADD]
    return DayState(
        in_force=cancelled_by(past) is None,
        account=str(last_stated(past, "account") or ""),
        modality=modality_of(past),
        payroll=str(last_stated(past, "payroll_frequency")) if last_stated(past, "payroll_frequency") else None,
        location=str(last_stated(past, "location") or "") or None,
        stopped=bool(active_stops(past)),
        held=tuple(amounts.values()),
        waived=tuple(any(waives(past, one, coverage, day) for one in waivers) for coverage in amounts),
    )


# ----------------------------------------------------------------------------------------------- charges


@dataclass(frozen=True)
class PlainCharge:
    """The charge of one key; what is compared with the domain's."""

    account: str
    item: ItemKey
    sequence: str
    modality: str
    period_start: dt.date
    first: dt.date
    last: dt.date
    days: int
    whole: bool
    gross: int
    net: int


def rounded(value: Fraction) -> int:
    """HALF_UP to the minor unit, for amounts that are not negative."""
    return int(value + Fraction(1, 2))


def give_or_take(shares: list[int], difference: int) -> list[int]:
    """The difference on the last share, never below 0; what is left over on the share before (PRM-026, PRM-053)."""
    shares = list(shares)
    index = len(shares) - 1
    while difference and index >= 0:
        before = shares[index]
        shares[index] = max(before + difference, 0)
        difference -= shares[index] - before
        index -= 1
    return shares


def daily_rate(annual: int, day: dt.date, account: PlainAccount, paymode: int, full_days: int) -> Fraction:
    """PRM-024."""
    if account.gaps or account.basis == "MODAL_PERIOD_DAYS":
        return Fraction(rounded(Fraction(annual, paymode)), full_days)
    if account.basis == "ANNUAL_ACTUAL" and calendar.isleap(day.year):
        return Fraction(annual, 366)
    return Fraction(annual, 365)


@dataclass(frozen=True)
class ChargedDay:
    """One coverage on one day of a modal period."""

    day: dt.date
    held: Held
    annual: int
    waived: bool


def holders_on(sequences: tuple[PremiumSequence, ...], day: dt.date) -> dict[str, int]:
    """Annual amounts of the effective holders on the day, by the sequence under which they are compared."""
    if not sequences:
        return {"1": 1}
    found: dict[str, int] = {}
    for one in sequences:
        if one.effective <= day and (one.end is None or day < one.end):
            for holder in one.holders:
                if holder.effective <= day and (holder.expiration is None or day < holder.expiration):
                    root = one.lineage or one.replaces or one.sequence_id
                    found[root] = found.get(root, 0) + holder.annual
    return {root: annual for root, annual in found.items() if annual}


def numbers(days: list[ChargedDay]) -> list[str]:
    """The sequences of the days, lowest number first."""
    found: dict[str, tuple[int, dt.date, str]] = {}
    for one in days:
        for sequence in one.held.sequences:
            root = sequence.lineage or sequence.replaces or sequence.sequence_id
            found[root] = (sequence.number, sequence.effective, sequence.sequence_id)
        if not one.held.sequences:
            found["1"] = (1, dt.date.min, "1")
    return sorted(found, key=lambda root: found[root])


def shares_of(amount: int, days: list[ChargedDay], rates: dict[dt.date, Fraction], order: list[str]) -> dict[str, int]:
    """PRM-051 to PRM-053, a day being the shortest sub-period."""
    sums: dict[str, Fraction] = {}
    for one in days:
        holders = holders_on(one.held.sequences, one.day)
        if not holders:
            raise BlockedError
        for root, annual in holders.items():
            sums[root] = sums.get(root, Fraction(0)) + rates[one.day] * annual / sum(holders.values())
    total = sum(sums.values())
    if not total:
        return {root: 0 for root in order if root in sums}
    roots = [root for root in order if sums.get(root)]
    shares = [rounded(sums[root] / total * amount) for root in roots]
    return dict(zip(roots, give_or_take(shares, amount - sum(shares)), strict=True))


def limited(net: dict[str, int], gross: dict[str, int]) -> dict[str, int]:
    """A net share is at most its gross share; the excess goes to the others, highest number first (PRM-053)."""
    result = {root: min(net.get(root, 0), gross[root]) for root in gross}
    excess = sum(net.values()) - sum(result.values())
    for root in reversed(list(gross)):
        room = min(gross[root] - result[root], excess)
        result[root] += room
        excess -= room
    return result


def charges_of_period(
    states: dict[dt.date, DayState | None],
    account: PlainAccount,
    modality: str,
    period: tuple[dt.date, dt.date],
    multiple_sequences: bool,
) -> list[PlainCharge]:
    """The charges of one modal period on one account, by PRM-022 to PRM-031 and PRM-050 to PRM-054."""
    full = days_from(*period)
    present = []
    for day in full:
        state = states.get(day)
        if state is None or not state.in_force or state.account != account.name:
            continue
        if (state.modality or account.modality_on(day)) == modality:
            present.append((day, state))
    if not present:
        return []
    first, last, payroll = present[0][0], present[-1][0], present[-1][1].payroll
    if account.gaps and account.billing_start(first, last, payroll).month in account.gaps:
        return []
    paymode = 12 - len(account.gaps) if account.gaps else PERIODS_A_YEAR[modality]
    coverages = sorted({held.item.coverage for _, state in present for held in state.held})
    found = []
    for coverage in coverages:
        days = [
            ChargedDay(day, held, 0 if state.stopped else held.annual, waived)
            for day, state in present
            for held, waived in zip(state.held, state.waived, strict=True)
            if held.item.coverage == coverage
        ]
        found += charges_of_coverage(days, account, modality, period, paymode, multiple_sequences, (first, last))
    return found


def charges_of_coverage(
    days: list[ChargedDay],
    account: PlainAccount,
    modality: str,
    period: tuple[dt.date, dt.date],
    paymode: int,
    multiple_sequences: bool,
    covered: tuple[dt.date, dt.date],
) -> list[PlainCharge]:
    full_days = len(days_from(*period))
    rates = {one.day: daily_rate(one.annual, one.day, account, paymode, full_days) for one in days}
    items = list(dict.fromkeys(one.held.item for one in days))
    whole = len(days) == full_days and len({one.annual for one in days}) == 1
    if whole:
        modal = rounded(Fraction(days[0].annual, paymode))
        shares = [rounded(Fraction(modal * sum(one.held.item == item for one in days), full_days)) for item in items]
        gross = give_or_take(shares, modal - sum(shares))
    else:
        gross = [rounded(sum((rates[one.day] for one in days if one.held.item == item), Fraction(0))) for item in items]
        amounts = {one.annual for one in days if one.annual}
        if len(amounts) == 1:
            excess = sum(gross) - rounded(Fraction(amounts.pop(), paymode))
            if excess > 0:
                gross = give_or_take(gross, -excess)
    found = []
    for item, charge in zip(items, gross, strict=True):
        own = [one for one in days if one.held.item == item]
        charged = [one for one in own if one.annual]
        payable = [one for one in charged if not one.waived]
        net = charge
        if len(payable) < len(charged):
            net = min(charge, rounded(sum((rates[one.day] for one in payable), Fraction(0))))
        if multiple_sequences:
            order = numbers(own)
            gross_shares = shares_of(charge, charged, rates, order) or dict.fromkeys(order, 0)
            net_shares = limited(shares_of(net, payable, rates, order), gross_shares)
        else:
            gross_shares, net_shares = {"1": charge}, {"1": net}
        found += [
            PlainCharge(
                account.name, item, root, modality, period[0], *covered, len(charged), whole, share, net_shares[root]
            )
            for root, share in gross_shares.items()
        ]
    return found


def states_by_day(
    ordered: list[PolicyTransaction], first: dt.date, last: dt.date, expiration: dt.date | None
) -> dict[dt.date, DayState | None]:
    """What holds on every day; asked anew on each day on which anything can have changed."""
    changes = {one.effective_date for one in ordered} | {one.until for one in ordered}
    changes |= {one.expiration for one in ordered} | {expiration, first}
    states: dict[dt.date, DayState | None] = {}
    state = None
    for day in days_from(first, last):
        if day in changes:
            state = state_on(ordered, day, expiration)
        states[day] = state
    return states


def charges_by_day(
    transactions: Iterable[PolicyTransaction],
    account: PlainAccount,
    anchor: dt.date,
    first: dt.date,
    last: dt.date,
    expiration: dt.date | None = None,
    multiple_sequences: bool = True,
) -> list[PlainCharge]:
    """All charges on the account of modal periods with a covered day from `first` to `last`, inclusive.

    Raises BlockedError where a charged day has no effective holder (PRM-047).
    """
    ordered = in_force_in_order(transactions)
    states = states_by_day(ordered, first - dt.timedelta(days=367), last + dt.timedelta(days=367), expiration)
    periods: dict[tuple[str, tuple[dt.date, dt.date]], None] = {}
    for day in days_from(first, last):
        state = states[day]
        if state is not None and state.in_force and state.account == account.name:
            modality = state.modality or account.modality_on(day)
            periods[modality, period_of(anchor, modality, day)] = None
    found = []
    for modality, period in periods:
        found += charges_of_period(states, account, modality, period, multiple_sequences)
    return found
