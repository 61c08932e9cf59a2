"""The limit for a function in functions-framework's ASGI mode: it gives back what it was sent."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response


@functions_framework.aio.http
async def echo(request: Request) -> Response:
    """The request's body."""
    return Response(await request.body(), media_type="application/json")
