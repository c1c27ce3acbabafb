"""Reading JSON that a stranger sent: strictly, within limits, and without a float ever coming out of it.

Refused are, each with its JSON pointer: text that is not UTF-8 or not JSON, members given twice, numbers with a
fraction or an exponent (amounts and rates are decimal strings, PLT-073), NaN and Infinity, whole numbers beyond 64
bits, nesting beyond a limit, and texts with a NUL or a lone surrogate, which the database cannot hold.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from domain.errors import Problem

_WHOLE: Final = 2**63
#: Characters that PostgreSQL does not keep in a text: NUL, and halves of surrogate pairs.
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MAX_PROBLEMS: Final = 100


class JsonInvalidError(ValueError):
    """The text is no JSON of the kind that is read here; every problem is a `REQUEST_INVALID` with its pointer."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


class _Refused:
    """Stands in the parsed value for something that is not accepted."""

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message


class _Object(dict[str, Any]):
    """An object that may have had members twice."""

    __slots__ = ("twice",)
    twice: tuple[str, ...]


def parse_json(text: bytes, max_depth: int = 32) -> Any:
    """The value of a JSON text: objects, lists, texts, whole numbers, true, false, null. Raises JsonInvalidError."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=lambda _: _Refused("a number with a fraction or an exponent is sent as a decimal string"),
            parse_int=_integer,
            parse_constant=lambda name: _Refused(f"{name} is no JSON number"),
        )
    except UnicodeDecodeError:
        raise JsonInvalidError([_invalid("the body is not UTF-8", "")]) from None
    except RecursionError:
        raise JsonInvalidError([_invalid(f"the body is nested more than {max_depth} deep", "")]) from None
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: line {error.lineno}, column {error.colno}"
        raise JsonInvalidError([_invalid(message, "")]) from None
    problems = []
    for problem in _problems(value, max_depth):
        problems.append(problem)
        if len(problems) == _MAX_PROBLEMS:
            break
    if problems:
        raise JsonInvalidError(problems)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    found = _Object(members)
    found.twice = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return found


def _integer(text: str) -> int | _Refused:
    if len(text) <= 20 and -_WHOLE <= (number := int(text)) < _WHOLE:
        return number
    return _Refused("a whole number has at most 64 bits")


def _problems(root: Any, max_depth: int) -> Iterator[Problem]:
    """What is not accepted, in the order of the text. The path is kept as a chain, written out only when needed."""
    stack: list[tuple[Any, tuple[Any, ...], int]] = [(root, (), 0)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, str):
            if UNSTORABLE.search(value):
                yield _invalid("a text holds a character that cannot be stored", _pointer(path))
        elif isinstance(value, _Refused):
            yield _invalid(value.message, _pointer(path))
        elif isinstance(value, dict | list):
            if depth == max_depth:
                yield _invalid(f"the body is nested more than {max_depth} deep", _pointer(path))
                return
            if isinstance(value, list):
                stack.extend((value[i], (path, i), depth + 1) for i in range(len(value) - 1, -1, -1))
                continue
            if isinstance(value, _Object):
                for name in value.twice:
                    yield _invalid("the member is given twice", _pointer((path, name)))
            for name in value:
                if UNSTORABLE.search(name):
                    yield _invalid("a member's name holds a character that cannot be stored", _pointer(path))
            stack.extend((value[name], (path, name), depth + 1) for name in reversed(value))


def _pointer(path: tuple[Any, ...]) -> str:
    parts: list[str] = []
    while path:
        path, part = path
        parts.append(str(part)[:100].replace("~", "~0").replace("/", "~1"))
    pointer = "".join("/" + part for part in reversed(parts))
    return pointer.encode("utf-8", "replace").decode().replace("\x00", "?")


def _invalid(message: str, pointer: str) -> Problem:
    return Problem("REQUEST_INVALID", message, pointer=pointer)
