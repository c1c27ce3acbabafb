"""The matrix of PRM-103 against the rulebook's own table, and how it sorts the later transactions."""

import datetime as dt
from dataclasses import replace

import pytest

from domain.errors import InvariantError
from domain.members.matrix import MATRIX, Action, Incoming, Later, column_of, react, row_of
from domain.premium.transactions import (
    AmendmentKind,
    PolicyTransaction,
    TransactionType,
    WaiverSource,
)

#: The table of PRM-103, as the rulebook prints it.
RULEBOOK = r"""
| Incoming \ Later | AMENDMENT (general, class, payroll) | STOP | RESUME | CANCEL-LATION | REINSTATE-MENT | RENEWAL | CONTINU-ATION | PORTA-BILITY | MOVED TO LB / CONT. REMOVED | EMPLOY-MENT | WAIVER policy | WAIVER claims | MODALITY (account) | SEASONAL (account) | member start (NB, REWRITE) |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| NEW_BUSINESS | X | X | X | X | X | X | X | X | X | X | X | X | B2 | RO | X |
| AMENDMENT general, class, payroll | B1 | B1 | B1 | B1 | B1 | B1 | RO | RO | RO | RO | B1 | RO | B2 | RO | X |
| AMENDMENT stop | R0 | RO | RO | RO | RO | R0 | RO | RO | RO | RO | RO | RO | B2 | RO | X |
| AMENDMENT resume | B1 | B1 | IN | B1 | B1 | B1 | RO | RO | RO | RO | B1 | RO | B2 | RO | X |
| CANCELLATION | IN | IN | IN | IN | IN | IN | IN | IN | IN | RO | IN* | IN* | B2 | RO | X |
| RESCIND_CANCELLATION | – | – | – | – | X | – | – | – | – | RO | RO | RO | B2 | RO | X |
| REINSTATEMENT | B1 | B1 | B1 | B1 | IN | B1 | RO | RO | RO | RO | B1 | RO | B2 | RO | X |
| RENEWAL | X | X | X | X | X | X | X | X | X | X | X | X | B2 | RO | X |
| REWRITE standalone | X | X | X | X | X | X | X | X | X | X | X | X | X | X | X |
| REWRITE cascaded | OB | OB | OB | OB | OB | OB | RO | RO | RO | RO | OB | RO | B2 | RO | OB |
| CONTINUATION | IN | IN | IN | IN | IN | IN | X | X | X | RO | IN* | RO | B2 | RO | X |
| PORTABILITY | IN | IN | IN | IN | IN | IN | X | X | X | RO | IN* | RO | B2 | RO | X |
| MOVED_TO_LIST_BILL, CONTINUATION_REMOVED | IN | IN | IN | IN | IN | IN | X | X | X | RO | IN* | RO | B2 | RO | X |
| EMPLOYMENT_CHANGE | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | B2 | RO | clamped |
| WAIVER add/remove policy | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | B2 | RO | X |
| WAIVER add/remove claims | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | B2 | RO | X |
| INVOICING_MODALITY_CHANGE | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | X | RO | RO |
| SEASONAL_UPDATE | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | RO | B2 | RO | RO |
"""  # noqa: E501

#: The rulebook's row headings; one of them stands for two types that are treated alike.
ROWS = {
    "NEW_BUSINESS": Incoming.NEW_BUSINESS,
    "AMENDMENT general, class, payroll": Incoming.AMENDMENT,
    "AMENDMENT stop": Incoming.STOP,
    "AMENDMENT resume": Incoming.RESUME,
    "CANCELLATION": Incoming.CANCELLATION,
    "RESCIND_CANCELLATION": Incoming.RESCIND_CANCELLATION,
    "REINSTATEMENT": Incoming.REINSTATEMENT,
    "RENEWAL": Incoming.RENEWAL,
    "REWRITE standalone": Incoming.REWRITE_STANDALONE,
    "REWRITE cascaded": Incoming.REWRITE_CASCADED,
    "CONTINUATION": Incoming.CONTINUATION,
    "PORTABILITY": Incoming.PORTABILITY,
    "MOVED_TO_LIST_BILL, CONTINUATION_REMOVED": Incoming.RETURN_OR_REMOVAL,
    "EMPLOYMENT_CHANGE": Incoming.EMPLOYMENT,
    "WAIVER add/remove policy": Incoming.WAIVER_POLICY,
    "WAIVER add/remove claims": Incoming.WAIVER_CLAIMS,
    "INVOICING_MODALITY_CHANGE": Incoming.MODALITY,
    "SEASONAL_UPDATE": Incoming.SEASONAL,
}
COLUMNS = {
    "AMENDMENT (general, class, payroll)": Later.AMENDMENT,
    "STOP": Later.STOP,
    "RESUME": Later.RESUME,
    "CANCEL-LATION": Later.CANCELLATION,
    "REINSTATE-MENT": Later.REINSTATEMENT,
    "RENEWAL": Later.RENEWAL,
    "CONTINU-ATION": Later.CONTINUATION,
    "PORTA-BILITY": Later.PORTABILITY,
    "MOVED TO LB / CONT. REMOVED": Later.RETURN_OR_REMOVAL,
    "EMPLOY-MENT": Later.EMPLOYMENT,
    "WAIVER policy": Later.WAIVER_POLICY,
    "WAIVER claims": Later.WAIVER_CLAIMS,
    "MODALITY (account)": Later.MODALITY,
    "SEASONAL (account)": Later.SEASONAL,
    "member start (NB, REWRITE)": Later.MEMBER_START,
}


