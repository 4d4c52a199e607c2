"""Errors of the API as RFC 9457 problem+json: one code that stays, all faults at once."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Response
from pydantic import Field

from rules.faults import told
from rules.models import Strict

if TYPE_CHECKING:
    from fastapi.exceptions import RequestValidationError

    from monitor.desk.parts import RefusedError

MAX_ERRORS = 500


class ProblemError(Strict):
    """One fault: where, which, what."""

    pointer: str
    code: str
    detail: str


class Problem(Strict):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[ProblemError] = Field(default_factory=list)


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}


def answer(problem: Problem, retry_after_s: int | None = None) -> Response:
    """Return the response of a problem."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = json.dumps(problem.model_dump(), ensure_ascii=False).encode()
    return Response(body, problem.status, headers, "application/problem+json")


def of_refusal(error: RefusedError) -> Response:
    """Return the response of a refusal."""
    problem = Problem(title=error.status.phrase, status=error.status, code=error.code, detail=error.detail)
    return answer(problem, error.retry_after_s)


def of_validation(error: RequestValidationError) -> Response:
    """Return the response of a request that is not what the model asks for; inputs are not repeated."""
    errors = []
    for item in error.errors()[:MAX_ERRORS]:
        code, detail = told(item)
        errors.append(ProblemError(pointer="".join(f"/{part}" for part in item["loc"]), code=code, detail=detail))
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(Problem(title=status.phrase, status=status, code="contract", errors=errors))
