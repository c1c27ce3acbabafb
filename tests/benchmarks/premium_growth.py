"""What a further transaction and a month's charges cost a member with a long history: they follow what changed.

Run: `python -m tests.benchmarks.premium_growth`. For members with 10, 100 and 1,000 earlier transactions over 30 years
it prints the time to add one at the end and one in the middle, to price a month, and to find the amount not yet billed
since the transaction; then how many charges a second are priced for members with one plain month each.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.premium.account_terms import AccountTerms
from domain.premium.anyb import InvoicedAmount, member_anyb
from domain.premium.charges import charges, charges_of
from domain.premium.timeline import MemberTerms, Timeline, build_timeline
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    PolicyTransaction,
    PremiumAmount,
    PremiumSequence,
    SequenceHolder,
    TransactionType,
)

YEARS = 30
START = dt.date(1996, 1, 1)
DAYS = YEARS * 365
ACCOUNT = AccountTerms("G", "USD", InvoicingGrid.starting(START, Frequency.MONTHLY))
COVERAGES = tuple(ItemKey(name) for name in ("DENTAL", "LIFE", "VISION"))


def transaction(
    number: int, on: dt.date, kind: TransactionType, amounts: tuple[PremiumAmount, ...], **stated: object
) -> PolicyTransaction:
    return PolicyTransaction(
        f"T{number}", kind, on, on, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), number, amounts=amounts, **stated  # type: ignore[arg-type]
    )  # fmt: skip


def amendment(number: int, on: dt.date, annual: int) -> PolicyTransaction:
    amounts = (PremiumAmount(COVERAGES[number % 3], annual),)
    return transaction(number, on, TransactionType.AMENDMENT, amounts, kinds=(AmendmentKind.GENERAL,))


def long_lived(earlier: int) -> Timeline:
    """A member with so many transactions spread over 30 years."""
    start = transaction(
        0, START, TransactionType.NEW_BUSINESS, tuple(PremiumAmount(key, 120_000) for key in COVERAGES), account="G"
    )
    step = DAYS / earlier
    told = [start]
    told += [
        amendment(number, START + dt.timedelta(days=int(number * step)), 120_000 + number)
        for number in range(1, earlier)
    ]
    return build_timeline(told, MemberTerms("M", START, START))


def measured(action: Callable[[], object], at_least: float = 0.2) -> float:
    """Milliseconds of one run, the best of several rounds."""
    best, spent = float("inf"), 0.0
    while spent < at_least:
        began = time.perf_counter()
        action()
        took = time.perf_counter() - began
        best, spent = min(best, took), spent + took
    return best * 1000


def growth() -> None:
    """One further transaction against 10, 100 and 1,000 earlier ones."""
    print(
        f"{'earlier':>8} {'build all':>10} {'add last':>10} {'add middle':>11} {'a month':>9} {'ANYB since':>11}   ms"
    )
    last_day = START + dt.timedelta(days=DAYS)
    month = last_day.replace(day=1)
    for earlier in (10, 100, 1000):
        timeline = long_lived(earlier)
        last = amendment(earlier, last_day - dt.timedelta(days=20), 150_000)
        middle = amendment(earlier, START + dt.timedelta(days=DAYS // 2), 150_000)
        billed = [ACCOUNT.invoicing.period_at(START)]
        while billed[-1].end < last_day:
            billed.append(ACCOUNT.invoicing.period_at(billed[-1].end))
        recent = [
            InvoicedAmount(one.key, one.gross, one.waiver, one.period_start)
            for one in charges(timeline, ACCOUNT, last_day - dt.timedelta(days=90), last_day)
        ]
        after = timeline.with_transaction(last)
        figures = (
            measured(lambda timeline=timeline: build_timeline(timeline.transactions, timeline.terms)),
            measured(lambda timeline=timeline, last=last: timeline.with_transaction(last)),
            measured(lambda timeline=timeline, middle=middle: timeline.with_transaction(middle)),
            measured(lambda timeline=timeline: charges(timeline, ACCOUNT, month, last_day)),
            measured(
                lambda after=after, recent=recent, billed=billed: member_anyb(
                    after, ACCOUNT, recent, billed, last_day - dt.timedelta(days=20)
                )
            ),
        )
        print(f"{earlier:>8} " + " ".join(f"{figure:>10.3f}" for figure in figures))


def bulk(members: int = 10_000) -> None:
    """Charges a second for many members with one month each: plain, with two sequences, and with a change inside."""
    holders = (
        PremiumSequence("S1", 1, START, (SequenceHolder("P", 60_000, START),)),
        PremiumSequence("S2", 2, START, (SequenceHolder("Q", 60_000, START),)),
    )
    month = dt.date(2025, 6, 1)
    change = amendment(1, dt.date(2025, 6, 11), 150_000)
    shapes: dict[str, tuple[tuple[PremiumSequence, ...], tuple[PolicyTransaction, ...]]] = {
        "whole month, one sequence": ((), ()),
        "whole month, two sequences": (holders, ()),
        "one coverage changed within": ((), (change,)),
    }
    for name, (sequences, more) in shapes.items():
        amounts = tuple(PremiumAmount(key, 120_000, sequences) for key in COVERAGES)
        start = transaction(0, START, TransactionType.NEW_BUSINESS, amounts, account="G")
        began = time.perf_counter()
        timelines = [
            build_timeline((start, *more), MemberTerms(str(number), START, START)) for number in range(members)
        ]
        built = time.perf_counter() - began
        best = min(_priced(timelines, month) for _ in range(3))
        count = sum(1 for _ in charges_of(timelines, ACCOUNT, month, dt.date(2025, 7, 1)))
        print(
            f"{name:<28} {count:>7} charges in {best:6.3f} s: {count / best:>9,.0f} a second, "
            f"{best / count * 1e6:5.2f} us each; timelines built in {built:.3f} s"
        )


def _priced(timelines: list[Timeline], month: dt.date) -> float:
    began = time.perf_counter()
    for _ in charges_of(timelines, ACCOUNT, month, dt.date(2025, 7, 1)):
        pass
    return time.perf_counter() - began


if __name__ == "__main__":
    growth()
    bulk()
