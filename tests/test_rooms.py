"""What belongs into which room, beyond the imports that are checked apart: SQL stands where the rows are kept, and what
folds events knows nothing but the events."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What measures against plain SQL writes plain SQL.
FLOORS = ROOT / "api" / "cli" / "bench"
#: How a statement begins, in either case; prose that begins with the same word goes on differently.
STATEMENT = re.compile(
    r"\s*(select\s+[\w{*(%'].*\bfrom\b|select\s+\d|insert\s+into|update\s+\S+\s+set\b|delete\s+from|with\s+\w+\s+as\s*\("
    r"|copy\s+\S+\s+(from|to)\b|(create|drop|alter|truncate)\s+(table|index|schema|view)\b)",
    re.IGNORECASE | re.DOTALL,
)


def statements(path: Path) -> Iterator[str]:
    """The texts of a file that are SQL, each with its place."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if STATEMENT.match(text):
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("room", ["domain", "application", "api"])
def test_no_sql_stands_outside_the_rooms_of_rows(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*.py") if FLOORS not in path.parents]
    assert files
    assert [place for path in files for place in statements(path)] == []


@pytest.mark.parametrize("room", ["projections", "infrastructure"])
def test_sql_is_recognised_where_it_may_stand(room: str) -> None:
    assert len([place for path in (ROOT / room).rglob("*.py") for place in statements(path)]) > 20


#: What would make a second fold of the same events give something else.
OUTSIDE = frozenset(
    {
        "asyncio",
        "dramatiq",
        "ftplib",
        "http",
        "httpx",
        "multiprocessing",
        "os",
        "platform",
        "psycopg",
        "random",
        "requests",
        "secrets",
        "select",
        "smtplib",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "zen",
    }
)
ASKED = frozenset({"now", "today", "utcnow", "fromtimestamp", "monotonic", "perf_counter", "open", "input"})
#: The decisions and the folds of states, and those of read models.
FOLDING = ("domain/**/*.py", "projections/*/fold.py")


def outside_world(path: Path) -> Iterator[str]:
    """Where a file reaches for a clock, chance, files or neighbours."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name.partition(".")[0] for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").partition(".")[0]]
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            names = [name] if name in ASKED else []
        yield from (f"{path.relative_to(ROOT)}:{node.lineno} {name}" for name in names if name in OUTSIDE | ASKED)


@pytest.mark.rule("PLT-025")
@pytest.mark.parametrize("pattern", FOLDING)
def test_what_folds_events_asks_no_clock_no_chance_and_no_neighbour(pattern: str) -> None:
    files = list(ROOT.glob(pattern))
    assert len(files) > 2
    assert [place for path in files for place in outside_world(path)] == []


def test_a_clock_is_recognised_where_there_is_one() -> None:
    found = {place.rpartition(" ")[2] for path in (ROOT / "application").rglob("*.py") for place in outside_world(path)}
    assert {"now", "time", "uuid"} <= found
