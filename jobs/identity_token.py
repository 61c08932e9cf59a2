"""Who we are, for services that Cloud Run answers for: it looks before a function sees the request."""

from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token

from functions.errors import RidecastError


class NoToken(RidecastError):
    """Google gives no identity token here."""


def fetch_identity_token(url: str) -> str:
    """The token of this machine's service account for the service at `url`; empty where none is asked for.

    Args:
        url: the service's own, without a path; `https://` is taken for Cloud Run's.

    Raises:
        NoToken: this machine has no service account, or it may not have tokens.
    """
    if not url.startswith("https://"):
        return ""
    try:
        return str(fetch_id_token(Request(), url))  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise NoToken(f"no identity token for {url} is to be had here: {error}") from error
