"""The documents speak of what there is: every link, file, command, setting, event and decision they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

import application.use_cases  # noqa: F401  declares the commands
from api.cli.main import app
from application.command import CommandRegistry
from domain.platform.error_codes import ERROR_CODES

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docs" / "rules"
#: Written by us; the rulebook's own documents are taken over as they are.
DOCUMENTS = sorted(
    [ROOT / "README.md", RULES / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[!r]*/*.md")]
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(
    r"(?:domain|application|projections|api|infrastructure|tests|docs)(?:/[\w.*-]+)+/?|\w+\.(?:yml|toml)"
)
_RULE = re.compile(r"\b[A-Z]{3}-E?\d{2,3}\b")
_CALLED = re.compile(r"\brollon (?!\.)([a-z][a-z-]+)(?: ([a-z][a-z-]+))?")
_SENT = re.compile(r"(?:^send |v1/commands/|world\.do\(\")([A-Z]\w+)", re.MULTILINE)
_DECISION = re.compile(r"^\| [A-Z]{3}[^|]* \| [^|]+ \| `([^`]+)` \|$", re.MULTILINE)


def identified(path: Path) -> str:
    return str(path.relative_to(ROOT))


each = pytest.mark.parametrize("document", DOCUMENTS, ids=identified)


@each
def test_links_lead_somewhere(document: Path) -> None:
    broken = [link for link in _LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


@each
def test_files_that_are_named_exist(document: Path) -> None:
    named = {path for code in _CODE.findall(document.read_text()) for path in [code] if _PATH.fullmatch(path)}
    assert {path for path in named if not any(ROOT.glob(path.rstrip("/")))} == set()


@each
def test_commands_of_the_command_line_exist(document: Path) -> None:
    group = get_command(app)
    for name, sub in _CALLED.findall(document.read_text()):
        assert name in group.commands, name
        nested = getattr(group.commands[name], "commands", None)
        assert nested is None or sub in nested, (name, sub)


@each
def test_commands_that_are_sent_exist(document: Path) -> None:
    assert set(_SENT.findall(document.read_text())) <= CommandRegistry.handlers.keys()


@each
def test_rules_that_are_named_are_in_the_rulebook(document: Path) -> None:
    rulebook = "".join(path.read_text() for path in RULES.glob("[0-9]*.md"))
    assert {rule for rule in _RULE.findall(document.read_text()) if rule not in rulebook} == set()


@each
def test_codes_that_are_named_exist(document: Path) -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", document.read_text()))
    settings = re.compile(r"ROLLON_|OIDC_|DATABASE_|BROKER_")
    known = ERROR_CODES.keys() | {"COMMAND_FACADE", "COMMAND_VALIDATION", "HOLD_TYPE"}
    assert {name for name in named if not settings.match(name)} - known == set()


def test_the_documents_name_what_is_looked_for() -> None:
    """None of the tests above passes because its pattern finds nothing anywhere."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    codes = _CODE.findall(text)
    assert len(DOCUMENTS) > 5
    assert len(_LINK.findall(text)) > 10
    assert len([code for code in codes if _PATH.fullmatch(code)]) > 40
    assert len(set(codes) & ERROR_CODES.keys()) > 3
    assert len(_SENT.findall(text)) > 5
    assert len(_CALLED.findall(text)) > 10
    assert len(set(_RULE.findall(text))) > 20


def test_every_decision_is_still_where_it_is_said_to_be() -> None:
    table = _DECISION.findall((RULES / "README.md").read_text())
    assert len(table) > 20
    for path in set(table):
        made = len(re.findall(r"\bdecision: ", (ROOT / path).read_text(), re.IGNORECASE))
        assert made >= table.count(path), path


def test_nothing_but_the_project_is_spoken_of() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users)/", document.read_text()), document
