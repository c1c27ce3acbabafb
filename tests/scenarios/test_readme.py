"""The tour of the README, run as it stands: every answer printed there is the answer the service gives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.scenarios.conftest import World

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What differs from one request to the next.
_OWN = ("instance", "correlation_id")


def steps() -> Iterator[tuple[list[str], Any]]:
    """The requests of the tour, each as words, with the answer printed behind it, if there is one."""
    waiting: list[list[str]] = []
    for language, text in _BLOCK.findall(README.read_text()):
        if language == "sh" and not text.startswith("url="):
            waiting += [shlex.split(line) for line in text.splitlines()]
        elif language == "json":
            *unanswered, answered = waiting
            yield from ((words, None) for words in unanswered)
            yield answered, json.loads(text)
            waiting = []
    yield from ((words, None) for words in waiting)


def answer(world: World, words: list[str]) -> Any:
    """What the tour's `now`, `send` and `ask` print."""
    if words[0] == "now":
        return world.on(words[1])
    if words[0] == "ask":
        return world.query(words[1])
    response = world.send(words[1], **json.loads(words[2]))
    document = response.json()
    assert response.status_code in (200, 400, 422), document
    return document.get("result", {name: value for name, value in document.items() if name not in _OWN})


def test_the_tour_answers_as_printed(world: World) -> None:
    world.roles = ("ADM", "BOF", "POL")
    answered = 0
    for words, printed in steps():
        found = answer(world, words)
        if printed is not None:
            assert found == printed, words
            answered += 1
    assert answered == len(re.findall(r"^```json$", README.read_text(), re.MULTILINE)) > 10
