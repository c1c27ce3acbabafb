"""ANYB: what billed periods should have cost, less what live invoices carry; the rulebook's stories."""

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.periods import modal_anchor
from domain.premium.anyb import AnybKind, InvoicedAmount, compared, member_anyb, reductions
from domain.premium.charges import charges
from domain.premium.transactions import ItemKey, TransactionType
from tests.domain.premium.builders import (
    Book,
    History,
    account,
    amount,
    day,
    direct,
    member,
    money,
    parts,
)


@pytest.mark.rule("PRM-121", "PRM-126", "PRM-127", "PRM-E07")
def test_a_cancellation_in_an_invoiced_period_is_credited_by_the_next_invoice_once() -> None:
    first, second = member(), member("600.00", "N")
    book = Book(account())
    book.invoice_months(1, 3, first, second)
    first.cancel("2025-03-16")
    assert book.anyb(first) == "-50.68"
    assert book.invoice("2025-04-01", first, second) == "-0.68"
    assert book.anyb(first, second) == "0.00"


@pytest.mark.rule("PRM-064", "PRM-E07")
@pytest.mark.parametrize(("on", "anyb"), [("2025-03-01", "-100.00"), ("2025-01-01", "-300.00")])
def test_a_cancellation_credits_every_invoiced_day_from_its_date_on(on: str, anyb: str) -> None:
    history = member()
    book = Book(account())
    book.invoice_months(1, 3, history)
    assert book.anyb(history.cancel(on)) == anyb


@pytest.mark.rule("PRM-120", "PRM-121", "PRM-E07")
def test_what_is_not_billed_has_no_anyb() -> None:
    history = member().cancel("2025-03-16")
    book = Book(account())
    book.invoice_months(1, 2, history)
    assert book.open_keys(history) == ()
    assert book.invoice("2025-03-01", history) == "49.32"


@pytest.mark.rule("PRM-066", "PRM-065", "PRM-E08")
@pytest.mark.parametrize("undo", ["reinstate", "rescind"])
def test_a_cancellation_undone_brings_back_what_was_not_billed(undo: str) -> None:
    history = member().cancel("2025-03-16")
    book = Book(account())
    assert book.invoice_months(3, 4, history) == ["49.32", "0.00"]
    getattr(history, undo)("2025-03-16")
    assert book.anyb(history) == "150.68"


@pytest.mark.rule("PRM-066", "PRM-E08")
def test_a_reinstatement_with_lapse_is_billed_with_the_next_invoice() -> None:
    history = member().cancel("2025-03-16")
    book = Book(account())
    book.invoice_months(3, 4, history)
    history.reinstate("2025-04-11")
    [april] = book.open_keys(history)
    # April was billed, but the member had no item in it.
    assert (money(april.amount), april.kind) == ("65.75", AnybKind.PRIOR_PERIOD_CHARGE)
    assert book.invoice("2025-05-01", history) == "165.75"


@pytest.mark.rule("PRM-128", "PRM-126", "PRM-127", "PRM-E11")
def test_a_discard_restores_what_the_invoice_had_taken() -> None:
    first, second = member(), member(name="N")
    book = Book(account())
    book.invoice_months(1, 3, first, second)
    first.amend("2025-01-01", amount("1440.00"))
    assert book.anyb(first, second) == "60.00"
    first.cancel("2025-02-01")
    assert [money(one.amount) for one in book.open_keys(first)] == ["20.00", "-100.00", "-100.00"]
    assert book.anyb(first, second) == "-180.00"
    assert book.invoice("2025-04-01", first, second) == "-80.00"
    assert book.anyb(first, second) == "0.00"
    book.discard("2025-04-01")
    assert book.anyb(first, second) == "-180.00"
    assert book.invoice("2025-04-01", first, second) == "-80.00"
    assert book.anyb(first, second) == "0.00"


