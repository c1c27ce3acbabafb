"""Laws that hold for every history: nothing is compounded, nothing above the modal premium, nothing billed twice."""

import random
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import Refusal
from domain.premium.account_terms import AccountTerms
from domain.premium.anyb import InvoicedAmount, anyb, member_anyb
from domain.premium.charges import Charge, billing_period_of, charges, charges_billed_in
from domain.premium.explanation import explain_charge, location_lines
from domain.premium.timeline import Timeline, build_timeline
from domain.premium.transactions import AmendmentKind, PolicyTransaction, TransactionType
from tests.domain.premium.random_histories import Case, random_case

SEEDS = st.integers(min_value=0, max_value=2**48)


def priced(case: Case, timeline: Timeline) -> list[tuple[AccountTerms, list[Charge]]]:
    """The charges on every account on which the calculation is not stopped."""
    found = []
    for terms, _ in case.accounts:
        try:
            found.append((terms, charges(timeline, terms, case.first, case.end)))
        except Refusal:
            continue
    return found


@pytest.mark.rule("PRM-029")
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_net_is_gross_less_what_is_waived_and_lies_between_nothing_and_gross(seed: int) -> None:
    case = random_case(random.Random(seed))
    for _, found in priced(case, build_timeline(case.transactions, case.terms)):
        for one in found:
            assert one.net == one.gross + one.waiver
            assert 0 <= one.net <= one.gross
            assert one.period_start <= one.covered_from < one.covered_end <= one.period_end


@pytest.mark.rule("PRM-023", "PRM-027")
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_the_working_adds_up_to_the_charge_and_respects_the_cap(seed: int) -> None:
    case = random_case(random.Random(seed))
    timeline = build_timeline(case.transactions, case.terms)
    for terms, found in priced(case, timeline):
        for one in found:
            working = explain_charge(timeline, terms, one)
            unrounded = sum((piece.unrounded for piece in working.pieces), Fraction(0))
            if not working.whole and not working.capped:
                assert abs(working.gross - unrounded) <= Fraction(1, 2)
            amounts = {piece.annual for piece in working.pieces if piece.annual}
            if len(amounts) == 1:
                assert working.gross <= Fraction(amounts.pop(), working.paymode) + Fraction(1, 2)
            assert sum(piece.days for piece in working.pieces if piece.annual) == one.days
            lines = location_lines(timeline, terms, one)
            assert (sum(line.gross for line in lines), sum(line.waiver for line in lines)) == (one.gross, one.waiver)


@pytest.mark.rule("PRM-022", "PRM-061", "PRM-033")
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_transactions_that_change_nothing_change_no_charge(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    timeline = build_timeline(case.transactions, case.terms)
    cut = timeline
    for number in range(3):
        segment = chance.choice(timeline.segments)
        template = case.transactions[0]
        nothing = PolicyTransaction(
            transaction_id=f"N{number}",
            type=TransactionType.AMENDMENT,
            effective_date=segment.start + (min(segment.end, case.end) - segment.start) // 2,
            transaction_date=template.transaction_date,
            recorded_at=template.recorded_at,
            order=1000 + number,
            kinds=(AmendmentKind.GENERAL,),
        )
        if nothing.effective_date >= segment.start:
            cut = cut.with_transaction(nothing)
    assert priced(case, cut) == priced(case, timeline)


@pytest.mark.rule("PRM-123", "PRM-126")
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_once_everything_is_invoiced_nothing_is_open_in_whatever_order_one_looks(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    timeline = build_timeline(case.transactions, case.terms)
    for terms, found in priced(case, timeline):
        billed = {billing_period_of(one, terms) for one in found}
        taken = [
            InvoicedAmount(one.key, one.gross, one.waiver, billing_period_of(one, terms).start)
            for one in found
            if chance.random() < 0.7
        ]
        starts = {period.start for period in billed}
        open_keys = anyb(found, taken, terms, starts)
        assert open_keys == anyb(found[::-1], taken[::-1], terms, starts)
        left = {one.key for one in found if one.has_item} - {one.key for one in taken}
        assert {one.key for one in open_keys} == left
        carried = [InvoicedAmount(one.key, one.charge, one.waiver, one.billing_start) for one in open_keys]
        assert anyb(found, [*taken, *carried], terms, starts) == ()


@pytest.mark.rule("PRM-121", "PRM-123")
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_a_change_costs_what_it_changed_and_gives_what_a_full_comparison_gives(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    before = build_timeline(case.transactions, case.terms)
    last = chance.choice([one for one in before.transactions if one.type is not TransactionType.NEW_BUSINESS] or [None])
    if last is None or any(one.type is TransactionType.REWRITE for one in case.transactions):
        return
    after = before.changed(removed=[last])
    for terms, found in priced(case, before):
        billed = sorted({billing_period_of(one, terms) for one in found})
        taken = [
            InvoicedAmount(one.key, one.gross, one.waiver, billing_period_of(one, terms).start)
            for one in found
            if one.has_item
        ]
        try:
            whole = member_anyb(after, terms, taken, billed)
            since = member_anyb(after, terms, taken, billed, last.effective_date)
            untouched = member_anyb(before, terms, taken, billed)
        except Refusal:
            continue
        changed = {one.key for one in since}
        assert since == tuple(one for one in whole if one.key in changed)
        ended = {one.key for one in found if one.period_end <= last.effective_date}
        assert [one for one in whole if one.key in ended] == [one for one in untouched if one.key in ended]
        assert {one.key for one in whole} - changed <= {one.key for one in untouched}


@pytest.mark.rule("INV-020", "INV-022")
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
@example(seed=3671)  # the deduction date lies on days of another modality
def test_every_charge_is_billed_in_exactly_its_billing_period(seed: int) -> None:
    case = random_case(random.Random(seed))
    timeline = build_timeline(case.transactions, case.terms)
    for terms, found in priced(case, timeline):
        for period in {billing_period_of(one, terms) for one in found}:
            expected = {one for one in found if billing_period_of(one, terms) == period}
            try:
                billed = charges_billed_in(timeline, terms, period)
            except Refusal:
                continue
            assert expected <= set(billed)
            assert all(billing_period_of(one, terms) == period for one in billed)
            assert len({one.key for one in billed}) == len(billed)
