"""Random histories of a member over several accounts, as odd as the rulebook allows.

One source of chance makes a whole case: accounts with their bases, grids, gaps and modalities by day; a member with an
anchor near a month end; and a chain of transactions that the guards would accept, recorded in any order. Hypothesis
draws from it in the suite; `long_run.py` seeds it with numbers.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, replace

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, period_at
from domain.premium.account_terms import AccountTerms, InclusionCriterion, PayrollSchedule
from domain.premium.modal import ProrationBasis
from domain.premium.timeline import MemberTerms
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    PolicyTransaction,
    PremiumAmount,
    PremiumSequence,
    SequenceHolder,
    TransactionStatus,
    TransactionType,
    WaiverSource,
)
from tests.domain.premium.builders import Dates
from tests.domain.premium.oracle import PlainAccount

FREQUENCIES = tuple(Frequency)
COVERAGES = ("DENTAL", "LIFE", "VISION")
ACCOUNTS = ("G", "H", "ID")


@dataclass(frozen=True)
class Case:
    """A member with its transactions, the accounts in both shapes, and the days [first, end) to compare."""

    terms: MemberTerms
    transactions: tuple[PolicyTransaction, ...]
    accounts: tuple[tuple[AccountTerms, PlainAccount], ...]
    first: dt.date
    end: dt.date


def random_case(chance: random.Random) -> Case:
    """One case."""
    effective = _effective_date(chance)
    accounts = tuple(_account(chance, name, effective) for name in ACCOUNTS)
    expiration = effective + dt.timedelta(days=chance.randint(200, 800)) if chance.random() < 0.2 else None
    anchor = effective
    if chance.random() < 0.3:
        anchor = period_at(dt.date(2022, 12, chance.choice((1, 15, 28, 31))), Frequency.MONTHLY, effective).start
    terms = MemberTerms("M", effective, anchor, expiration, multiple_sequences=chance.random() < 0.6)
    transactions = _Telling(chance, terms, {plain.name: plain for _, plain in accounts}).tell()
    around = chance.choice(transactions).effective_date
    first = around - dt.timedelta(days=chance.randint(0, 60))
    return Case(terms, transactions, accounts, first, first + dt.timedelta(days=chance.randint(1, 120)))


def _effective_date(chance: random.Random) -> dt.date:
    if chance.random() < 0.5:
        month_end = chance.choice(((2023, 1), (2023, 11), (2024, 1), (2024, 2), (2023, 4), (2023, 2)))
        return dt.date(*month_end, 28) + dt.timedelta(days=chance.randint(0, 3))
    return dt.date(2023, 1, 1) + dt.timedelta(days=chance.randint(0, 500))


def _account(chance: random.Random, name: str, effective: dt.date) -> tuple[AccountTerms, PlainAccount]:
    start = dt.date(2022, 12, 1) + dt.timedelta(days=chance.choice((0, 0, 0, 9, 14, 27, 28, 29, 30)))
    seasonal = chance.random() < 0.2
    frequency = Frequency.MONTHLY if seasonal or chance.random() < 0.4 else chance.choice(FREQUENCIES)
    gaps = frozenset(chance.sample(range(1, 13), chance.randint(1, 4))) if seasonal else frozenset()
    individual = chance.random() < 0.3
    rules: tuple[tuple[dt.date, Frequency], ...] = ((dt.date(2022, 1, 1), frequency),)
    if not seasonal and chance.random() < 0.4:
        change = effective + dt.timedelta(days=chance.randint(1, 500))
        rules = (*rules, (change, chance.choice(FREQUENCIES)))
    basis = chance.choice(tuple(ProrationBasis))
    by_last_day = not individual and chance.random() < 0.3
    dates = _deduction_dates(chance, effective) if individual and chance.random() < 0.8 else ()
    terms = AccountTerms(
        account=name,
        currency="USD",
        invoicing=InvoicingGrid.starting(start, frequency),
        bill_type=BillType.LIST_BILL,
        allocation_mode=AllocationMode.INDIVIDUAL if individual else AllocationMode.TRUE_GROUP,
        proration_basis=basis,
        inclusion_criterion=InclusionCriterion.PERIOD_TO if by_last_day else InclusionCriterion.PERIOD_FROM,
        seasonal_gaps=gaps,
        modality_by_day=rules,
        payroll=tuple(PayrollSchedule(one, Dates(dates)) for one in FREQUENCIES) if dates else (),
    )
    plain = PlainAccount(
        name=name,
        frequency=frequency.value,
        invoicing_start=start,
        basis=basis.value,
        by_last_day=by_last_day,
        gaps=tuple(gaps),
        modality_by_day=tuple((first, modality.value) for first, modality in rules),
        individual=individual,
        deduction_dates=dates,
    )
    return terms, plain


def _deduction_dates(chance: random.Random, effective: dt.date) -> tuple[dt.date, ...]:
    start = effective + dt.timedelta(days=chance.randint(-60, 60))
    step = chance.choice((7, 14, 30, 31, 45))
    return tuple(start + dt.timedelta(days=step * index) for index in range(1200 // step))


class _Telling:
    """Tells one chain of transactions, ascending by date, each one that the guards of its day would accept."""

    def __init__(self, chance: random.Random, terms: MemberTerms, accounts: dict[str, PlainAccount]) -> None:
        self.chance = chance
        self.terms = terms
        self.accounts = accounts
        self.day = terms.effective_date
        self.told: list[PolicyTransaction] = []
        self.account = ""
        self.keys: dict[str, ItemKey] = {}
        self.cancelled_on: dt.date | None = None
        self.stopped = False
        self.waivers: list[str] = []
        # A calm member keeps one amount over long periods, so that the cap and single days at their edges matter.
        self.calm = chance.random() < 0.3

    def tell(self) -> tuple[PolicyTransaction, ...]:
        self._start(TransactionType.NEW_BUSINESS)
        for _ in range(self.chance.choice((0, 1, 2, 3, 4, 5, 6, 8, 10))):
            if self.chance.random() < 0.85:
                self._go_on()
            self._one()
        return self._recorded()

    def _go_on(self) -> None:
        """Some days later; often to the edge of a modal period, where a single day decides."""
        self.day += dt.timedelta(days=self.chance.choice((1, 3, 9, 14, 20, 31, 45, 90)))
        if self.chance.random() < (0.8 if self.calm else 0.4):
            modality = self.chance.choice((Frequency.MONTHLY, Frequency.BIMONTHLY, Frequency.SEMI_ANNUAL))
            edge = period_at(self.terms.anchor, modality, self.day).end
            self.day = edge + dt.timedelta(days=self.chance.choice((-2, -1, -1, 0, 1)))

    def _recorded(self) -> tuple[PolicyTransaction, ...]:
        """The told ones with places in the stream: of one date as told, of different dates in any order."""
        days = list(dict.fromkeys(one.effective_date for one in self.told))
        self.chance.shuffle(days)
        ordered = [one for date in days for one in self.told if one.effective_date == date]
        placed = [replace(one, order=place + 1) for place, one in enumerate(ordered)]
        noise = [
            replace(
                one,
                transaction_id=f"{one.transaction_id}-undone",
                order=len(placed) + 1,
                status=self.chance.choice((TransactionStatus.BACKED_OFF, TransactionStatus.INEFFECTIVE)),
            )
            for one in placed
            if self.chance.random() < 0.1
        ]
        result = [*placed, *noise]
        self.chance.shuffle(result)
        return tuple(result)

    def _add(self, kind: TransactionType, **stated: object) -> None:
        self.told.append(
            PolicyTransaction(
                transaction_id=f"T{len(self.told) + 1}",
                type=kind,
                effective_date=self.day,
                transaction_date=self.day,
                recorded_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
                order=0,
                **stated,  # type: ignore[arg-type]
            )
        )

    def _one(self) -> None:
        if self.cancelled_on is not None:
            step = self.chance.choice((self._rescind, self._reinstate, self._employ))
        elif self.calm:
            step = self.chance.choice(
                (self._reclassify, self._reclassify, self._stop_or_resume, self._cancel, self._waive, self._waive)
            )
        else:
            step = self.chance.choice(
                (
                    self._amend, self._amend, self._reclassify, self._reclassify, self._renew, self._stop_or_resume,
                    self._stop_or_resume, self._cancel, self._move, self._move, self._employ, self._waive, self._waive,
                    self._end_waiver, self._change_payroll, self._remove_continuation, self._rewrite,
                )
            )  # fmt: skip
        step()

    def _start(self, kind: TransactionType) -> None:
        self.account = self.chance.choice(ACCOUNTS)
        self.keys, self.waivers, self.stopped = {}, [], False
        self._add(
            kind,
            account=self.account,
            location=self.chance.choice((None, "L1", "L2")),
            payroll_frequency=self.chance.choice((None, Frequency.BIWEEKLY, Frequency.SEMI_MONTHLY)),
            amounts=self._amounts(self.chance.sample(COVERAGES, 1 if self.calm else self.chance.randint(1, 3))),
            **self._modality(),
        )

    def _modality(self) -> dict[str, object]:
        """A modality the account accepts; sometimes by day from the account."""
        if self.calm and not self.accounts[self.account].gaps:
            return {"modality": self.chance.choice((Frequency.BIMONTHLY, Frequency.SEMI_ANNUAL))}
        if self.chance.random() < 0.4:
            return {"modality_from_account": True}
        return {"modality": Frequency.MONTHLY if self.accounts[self.account].gaps else self.chance.choice(FREQUENCIES)}

    def _amounts(self, coverages: list[str]) -> tuple[PremiumAmount, ...]:
        stated = []
        for coverage in coverages:
            key = ItemKey(coverage, coverage_class=self.chance.choice("AB"), tier=self.chance.choice(("", "", "T")))
            if self.chance.random() < 0.5 and coverage in self.keys:
                key = self.keys[coverage]
            self.keys[coverage] = key
            annual = self.chance.choice((0, 1, 12, 100, 120000, 120000, 120000, 144000, 133333, 99999))
            if self.chance.random() < 0.3:
                annual = self.chance.randint(1, 300000)
            stated.append(PremiumAmount(key, annual, self._sequences(annual)))
        return tuple(stated)

    def _sequences(self, annual: int) -> tuple[PremiumSequence, ...]:
        count = self.chance.choice((0, 0, 1, 2, 3))
        sequences = []
        for number in range(1, count + 1):
            since = dt.date(2020, 1, 1)
            until = None
            if number < count and self.chance.random() < 0.3:
                until = self.day + dt.timedelta(days=self.chance.randint(1, 200))
            if count > 1 and number == count and self.chance.random() < 0.3:
                since = self.day + dt.timedelta(days=self.chance.randint(1, 60))
            share = self.chance.choice((annual // count, annual // count, 60000, 1))
            holders = [SequenceHolder("P", share, since, until)]
            if self.chance.random() < 0.2:
                change = self.day + dt.timedelta(days=self.chance.randint(1, 100))
                holders = [SequenceHolder("P", share, since, change), SequenceHolder("Q", share // 2, change, until)]
            renamed = self.chance.random() < 0.2
            sequences.append(
                PremiumSequence(
                    f"S{number}b" if renamed else f"S{number}",
                    number,
                    since,
                    tuple(holders),
                    until,
                    f"S{number}" if renamed else None,
                )
            )
        return tuple(sequences)

    def _amend(self) -> None:
        if self.chance.random() < 0.15 and len(self.keys) > 1:
            coverage = self.chance.choice(sorted(self.keys))
            self._add(
                TransactionType.AMENDMENT,
                kinds=(AmendmentKind.GENERAL,),
                amounts=(PremiumAmount(self.keys.pop(coverage), None),),
            )
            return
        self._add(
            TransactionType.AMENDMENT,
            kinds=(AmendmentKind.GENERAL,),
            amounts=self._amounts(self.chance.sample(COVERAGES, self.chance.randint(0, 3))),
        )

    def _reclassify(self) -> None:
        """A class change that leaves the amount."""
        coverage = self.chance.choice(sorted(self.keys)) if self.keys else "LIFE"
        known = [one for told in self.told for one in told.amounts if one.key.coverage == coverage and one.annual]
        key = ItemKey(coverage, coverage_class=self.chance.choice("ABC"))
        self.keys[coverage] = key
        annual = known[-1].annual if known else 120000
        sequences = known[-1].sequences if known else ()
        self._add(
            TransactionType.AMENDMENT,
            kinds=(AmendmentKind.CLASSIFICATION_CHANGE,),
            amounts=(PremiumAmount(key, annual, sequences),),
        )

    def _renew(self) -> None:
        self._add(TransactionType.RENEWAL, amounts=self._amounts(sorted(self.keys)))

    def _stop_or_resume(self) -> None:
        kind = AmendmentKind.RESUME_BILLING if self.stopped else AmendmentKind.STOP_BILLING
        self.stopped = not self.stopped
        self._add(TransactionType.AMENDMENT, kinds=(kind,), nonforfeiture="EXTENDED_TERM")

    def _cancel(self) -> None:
        self.cancelled_on = self.day
        self._add(TransactionType.CANCELLATION)

    def _rescind(self) -> None:
        assert self.cancelled_on is not None
        since = [one for one in self.told if one.effective_date > self.cancelled_on]
        if since:
            return
        self.day = self.cancelled_on
        self._add(TransactionType.RESCIND_CANCELLATION)
        self.cancelled_on = None

    def _reinstate(self) -> None:
        assert self.cancelled_on is not None
        if self.chance.random() < 0.3 and not [one for one in self.told if one.effective_date > self.cancelled_on]:
            self.day = self.cancelled_on
        amounts = self._amounts(sorted(self.keys)) if self.chance.random() < 0.4 else ()
        if self.day > self.cancelled_on:
            self.waivers = []
        self._add(TransactionType.REINSTATEMENT, amounts=amounts)
        self.cancelled_on = None

    def _move(self) -> None:
        self.account = self.chance.choice([one for one in ACCOUNTS if one != self.account])
        kind = self.chance.choice(
            (TransactionType.PORTABILITY, TransactionType.CONTINUATION, TransactionType.MOVED_TO_LIST_BILL)
        )
        amounts = self._amounts(sorted(self.keys)) if self.chance.random() < 0.3 else ()
        modality = self._modality()
        if not modality.get("modality") and not self.accounts[self.account].gaps and self.chance.random() < 0.3:
            modality = {}
        if self.accounts[self.account].gaps and not modality:
            modality = {"modality_from_account": True}
        self._add(kind, account=self.account, amounts=amounts, **modality)

    def _employ(self) -> None:
        location = self.chance.choice(("L1", "L2", "L3", ""))
        if self.chance.random() < 0.4:
            self.account = self.chance.choice(ACCOUNTS)
            self._add(
                TransactionType.EMPLOYMENT_CHANGE, location=location, account=self.account, modality_from_account=True
            )
        else:
            self._add(TransactionType.EMPLOYMENT_CHANGE, location=location)

    def _change_payroll(self) -> None:
        if self.accounts[self.account].gaps:
            return
        frequency = self.chance.choice(FREQUENCIES)
        self._add(
            TransactionType.AMENDMENT,
            kinds=(AmendmentKind.PAYROLL_FREQUENCY_CHANGE,),
            modality=frequency,
            payroll_frequency=frequency,
        )

    def _waive(self) -> None:
        waiver = f"W{len(self.told)}"
        self.waivers.append(waiver)
        self._add(
            TransactionType.WAIVER_ADD,
            waiver_id=waiver,
            waiver_source=WaiverSource.CLAIMS,
            until=self.day + dt.timedelta(days=self.chance.choice((1, 1, 7, 30, 77, 120)))
            if self.chance.random() < 0.6
            else None,
            expiration=self.day + dt.timedelta(days=self.chance.randint(1, 90)) if self.chance.random() < 0.2 else None,
            coverages=tuple(self.chance.sample(COVERAGES, self.chance.choice((0, 0, 1, 2)))),
        )

    def _end_waiver(self) -> None:
        if self.waivers:
            self._add(TransactionType.WAIVER_REMOVE, waiver_id=self.waivers.pop())

    def _remove_continuation(self) -> None:
        if self.chance.random() < 0.3:
            self._add(TransactionType.CONTINUATION_REMOVED)

    def _rewrite(self) -> None:
        if self.chance.random() < 0.3:
            self.day += dt.timedelta(days=1)
            kept = len(self.told)
            if self.chance.random() < 0.5:
                self._employ()
            self._start(TransactionType.REWRITE)
            # An employment change of the same date stays in force over the rewrite and lies on top of it.
            self.account = next((one.account for one in self.told[kept:] if one.account), self.account)
