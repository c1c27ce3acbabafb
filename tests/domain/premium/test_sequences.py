"""Splits of a charge over premium sequences."""

import datetime as dt
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Refusal
from domain.premium.charges import Charge, charges
from domain.premium.explanation import explain_charge
from domain.premium.sequences import SubPeriod, are_steady, split, steady_shares
from domain.premium.timeline import MemberTerms, build_timeline
from domain.premium.transactions import PremiumSequence, SequenceHolder
from tests.domain.premium.builders import LIFE, Book, History, account, amount, charges_from, day, money, sequence
from tests.domain.premium.random_histories import random_case


def by_sequence(found: list[Charge]) -> dict[str, str]:
    return {one.sequence_id: money(one.net) for one in found}


def april_with_third_sequence() -> History:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    third = sequence(3, "600.00", since="2025-04-11")
    return history.amend("2025-04-11", amount("1800.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00"), third))


@pytest.mark.rule("PRM-051", "PRM-052", "PRM-053", "PRM-E16")
def test_a_sequence_added_within_the_period_shares_by_its_days_and_takes_the_difference() -> None:
    history = april_with_third_sequence()
    april = charges_from(history, account(), "2025-04-01", "2025-05-01")
    assert by_sequence(april) == {"S1": "49.32", "S2": "49.32", "S3": "32.87"}
    assert money(sum(one.net for one in april)) == "131.51"
    working = [explain_charge(history.timeline(), account(), one) for one in april]
    assert [one.coefficient for one in working] == [Fraction(3, 8), Fraction(3, 8), Fraction(1, 4)]


@pytest.mark.rule("PRM-130", "PRM-E16")
def test_anyb_is_kept_per_sequence() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    book = Book(account())
    assert book.invoice("2025-04-01", history) == "100.00"
    keys = book.open_keys(april_with_third_sequence())
    assert {one.key.sequence: money(one.amount) for one in keys} == {"S1": "-0.68", "S2": "-0.68", "S3": "32.87"}
    assert book.anyb(april_with_third_sequence()) == "31.51"