def rulebook_cells() -> list[tuple[Incoming, Later, str]]:
    """Every cell of the printed table: row, column, action."""
    lines = [line for line in RULEBOOK.strip().splitlines() if not line.startswith("|---")]
    header, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        (ROWS[row[0]], COLUMNS[heading], action)
        for row in rows
        for heading, action in zip(header[1:], row[1:], strict=True)
    ]


@pytest.mark.rule("PRM-102", "PRM-103")
@pytest.mark.parametrize(("incoming", "later", "action"), rulebook_cells())
def test_every_cell_is_that_of_the_rulebook(incoming: Incoming, later: Later, action: str) -> None:
    assert MATRIX[incoming, later].value == action


@pytest.mark.rule("PRM-103")
def test_the_rulebook_gives_every_row_and_column_once() -> None:
    cells = [(incoming, later) for incoming, later, _ in rulebook_cells()]
    assert len(cells) == len(set(cells)) == len(MATRIX) == len(Incoming) * len(Later) == 270


# ------------------------------------------------------------------------------------------------- application


def transaction(kind: TransactionType, on: str, order: int = 1, **stated: object) -> PolicyTransaction:
    date = dt.date.fromisoformat(f"2025-{on}")
    return PolicyTransaction(
        transaction_id=stated.pop("transaction_id", f"{kind.value} {on}"),  # type: ignore[arg-type]
        type=kind,
        effective_date=date,
        transaction_date=date,
        recorded_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        order=order,
        **stated,  # type: ignore[arg-type]
    )


GENERAL = (AmendmentKind.GENERAL,)
STOP = (AmendmentKind.STOP_BILLING,)
RESUME = (AmendmentKind.RESUME_BILLING,)
T = TransactionType

