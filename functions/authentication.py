"""Authenticates push requests by their Google-signed token, for platforms that do not check it themselves.

The signature is verified before the claims, so a forged token reveals nothing about the expected claims.
Exceptions of google-auth are never chained, because their text quotes the token.
"""

import asyncio
import hashlib
import time
from typing import Any

import msgspec

from functions.errors import Unauthenticated, Unavailable
from functions.telemetry import fields, logger

GOOGLE_CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS = ("https://accounts.google.com", "accounts.google.com")
MAX_TOKEN_CHARACTERS = 8192
"""Google's tokens have about a thousand."""
CLOCK_SKEW_SECONDS = 10
KEYS_TIMEOUT_SECONDS = 2.0
"""How long one request waits for the keys in total; a delivery has 7.5 s altogether."""
RETRY_SECONDS = 1.0
"""Pause after a failed fetch: one attempt per second, not one per request."""
REFETCH_SECONDS = 60.0
"""Pause between fetches for a key id that the cached keys lack, because anyone can invent key ids."""
MAX_CACHED_TOKENS = 64
"""A lookup takes 4 µs, verification 1 ms; a subscription sends the same token for up to an hour."""

_decode_certificates = msgspec.json.Decoder(dict[str, str]).decode


class KeysUnavailable(Unavailable):
    """Google's public keys cannot be fetched, so no sender can be authenticated."""


class TokenVerifier:
    """Accepts the tokens that Pub/Sub sends for one service account.

    Args:
        audience: audience of the tokens, as configured for the push subscription.
        account: e-mail of the push subscription's service account.
        certs_url: where to fetch the certificates by key id.
    """

    def __init__(self, audience: str, account: str, certs_url: str = GOOGLE_CERTS_URL) -> None:
        # Imported here because a function without this check does not need these, which take 0.1 s.
        import requests
        from cachecontrol import CacheControl

        self._audience = audience
        self._account = account
        self._certs_url = certs_url
        self._session = CacheControl(requests.Session())
        self._next_fetch = 0.0
        self._next_refetch = 0.0
        self._verified: dict[bytes, float] = {}
        """SHA-256 of a token → its expiry in Unix time; the oldest first."""
        # One verification at a time: forged tokens occupy one thread, and one fetch serves all requests.
        self._lock = asyncio.Lock()

    async def verify(self, authorization: str) -> None:
        """Returns if the header's token is valid and the service account's; otherwise logs a reason code.

        Raises:
            Unauthenticated: the token is missing, invalid or another account's.
            KeysUnavailable: the token cannot be verified at the moment.
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
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("length")
        digest = hashlib.sha256(token.encode()).digest()
        if self._is_cached(digest):
            return
        locked = False
        try:
            async with asyncio.timeout(KEYS_TIMEOUT_SECONDS), self._lock:
                locked = True
                if not self._is_cached(digest):
                    expiry = await asyncio.to_thread(self._verify_token, token)
                    if len(self._verified) >= MAX_CACHED_TOKENS:
                        del self._verified[next(iter(self._verified))]
                    self._verified[digest] = expiry
        except TimeoutError:
            if not locked:
                raise KeysUnavailable(f"waited {KEYS_TIMEOUT_SECONDS:g} s for other verifications") from None
            self._next_fetch = time.monotonic() + RETRY_SECONDS
            raise KeysUnavailable(f"{self._certs_url} sent no keys in {KEYS_TIMEOUT_SECONDS:g} s") from None

    def _is_cached(self, digest: bytes) -> bool:
        return time.time() < self._verified.get(digest, 0.0)

    def _verify_token(self, token: str) -> float:
        """Unix time until which a valid token will be accepted."""
        claims = self._decode_token(token)
        if claims.get("iss") not in ISSUERS:
            raise Unauthenticated("issuer")
        if claims.get("aud") != self._audience:
            raise Unauthenticated("audience")
        if claims.get("email") != self._account or claims.get("email_verified") is not True:
            raise Unauthenticated("email")
        return float(claims["exp"]) + CLOCK_SKEW_SECONDS

    def _decode_token(self, token: str) -> dict[str, Any]:
        """The claims of a token that Google signed for anyone and that has not expired."""
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
        certificates = self._fetch_certificates()
        if key_id not in certificates and time.monotonic() >= self._next_refetch:
            self._next_refetch = time.monotonic() + REFETCH_SECONDS
            certificates = self._fetch_certificates({"cache-control": "no-cache"})
        if key_id not in certificates:
            raise Unauthenticated("key")
        return certificates[key_id]

    def _fetch_certificates(self, headers: dict[str, str] | None = None) -> dict[str, str]:
        """The certificates by key id, cached by the session for their max-age."""
        import requests

        if time.monotonic() < self._next_fetch:
            raise KeysUnavailable(f"{self._certs_url} sent no keys a moment ago")
        try:
            response = self._session.get(self._certs_url, headers=headers, timeout=KEYS_TIMEOUT_SECONDS)
            response.raise_for_status()
            return _decode_certificates(response.content)
        except (requests.RequestException, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._next_fetch = time.monotonic() + RETRY_SECONDS
            raise KeysUnavailable(f"{self._certs_url} sent no keys: {error}") from error