@pytest.mark.rule("PRM-051", "PRM-054", "PRM-130", "PRM-E16")
def test_a_change_of_holders_alone_moves_shares_and_leaves_the_charge() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "720.00"), sequence(2, "480.00")))
    book = Book(account())
    book.invoice("2025-06-01", history)
    history.amend("2025-06-11", amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    june = charges_from(history, account(), "2025-06-01", "2025-07-01")
    assert by_sequence(june) == {"S1": "53.33", "S2": "46.67"}
    assert all(one.whole for one in june)
    assert [money(one.amount) for one in book.open_keys(history)] == ["-6.67", "6.67"]
    assert book.anyb(history) == "0.00"


@pytest.mark.rule("PRM-051")
def test_a_holder_that_changes_within_the_period_cuts_it_without_a_transaction() -> None:
    holders = (
        SequenceHolder("P", 60000, day("2025-01-01"), day("2025-06-11")),
        SequenceHolder("Q", 20000, day("2025-06-11")),
    )
    first = PremiumSequence("S1", 1, day("2025-01-01"), holders)
    history = History().new_business(amount("1200.00", LIFE, first, sequence(2, "600.00")))
    # S1 holds 10 days of 1/2 and 20 days of 1/4: (5 + 5) / 30 of 100.00.
    assert by_sequence(charges_from(history, account(), "2025-06-01", "2025-07-01")) == {"S1": "33.33", "S2": "66.67"}


@pytest.mark.rule("PRM-054")
def test_a_whole_period_with_steady_holders_is_split_by_annual_amounts() -> None:
    history = History().new_business(
        amount("1000.00", LIFE, sequence(1, "333.00"), sequence(2, "333.00"), sequence(3, "334.00"))
    )
    march = charges_from(history, account(), "2025-03-01", "2025-04-01")
    assert by_sequence(march) == {"S1": "27.75", "S2": "27.75", "S3": "27.83"}


@pytest.mark.rule("PRM-053")
def test_the_difference_goes_to_the_highest_numbered_sequence_and_never_below_zero() -> None:
    three = tuple(sequence(number, "1.00") for number in (3, 1, 2))
    shares = steady_shares(2, three)
    assert [(one.number, share) for one, share in shares] == [(1, 1), (2, 1), (3, 0)]
    four = tuple(sequence(number, "1.00") for number in (1, 2, 3, 4))
    # 2 cents over four: every share rounds up to 1, the last two give theirs back.
    assert [share for _, share in steady_shares(2, four)] == [1, 1, 0, 0]


def sub_period(weight: int, *holdings: tuple[str, int]) -> SubPeriod:
    return SubPeriod(day("2025-03-01"), day("2025-03-11"), weight, holdings)


@pytest.mark.rule("PRM-053", "PRM-029")
def test_a_net_share_stays_at_its_gross_share_and_the_excess_goes_to_the_highest_number_with_room() -> None:
    # S3 holds next to nothing of the gross charge but all of the days that are not waived.
    sequences = (sequence(1, "1.00"), sequence(2, "1.00"), sequence(3, "1.00"))
    charged = [sub_period(100, ("S1", 49), ("S2", 49), ("S3", 2))]
    payable = [sub_period(2, ("S3", 2))]
    shares = split(2, 1, charged, payable, sequences)
    assert [one.gross for one in shares] == [1, 1, 0]
    assert [one.net for one in shares] == [0, 1, 0]
    assert [one.waiver for one in shares] == [-1, 0, 0]


@pytest.mark.rule("PRM-053", "PRM-029")
def test_a_waived_part_is_split_by_the_holders_of_the_days_left() -> None:
    # Gross by all days, net by the 10 days before the waiver, when S2 was not there yet.
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "1200.00")))
    history.amend("2025-04-11", amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00", "2025-04-11")))
    history.waive("2025-04-11")
    first, second = charges_from(history, account(), "2025-04-01", "2025-05-01")
    assert [money(one.gross) for one in (first, second)] == ["66.67", "33.33"]
    assert [money(one.net) for one in (first, second)] == ["32.88", "0.00"]
    assert [money(one.waiver) for one in (first, second)] == ["-33.79", "-33.33"]


@pytest.mark.rule("PRM-055")
def test_amounts_invoiced_under_a_replaced_sequence_count_for_its_replacement() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    book = Book(account())
    book.invoice("2025-04-01", history)
    rolled_on = History().new_business(
        amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00", id="S2x", replaces="S2"))
    )
    assert book.open_keys(rolled_on) == ()
    [_, second] = charges_from(rolled_on, account(), "2025-04-01", "2025-05-01")
    assert (second.sequence, second.sequence_id) == ("S2", "S2x")


@pytest.mark.rule("PRM-055")
def test_a_second_replacement_keeps_the_lineage_of_the_first_one() -> None:
    thrice = PremiumSequence(
        "S2y", 2, day("2025-01-01"), (SequenceHolder("P", 60000, day("2025-01-01")),), replaces="S2x", lineage="S2"
    )
    assert thrice.root == "S2"


@pytest.mark.rule("PRM-055")
def test_a_removed_sequence_without_replacement_gets_credits_only() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    book = Book(account())
    book.invoice("2025-04-01", history)
    removed = History().new_business(amount("1200.00", LIFE, sequence(1, "1200.00")))
    assert {one.key.sequence: money(one.amount) for one in book.open_keys(removed)} == {"S1": "50.00", "S2": "-50.00"}


@pytest.mark.rule("PRM-050")
def test_without_multiple_sequences_every_key_has_the_single_sequence_one() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "600.00"), sequence(2, "600.00")))
    terms = MemberTerms("M", history.effective, history.effective, multiple_sequences=False)
    [march] = charges(build_timeline(history.transactions, terms), account(), day("2025-03-01"), day("2025-03-02"))
    assert (march.sequence, march.sequence_number, money(march.net)) == ("1", 1, "100.00")