#: One later transaction a column.
SAMPLES = {
    Later.AMENDMENT: transaction(T.AMENDMENT, "06-01", kinds=GENERAL),
    Later.STOP: transaction(T.AMENDMENT, "06-01", kinds=STOP),
    Later.RESUME: transaction(T.AMENDMENT, "06-01", kinds=RESUME),
    Later.CANCELLATION: transaction(T.CANCELLATION, "06-01"),
    Later.REINSTATEMENT: transaction(T.REINSTATEMENT, "06-01"),
    Later.RENEWAL: transaction(T.RENEWAL, "06-01"),
    Later.CONTINUATION: transaction(T.CONTINUATION, "06-01"),
    Later.PORTABILITY: transaction(T.PORTABILITY, "06-01"),
    Later.RETURN_OR_REMOVAL: transaction(T.MOVED_TO_LIST_BILL, "06-01"),
    Later.EMPLOYMENT: transaction(T.EMPLOYMENT_CHANGE, "06-01"),
    Later.WAIVER_POLICY: transaction(T.WAIVER_ADD, "06-01", waiver_id="W", waiver_source=WaiverSource.POLICY),
    Later.WAIVER_CLAIMS: transaction(T.WAIVER_ADD, "06-01", waiver_id="W", waiver_source=WaiverSource.CLAIMS),
    Later.MODALITY: transaction(T.INVOICING_MODALITY_CHANGE, "06-01", account="G"),
    Later.SEASONAL: transaction(T.SEASONAL_UPDATE, "06-01", account="G"),
    Later.MEMBER_START: transaction(T.NEW_BUSINESS, "06-01"),
}
#: One incoming transaction a row.
INCOMING = {
    Incoming.NEW_BUSINESS: transaction(T.NEW_BUSINESS, "03-01"),
    Incoming.AMENDMENT: transaction(T.AMENDMENT, "03-01", kinds=(AmendmentKind.CLASSIFICATION_CHANGE,)),
    Incoming.STOP: transaction(T.AMENDMENT, "03-01", kinds=STOP),
    Incoming.RESUME: transaction(T.AMENDMENT, "03-01", kinds=RESUME),
    Incoming.CANCELLATION: transaction(T.CANCELLATION, "03-01"),
    Incoming.RESCIND_CANCELLATION: transaction(T.RESCIND_CANCELLATION, "03-01"),
    Incoming.REINSTATEMENT: transaction(T.REINSTATEMENT, "03-01"),
    Incoming.RENEWAL: transaction(T.RENEWAL, "03-01"),
    Incoming.REWRITE_STANDALONE: transaction(T.REWRITE, "03-01"),
    Incoming.REWRITE_CASCADED: transaction(T.REWRITE, "03-01"),
    Incoming.CONTINUATION: transaction(T.CONTINUATION, "03-01"),
    Incoming.PORTABILITY: transaction(T.PORTABILITY, "03-01"),
    Incoming.RETURN_OR_REMOVAL: transaction(T.CONTINUATION_REMOVED, "03-01"),
    Incoming.EMPLOYMENT: transaction(T.EMPLOYMENT_CHANGE, "03-01"),
    Incoming.WAIVER_POLICY: transaction(T.WAIVER_REMOVE, "03-01", waiver_id="V", waiver_source=WaiverSource.POLICY),
    Incoming.WAIVER_CLAIMS: transaction(T.WAIVER_REMOVE, "03-01", waiver_id="V", waiver_source=WaiverSource.CLAIMS),
    Incoming.MODALITY: transaction(T.INVOICING_MODALITY_CHANGE, "03-01", account="G"),
    Incoming.SEASONAL: transaction(T.SEASONAL_UPDATE, "03-01", account="G"),
}


@pytest.mark.rule("PRM-100", "PRM-102", "PRM-103")
@pytest.mark.parametrize("incoming", Incoming)
@pytest.mark.parametrize("later", Later)
def test_an_incoming_transaction_does_to_a_later_one_what_its_cell_says(incoming: Incoming, later: Later) -> None:
    arriving, existing = INCOMING[incoming], SAMPLES[later]
    cascaded = incoming is Incoming.REWRITE_CASCADED
    assert row_of(arriving, cascaded=cascaded) is incoming
    assert column_of(existing) is later
    action = MATRIX[incoming, later]
    if action is Action.NEVER:
        with pytest.raises(InvariantError):
            react(arriving, [existing], cascaded=cascaded)
        return
    reaction = react(arriving, [existing], cascaded=cascaded)
    only = (existing.transaction_id,)
    assert (reaction.refused is not None) == (action is Action.X)
    assert reaction.backed_off == (only if action is Action.B1 else ())
    assert reaction.ineffective == (only if action in (Action.IN, Action.IN_STAR) else ())
    assert reaction.obsolete == (only if action is Action.OB else ())
    assert reaction.kept == (only if action in (Action.B2, Action.RO, Action.R0) else ())


@pytest.mark.rule("PRM-101")
@pytest.mark.parametrize(
    ("incoming", "later", "code"),
    [
        (Incoming.NEW_BUSINESS, Later.AMENDMENT, "OOS_NEW_BUSINESS_NOT_SUPPORTED"),
        (Incoming.NEW_BUSINESS, Later.MEMBER_START, "OOS_NEW_BUSINESS_NOT_SUPPORTED"),
        (Incoming.RENEWAL, Later.RENEWAL, "OOS_RENEWAL_NOT_SUPPORTED"),
        (Incoming.PORTABILITY, Later.RETURN_OR_REMOVAL, "TRANSITION_DATE_NOT_AFTER_PREVIOUS"),
        (Incoming.CONTINUATION, Later.PORTABILITY, "TRANSITION_DATE_NOT_AFTER_PREVIOUS"),
        (Incoming.RETURN_OR_REMOVAL, Later.PORTABILITY, "RETURN_BEFORE_CONTINUATION"),
        (Incoming.RESCIND_CANCELLATION, Later.REINSTATEMENT, "NO_CANCELLATION_IN_FORCE"),
        (Incoming.REWRITE_STANDALONE, Later.SEASONAL, "REWRITE_ONLY_FROM_MASTER_POLICY"),
        (Incoming.MODALITY, Later.MODALITY, "LATER_FREQUENCY_CHANGE_EXISTS"),
        (Incoming.AMENDMENT, Later.MEMBER_START, "BEFORE_MEMBER_EFFECTIVE"),
    ],
)
def test_a_refusal_of_the_matrix_has_the_code_of_its_rule(incoming: Incoming, later: Later, code: str) -> None:
    existing = SAMPLES[later]
    reaction = react(INCOMING[incoming], [existing])
    assert (reaction.refused, reaction.by) == (code, existing.transaction_id)


