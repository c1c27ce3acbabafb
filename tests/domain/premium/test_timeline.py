"""What each transaction does to the days from its date on, and that only the transactions decide, not their arrival."""

import dataclasses
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.premium.timeline import OPEN_END, MemberTerms, Segment, Timeline, account_days, build_timeline
from domain.premium.transactions import ItemKey, PolicyTransaction, TransactionStatus, TransactionType
from tests.domain.premium.builders import (
    START,
    Book,
    History,
    account,
    amount,
    cents,
    day,
    direct,
    member,
    net_of,
    nets,
)
from tests.domain.premium.random_histories import random_case

DENTAL = ItemKey("DENTAL")


def on(history: History, date: str) -> Segment:
    segment = history.timeline().at(day(date))
    assert segment is not None
    return segment


def annual(history: History, date: str) -> int:
    """What the single coverage is charged by on the day."""
    segment = on(history, date)
    [one] = segment.charged_amounts
    return segment.annual_of(one)


def test_there_is_nothing_before_the_start_nor_from_the_term_expiration_on() -> None:
    timeline = History(expiration=day("2025-07-01")).new_business(amount("1200.00")).timeline()
    assert timeline.at(day("2024-12-31")) is None
    assert timeline.at(day("2025-06-30")) is not None
    assert timeline.at(day("2025-07-01")) is None
    assert [(one.start, one.end) for one in timeline.segments] == [(START, day("2025-07-01"))]


@pytest.mark.rule("PRM-012")
@pytest.mark.parametrize("status", [one for one in TransactionStatus if one is not TransactionStatus.APPLIED])
def test_only_applied_transactions_count(status: TransactionStatus) -> None:
    history = member().amend("2025-04-01", amount("1320.00")).amend("2025-05-01", amount("1440.00"))
    undone = dataclasses.replace(history.transactions[1], status=status)
    timeline = build_timeline([history.transactions[0], undone, history.transactions[2]], history.terms)
    assert [one.transaction_id for one in timeline.transactions] == ["T1", "T3"]
    assert [one.start for one in timeline.segments] == [START, day("2025-05-01")]


@pytest.mark.rule("PRM-004")
def test_of_two_on_one_date_the_later_recorded_one_prevails() -> None:
    history = member().amend("2025-04-01", amount("1320.00")).amend("2025-04-01", amount("1440.00"))
    assert annual(history, "2025-04-01") == cents("1440.00")


@pytest.mark.rule("PRM-004", "PRM-E26")
def test_a_transaction_rolled_on_takes_its_old_place_before_a_move_of_the_same_date() -> None:
    history = member().port("2025-04-01", "ID", amount("1440.00"))
    rolled_on = dataclasses.replace(
        history.amend("2025-04-01", amount("1320.00")).transactions[-1], order=1, rolled_on_from="T9"
    )
    timeline = build_timeline([*history.transactions[:-1], rolled_on], history.terms)
    segment = timeline.at(day("2025-04-01"))
    assert segment is not None
    assert [one.annual for one in segment.amounts] == [cents("1440.00")]


@pytest.mark.rule("PRM-005")
def test_a_future_amendment_takes_effect_on_its_date() -> None:
    history = member().amend("2031-01-01", amount("1320.00"))
    assert annual(history, "2030-12-31") == cents("1200.00")
    assert annual(history, "2031-01-01") == cents("1320.00")


@pytest.mark.rule("PRM-061")
def test_a_general_amendment_changes_the_keys_it_names_and_keeps_the_others() -> None:
    history = History().new_business(amount("1200.00"), amount("360.00", DENTAL))
    history.amend("2025-04-01", amount("1320.00")).amend("2025-05-01", amount(None, DENTAL))
    assert {one.key.coverage: one.annual for one in on(history, "2025-04-30").amounts} == {
        "DENTAL": cents("360.00"),
        "LIFE": cents("1320.00"),
    }
    assert [one.key.coverage for one in on(history, "2025-05-01").amounts] == ["LIFE"]


