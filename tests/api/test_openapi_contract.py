"""The OpenAPI document is true: every operation answers what it says it answers, whatever is sent to it.

The second half sends generated requests, good and bad ones, to every operation of the document and checks each answer
against it. It covers every declared command without being told of it; the time it takes is bounded.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from prometheus_client import CollectorRegistry
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder

from api.app import create_app
from api.openapi import _command_operation, openapi_document
from api.settings import Rates, Settings
from application.clock import ManualClock, MovableClock
from application.command import CommandRegistry, Principal
from application.security import Credentials, NotAuthenticatedError
from domain.platform.error_codes import ERROR_CODES, status_of
from domain.platform.privileges import PRIVILEGES
from infrastructure.postgres.database import Database
from tests.api.conftest import Api, MakeApi
from tests.api.test_platform_endpoints import Importer, Offset, Runner

#: Requests generated for each operation, and seconds they may take altogether. `CONTRACT=deep` also goes through every
#: boundary, missing member and wrong method of every operation, for as long as that takes.
DEEP = os.environ.get("CONTRACT") == "deep"
EXAMPLES = 30 if DEEP else 5
BUDGET = 3600.0 if DEEP else 45.0

TOKEN = "Bearer contract"


class Everything:
    """Lets one token in with every privilege: the contract is about answers, not about rights."""

    def authenticate(self, credentials: Credentials) -> Principal:
        if credentials.authorization != TOKEN:
            raise NotAuthenticatedError("UNKNOWN")
        return Principal("MACHINE", "contract", "contract", frozenset(PRIVILEGES))


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    return openapi_document(api.services)


class TestDocument:
    """What the document says."""

    def test_every_command_is_an_operation_named_after_it(self, document: dict[str, Any], api: Api) -> None:
        for name, kind in api.services.commands.items():
            operation = document["paths"][f"/v1/commands/{name}"]["post"]
            assert operation["operationId"] == name
            assert operation["summary"] == kind.summary
            assert f"`{kind.privilege}`" in operation["description"]

    def test_a_command_names_every_privilege_that_covers_it(self) -> None:
        import application.use_cases  # noqa: F401

        [kind] = [kind for name, kind in CommandRegistry.types.items() if name == "ReversePayment"]
        described = _command_operation(kind)["description"]
        assert described.startswith("Privilege `payment.reverse` or `integration.hub`.")

    @pytest.mark.rule("PLT-001")
    def test_commands_are_named_in_pascal_case_their_members_in_snake_case(self) -> None:
        import application.use_cases  # noqa: F401

        def members(schema: Any) -> Iterator[str]:
            if isinstance(schema, dict):
                properties = schema.get("properties", {})
                yield from properties
                for part in schema.values():
                    yield from members(part)
            elif isinstance(schema, list):
                for part in schema:
                    yield from members(part)

        assert len(CommandRegistry.types) > 70
        for name, kind in CommandRegistry.types.items():
            assert re.fullmatch(r"([A-Z][a-z0-9]+){2,}", name)
            for member in members(kind.model.model_json_schema()):
                assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", member), (name, member)

    def test_operation_ids_are_unique(self, document: dict[str, Any]) -> None:
        ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
        assert len(ids) == len(set(ids))

    def test_every_code_of_a_command_stands_under_its_status(self, document: dict[str, Any], api: Api) -> None:
        for name, kind in api.services.commands.items():
            responses = document["paths"][f"/v1/commands/{name}"]["post"]["responses"]
            assert set(responses) >= {
                "200",
                "400",
                "401",
                "403",
                "404",
                "409",
                "413",
                "415",
                "422",
                "429",
                "500",
                "503",
            }
            for code in kind.refusals:
                assert code in responses[str(status_of(code, name))]["x-codes"]

    def test_every_code_that_is_named_exists(self, document: dict[str, Any]) -> None:
        for path in document["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    assert set(response.get("x-codes", [])) <= set(ERROR_CODES)

    def test_every_example_fits_its_schema(self, document: dict[str, Any], api: Api) -> None:
        for name in api.services.commands:
            content = document["paths"][f"/v1/commands/{name}"]["post"]["requestBody"]["content"]["application/json"]
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validate(schema, content["example"])

    def test_the_document_leaves_no_reference_open_and_names_no_address_twice(self, document: dict[str, Any]) -> None:
        text = json.dumps(document)
        schemas = document["components"]["schemas"]
        references = {part.partition('"')[0] for part in text.split('"$ref": "')[1:]}
        assert references
        assert {reference.removeprefix("#/components/schemas/") for reference in references} <= schemas.keys()
        templates = ["{}".join(p.split("{")[0] for p in path.split("}")) for path in document["paths"]]
        assert len(templates) == len(set(templates))


def test_the_documented_examples_of_the_platform_run(make_api: MakeApi) -> None:
    api = make_api(authenticator=Everything())
    document = openapi_document(api.services)
    for name in ("IssueApiKey", "SetParameter", "OpenBox", "FillBox", "CloseBox", "ReopenBox"):
        content = document["paths"][f"/v1/commands/{name}"]["post"]["requestBody"]["content"]["application/json"]
        headers = {"Idempotency-Key": f"{name}-1", "Authorization": TOKEN}
        body = {**content["example"], "confirmations": ["confirmed"]}
        assert api.client.post(f"/v1/commands/{name}", json=body, headers=headers).status_code == 200, name


# --- generated requests ----------------------------------------------------------------------------------------------

#: What is not checked: that well-formed data is accepted, for a well-formed command may well be refused by the rules of
#: its room; and what became of resources, for commands do not create any at an address.
NOT_CHECKED = ("positive_data_acceptance", "use_after_free", "ensure_resource_availability")


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """A stream's body is text, whatever it holds."""
    return value.encode() if isinstance(value, str) else json.dumps(value, default=str).encode()