@pytest.mark.rule("PRM-100", "PRM-004")
def test_of_two_with_the_same_effective_date_the_one_recorded_later_is_in_sequence() -> None:
    existing = transaction(T.AMENDMENT, "03-01", kinds=GENERAL)
    assert react(transaction(T.AMENDMENT, "03-01", order=2, kinds=GENERAL), [existing]) == react(existing, [])


@pytest.mark.rule("PRM-012", "PRM-103")
def test_a_rescission_counts_for_nothing_later() -> None:
    rescission = transaction(T.RESCIND_CANCELLATION, "06-01")
    assert column_of(rescission) is None
    for arriving in INCOMING.values():
        assert react(arriving, [rescission]) == react(arriving, [])


@pytest.mark.rule("PRM-103", "PRM-104")
@pytest.mark.parametrize("row", [Incoming.CANCELLATION, Incoming.PORTABILITY, Incoming.RETURN_OR_REMOVAL])
@pytest.mark.parametrize("source", WaiverSource)
def test_the_end_of_a_waiver_that_runs_on_the_date_is_kept(row: Incoming, source: WaiverSource) -> None:
    running = transaction(T.WAIVER_ADD, "02-01", waiver_id="W", waiver_source=source)
    end = transaction(T.WAIVER_REMOVE, "05-01", waiver_id="W", waiver_source=source)
    assert react(INCOMING[row], [running, end]).kept == (end.transaction_id,)
    on_the_date = replace(running, effective_date=dt.date(2025, 3, 1))
    assert react(INCOMING[row], [on_the_date, end]).kept == (end.transaction_id,)


@pytest.mark.rule("PRM-103")
def test_the_end_of_a_later_waiver_falls_with_it_under_a_cancellation() -> None:
    later = transaction(T.WAIVER_ADD, "04-01", waiver_id="W", waiver_source=WaiverSource.CLAIMS)
    end = transaction(T.WAIVER_REMOVE, "05-01", waiver_id="W", waiver_source=WaiverSource.CLAIMS)
    reaction = react(INCOMING[Incoming.CANCELLATION], [later, end])
    assert reaction.ineffective == (later.transaction_id, end.transaction_id)


@pytest.mark.rule("PRM-069", "PRM-103")
def test_a_cascaded_rewrite_treats_every_date_and_keeps_what_is_dated_from_its_own_on() -> None:
    earlier_move = transaction(T.PORTABILITY, "02-01")
    same_day = transaction(T.EMPLOYMENT_CHANGE, "03-01")
    later_move = transaction(T.MOVED_TO_LIST_BILL, "06-01")
    amendment = transaction(T.AMENDMENT, "02-15", kinds=GENERAL)
    start = transaction(T.NEW_BUSINESS, "01-01")
    reaction = react(
        INCOMING[Incoming.REWRITE_CASCADED], [start, earlier_move, amendment, same_day, later_move], cascaded=True
    )
    assert reaction.kept == (same_day.transaction_id, later_move.transaction_id)
    assert reaction.obsolete == (start.transaction_id, earlier_move.transaction_id, amendment.transaction_id)


@pytest.mark.rule("PRM-073")
def test_a_later_modality_change_of_another_account_is_no_obstacle() -> None:
    other = replace(SAMPLES[Later.MODALITY], account="H")
    assert react(INCOMING[Incoming.MODALITY], [other]).refused is None


@pytest.mark.rule("PRM-004", "PRM-102")
def test_the_outcome_lists_transactions_in_their_order() -> None:
    later = [
        transaction(T.AMENDMENT, "07-01", order=2, kinds=GENERAL),
        transaction(T.AMENDMENT, "06-01", order=4, kinds=GENERAL, transaction_id="second"),
        transaction(T.AMENDMENT, "06-01", order=3, kinds=GENERAL, transaction_id="first"),
    ]
    assert react(INCOMING[Incoming.AMENDMENT], later).backed_off == ("first", "second", "AMENDMENT 07-01")