@pytest.mark.rule("PRM-020", "PRM-044")
def test_a_new_key_of_a_coverage_takes_the_place_of_the_old_one() -> None:
    old, new = ItemKey("LIFE", coverage_class="A"), ItemKey("LIFE", coverage_class="B")
    history = History().new_business(amount("1200.00", old)).amend("2025-04-01", amount("1300.00", new))
    assert [one.key for one in on(history, "2025-04-01").amounts] == [new]
    stated = History().new_business(amount("1200.00", old))
    stated.amend("2025-04-01", amount("1300.00", new), amount(None, old))
    assert [one.key for one in on(stated, "2025-04-01").amounts] == [new]


@pytest.mark.rule("PRM-025", "PRM-064", "PRM-E07")
def test_a_cancelled_day_is_not_charged_from_the_effective_date_on() -> None:
    cancelled = member().cancel("2025-03-16")
    assert not cancelled.timeline().is_in_force(day("2025-03-16"))
    assert cancelled.timeline().is_in_force(day("2025-03-15"))
    assert net_of(cancelled, account(), "2025-03") == "49.32"
    assert net_of(cancelled, account(), "2025-02") == "100.00"
    assert net_of(cancelled, account(), "2025-04") == "0.00"
    assert nets(member().cancel("2025-01-01"), account(), "2025-01-01", "2026-01-01") == []


@pytest.mark.rule("PRM-065", "PRM-012")
def test_a_rescission_voids_the_cancellation_of_its_date() -> None:
    history = member().cancel("2025-03-16").rescind("2025-03-16")
    assert nets(history, account(), "2025-03-01", "2025-05-01") == ["100.00", "100.00"]
    history.cancel("2025-03-16")
    assert net_of(history, account(), "2025-03") == "49.32"


@pytest.mark.rule("PRM-066", "PRM-025", "PRM-E08")
def test_a_reinstatement_on_the_date_of_the_cancellation_leaves_no_lapse() -> None:
    history = member().cancel("2025-03-16").reinstate("2025-03-16")
    assert nets(history, account(), "2025-03-01", "2025-05-01") == ["100.00", "100.00"]


@pytest.mark.rule("PRM-066", "PRM-E08")
def test_a_later_reinstatement_leaves_the_lapse_uncharged() -> None:
    assert net_of(member().cancel("2025-03-16").reinstate("2025-03-21"), account(), "2025-03") == "85.48"
    late = member().cancel("2025-03-16").reinstate("2025-04-11")
    assert [net_of(late, account(), month) for month in ("2025-03", "2025-04", "2025-05")] == [
        "49.32",
        "65.75",
        "100.00",
    ]


@pytest.mark.rule("PRM-066")
def test_a_reinstatement_takes_the_amounts_of_its_payload_else_those_under_the_cancellation() -> None:
    history = member().amend("2025-02-01", amount("1320.00")).cancel("2025-03-16")
    kept = dataclasses.replace(history, transactions=list(history.transactions)).reinstate("2025-04-01")
    assert annual(kept, "2025-04-01") == cents("1320.00")
    stated = history.reinstate("2025-04-01", amount("1500.00"))
    assert annual(stated, "2025-04-01") == cents("1500.00")


@pytest.mark.rule("PRM-066")
def test_an_employment_change_in_the_lapse_routes_from_the_reinstatement_on() -> None:
    history = member().employ("2025-04-01", "L2", "H").cancel("2025-03-16")
    assert nets(history, account("H"), "2025-03-01", "2026-01-01") == []
    history.reinstate("2025-04-11")
    assert net_of(history, account("H"), "2025-04") == "65.75"
    assert net_of(history, account("G"), "2025-04") == "0.00"
    assert on(history, "2025-04-11").location == "L2"


@pytest.mark.rule("PRM-070", "PRM-034")
def test_a_move_carries_the_amounts_over_and_keeps_the_grid() -> None:
    history = member("1440.00").port("2025-04-16", "ID")
    [april, may] = history.timeline().between(day("2025-04-01"), day("2025-06-01"))
    assert (april.account, may.account) == ("G", "ID")
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["59.18"]
    assert nets(history, direct("ID", "2025-04-16"), "2025-04-01", "2025-06-01") == ["59.18", "120.00"]


