"""Upper limit for a function in functions-framework's ASGI mode: returns the request's body."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response


@functions_framework.aio.http
async def echo(request: Request) -> Response:
    """Returns the request's body."""
    return Response(await request.body(), media_type="application/json")
