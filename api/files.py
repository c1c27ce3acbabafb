"""Sending a file in, and asking what became of it (PLT-098).

    GET  /v1/files          the kinds of file that are taken in
    POST /v1/files?kind=..&name=..    the file itself as the body
    GET  /v1/files/{hash}   its receipt, by the SHA-256 of its bytes
    GET  /v1/file-cases     the queue of what a person should look at in them

The body is the file's bytes, not a form: it is passed on as it arrives, to a temporary file beyond the first megabyte.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from dataclasses import asdict
from typing import Any, BinaryIO, Final, cast

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api.edge import Edge
from api.problems import RequestRefused, not_found, refused, to_json
from application.dispatch import Layer
from application.uploads import FileKind, FileReceipt, Upload
from domain.errors import Problem

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_IN_MEMORY: Final = 1_000_000
_PLACE: Final = re.compile(r"([0-9a-f]{64}):([0-9]{1,9})", re.ASCII)
#: Cases of a page, unless told otherwise and at most (PLT-068).
_DEFAULT_CASES: Final = 50
_MOST_CASES: Final = 200


class Files:
    """The endpoints of files."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(dependencies=[Depends(self._edge.authenticate)], include_in_schema=False)
        router.add_api_route("/v1/files", self.kinds, methods=["GET"])
        router.add_api_route("/v1/files", self.upload, methods=["POST"])
        router.add_api_route("/v1/files/{sha256}", self.receipt, methods=["GET"])
        router.add_api_route("/v1/file-cases", self.cases, methods=["GET"])
        return router

    async def kinds(self, request: Request) -> Response:
        """The kinds of file that are taken in."""
        importer = self._edge.services.files
        kinds = importer.kinds() if importer else {}
        members = [
            {"name": kind.name, "summary": kind.summary, "privilege": kind.privilege, "max_bytes": kind.max_bytes}
            for kind in (kinds[name] for name in sorted(kinds))
        ]
        return Response(to_json({"kinds": members}), 200, {}, "application/json")

    async def upload(self, request: Request) -> Response:
        """Take a file in."""
        importer = self._edge.services.files
        name = request.query_params.get("kind", "")
        kind = importer.kinds().get(name) if importer else None
        principal = self._edge.require(request, *((kind.privilege,) if kind else ()))
        file_name, content_type = _described(request, kind)
        if importer is None or kind is None:
            raise not_found("files of this kind are not taken in")
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
            content = cast("BinaryIO", spooled)
            size, sha256 = await self._receive(request, content, min(kind.max_bytes, self._edge.limits.upload_bytes))
            upload = Upload(kind.name, file_name, content_type, size, sha256, content)
            receipt = await self._edge.run(importer.accept, upload, principal)
        headers = {"Location": f"/v1/files/{sha256}"}
        status = 200 if receipt.repeated else 201
        return Response(to_json(receipt_document(receipt)), status, headers, "application/json")

    async def _receive(self, request: Request, content: BinaryIO, max_bytes: int) -> tuple[int, str]:
        """Write the body to the file as it arrives; its size and hash. Raises FILE_TOO_LARGE."""
        digest, size = hashlib.sha256(), 0
        try:
            async with asyncio.timeout(self._edge.limits.upload_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > max_bytes:
                        message = f"a file of this kind has at most {max_bytes} bytes"
                        raise refused(Layer.FACADE, "FILE_TOO_LARGE", message, headers={"Connection": "close"})
                    digest.update(chunk)
                    if size > _IN_MEMORY:
                        await self._edge.run(content.write, chunk)
                    else:
                        content.write(chunk)
        except TimeoutError:
            raise refused(Layer.FACADE, "REQUEST_INVALID", "the file did not arrive in time") from None
        if size == 0:
            raise refused(Layer.FACADE, "REQUEST_INVALID", "the file is empty")
        content.seek(0)
        return size, digest.hexdigest()

    async def receipt(self, request: Request, sha256: str) -> Response:
        """What became of a file."""
        principal, importer = self._edge.require(request), self._edge.services.files
        found = None
        if importer is not None and _SHA256.fullmatch(sha256):
            found = await self._edge.run(importer.receipt, sha256, principal)
        if found is None:
            raise not_found("there is no such file")
        return Response(to_json(receipt_document(found)), 200, {}, "application/json")

    async def cases(self, request: Request) -> Response:
        """A page of the queue: what could not be done by itself, of the files the caller may see, oldest first."""
        principal, importer = self._edge.require(request), self._edge.services.files
        kind, after, first = _page(request)
        found = await self._edge.run(importer.cases, principal, kind, after, first + 1) if importer else []
        shown = [asdict(case) for case in found[:first]]
        more = len(found) > first
        following = f"{shown[-1]['sha256']}:{shown[-1]['number']}" if more else None
        return Response(to_json({"cases": shown, "next": following}), 200, {}, "application/json")


def receipt_document(receipt: FileReceipt) -> dict[str, Any]:
    """A receipt as JSON."""
    return {
        "sha256": receipt.sha256,
        "kind": receipt.kind,
        "size": receipt.size,
        "state": str(receipt.state),
        "received_at": receipt.received_at,
        "repeated": receipt.repeated,
        "report": dict(receipt.report),
    }


def _page(request: Request) -> tuple[str | None, tuple[str, int] | None, int]:
    """Kind, case behind which the page begins, and length of the page. Raises REQUEST_INVALID with every problem."""
    query = request.query_params
    problems = [
        Problem("REQUEST_INVALID", f"there is no parameter {name[:100]}")
        for name in query
        if name not in ("kind", "after", "first")
    ]
    if len(query.multi_items()) > len(query):
        problems.append(Problem("REQUEST_INVALID", "a parameter is given twice"))
    after, first = query.get("after"), query.get("first", str(_DEFAULT_CASES))
    place = None if after is None else _PLACE.fullmatch(after)
    if after is not None and place is None:
        problems.append(Problem("REQUEST_INVALID", "after is the member next of the page before"))
    if not re.fullmatch(r"[0-9]{1,3}", first, re.ASCII) or not 1 <= int(first) <= _MOST_CASES:
        problems.append(Problem("REQUEST_INVALID", f"a page has 1 to {_MOST_CASES} cases"))
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    return query.get("kind"), None if place is None else (place[1], int(place[2])), int(first)


def _described(request: Request, kind: FileKind | None) -> tuple[str, str]:
    """Name and media type of the file. Raises REQUEST_INVALID with every problem, or MEDIA_TYPE_UNSUPPORTED."""
    query = request.query_params
    problems = [
        Problem("REQUEST_INVALID", f"there is no parameter {name[:100]}")
        for name in query
        if name not in ("kind", "name")
    ]
    if not query.get("kind"):
        problems.append(Problem("REQUEST_INVALID", "the parameter kind is missing"))
    name = query.get("name") or (kind.name.lower() if kind else "file")
    if len(name) > 255 or not name.isprintable():
        problems.append(Problem("REQUEST_INVALID", "a file's name has at most 255 printable characters"))
    if len(query.multi_items()) > len(query):
        problems.append(Problem("REQUEST_INVALID", "a parameter is given twice"))
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    content_type = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(content_type) or content_type == "multipart/form-data":
        raise refused(Layer.FACADE, "MEDIA_TYPE_UNSUPPORTED", "the body is the file itself, with its media type")
    return name, content_type