@pytest.mark.rule("PRM-070", "PRM-E23")
def test_amounts_stated_with_a_move_stay_as_stated_when_an_earlier_amendment_arrives() -> None:
    carried = member("1440.00").port("2025-04-16", "ID").amend("2025-04-01", amount("1560.00"))
    assert annual(carried, "2025-04-16") == cents("1560.00")
    stated = member("1440.00").port("2025-04-16", "ID", amount("1500.00")).amend("2025-04-01", amount("1560.00"))
    assert annual(stated, "2025-04-15") == cents("1560.00")
    assert annual(stated, "2025-04-16") == cents("1500.00")


@pytest.mark.rule("PRM-071", "MEM-128")
def test_a_removed_continuation_charges_earlier_days_only_and_keeps_the_record() -> None:
    history = member()
    book = Book(account())
    book.invoice_months(4, 5, history)
    history.add(TransactionType.CONTINUATION_REMOVED, "2025-04-16")
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["49.32", "0.00"]
    assert book.anyb(history) == "-150.68"
    assert history.timeline().is_in_force(day("2025-05-01"))


@pytest.mark.rule("PRM-072", "MEM-099")
def test_an_employment_change_states_what_it_changes_and_clears_with_an_empty_text() -> None:
    history = member().employ("2025-02-01", "L1")
    history.add(TransactionType.EMPLOYMENT_CHANGE, "2025-03-01", division="D1", amounts=(amount("9999.00"),))
    history.add(TransactionType.EMPLOYMENT_CHANGE, "2025-04-01", location="")
    assert (on(history, "2025-03-01").location, on(history, "2025-03-01").division) == ("L1", "D1")
    assert (on(history, "2025-04-01").location, on(history, "2025-04-01").division) == (None, "D1")
    assert annual(history, "2025-04-01") == cents("1200.00")


@pytest.mark.rule("PRM-072")
def test_an_employment_change_between_two_accounts_keeps_a_later_amendment() -> None:
    history = member("1440.00").amend("2025-05-01", amount("1560.00")).employ("2025-04-16", "L2", "H")
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["59.18"]
    assert nets(history, account("H"), "2025-04-01", "2025-06-01") == ["59.18", "130.00"]


@pytest.mark.rule("PRM-073", "PRM-070")
def test_a_stated_modality_holds_until_the_account_is_to_give_it_again() -> None:
    history = member().port("2025-03-01", "ID", modality=Frequency.QUARTERLY).amend("2025-04-01", amount("1320.00"))
    assert on(history, "2025-02-01").modality is None
    assert on(history, "2025-05-01").modality is Frequency.QUARTERLY
    history.add(TransactionType.MOVED_TO_LIST_BILL, "2025-06-01", account="G", modality_from_account=True)
    assert on(history, "2025-06-01").modality is None


@pytest.mark.rule("PRM-068")
def test_a_renewal_states_amounts_and_keeps_waiver_and_stop() -> None:
    history = member().waive("2025-02-01").stop("2025-02-15")
    history.add(TransactionType.RENEWAL, "2025-03-01", amounts=(amount("1500.00"),))
    segment = on(history, "2025-03-01")
    assert (segment.stopped, bool(segment.waivers)) == (True, True)
    assert segment.amounts[0].annual == cents("1500.00")


@pytest.mark.rule("PRM-069")
def test_a_rewrite_starts_anew_and_kept_transactions_of_its_date_lie_on_top() -> None:
    history = member().amend("2025-03-01", amount("1320.00"))
    history.transactions = [dataclasses.replace(one, status=TransactionStatus.OBSOLETE) for one in history.transactions]
    history.employ("2025-02-01", "L2", "H")
    history.add(TransactionType.REWRITE, "2025-02-01", amounts=(amount("1200.00"),), account="G")
    terms = MemberTerms("M", day("2025-02-01"), day("2025-02-01"))
    timeline = build_timeline(history.transactions, terms)
    [segment] = timeline.segments
    assert (segment.start, segment.account, segment.amounts[0].annual) == (day("2025-02-01"), "H", cents("1200.00"))


@pytest.mark.rule("PRM-080", "PRM-025", "PRM-030")
def test_a_stop_charges_nothing_from_its_date_on_and_keeps_the_cover() -> None:
    history = member().stop("2025-04-11")
    assert annual(history, "2025-04-10") == cents("1200.00")
    assert annual(history, "2025-04-11") == 0
    assert history.timeline().is_in_force(day("2025-04-11"))
    assert on(history, "2025-04-11").nonforfeiture == "REDUCED_PAID_UP"
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["32.88", "0.00"]