@pytest.mark.rule("PRM-128", "INV-127")
def test_keys_of_a_discarded_period_are_not_billed_and_compared_with_what_other_invoices_carry() -> None:
    history = member()
    book = Book(account())
    book.invoice_months(1, 3, history)
    history.amend("2025-03-01", amount("1320.00"))
    assert book.invoice("2025-04-01", history) == "120.00"
    book.discard("2025-03-01")
    assert book.anyb(history) == "0.00"
    assert book.invoice("2025-03-01", history) == "110.00"
    # April still carries +10.00 for March: the next invoice takes it back.
    assert parts(book.open_keys(history)) == {"03": ("-10.00", "0.00")}


@pytest.mark.rule("PRM-029", "PRM-121", "PRM-096", "PRM-E13")
def test_a_waiver_over_invoices_and_a_backdated_amendment_under_it() -> None:
    first, second = member(), member("600.00", "N")
    book = Book(account())
    book.invoice_months(1, 3, first, second)
    first.waive("2025-03-11")
    assert book.anyb(first) == "-67.12"
    assert book.invoice("2025-04-01", first, second) == "-17.12"
    first.amend("2025-02-01", amount("1320.00"))
    assert parts(book.open_keys(first)) == {
        "02": ("10.00", "0.00"),
        "03": ("10.00", "-6.72"),
        "04": ("10.00", "-10.00"),
    }
    assert book.anyb(first) == "13.28"
    first.end_waiver("2025-04-21")
    assert book.anyb(first) == "49.44"
    assert book.invoice("2025-05-01", first, second) == "209.44"


@pytest.mark.rule("PRM-029", "PRM-E13")
def test_three_parts_in_one_period_make_one_gross_and_one_waiver_line() -> None:
    history = member().waive("2025-03-11", "2025-03-21").amend("2025-03-21", amount("1560.00"))
    [march] = charges(history.timeline(), account(), day("2025-03-01"), day("2025-04-01"))
    assert [money(one) for one in (march.gross, march.waiver, march.net)] == ["112.77", "-32.88", "79.89"]
    assert march.waiver_from == day("2025-03-11")


@pytest.mark.rule("PRM-029", "INV-007")
def test_a_wholly_waived_period_keeps_both_lines() -> None:
    history = member().waive("2025-02-01")
    [march] = charges(history.timeline(), account(), day("2025-03-01"), day("2025-04-01"))
    assert (money(march.gross), money(march.waiver), march.has_item) == ("100.00", "-100.00", True)


@pytest.mark.rule("PRM-030")
def test_a_day_both_stopped_and_waived_is_nothing_once() -> None:
    history = member().waive("2025-03-11").stop("2025-03-21")
    [march] = charges(history.timeline(), account(), day("2025-03-01"), day("2025-04-01"))
    # 20 days gross, the last 10 of them waived.
    assert [money(one) for one in (march.gross, march.waiver, march.net)] == ["65.75", "-32.87", "32.88"]
    [april] = charges(history.timeline(), account(), day("2025-04-01"), day("2025-05-01"))
    assert (april.gross, april.waiver, april.has_item) == (0, 0, False)


@pytest.mark.rule("PRM-080", "PRM-084", "PRM-E14")
def test_a_stop_in_invoiced_periods_and_the_resume_after_it() -> None:
    history = member().amend("2025-05-01", amount("1320.00"))
    book = Book(account())
    assert book.invoice_months(1, 5, history) == ["100.00"] * 4 + ["110.00"]
    history.stop("2025-04-11")
    assert book.anyb(history) == "-177.12"
    assert book.invoice("2025-06-01", history) == "-177.12"
    history.resume("2025-06-16").amend("2025-07-01", amount("1440.00"))
    assert book.anyb(history) == "49.32"
    assert book.invoice("2025-07-01", history) == "169.32"


@pytest.mark.rule("PRM-122", "PRM-E18")
def test_a_late_new_business_counts_in_full_in_periods_billed_for_others() -> None:
    terms = account()
    book = Book(terms)
    book.invoice_months(1, 4, member(name="N"))
    effective = day("2025-02-16")
    aligned = History(effective=effective, anchor=modal_anchor(effective, terms.invoicing, align_first_period=True))
    aligned.new_business(amount("1200.00"))
    keys = book.open_keys(aligned)
    assert [money(one.amount) for one in keys] == ["42.74", "100.00", "100.00"]
    assert {one.kind for one in keys} == {AnybKind.PRIOR_PERIOD_CHARGE}
    assert book.anyb(History(effective=effective).new_business(amount("1200.00"))) == "300.00"


