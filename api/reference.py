"""Reference lists: the roles with their privileges, and the codes a refusal may carry (appendices A and D)."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import Response

from api.edge import Edge
from api.problems import to_json
from domain.platform.error_codes import ERROR_CODES
from domain.platform.privileges import PRIVILEGES, Role, privileges_of


class Reference:
    """The endpoints of the reference lists."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(dependencies=[Depends(self._edge.authenticate)], include_in_schema=False)
        router.add_api_route("/v1/roles", self.roles, methods=["GET"])
        router.add_api_route("/v1/error-codes", self.error_codes, methods=["GET"])
        return router

    async def roles(self) -> Response:
        """All roles with their privileges, and all privileges with the commands they cover."""
        document = {
            "roles": [
                {"role": role.value, "name": role.label, "privileges": sorted(privileges_of([role]))} for role in Role
            ],
            "privileges": [
                {
                    "name": privilege.name,
                    "document": privilege.document,
                    "commands": list(privilege.commands),
                    "roles": [role.value for role in privilege.roles],
                }
                for privilege in PRIVILEGES.values()
            ],
        }
        return Response(to_json(document), 200, {}, "application/json")

    async def error_codes(self) -> Response:
        """All codes with status, documents and meaning."""
        codes = [
            {
                "code": row.code,
                "status": row.status,
                "title": row.title,
                "documents": list(row.documents),
                "retryable": row.retryable,
            }
            for row in ERROR_CODES.values()
        ]
        return Response(to_json({"codes": codes}), 200, {}, "application/json")