def contract_of(app: Any) -> Any:
    """The schema of the application as its clients get it, with the bounds of the run."""
    config = SchemathesisConfig.from_dict(
        {
            "max-time": BUDGET,
            "headers": {"Authorization": TOKEN},
            "generation": {
                "max-examples": EXAMPLES,
                "deterministic": True,
                "no-shrink": True,
                "database": "none",
            },
            "checks": {name: {"enabled": False} for name in NOT_CHECKED},
            "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": DEEP}},
            "operations": [
                # One template for two kinds of address: a job's name has POST, a run's id GET.
                {"include-path": "/v1/jobs/{id}", "checks": {"allow_header_conformance": {"enabled": False}}},
                # A malformed item fails alone, and the batch is answered 200.
                {"include-path": "/v1/commands/batch", "checks": {"negative_data_rejection": {"enabled": False}}},
            ],
        }
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


def test_every_operation_answers_as_documented(database: Database, clock: ManualClock) -> None:
    """All declared commands, wired as the service wires them."""
    from api.wiring import System  # only this test needs every room

    system = System(Settings(sandbox=True, rates=Rates(enabled=False)), database, clock)
    assert system.prepare() == ()
    services = system.services(
        authenticator=Everything(),
        jobs=Runner(),
        files=Importer(),
        sandbox_clock=MovableClock(Offset(), production=False),
    )
    schema = contract_of(create_app(services))
    tried: Counter[str] = Counter()
    faults: list[str] = []
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            faults.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.ScenarioFinished):
            tried[event.label or ""] += len(event.recorder.cases)
            faults.extend(found for found in failures_of(event.recorder) if found not in faults)
    assert not faults, "\n".join(faults)
    untried = {result.ok().label for result in schema.get_all_operations()} - set(tried)
    assert not untried


def failures_of(recorder: ScenarioRecorder) -> Iterator[str]:
    """Each failed check with what was sent and answered."""
    for case_id, nodes in recorder.checks.items():
        for node in nodes:
            if node.failure_info is not None:
                case, interaction = recorder.cases[case_id].value, recorder.interactions[case_id]
                answer = interaction.response.content[:300] if interaction.response else b""
                sent = case.as_curl_command()[:600]
                yield f"{node.name}: {node.failure_info.failure.message}\n  {sent}\n  {answer!r}"


def test_services_of_another_registry_document_that_one(api: Api) -> None:
    services = replace(api.services, commands=CommandRegistry.types, metrics=CollectorRegistry())
    paths = create_app(services).openapi()["paths"]
    assert "/v1/commands/SetParameter" in paths
    assert "/v1/commands/OpenBox" not in paths