@pytest.mark.rule("PRM-068", "PRM-126", "PRM-E17")
def test_a_lower_renewal_keeps_the_invoices_and_a_discard_restores_its_credit() -> None:
    history = member()
    book = Book(account())
    book.invoice_months(1, 3, history)
    history.add(TransactionType.RENEWAL, "2025-02-01", amounts=(amount("1080.00"),))
    assert parts(book.open_keys(history)) == {"02": ("-10.00", "0.00"), "03": ("-10.00", "0.00")}
    assert book.invoice("2025-04-01", history) == "70.00"
    book.discard("2025-04-01")
    assert book.anyb(history) == "-20.00"


@pytest.mark.rule("PRM-129", "PRM-E23", "PRM-070")
def test_a_retroactive_change_is_apportioned_to_the_accounts_by_their_days() -> None:
    history = member("1440.00")
    group, own = Book(account()), Book(direct("ID", "2025-04-16"))
    group.invoice_months(4, 5, history)
    history.port("2025-04-16", "ID")
    assert group.anyb(history) == "-180.82"
    assert own.invoice("2025-04-16", history) == "179.18"
    history.amend("2025-04-01", amount("1560.00"))
    assert group.anyb(history) == "-175.89"
    assert parts(own.open_keys(history)) == {"04": ("4.93", "0.00"), "05": ("10.00", "0.00")}


@pytest.mark.rule("PRM-070", "PRM-E23")
def test_amounts_stated_with_the_move_leave_the_receiving_account_as_it_was() -> None:
    history = member("1440.00")
    group, own = Book(account()), Book(direct("ID", "2025-04-16"))
    group.invoice_months(4, 5, history)
    history.port("2025-04-16", "ID", amount("1500.00"))
    own.invoice("2025-04-16", history)
    history.amend("2025-04-01", amount("1560.00"))
    assert own.anyb(history) == "0.00"
    assert group.anyb(history) == "-175.89"


@pytest.mark.rule("PRM-E10", "PRM-096", "PRM-104", "PRM-129")
def test_a_kept_move_and_a_kept_waiver_take_the_rolled_on_premium() -> None:
    history = member().amend("2025-04-01", amount("1320.00")).waive("2025-05-01", "2025-06-01").port("2025-06-16", "ID")
    group, own = Book(account()), Book(direct("ID", "2025-06-16"))
    group.invoice_months(1, 6, history)
    assert own.invoice("2025-06-16", history) == "164.25"
    assert own.invoice("2025-07-16", history) == "110.00"
    history.amend("2025-03-11", amount("1260.00")).amend("2025-04-01", amount("1380.00"))
    assert parts(group.open_keys(history)) == {
        "03": ("5.37", "0.00"),
        "04": ("5.00", "0.00"),
        "05": ("5.00", "-5.00"),
        "06": ("2.46", "0.00"),
    }
    assert (group.anyb(history), own.anyb(history)) == ("12.83", "12.46")


@pytest.mark.rule("PRM-E12", "PRM-129")
def test_an_out_of_sequence_portability_moves_the_premium_without_the_ineffective_amendment() -> None:
    history = member().amend("2025-04-01", amount("1320.00"))
    group = Book(account())
    group.invoice_months(1, 4, history)
    ported = member().port("2025-03-01", "ID")
    assert group.anyb(ported) == "-210.00"
    own = direct("ID", "2025-03-01")
    assert [money(one.net) for one in charges(ported.timeline(), own, day("2025-03-01"), day("2025-05-01"))] == [
        "100.00",
        "100.00",
    ]


@pytest.mark.rule("PRM-E19", "PRM-129", "PRM-122")
def test_an_employment_change_to_another_account_is_billed_there_and_credited_here() -> None:
    history = member("1440.00").amend("2025-05-01", amount("1560.00"))
    first, second = Book(account()), Book(account("H"))
    first.invoice_months(4, 5, history)
    second.invoice("2025-04-01")
    history.employ("2025-04-16", "L2", "H")
    assert first.anyb(history) == "-190.82"
    assert second.anyb(history) == "59.18"
    assert second.invoice("2025-05-01", history) == "189.18"