@pytest.mark.rule("PRM-081", "PRM-082", "PRM-E14")
def test_amounts_stated_while_stopped_are_stored_but_not_used_after_the_resume() -> None:
    history = member().amend("2025-05-01", amount("1320.00")).stop("2025-04-11")
    assert on(history, "2025-05-01").stopped
    assert on(history, "2025-05-01").amounts[0].annual == cents("1320.00")
    assert annual(history, "2025-05-01") == 0
    history.resume("2025-06-16")
    assert annual(history, "2025-06-16") == cents("1200.00")
    assert net_of(history, account(), "2025-06") == "49.32"
    history.amend("2025-07-01", amount("1440.00"))
    assert net_of(history, account(), "2025-07") == "120.00"


@pytest.mark.rule("PRM-082")
def test_a_resume_on_the_date_of_the_stop_voids_it() -> None:
    history = member().stop("2025-04-11").resume("2025-04-11")
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["100.00", "100.00"]


@pytest.mark.rule("PRM-082")
def test_a_resume_ends_every_stop_with_the_amounts_of_the_earliest_one() -> None:
    history = member().amend("2025-05-01", amount("1500.00")).stop("2025-06-01").stop("2025-04-11")
    assert len(on(history, "2025-06-01").stops) == 2
    history.resume("2025-07-01")
    assert annual(history, "2025-07-01") == cents("1200.00")
    assert on(history, "2025-07-01").stops == ()


@pytest.mark.rule("PRM-082")
@pytest.mark.parametrize("amendment_first", [True, False])
def test_the_amounts_of_the_stop_date_count_whichever_was_recorded_first(amendment_first: bool) -> None:
    history = member()
    if amendment_first:
        history.amend("2025-04-11", amount("1320.00")).stop("2025-04-11")
    else:
        history.stop("2025-04-11").amend("2025-04-11", amount("1320.00"))
    history.resume("2025-05-01")
    assert annual(history, "2025-05-01") == cents("1320.00")


@pytest.mark.rule("PRM-082")
def test_a_resume_restores_amounts_under_the_keys_account_and_modality_of_its_own_date() -> None:
    old, new = ItemKey("LIFE", coverage_class="A"), ItemKey("LIFE", coverage_class="B")
    history = History().new_business(amount("1200.00", old), amount("360.00", DENTAL)).stop("2025-04-11")
    history.amend("2025-05-01", amount("9999.00", new), amount("500.00", ItemKey("VISION")), account="H")
    history.amend("2025-05-02", amount(None, DENTAL)).resume("2025-06-01")
    segment = on(history, "2025-06-01")
    assert segment.account == "H"
    # Vision came while stopped and has no amount of the stop date; dental went and does not come back.
    assert {one.key: one.annual for one in segment.amounts} == {new: cents("1200.00"), ItemKey("VISION"): 0}


@pytest.mark.rule("PRM-071", "PRM-082")
def test_a_resume_does_not_bring_back_a_removed_continuation() -> None:
    history = member().stop("2025-04-11")
    history.add(TransactionType.CONTINUATION_REMOVED, "2025-05-01")
    history.resume("2025-06-01")
    assert annual(history, "2025-06-01") == 0


@pytest.mark.rule("PRM-090", "PRM-095")
def test_a_waiver_ends_on_its_end_its_expiration_or_its_removal_whichever_comes_first() -> None:
    open_ended = member().waive("2025-02-01")
    assert on(open_ended, "2040-01-01").waiver_of("LIFE") is not None
    ended = member().waive("2025-02-01", "2025-03-01")
    assert on(ended, "2025-02-28").waiver_of("LIFE") is not None
    assert on(ended, "2025-03-01").waiver_of("LIFE") is None
    removed = member().waive("2025-02-01", "2025-03-01").end_waiver("2025-02-11")
    assert on(removed, "2025-02-11").waiver_of("LIFE") is None
    void = member().waive("2025-02-01").end_waiver("2025-02-01")
    assert void.timeline().between(START, OPEN_END)[-1].waivers == ()
    expiring = member()
    expiring.add(TransactionType.WAIVER_ADD, "2025-02-01", waiver_id="W", expiration=day("2025-02-20"))
    assert on(expiring, "2025-02-19").waiver_of("LIFE") is not None
    assert on(expiring, "2025-02-20").waiver_of("LIFE") is None