@pytest.mark.rule("PRM-047", "PRM-051")
def test_a_stopped_day_needs_no_holder() -> None:
    history = History().new_business(amount("1200.00", LIFE, sequence(1, "1200.00", end="2025-03-11")))
    history.stop("2025-03-11")
    assert by_sequence(charges_from(history, account(), "2025-03-01", "2025-04-01")) == {"S1": "32.88"}


def test_two_sequences_of_one_lineage_are_not_steady() -> None:
    pair = (sequence(1, "600.00"), sequence(2, "600.00", id="S1x", replaces="S1"))
    assert not are_steady(pair, day("2025-03-01"), day("2025-04-01"))
    assert are_steady(pair[:1], day("2025-03-01"), day("2025-04-01"))


@pytest.mark.rule("PRM-053")
@settings(max_examples=200, deadline=None)
@given(
    gross=st.integers(min_value=0, max_value=10_000),
    waived=st.fractions(min_value=0, max_value=1),
    parts=st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=10_000),
            st.dictionaries(st.sampled_from(("S1", "S2", "S3", "S4")), st.integers(1, 90_000), min_size=1),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_shares_add_up_and_no_net_share_is_above_its_gross_share(
    gross: int, waived: Fraction, parts: list[tuple[int, dict[str, int], bool]]
) -> None:
    sequences = tuple(sequence(number, "1.00") for number in (1, 2, 3, 4))
    charged = [sub_period(weight, *held.items()) for weight, held, _ in parts]
    payable = [sub_period(weight, *held.items()) for weight, held, paid in parts if paid]
    net = int(gross * (1 - waived)) if payable else 0
    shares = split(gross, net, charged, payable, sequences)
    assert sum(one.gross for one in shares) == gross
    assert sum(one.net for one in shares) == net
    assert all(0 <= one.net <= one.gross for one in shares)
    assert [one.sequence.number for one in shares] == sorted(one.sequence.number for one in shares)


@pytest.mark.rule("PRM-054")
@settings(max_examples=200, deadline=None)
@given(
    charge=st.integers(min_value=0, max_value=100_000),
    annuals=st.lists(st.integers(min_value=1, max_value=500_000), min_size=1, max_size=6),
)
def test_the_standard_split_is_the_split_of_a_single_sub_period(charge: int, annuals: list[int]) -> None:
    start = dt.date(2025, 3, 1)
    sequences = tuple(
        PremiumSequence(f"S{number}", number, start, (SequenceHolder("P", annual, start),))
        for number, annual in enumerate(annuals, 1)
    )
    whole = [sub_period(1, *((one.sequence_id, one.holders[0].annual) for one in sequences))]
    assert steady_shares(charge, sequences) == [
        (one.sequence, one.gross) for one in split(charge, charge, whole, whole, sequences)
    ]


@pytest.mark.rule("PRM-050", "PRM-053")
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_the_charges_of_the_sequences_add_up_to_what_one_sequence_would_cost(seed: int) -> None:
    case = random_case(random.Random(seed))
    single = MemberTerms("M", case.terms.effective_date, case.terms.anchor, case.terms.term_expiration, False)
    several = MemberTerms("M", case.terms.effective_date, case.terms.anchor, case.terms.term_expiration, True)
    for terms, _ in case.accounts:
        try:
            split_up = charges(build_timeline(case.transactions, several), terms, case.first, case.end)
        except Refusal:
            continue
        sums: dict[tuple[object, ...], tuple[int, int]] = {}
        for one in split_up:
            gross, net = sums.get((one.item, one.modality, one.period_start), (0, 0))
            sums[one.item, one.modality, one.period_start] = (gross + one.gross, net + one.net)
        whole = charges(build_timeline(case.transactions, single), terms, case.first, case.end)
        assert sums == {(one.item, one.modality, one.period_start): (one.gross, one.net) for one in whole}