@pytest.mark.rule("MEM-E05", "PRM-129")
def test_employment_events_out_of_order_end_in_the_same_anyb() -> None:
    def told(*moves: tuple[str, str]) -> History:
        history = member("2400.00")
        for on, unit in moves:
            history.employ(on, unit, unit)
        return history

    books = {name: Book(account(name)) for name in ("G", "L2", "L3")}
    for month in range(1, 7):
        for name, book in books.items():
            book.invoice(f"2025-{month:02}-01", *([member("2400.00")] if name == "G" else []))
    for moves in ((("2025-06-01", "L3"), ("2025-04-01", "L2")), (("2025-04-01", "L2"), ("2025-06-01", "L3"))):
        history = told(*moves)
        assert {name: book.anyb(history) for name, book in books.items()} == {
            "G": "-600.00",
            "L2": "400.00",
            "L3": "200.00",
        }


@pytest.mark.rule("PRM-E09")
def test_the_closed_chain_of_a_rolled_on_amendment_gives_the_difference_of_eight_periods() -> None:
    invoiced = member().amend("2025-04-01", amount("1320.00")).amend("2025-07-01", amount("1440.00"))
    book = Book(account())
    book.invoice_months(1, 8, invoiced)
    closed = member().amend("2025-03-01", amount("1260.00"))
    closed.amend("2025-04-01", amount("1380.00")).amend("2025-07-01", amount("1500.00"))
    assert book.anyb(closed) == "30.00"
    one_dropped = member().amend("2025-03-01", amount("1260.00")).amend("2025-04-01", amount("1380.00"))
    assert book.anyb(one_dropped) == "10.00"
    assert book.anyb(member().amend("2025-03-01", amount("1260.00"))) == "-40.00"


@pytest.mark.rule("PRM-E21", "PRM-069")
def test_a_rewrite_makes_unbilled_amendments_vanish_and_billed_differences_anyb() -> None:
    history = member().amend("2025-03-01", amount("1320.00"))
    book = Book(account())
    book.invoice_months(1, 3, history)
    book.discard("2025-01-01")
    rewritten = History(effective=day("2025-02-01"))
    rewritten.add(TransactionType.REWRITE, "2025-02-01", amounts=(amount("1200.00"),), account="G")
    assert parts(book.open_keys(rewritten)) == {"03": ("-10.00", "0.00")}
    assert book.invoice("2025-04-01", rewritten) == "90.00"


@pytest.mark.rule("PRM-131")
def test_reductions_are_the_keys_that_fell_below_what_is_invoiced() -> None:
    old, new = ItemKey("LIFE", coverage_class="A"), ItemKey("LIFE", coverage_class="B")
    history = History().new_business(amount("1200.00", old))
    book = Book(account())
    book.invoice_months(1, 3, history)
    before = book.open_keys(history)
    history.amend("2025-03-16", amount("1200.00", new))
    now = book.open_keys(history)
    [fallen] = reductions(now, before)
    assert (fallen.key.item, fallen.invoiced_charge, fallen.corrected_charge) == (old, 10000, 4839)
    assert fallen.sources == ("T2",)
    assert history.timeline().transaction("T2") is history.transactions[1]
    assert reductions(now, now) == ()


@pytest.mark.rule("PRM-131")
def test_the_start_of_a_waiver_reduces_billed_premium() -> None:
    history = member()
    book = Book(account())
    book.invoice_months(1, 3, history)
    [fallen] = reductions(book.open_keys(history.waive("2025-03-11")))
    assert (money(fallen.amount), money(fallen.charge), money(fallen.waiver)) == ("-67.12", "0.00", "-67.12")


