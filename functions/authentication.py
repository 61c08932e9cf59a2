"""Who delivers: the Google-signed token of a push request, where the platform does not check it.

The signature is checked before any claim is looked at, so that only Google's own tokens can tell by the time
an answer takes how far they came. No exception of google-auth is passed on: its text quotes the token.
"""

import asyncio
import hashlib
import hmac
import time
from typing import Any

import msgspec

from functions.errors import Unauthenticated, Unavailable
from functions.telemetry import fields, logger

GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS = ("https://accounts.google.com", "accounts.google.com")
LONGEST_TOKEN = 8192
"""Characters; Google's have about a thousand."""
CLOCK_SKEW_SECONDS = 10
KEYS_SECONDS = 2.0
"""For all that one request may wait for the keys; its whole handling has 7.5 s."""
RETRY_SECONDS = 1.0
"""After a failure the keys are asked for once a second, not once a request."""
ANEW_SECONDS = 60.0
"""Between two looks for a key that the cached ones lack: anybody can invent the name of a key."""
MOST_VERIFIED = 64
"""Tokens that are remembered: 4 µs where a look at cached keys and a signature take 1 ms.

A subscription sends the same token for up to an hour."""

_read_keys = msgspec.json.Decoder(dict[str, str]).decode


class KeysUnavailable(Unavailable):
    """Google's public keys are out of reach: nobody can be told from anybody."""


class TokenVerifier:
    """Lets one service account pass, by the token that Pub/Sub sends for it.

    Args:
        audience: whom the token must be meant for, as the push subscription has it.
        account: e-mail of the push subscription's service account.
        keys_url: where the certificates of the keys are, by key id.
    """

    def __init__(self, audience: str, account: str, keys_url: str = GOOGLE_KEYS) -> None:
        # A tenth of a second of imports that a function without this check does not need.
        import requests
        from cachecontrol import CacheControl

        self._audience = audience
        self._account = account
        self._keys_url = keys_url
        self._session = CacheControl(requests.Session())
        self._next_try = 0.0
        self._next_anew = 0.0
        self._verified: dict[bytes, float] = {}
        """SHA-256 of a token → when it expires; the oldest first."""
        # One token at a time, so that strangers keep one thread busy, and one fetch serves all who wait.
        self._turn = asyncio.Lock()

    async def verify(self, authorization: str) -> None:
        """Returns if the header is the service account's; whoever is refused stands in the log, by a word.

        Args:
            authorization: the request header's value; empty if there is none.

        Raises:
            Unauthenticated: it is not.
            KeysUnavailable: that cannot be told now.
        """
        try:
            await self._verify(authorization)
        except Unauthenticated as error:
            logger.warning("sender refused", extra=fields(outcome="refused", reason=str(error)))
            raise
        except KeysUnavailable as error:
            logger.error("sender not verified", extra=fields(outcome="again", reason=str(error)))
            raise

    async def _verify(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("missing")
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated("length")
        digest = hashlib.sha256(token.encode()).digest()
        if self._knows(digest):
            return
        mine = False
        try:
            async with asyncio.timeout(KEYS_SECONDS), self._turn:
                mine = True
                if not self._knows(digest):
                    self._remember(digest, await asyncio.to_thread(self._expiry, token))
        except TimeoutError:
            if not mine:
                raise KeysUnavailable(f"others were verified for {KEYS_SECONDS:g} s") from None
            self._next_try = time.monotonic() + RETRY_SECONDS
            raise KeysUnavailable(f"{self._keys_url} gave no keys within {KEYS_SECONDS:g} s") from None

    def _knows(self, digest: bytes) -> bool:
        return time.time() < self._verified.get(digest, 0.0)

    def _remember(self, digest: bytes, expiry: float) -> None:
        if len(self._verified) >= MOST_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = expiry

    def _expiry(self, token: str) -> float:
        """When a token that may pass will not any more."""
        claims = self._signed_claims(token)
        if claims.get("iss") not in ISSUERS:
            raise Unauthenticated("issuer")
        if not _same(claims.get("aud"), self._audience):
            raise Unauthenticated("audience")
        if not _same(claims.get("email"), self._account) or claims.get("email_verified") is not True:
            raise Unauthenticated("email")
        return float(claims["exp"]) + CLOCK_SKEW_SECONDS

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """What Google says in a token that is valid now, of whomever."""
        from google.auth import jwt
        from google.auth.exceptions import InvalidValue

        try:
            header = jwt.decode_header(token)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError):
            raise Unauthenticated("format") from None
        if header.get("alg") != "RS256":
            raise Unauthenticated("algorithm")
        certificate = self._certificate(header.get("kid"))
        try:
            claims: dict[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
                token, certs=certificate, clock_skew_in_seconds=CLOCK_SKEW_SECONDS
            )
        except InvalidValue:
            raise Unauthenticated("time") from None
        except (ValueError, TypeError):
            raise Unauthenticated("signature") from None
        return claims

    def _certificate(self, key_id: object) -> str:
        if not isinstance(key_id, str):
            raise Unauthenticated("key")
        keys = self._fetch()
        if key_id not in keys and time.monotonic() >= self._next_anew:
            self._next_anew = time.monotonic() + ANEW_SECONDS
            keys = self._fetch({"cache-control": "no-cache"})
        if key_id not in keys:
            raise Unauthenticated("key")
        return keys[key_id]

    def _fetch(self, headers: dict[str, str] | None = None) -> dict[str, str]:
        """The certificates by key id, from the session's cache for as long as their max-age allows."""
        import requests

        if time.monotonic() < self._next_try:
            raise KeysUnavailable(f"{self._keys_url} gave no keys a moment ago")
        try:
            answer = self._session.get(self._keys_url, headers=headers, timeout=KEYS_SECONDS)
            answer.raise_for_status()
            return _read_keys(answer.content)
        except (requests.RequestException, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._next_try = time.monotonic() + RETRY_SECONDS
            raise KeysUnavailable(f"{self._keys_url} gave no keys: {error}") from error


def _same(claim: object, wanted: str) -> bool:
    """Whether they are equal, in a time that does not tell how far they are."""
    # JSON can hold half a surrogate pair, which plain UTF-8 cannot.
    return isinstance(claim, str) and hmac.compare_digest(
        claim.encode(errors="surrogatepass"), wanted.encode()
    )
