"""A request's headers as a dict: they are asked for several times a request, and Starlette looks through all
of them each time."""

from starlette.requests import Request


def read_headers(request: Request) -> dict[str, str]:
    """By lower-case name; of a header that is given twice, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
