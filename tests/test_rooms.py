"""What belongs into which room, beyond the imports that are checked apart: SQL stands where the rows are kept."""

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
