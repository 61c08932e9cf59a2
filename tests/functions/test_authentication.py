"""Authentication of push requests, with real keys and a real key server; and what must never be logged."""

import asyncio
import base64
import datetime
import hashlib
import hmac
import inspect
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from google.oauth2 import id_token

from functions import authentication
from functions.authentication import KeysUnavailable, TokenVerifier
from functions.errors import Unauthenticated
from tests.serving import call, post

AUDIENCE = "https://ride-events.example/push"
ACCOUNT = "pusher@ridecast.iam.gserviceaccount.com"
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
EVENT = {"ride": RIDE, "ride_id": 256}


class Key:
    """A signing key like Google's, with a public certificate."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keys.example")])
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._signer = crypt.RSASigner.from_string(private)

    def sign(self, key_id: str | None = "first", **changes: Any) -> str:
        """A token like Pub/Sub's, with some claims changed; None omits a claim."""
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "sub": "113774264463038321964",
            "iat": now,
            "exp": now + 3600,
        } | changes
        present = {name: value for name, value in claims.items() if value is not None}
        token: bytes = jwt.encode(self._signer, present, key_id=key_id)
        return token.decode()


@cache
def key(number: int) -> Key:
    """Cached, because keys take a while to generate."""
    return Key()


class KeyServer(ThreadingHTTPServer):
    """Serves certificates with a max-age, like Google, and counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _KeyHandler)
        self.keys = {"first": key(1).certificate}
        self.status = 200
        self.max_age = 3600
        self.fetches = 0
        self.content: bytes | None = None
        """Replaces the keys if set."""
        self.trickles = False
        """Whether it sends leading spaces, which JSON allows, while `answers` is not set."""
        self.answers = threading.Event()
        self.answers.set()
        self.url = f"http://127.0.0.1:{self.server_port}/certs"


class _KeyHandler(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        google = self.server
        google.fetches += 1
        if not google.trickles:
            google.answers.wait(10)
        content = json.dumps(google.keys).encode() if google.content is None else google.content
        self.send_response(google.status)
        self.send_header("cache-control", f"public, max-age={google.max_age}, must-revalidate")
        self.end_headers()
        with suppress(ConnectionError):  # the client disconnected
            for _ in range(100):
                if google.answers.wait(0.05):
                    break
                self.wfile.write(b" ")
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def google() -> Iterator[KeyServer]:
    with KeyServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.answers.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def verifier(google: KeyServer) -> TokenVerifier:
    return TokenVerifier(AUDIENCE, ACCOUNT, google.url)


def verify(verifier: TokenVerifier, token: str) -> None:
    asyncio.run(verifier.verify(f"Bearer {token}"))


def forged(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A valid token's claims with another header and signature."""

    def encode(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    claims = key(1).sign().split(".")[1].encode()
    signed = encode(json.dumps(header).encode()) + b"." + claims
    return (signed + b"." + encode(sign(signed))).decode()


def hs256(signed: bytes) -> bytes:
    return hmac.digest(key(1).certificate.encode(), signed, hashlib.sha256)


def time_in(seconds: float) -> int:
    return int(time.time() + seconds)


def bearer(make: Callable[[], str]) -> Callable[[], str]:
    return lambda: f"Bearer {make()}"


REJECTED: dict[str, tuple[Callable[[], str], str]] = {
    "no header": (lambda: "", "missing"),
    "Basic": (lambda: "Basic cHVzaGVyOnMzY3JldA==", "missing"),
    "token without scheme": (lambda: key(1).sign(), "missing"),
    "no token": (lambda: "Bearer ", "format"),
    "garbage": (bearer(lambda: "garbage"), "format"),
    "garbage in three parts": (bearer(lambda: "gar.bag.e!"), "format"),
    "not ASCII": (bearer(lambda: "gär.bäg.é"), "format"),
    "nested deeply": (
        bearer(lambda: base64.b64encode(b"[" * 3000).decode() + ".e30.e30"),
        "format",
    ),
    "1 MB": (bearer(lambda: key(1).sign(sub="x" * 1_000_000)), "length"),
    "alg none": (bearer(lambda: forged({"alg": "none", "kid": "first"}, lambda _: b"")), "algorithm"),
    "alg HS256": (bearer(lambda: forged({"alg": "HS256", "kid": "first"}, hs256)), "algorithm"),
    "alg ES256": (
        bearer(lambda: forged({"alg": "ES256", "kid": "first"}, lambda _: b"x" * 64)),
        "algorithm",
    ),
    "alg a list": (bearer(lambda: forged({"alg": ["RS256"], "kid": "first"}, lambda _: b"")), "algorithm"),
    "no key id": (bearer(lambda: key(1).sign(None)), "key"),
    "unknown key": (bearer(lambda: key(2).sign("unknown")), "key"),
    "key id a list": (bearer(lambda: forged({"alg": "RS256", "kid": ["first"]}, lambda _: b"")), "key"),
    "another's key": (bearer(lambda: key(2).sign()), "signature"),
    "HS256's signature": (bearer(lambda: forged({"alg": "RS256", "kid": "first"}, hs256)), "signature"),
    "as Cloud Run leaves it": (
        bearer(lambda: key(1).sign().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"),
        "signature",
    ),
    "no expiry": (bearer(lambda: key(1).sign(exp=None)), "signature"),
    "expiry in words": (bearer(lambda: key(1).sign(exp="soon")), "signature"),
    "expired": (bearer(lambda: key(1).sign(exp=time_in(-12))), "time"),
    "not yet valid": (bearer(lambda: key(1).sign(iat=time_in(15))), "time"),
    "another issuer": (bearer(lambda: key(1).sign(iss="https://accounts.example.com")), "issuer"),
    "no issuer": (bearer(lambda: key(1).sign(iss=None)), "issuer"),
    "another audience": (bearer(lambda: key(1).sign(aud="https://elsewhere.example")), "audience"),
    "several audiences": (bearer(lambda: key(1).sign(aud=[AUDIENCE])), "audience"),
    "half a surrogate": (bearer(lambda: key(1).sign(aud="\ud800")), "audience"),
    "another account": (bearer(lambda: key(1).sign(email="someone@gmail.com")), "email"),
    "no e-mail": (bearer(lambda: key(1).sign(email=None)), "email"),
    "e-mail not verified": (bearer(lambda: key(1).sign(email_verified=False)), "email"),
    "e-mail verified in words": (bearer(lambda: key(1).sign(email_verified="true")), "email"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_any_other_token_is_rejected_with_its_reason_code(verifier: TokenVerifier, case: str) -> None:
    make, reason = REJECTED[case]
    with pytest.raises(Unauthenticated) as caught:
        asyncio.run(verifier.verify(make()))
    assert str(caught.value) == reason
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "google-auth quotes tokens"


@pytest.mark.parametrize(
    "changes",
    [{}, {"iss": "accounts.google.com"}, {"exp": time_in(-5)}, {"iat": time_in(5)}, {"more": ["claims"]}],
    ids=["as Google sends it", "bare issuer", "expired 5 s ago", "issued in 5 s", "more claims"],
)
def test_the_service_account_is_accepted_within_the_clock_skew(
    verifier: TokenVerifier, changes: dict[str, Any]
) -> None:
    if {"exp", "iat"} & set(changes):  # relative to when the test runs, not to its collection
        changes = {name: time_in(-5 if name == "exp" else 5) for name in changes}
    verify(verifier, key(1).sign(**changes))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(verifier: TokenVerifier, scheme: str) -> None:
    asyncio.run(verifier.verify(f"{scheme} {key(1).sign()}"))


def test_a_thousand_requests_fetch_the_keys_once(verifier: TokenVerifier, google: KeyServer) -> None:
    tokens = [key(1).sign(sub=str(number)) for number in range(50)]

    async def scenario() -> None:
        for _ in range(20):
            await asyncio.gather(*(verifier.verify(f"Bearer {token}") for token in tokens))

    asyncio.run(scenario())
    assert google.fetches == 1


def test_the_cache_of_verified_tokens_is_bounded(
    verifier: TokenVerifier, google: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MAX_CACHED_TOKENS", 2)
    google.max_age = 0
    tokens = [key(1).sign(sub=str(number)) for number in range(3)]
    for token in (*tokens, tokens[2], tokens[1]):
        verify(verifier, token)
    assert google.fetches == 3
    verify(verifier, tokens[0])
    assert google.fetches == 4


def test_keys_are_fetched_again_after_their_max_age(verifier: TokenVerifier, google: KeyServer) -> None:
    google.max_age = 0
    for number in (1, 2, 3):
        verify(verifier, key(1).sign(sub=str(number)))
    assert google.fetches == 3


def test_a_verified_token_is_not_verified_again_until_it_expires(
    verifier: TokenVerifier, google: KeyServer
) -> None:
    google.max_age = 0
    token = key(1).sign(exp=time_in(-authentication.CLOCK_SKEW_SECONDS + 2))
    verify(verifier, token)
    google.status = 503
    verify(verifier, token)
    assert google.fetches == 1
    google.status = 200
    time.sleep(3.2)
    with pytest.raises(Unauthenticated, match="time"):
        verify(verifier, token)


def test_a_rejected_token_stays_rejected(verifier: TokenVerifier) -> None:
    token = key(1).sign(aud="https://elsewhere.example")
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            verify(verifier, token)


def test_a_rotated_key_is_fetched_at_once(verifier: TokenVerifier, google: KeyServer) -> None:
    verify(verifier, key(1).sign())
    google.keys = {"second": key(2).certificate}
    verify(verifier, key(2).sign("second"))
    assert google.fetches == 2
    verify(verifier, key(2).sign("second", sub="another"))
    assert google.fetches == 2, "the new keys are cached"


def test_unknown_key_ids_cause_few_fetches_and_do_not_block_a_new_key(
    verifier: TokenVerifier, google: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authentication.REFETCH_SECONDS >= 60
    monkeypatch.setattr(authentication, "REFETCH_SECONDS", 0.5)
    verify(verifier, key(1).sign())
    began = time.monotonic()
    while time.monotonic() - began < 0.25:
        with pytest.raises(Unauthenticated, match="key"):
            verify(verifier, key(2).sign(f"invented {time.monotonic()}"))
    assert google.fetches == 2
    google.keys = {"second": key(2).certificate}
    time.sleep(0.5)
    verify(verifier, key(2).sign("second"))
    assert google.fetches == 3


def test_without_keys_tokens_are_neither_accepted_nor_rejected(
    verifier: TokenVerifier, google: KeyServer
) -> None:
    google.status = 503
    began = time.monotonic()
    for number in range(20):
        with pytest.raises(KeysUnavailable):
            verify(verifier, key(1).sign(sub=str(number)))
        with pytest.raises(KeysUnavailable):
            verify(verifier, key(2).sign())
    most = 1 + (time.monotonic() - began) / authentication.RETRY_SECONDS
    assert google.fetches <= most, "one request per second, not per token"
    google.status = 200
    time.sleep(authentication.RETRY_SECONDS)
    verify(verifier, key(1).sign())


@pytest.mark.parametrize("content", [b"", b"nope", b"[]", b'{"keys": []}', b'{"first": 1}'], ids=repr)
def test_a_response_without_keys_makes_the_verifier_unavailable(
    verifier: TokenVerifier, google: KeyServer, content: bytes
) -> None:
    google.content = content
    with pytest.raises(KeysUnavailable):
        verify(verifier, key(1).sign())


def test_an_unreachable_key_server_makes_the_verifier_unavailable() -> None:
    with KeyServer() as closed:
        url = closed.url
    with pytest.raises(KeysUnavailable):
        verify(TokenVerifier(AUDIENCE, ACCOUNT, url), key(1).sign())


@pytest.mark.alone
@pytest.mark.parametrize("trickles", [False, True])
def test_a_hanging_key_server_delays_only_its_own_requests_and_not_for_long(
    verifier: TokenVerifier, google: KeyServer, monkeypatch: pytest.MonkeyPatch, trickles: bool
) -> None:
    assert authentication.KEYS_TIMEOUT_SECONDS <= 3
    monkeypatch.setattr(authentication, "KEYS_TIMEOUT_SECONDS", 0.5)
    google.trickles = trickles
    google.answers.clear()

    async def scenario() -> tuple[float, float, list[Any]]:
        began = time.monotonic()
        senders = asyncio.gather(
            *(verifier.verify(f"Bearer {key(1).sign(sub=str(n))}") for n in range(10)), return_exceptions=True
        )
        longest = 0.0
        while not senders.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        duration = time.monotonic() - began
        google.answers.set()
        return longest, duration, await senders

    longest, duration, results = asyncio.run(scenario())
    assert longest < 0.3, "the event loop is not blocked"
    assert 0.4 < duration < 2
    assert {type(result) for result in results} == {KeysUnavailable}
    assert google.fetches == 1


@pytest.mark.alone
def test_a_huge_token_is_rejected_without_work(verifier: TokenVerifier, google: KeyServer) -> None:
    token = "x" * (1 << 20)
    began = time.perf_counter()
    for _ in range(100):
        with pytest.raises(Unauthenticated, match="length"):
            verify(verifier, token)
    assert time.perf_counter() - began < 1
    assert google.fetches == 0


def test_the_default_keys_and_issuers_are_googles() -> None:
    assert inspect.signature(TokenVerifier).parameters["certs_url"].default == (
        id_token._GOOGLE_OAUTH2_CERTS_URL
    )
    assert set(authentication.ISSUERS) == set(id_token._GOOGLE_ISSUERS)


def test_the_imports_of_token_verification_are_lazy() -> None:
    script = (
        "import functions.authentication, sys; "
        "print(sorted({'requests', 'cachecontrol', 'google.auth'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Tests of the whole function.


def push_body(event: Any, **message: Any) -> dict[str, Any]:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return {"message": {"data": base64.b64encode(data).decode(), "messageId": "7"} | message}


@pytest.fixture
def settings(
    onnx_folder: Path, tmp_path: Path, google: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    monkeypatch.setattr(authentication, "TokenVerifier", partial(TokenVerifier, certs_url=google.url))
    return {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
        "PUSH_AUDIENCE": AUDIENCE,
        "PUSH_SERVICE_ACCOUNT": ACCOUNT,
        "LOG_LEVEL": "DEBUG",
    }


def published(settings: dict[str, str]) -> tuple[int, int]:
    """Numbers of published predictions and dead letters."""
    paths = Path(settings["PREDICTIONS_TOPIC"]), Path(settings["DEAD_LETTER_TOPIC"])
    predictions, letters = (len(path.read_text().splitlines()) if path.exists() else 0 for path in paths)
    return predictions, letters


def authorization_header(authorization: str) -> dict[str, str]:
    return {"authorization": authorization} if authorization else {}


def test_events_from_the_service_account_are_published(settings: dict[str, str]) -> None:
    headers = authorization_header(f"Bearer {key(1).sign()}")

    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.post("/", json=push_body(EVENT), headers=headers)).status_code == 200
        assert (await client.post("/", json=push_body(b"bad"), headers=headers)).status_code == 200

    call("predict_event", settings, scenario)
    assert published(settings) == (1, 1)


def test_all_rejected_senders_get_the_same_response_and_a_logged_reason_code(
    settings: dict[str, str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = {case: make() for case, (make, _) in REJECTED.items()}

    async def scenario(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers = []
        for authorization in sent.values():
            headers = [(b"authorization", authorization.encode("latin-1"))] if authorization else []
            for body in (push_body(EVENT), push_body(b"bad")):
                answers.append(await client.post("/", json=body, headers=headers))
        return answers

    answers = call("predict_event", settings, scenario)
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert published(settings) == (0, 0)

    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["reason"] for line in lines] == [reason for _, reason in REJECTED.values() for _ in "12"]
    logged = captured.out + captured.err + caplog.text
    for authorization in sent.values():
        token = authorization.partition(" ")[2] or authorization
        parts = [token, *token.split("."), *token.split(".")[-1:]]
        assert not [part for part in parts if len(part) > 4 and part in logged]
    for claim in (AUDIENCE, ACCOUNT, "someone@gmail.com", "elsewhere", "accounts.", "113774264463038321964"):
        assert claim not in logged


def test_the_body_of_a_rejected_request_is_not_read(settings: dict[str, str]) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        for chunk in (b'{"message": ', b"{}}"):
            read.append(chunk)
            yield chunk

    assert post("predict_event", settings, "/", content=body()).status_code == 401
    assert read == []
    headers = authorization_header(f"Bearer {key(1).sign()}")
    assert post("predict_event", settings, "/", content=body(), headers=headers).status_code == 200
    assert len(read) == 2


def test_health_needs_no_token(settings: dict[str, str], google: KeyServer) -> None:
    answer = call("predict_event", settings, lambda client: client.get("/health"))
    assert answer.json()["status"] == "ok"
    assert google.fetches == 0


def test_without_keys_an_event_is_redelivered(settings: dict[str, str], google: KeyServer) -> None:
    headers = authorization_header(f"Bearer {key(1).sign()}")

    async def scenario(client: httpx.AsyncClient) -> list[int]:
        google.status = 503
        down = await client.post("/", json=push_body(EVENT), headers=headers)
        assert published(settings) == (0, 0)
        google.status = 200
        await asyncio.sleep(authentication.RETRY_SECONDS)
        recovered = await client.post("/", json=push_body(EVENT), headers=headers)
        return [down.status_code, recovered.status_code]

    assert call("predict_event", settings, scenario) == [503, 200]
    assert published(settings) == (1, 0)


def test_either_setting_alone_rejects_all_events(settings: dict[str, str]) -> None:
    for name in ("PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"):
        answer = post("predict_event", settings | {name: ""}, "/", json=push_body(EVENT))
        assert answer.status_code == 503
        assert f"{name} is not set" in answer.json()["detail"]
    assert published(settings) == (0, 0)


def test_without_the_settings_every_delivery_is_accepted(settings: dict[str, str]) -> None:
    for name in ("PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"):
        settings[name] = ""
    assert post("predict_event", settings, "/", json=push_body(EVENT)).status_code == 200
    assert published(settings) == (1, 0)


# What must never be logged, whatever the request's outcome.

SECRET = "s3cret-of-a-rider"
UNUSUAL_BODIES: dict[str, bytes] = {
    "good": json.dumps(RIDE | {"card": SECRET}).encode(),
    "text for a zone": json.dumps(RIDE | {"PULocationID": SECRET}).encode(),
    "text for a time": json.dumps(RIDE | {"pickup_datetime": SECRET}).encode(),
    "text for a ride": json.dumps({"ride": SECRET, "ride_id": [SECRET]}).encode(),
    "good event": json.dumps(EVENT | {"card": SECRET}).encode(),
    "text": json.dumps(SECRET).encode(),
    "a field's name": json.dumps({SECRET: SECRET}).encode(),
    "cut": json.dumps(RIDE | {"card": SECRET}).encode()[:-1],
    "no JSON": SECRET.encode(),
    "no Unicode": b"\xff" + SECRET.encode(),
    "half a surrogate": json.dumps(RIDE | {"PULocationID": SECRET + "\ud800"}).encode(),
    "nested": b'{"' + SECRET.encode() + b'":' * 1000,
    "columns": json.dumps({"dataframe_split": {"columns": [SECRET], "data": [[SECRET]]}}).encode(),
    "inputs": json.dumps({"inputs": {SECRET: [SECRET]}}).encode(),
    "calls": json.dumps({"calls": [[SECRET, SECRET, SECRET]]}).encode(),
}
UNUSUAL_DELIVERIES = {
    "odd message": json.dumps({"message": SECRET}).encode(),
    "odd data": json.dumps({"message": {"data": SECRET + "!"}}).encode(),
    "odd data's type": json.dumps({"message": {"data": [SECRET]}}).encode(),
    "odd attributes": json.dumps(push_body(EVENT, attributes={SECRET: [SECRET], "a": SECRET})).encode(),
    "odd trace": json.dumps(push_body(EVENT, attributes={"traceparent": SECRET})).encode(),
}


def crash(*_: Any) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("crashing", [False, True])
@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_no_log_line_contains_a_body_or_a_token(
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    target: str,
    crashing: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = key(1).sign()
    bodies = dict(UNUSUAL_BODIES)
    if target == "predict_event":
        bodies |= {f"{name} as data": json.dumps(push_body(body)).encode() for name, body in bodies.items()}
        bodies |= UNUSUAL_DELIVERIES
    if crashing:
        monkeypatch.setattr("functions.predict_endpoint.decode_request", crash)
        monkeypatch.setattr("functions.event_handler.decode_push", crash)

    async def scenario(client: httpx.AsyncClient) -> set[int]:
        statuses = set()
        for body in bodies.values():
            for kind in ("application/json", "text/csv", "application/cloudevents+json"):
                headers = authorization_header(f"Bearer {token}") | {"content-type": kind}
                statuses.add((await client.post("/", content=body, headers=headers)).status_code)
        return statuses

    statuses = call(target, settings, scenario)
    if crashing:
        assert statuses == {500}
    else:
        assert statuses == ({200} if target == "predict_event" else {200, 400, 422})
    captured = capsys.readouterr()
    logged = captured.out + captured.err + caplog.text
    assert ("a bug" in logged) is crashing
    assert SECRET not in logged
    assert base64.b64encode(SECRET.encode()).decode()[:16] not in logged
    assert not [part for part in token.split(".") if part in logged]
