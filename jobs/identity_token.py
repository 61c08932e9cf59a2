"""Identity tokens for services behind Cloud Run's IAM check."""

from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token

from functions.errors import RidecastError


class TokenUnavailable(RidecastError):
    """Google issues no identity token on this machine."""


def fetch_identity_token(url: str) -> str:
    """A token of this machine's service account for a service; empty for plain HTTP, which needs none.

    Args:
        url: the service's URL without a path; every `https://` URL is assumed to be Cloud Run's.

    Raises:
        TokenUnavailable: this machine has no service account, or it may not create tokens.
    """
    if not url.startswith("https://"):
        return ""
    try:
        return str(fetch_id_token(Request(), url))  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise TokenUnavailable(f"cannot get an identity token for {url}: {error}") from error