@pytest.mark.rule("PRM-090")
def test_a_waiver_of_listed_coverages_waives_only_those() -> None:
    history = History().new_business(amount("1200.00"), amount("360.00", DENTAL)).waive("2025-02-01", None, "DENTAL")
    assert on(history, "2025-02-01").waiver_of("LIFE") is None
    assert on(history, "2025-02-01").waiver_of("DENTAL") is not None


@pytest.mark.rule("PRM-097")
def test_a_waiver_survives_moves_class_changes_renewals_and_employment_changes_but_not_a_lapse() -> None:
    history = member().waive("2025-02-01").port("2025-03-01", "ID").employ("2025-03-02", "L2")
    history.amend("2025-03-03", amount("1300.00", ItemKey("LIFE", coverage_class="B")))
    history.add(TransactionType.RENEWAL, "2025-04-01", amounts=(amount("1400.00", ItemKey("LIFE")),))
    assert on(history, "2025-04-01").waiver_of("LIFE") is not None
    history.cancel("2025-05-01")
    lapsed = dataclasses.replace(history, transactions=list(history.transactions)).reinstate("2025-06-01")
    assert on(lapsed, "2025-06-01").waiver_of("LIFE") is None
    assert on(lapsed, "2025-04-30").waiver_of("LIFE") is not None
    without_lapse = history.reinstate("2025-05-01")
    assert on(without_lapse, "2025-06-01").waiver_of("LIFE") is not None


def test_the_days_on_an_account_are_joined_where_they_meet() -> None:
    history = member().amend("2025-02-01", amount("1300.00")).port("2025-03-01", "ID")
    history.add(TransactionType.MOVED_TO_LIST_BILL, "2025-05-01", account="G")
    history.cancel("2025-06-01").reinstate("2025-07-01")
    timeline = history.timeline()
    assert list(account_days(timeline, "G")) == [
        (START, day("2025-03-01")),
        (day("2025-05-01"), day("2025-06-01")),
        (day("2025-07-01"), OPEN_END),
    ]
    assert list(account_days(timeline, "ID")) == [(day("2025-03-01"), day("2025-05-01"))]


def test_a_transaction_not_in_force_here_cannot_be_taken_out() -> None:
    timeline = member().timeline()
    with pytest.raises(KeyError, match="T2"):
        timeline.changed(removed=[member().amend("2025-02-01", amount("1300.00")).transactions[-1]])


def in_force(transactions: tuple[PolicyTransaction, ...]) -> list[PolicyTransaction]:
    return [one for one in transactions if one.in_force]


@pytest.mark.rule("PRM-004", "PRM-033")
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_one_at_a_time_in_any_order_gives_the_timeline_of_all_at_once(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    arriving = in_force(case.transactions)
    chance.shuffle(arriving)
    timeline = Timeline(case.terms, (), ())
    for transaction in arriving:
        timeline = timeline.with_transaction(transaction)
    assert timeline == build_timeline(case.transactions, case.terms)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_taking_transactions_out_gives_the_timeline_that_never_had_them(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    told = in_force(case.transactions)
    removed = [one for one in told if one.type is not TransactionType.NEW_BUSINESS and chance.random() < 0.4]
    left = [one for one in told if one not in removed]
    timeline = build_timeline(told, case.terms).changed(removed=removed)
    assert timeline == build_timeline(left, case.terms)


@pytest.mark.rule("PRM-020")
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_segments_follow_one_another_and_hold_one_key_a_coverage(seed: int) -> None:
    case = random_case(random.Random(seed))
    segments = build_timeline(case.transactions, case.terms).segments
    assert segments
    assert all(one.start < one.end for one in segments)
    assert all(before.end == after.start for before, after in pairwise(segments))
    for segment in segments:
        coverages = [one.key.coverage for one in segment.amounts]
        assert coverages == sorted(set(coverages))
