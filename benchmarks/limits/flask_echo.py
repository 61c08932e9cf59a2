"""Upper limit for a function in functions-framework's Flask mode: returns the request's body."""

import functions_framework
from flask import Request, Response


@functions_framework.http
def echo(request: Request) -> Response:
    """Returns the request's body."""
    return Response(request.get_data(), content_type="application/json")