@pytest.mark.rule("PRM-121")
def test_a_key_names_the_transactions_that_were_not_there_when_it_was_invoiced() -> None:
    dental = ItemKey("DENTAL")
    history = History().new_business(amount("1200.00"), amount("360.00", dental))
    [life] = [
        one for one in charges(history.timeline(), account(), day("2025-03-01"), day("2025-03-02"))
        if one.item.coverage == "LIFE"
    ]  # fmt: skip
    item = InvoicedAmount(life.key, life.gross, 0, day("2025-03-01"), ("T1",))
    period = account().invoicing.period_at(day("2025-03-01"))
    history.amend("2025-03-11", amount("480.00", dental)).amend("2025-03-21", amount("1320.00"))
    history.waive("2025-03-25", None, "DENTAL")
    keys = member_anyb(history.timeline(), account(), [item], [period])
    assert {one.key.item.coverage: one.sources for one in keys} == {"LIFE": ("T3",), "DENTAL": ("T1", "T2", "T4")}


@pytest.mark.rule("PRM-065", "PRM-121")
def test_a_rescission_is_named_as_the_cause_of_what_it_brings_back() -> None:
    cancelled = member().cancel("2025-03-16")
    [march] = charges(cancelled.timeline(), account(), day("2025-03-01"), day("2025-04-01"))
    sources = cancelled.timeline().sources_between(day("2025-03-01"), day("2025-04-01"), "LIFE")
    item = InvoicedAmount(march.key, march.gross, 0, day("2025-03-01"), sources)
    period = account().invoicing.period_at(day("2025-03-01"))
    [key] = member_anyb(cancelled.rescind("2025-03-16").timeline(), account(), [item], [period])
    assert (money(key.amount), key.sources) == ("50.68", ("T3",))


@pytest.mark.rule("PRM-122")
def test_settled_keys_are_compared_too() -> None:
    history = member()
    book = Book(account())
    book.invoice_months(1, 3, history)
    found = charges(history.timeline(), account(), day("2025-01-01"), day("2025-04-01"))
    billed = {one.start for one in book.billed}
    keys = compared(found, book.items_of("M"), account(), billed)
    assert [(one.invoiced_charge, one.corrected_charge, one.is_open) for one in keys] == [(10000, 10000, False)] * 3


@pytest.mark.parametrize("since", ["2025-01-01", "2025-03-20", "2025-03-31", "2025-04-01"])
def test_only_periods_that_end_after_a_change_need_comparing(since: str) -> None:
    history = member().amend("2025-02-11", amount("1320.00"))
    book = Book(account())
    book.invoice_months(1, 5, member())
    history.cancel("2025-03-16")
    whole = book.open_keys(history)
    assert [one.key.period_start.month for one in whole] == [2, 3, 4, 5]
    later = member_anyb(history.timeline(), account(), book.items_of("M"), book.billed, day(since))
    end = {1: "2025-02-01", 2: "2025-03-01", 3: "2025-04-01", 4: "2025-05-01", 5: "2025-06-01"}
    assert later == tuple(one for one in whole if day(end[one.key.period_start.month]) > day(since))


@pytest.mark.rule("PRM-121")
def test_parts_of_opposite_sign_stay_open_when_their_sum_is_nothing() -> None:
    history = member().waive("2025-03-01", "2025-04-01")
    book = Book(account())
    assert book.invoice("2025-03-01", history) == "0.00"
    history.amend("2025-03-01", amount("1320.00"))
    [key] = book.open_keys(history)
    assert (money(key.charge), money(key.waiver), key.amount, key.is_open) == ("10.00", "-10.00", 0, True)


def test_without_invoices_nothing_is_open() -> None:
    assert member_anyb(member().timeline(), account(), [], []) == ()


@pytest.mark.rule("PRM-120")
def test_a_modality_change_compares_the_keys_of_both_grids() -> None:
    history = History().new_business(amount("1200.00"), modality=Frequency.MONTHLY)
    book = Book(account())
    book.invoice_months(1, 3, history)
    history.amend("2025-03-01", modality=Frequency.QUARTERLY)
    # The quarterly period 01-01 to 03-31 is cut on 03-01: 31 days of 1200.00 / 365. The one from 04-01 is not billed.
    assert [
        (one.key.modality.value, f"{one.key.period_start}", money(one.amount)) for one in book.open_keys(history)
    ] == [
        ("MONTHLY", "2025-03-01", "-100.00"),
        ("QUARTERLY", "2025-01-01", "101.92"),
    ]
