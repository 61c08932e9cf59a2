"""The limit for a function in functions-framework's Flask mode: it gives back what it was sent."""

import functions_framework
from flask import Request, Response


@functions_framework.http
def echo(request: Request) -> Response:
    """The request's body."""
    return Response(request.get_data(), content_type="application/json")
