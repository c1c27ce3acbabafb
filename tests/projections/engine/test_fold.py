"""Folding batches: the rows depend on the log alone, each table keeps its kind of write, every value its exact form."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.log import RecordedEvent
from projections.engine import Column, Mode, Projection, Rows, Table, catalogue
from projections.engine.columns import ColumnValueError
from projections.engine.database import Write, dedicated
from projections.engine.writer import GenerationWriter
from tests.projections.engine.conftest import Workbench
from tests.projections.engine.laws import rows_in_batches
from tests.projections.engine.toy import History, ToyAccountOpened, ToyNothingHappened, expected, toy_set

Benches = Callable[[], AbstractContextManager[Workbench]]


@pytest.fixture(scope="module")
def long_log(new_workbench: Benches) -> Any:
    """A bench with a log of 400 events, those events, and their rows when all are folded in one batch."""
    with new_workbench() as bench:
        history = History(seed=3)
        for _ in range(20):
            bench.commit(history.next(20))
        events = bench.events()
        projections = toy_set(Mode.FOLLOWING)
        at_once = {name: rows_in_batches(bench.connect, each, events, [400]) for name, each in projections.items()}
        yield bench, events, at_once


@pytest.mark.parametrize("name", sorted(toy_set(Mode.FOLLOWING)))
@given(
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=8),
    cache_limit=st.sampled_from((1, 6, 50_000)),
    background=st.booleans(),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batch_boundaries_and_any_cache_give_the_same_rows(
    long_log: tuple[Workbench, list[RecordedEvent], dict[str, Any]],
    name: str,
    sizes: list[int],
    cache_limit: int,
    background: bool,
) -> None:
    bench, events, at_once = long_log
    projection = toy_set(Mode.FOLLOWING)[name]
    cut = rows_in_batches(bench.connect, projection, events, sizes, cache_limit=cache_limit, background=background)
    assert cut == at_once[name]


def test_the_rows_are_those_of_a_fold_in_memory(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    history = History(seed=11)
    for count in (1, 2, 500, 3, 700, 40):
        bench.commit(history.next(count))
        bench.projector(projections).catch_up()
        assert bench.rows(projections) == expected(bench.events())


def test_declared_keys_are_loaded_with_one_query_a_table_and_batch(bench: Workbench) -> None:
    bench.commit(History(seed=5, accounts=40).next(300))
    events = bench.events()
    projection = toy_set(Mode.FOLLOWING)["balances"]
    with dedicated(bench.connect) as connection:
        writer = GenerationWriter(projection, catalogue.create(connection, projection), connection)
        queries = _count_queries(writer)
        writer.feed(events[:150])
        writer.feed(events[150:])
        assert writer._rows.undeclared_loads == 0
    assert len(queries) <= 2


def _count_queries(writer: GenerationWriter) -> list[int]:
    counted: list[int] = []
    query = writer._batch.query

    def counting(queries: Any) -> Any:
        counted.append(len(queries))
        return query(queries)

    writer._batch.query = counting  # type: ignore[method-assign]
    return counted


class Colour(StrEnum):
    RED = "RED"


EVERYTHING = Table(
    "everything",
    (
        Column("key", "text"),
        Column("whole", "bigint", nullable=True),
        Column("small", "smallint", nullable=True),
        Column("exact", "numeric", nullable=True),
        Column("flag", "boolean", nullable=True),
        Column("day", "date", nullable=True),
        Column("instant", "timestamptz", nullable=True),
        Column("id", "uuid", nullable=True),
        Column("words", "text[]", nullable=True),
        Column("numbers", "bigint[]", nullable=True),
        Column("days", "date[]", nullable=True),
        Column("document", "jsonb", nullable=True),
    ),
    key=("key",),
)

_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_row = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "small": st.none() | st.integers(-(2**15), 2**15 - 1),
        "exact": st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=6, max_value=10**12),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(dt.date(1, 1, 1)),
        "instant": st.none() | st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(1900, 1, 1)),  # noqa: DTZ001
        "id": st.none() | st.uuids(),
        "words": st.none() | st.lists(st.none() | _text, max_size=3),
        "numbers": st.none() | st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3),
        "days": st.none() | st.lists(st.dates(dt.date(1, 1, 1)), max_size=3),
        "document": st.none() | st.dictionaries(_text, _json, max_size=3),
    }
)


@pytest.fixture(scope="module")
def values_bench(new_workbench: Benches) -> Any:
    with new_workbench() as bench:
        bench.commit([ToyNothingHappened(note="1")])
        bench.commit([ToyNothingHappened(note="2")])
        yield bench, bench.events()


@given(
    rows=st.lists(st.tuples(_text, _row), min_size=1, max_size=4, unique_by=lambda pair: pair[0]), many=st.booleans()
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_as_it_was_written_by_copy_insert_or_update(
    values_bench: tuple[Workbench, list[RecordedEvent]], rows: list[tuple[str, dict[str, Any]]], many: bool
) -> None:
    bench, (first, second) = values_bench
    written = [{"key": key, **row} for key, row in rows]
    filler = [{"key": f"filler {n}", **dict.fromkeys(EVERYTHING.names[1:])} for n in range(120 if many else 0)]
    wanted = {row["key"] for row in written}
    projection = Projection("values", version=1, mode=Mode.FOLLOWING, tables=(EVERYTHING,))
    seen: list[dict[str, Any]] = []

    @projection.on(ToyNothingHappened, everything=lambda recorded: sorted(wanted))
    def happened(recorded: RecordedEvent, fold: Rows) -> None:
        if recorded.event.note == "1":
            for row in (*written, *filler):
                fold["everything"].add(dict(row))
        else:
            for key in wanted:
                row = fold["everything"].require(key)
                seen.append(dict(row))
                row["whole"], row["small"] = row["whole"], 7

    wanted -= {row["key"] for row in filler}
    rows_after = _fold_in_two(bench, projection, first, second)
    assert sorted(seen, key=lambda row: row["key"]) == sorted(
        (row for row in written if row["key"] in wanted), key=lambda row: row["key"]
    )
    again = {row["key"]: row for row in rows_after}
    for row in written:
        assert again[row["key"]] == {**row, "small": 7}


def _fold_in_two(
    bench: Workbench, projection: Projection, first: RecordedEvent, second: RecordedEvent
) -> list[dict[str, Any]]:
    """Feed the events in two batches by two writers, so that the second one has to load; then the rows."""
    with dedicated(bench.connect) as connection:
        record = catalogue.create(connection, projection)
        for event in (first, second):
            stored = catalogue.get(connection, record.name, record.generation)
            assert stored is not None
            writer = GenerationWriter(projection, stored, connection)
            writer.feed([event])
            assert not writer.failed, writer.record.failure
        found = connection.execute(f"select * from {EVERYTHING.qualified(record.schema)}").fetchall()
        catalogue.drop(connection, record)
    return [dict(zip(EVERYTHING.names, values, strict=True)) for values in found]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("whole", 1.0),
        ("whole", True),
        ("whole", "1"),
        ("exact", 0.1),
        ("flag", 1),
        ("day", dt.datetime(2025, 1, 1, tzinfo=dt.UTC)),
        ("instant", dt.datetime(2025, 1, 1)),  # noqa: DTZ001
        ("key", None),
        ("key", 5),
        ("id", "not an id"),
        ("numbers", [0.5]),
        ("document", 0.5),
        ("document", {"a": [{"b": 0.5}]}),
    ],
)
def test_a_value_of_another_type_stops_the_projection_and_writes_nothing(
    bench: Workbench, column: str, value: object
) -> None:
    bench.commit([ToyNothingHappened(note="1")])
    projection = Projection("values", version=1, mode=Mode.FOLLOWING, tables=(EVERYTHING,))

    @projection.on(ToyNothingHappened)
    def happened(recorded: RecordedEvent, fold: Rows) -> None:
        fold["everything"].put({"key": "k", **dict.fromkeys(EVERYTHING.names[1:]), column: value})

    with dedicated(bench.connect) as connection:
        record = catalogue.create(connection, projection)
        writer = GenerationWriter(projection, record, connection)
        writer.feed(bench.events())
        assert writer.failed
        assert writer.record.failure is not None
        assert writer.record.failure.error == ColumnValueError.__name__
        assert connection.execute(f"select * from {EVERYTHING.qualified(record.schema)}").fetchall() == []


def test_text_of_an_enumeration_is_its_value(bench: Workbench) -> None:
    bench.commit([ToyNothingHappened(note="1"), ToyNothingHappened(note="2")])
    projection = Projection("values", version=1, mode=Mode.FOLLOWING, tables=(EVERYTHING,))

    @projection.on(ToyNothingHappened)
    def happened(recorded: RecordedEvent, fold: Rows) -> None:
        fold["everything"].put(
            {**dict.fromkeys(EVERYTHING.names), "key": Colour.RED, "whole": 5, "exact": Decimal("1.50"),
             "id": uuid.UUID(int=3)}
        )  # fmt: skip

    rows = rows_in_batches(bench.connect, projection, bench.events(), [1])
    assert rows["everything"] == ["(RED,5,,1.50,,,,00000000-0000-0000-0000-000000000003,,,,)"]


def test_a_row_added_twice_a_forgotten_column_and_a_changed_key_stop_the_projection(bench: Workbench) -> None:
    wrongs = ("twice", "forgotten", "key", "unknown")
    bench.commit([ToyAccountOpened(account="A", name=wrong) for wrong in wrongs])
    table = Table("thing", (Column("thing", "text"), Column("count", "bigint")), key=("thing",))
    for wrong, event in zip(wrongs, bench.events(), strict=True):
        projection = Projection("things", version=1, mode=Mode.FOLLOWING, tables=(table,))

        @projection.on(ToyAccountOpened)
        def opened(recorded: RecordedEvent, fold: Rows) -> None:
            things = fold["thing"]
            match recorded.event.name:
                case "twice":
                    things.add({"thing": "x", "count": 1})
                    things.add({"thing": "x", "count": 1})
                case "forgotten":
                    things.put({"thing": "x"})
                case "key":
                    row = {"thing": "x", "count": 1}
                    things.put(row)
                    row["thing"] = "y"
                case "unknown":
                    things.put({"thing": "x", "count": 1, "colour": "red"})

        with dedicated(bench.connect) as connection:
            writer = GenerationWriter(projection, catalogue.create(connection, projection), connection)
            writer.feed([event])
            assert writer.failed, wrong
            catalogue.drop(connection, writer.record)


def test_a_table_needs_a_key_of_figures_from_the_events() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Table("t", (Column("a", "text"),), key=())
    with pytest.raises(ValueError, match="cannot be part of its key"):
        Table("t", (Column("a", "text", nullable=True),), key=("a",))
    with pytest.raises(ValueError, match="unknown type"):
        Table("t", (Column("a", "serial"),), key=("a",))
    with pytest.raises(ValueError, match="unknown type"):
        Table("t", (Column("a", "double precision"),), key=("a",))


def test_another_table_event_or_version_is_another_definition() -> None:
    table = Table("t", (Column("a", "text"),), key=("a",))
    wider = Table("t", (Column("a", "text"), Column("b", "text")), key=("a",))
    one = Projection("p", 1, Mode.FOLLOWING, (table,))
    assert one.definition == Projection("p", 1, Mode.FOLLOWING, (table,)).definition
    others = [Projection("p", 2, Mode.FOLLOWING, (table,)), Projection("p", 1, Mode.INLINE, (table,)),
              Projection("p", 1, Mode.FOLLOWING, (wider,))]  # fmt: skip
    more_events = Projection("p", 1, Mode.FOLLOWING, (table,))
    more_events.on("ToyNothingHappened")(lambda recorded, rows: None)
    assert len({one.definition, more_events.definition, *(other.definition for other in others)}) == 5


THING = Table("thing", (Column("thing", "text"), Column("owner", "text"), Column("count", "bigint")), key=("thing",))


def things(handler: Callable[[RecordedEvent, Rows], None]) -> Projection:
    projection = Projection("things", version=1, mode=Mode.FOLLOWING, tables=(THING,))
    projection.on(ToyAccountOpened)(handler)
    return projection


def opened(bench: Workbench, *names: str) -> list[RecordedEvent]:
    bench.commit([ToyAccountOpened(account="A", name=name) for name in names])
    return bench.events()


def thing(name: str, count: int, owner: str = "A") -> dict[str, Any]:
    return {"thing": name, "owner": owner, "count": count}


def test_a_row_changed_on_after_a_statement_over_another_row_of_its_table_is_written(bench: Workbench) -> None:
    def handler(recorded: RecordedEvent, rows: Rows) -> None:
        row = thing(recorded.event.name, 1)
        rows["thing"].put(row)
        rows["thing"].find(owner="nobody")  # writes what there is so far
        row["count"] = 2

    rows = rows_in_batches(bench.connect, things(handler), opened(bench, "x", "y"), [2])
    assert rows["thing"] == ["(x,A,2)", "(y,A,2)"]


def test_a_row_taken_before_a_statement_that_changes_its_table_must_not_be_changed_behind_it(bench: Workbench) -> None:
    def handler(recorded: RecordedEvent, rows: Rows) -> None:
        row = thing(recorded.event.name, 1)
        rows["thing"].put(row)
        rows.execute("update {thing} set count = count + 10", {}, changes="thing")
        if recorded.event.name == "wrong":
            row["count"] = 2

    right, wrong = opened(bench, "right", "wrong")
    assert rows_in_batches(bench.connect, things(handler), [right], [1])["thing"] == ["(right,A,11)"]
    with dedicated(bench.connect) as connection:
        writer = GenerationWriter(things(handler), catalogue.create(connection, things(handler)), connection)
        writer.feed([right, wrong])
        failure = writer.record.failure
    assert failure is not None
    assert failure.position == wrong.position
    assert failure.message == "a row of thing taken before a statement was changed behind it"


def test_increasing_a_row_that_does_not_exist_stops_the_projection(bench: Workbench) -> None:
    def handler(recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.event.name == "add":
            rows["thing"].append("x", "A", 1)
        else:
            rows["thing"].increase(recorded.event.name, "count", 5)

    events = opened(bench, "add", "x", "x", "y")
    for cuts in ([4], [1], [2]):
        with dedicated(bench.connect) as connection:
            projection = things(handler)
            record = catalogue.create(connection, projection)
            writer = GenerationWriter(projection, record, connection)
            for start in range(0, 4, cuts[0]):
                writer.feed(events[start : start + cuts[0]])
            assert writer.record.failure is not None
            assert writer.record.failure.position == events[3].position
            found = connection.execute(f"select * from {THING.qualified(record.schema)}").fetchall()
            assert found == [("x", "A", 11)]
            catalogue.drop(connection, writer.record)


def test_of_a_group_replaced_again_and_again_only_the_last_state_is_written(bench: Workbench) -> None:
    def handler(recorded: RecordedEvent, rows: Rows) -> None:
        rows["thing"].append(f"loose {recorded.event.name}", "A", 0)
        rows["thing"].replace([(f"{recorded.event.name} {n}", "A", n) for n in range(3)], owner="A")
        rows["thing"].append(f"{recorded.event.name} more", "A", 9)
        rows["thing"].append(f"{recorded.event.name} other", "B", 9)

    events = opened(bench, *(f"{n:03d}" for n in range(50)))
    at_once = rows_in_batches(bench.connect, things(handler), events, [50])
    assert at_once["thing"][-5:] == ['("049 0",A,0)', '("049 1",A,1)', '("049 2",A,2)', '("049 more",A,9)',
                                     '("049 other",B,9)']  # fmt: skip
    assert len(at_once["thing"]) == 4 + 50
    assert rows_in_batches(bench.connect, things(handler), events, [7]) == at_once

    written: list[Write] = []
    database = SimpleNamespace(write=written.extend, query=lambda queries: [[] for _ in queries])
    rows = Rows(things(handler), "schema", database)
    rows.fold(events)
    written += rows.take_writes()
    assert [write.sql.split()[0] for write in written] == ["delete", "insert"]


def test_what_was_appended_is_found_and_changed_without_a_query(bench: Workbench) -> None:
    def handler(recorded: RecordedEvent, rows: Rows) -> None:
        match recorded.event.name:
            case "append":
                rows["thing"].append_columns(3, {"thing": ["x", "y", "z"], "owner": "A", "count": 1})
            case "change":
                rows["thing"].require("y")["count"] = 5
                rows["thing"].put(thing("z", 6))
            case "delete":
                rows["thing"].delete("x")

    events = opened(bench, "append", "change", "delete")
    for cuts in ([3], [1]):
        rows = rows_in_batches(bench.connect, things(handler), events, cuts)
        assert rows["thing"] == ["(y,A,5)", "(z,A,6)"]
    database = SimpleNamespace(write=pytest.fail, query=lambda queries: pytest.fail("a query"))
    rows_in_memory = Rows(things(handler), "schema", database)
    rows_in_memory.fold(events[:2])
    rows_in_memory.take_writes()
