"""The functions' configuration: environment variables, read once into a frozen object, and nowhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from functions.errors import ModelUnavailable, SettingsError
from functions.mlflow_client import ADDRESS, PASSWORD, TOKEN, USERNAME, TrackingServer, redact_user_info
from functions.model_uris import DATABRICKS, is_model_uri, parse_model_uri

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


_VARIABLES = (
    *("MODEL_URI", "MODEL_BUCKET", "MODEL_REFRESH_SECONDS", "PREDICTIONS", "PREDICT_URL", "PUSH_AUDIENCE"),
    *(
        "PREDICTIONS_TOPIC",
        "DEAD_LETTER_TOPIC",
        "RIDE_EVENTS_TOPIC",
        "RIDE_ENDED_TOPIC",
        "SMOKE_SUBSCRIPTION",
    ),
    *("PREDICTIONS_SUBSCRIPTION", "DEAD_LETTER_SUBSCRIPTION", "RIDE_ENDED_SUBSCRIPTION"),
    *(USERNAME, PASSWORD, TOKEN, "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_INSECURE_TLS"),
)
"""Names of other variables, so that none is taken for a misspelled one."""
_SIMILARITY = 0.61
"""MLFLOW_URL and MLFLOW_TRACKING_URI have 0.62."""
_BUCKET_PREFIX = re.compile(r"gs://[a-z0-9][a-z0-9._-]*/(?:\S+/)?")
_TRUE, _FALSE = ("TRUE", "1", "YES", "ON"), ("FALSE", "0", "NO", "OFF")


def similar_variable(name: str, environ: Mapping[str, str]) -> str:
    """A hint at a variable that is set and may be a misspelling of `name`; empty if there is none."""
    others = {
        other.upper().replace("_", ""): other
        for other, value in environ.items()
        if value.strip() and other != name and other not in _VARIABLES
    }
    found = get_close_matches(name.replace("_", ""), others, 1, _SIMILARITY)
    return f" ({others[found[0]]} is set: should it be {name}?)" if found else ""


class _EnvironmentReader:
    """Reads variables and collects all errors into one message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._errors: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def required(self, name: str, hint: str) -> str:
        value = self.text(name)
        if not value:
            self.add_error(f"{name} is not set: {hint}{similar_variable(name, self._environ)}")
        return value

    def number(self, name: str, default: float, minimum: float) -> float:
        text = self.text(name)
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if minimum <= value < float("inf"):
            return value
        self.add_error(
            f"{name}={text!r} must be a number, {minimum:g} or more, such as {name}={default:.15g}"
        )
        return default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default).upper()
        if value not in choices:
            self.add_error(f"{name}={self.text(name)!r} must be one of {', '.join(choices)}")
        return value

    def switch(self, name: str) -> bool:
        value = self.text(name, "FALSE").upper()
        if value not in _TRUE + _FALSE:
            self.add_error(f"{name}={self.text(name)!r} must be true or false, such as {name}=true")
        return value in _TRUE

    def matching(self, name: str, pattern: str, example: str) -> str:
        value = self.text(name)
        if value and not re.fullmatch(pattern, value):
            self.add_error(f"{name}={value!r} must look like {name}={example}")
        return value

    def bucket_prefixes(self, name: str) -> tuple[str, ...]:
        """Comma-separated bucket names, with or without `gs://`, as URI prefixes."""
        prefixes = []
        for bucket in filter(None, map(str.strip, self.text(name).split(","))):
            prefix = f"gs://{bucket.removeprefix('gs://').rstrip('/')}/"
            if not _BUCKET_PREFIX.fullmatch(prefix):
                self.add_error(
                    f"{name}={self.text(name)!r} must be buckets' names, such as {name}=models,shared"
                )
            prefixes.append(prefix)
        return tuple(prefixes)

    def tracking_server(self, *, needed: bool) -> TrackingServer:
        try:
            return TrackingServer.read(self._environ)
        except SettingsError as error:
            if needed:
                self.add_error(str(error))
            return TrackingServer()

    def add_error(self, error: str) -> None:
        self._errors.append(error)

    def raise_errors(self) -> None:
        """Raises one SettingsError with all errors, if there are any."""
        if self._errors:
            raise SettingsError("; ".join(self._errors))


@dataclass(frozen=True)
class FunctionSettings:
    """Everything that a deployment configures."""

    model_uri: str
    """MODEL_URI: a release pointer, a model folder (`gs://…` or a path) or a URI that MLflow resolves."""
    allowed_prefixes: tuple[str, ...]
    """MODEL_BUCKETS: where models may come from, each as `gs://BUCKET/`; empty allows any location."""
    tracking: TrackingServer
    """MLFLOW_TRACKING_URI and its credentials; only required for models that MLflow resolves or serves."""
    refresh_seconds: float
    """MODEL_REFRESH_SECONDS: interval between checks for a new release; 60 if not set, 0 disables them."""
    allow_pickle: bool
    """ALLOW_PICKLE: `true` allows pickled models, which run their code in this process."""
    predictions_topic: str
    """PREDICTIONS_TOPIC: `projects/P/topics/T`, `stdout:` or a file's path; only for `predict_event`."""
    dead_letter_topic: str
    """DEAD_LETTER_TOPIC: likewise."""
    pubsub_emulator: str
    """PUBSUB_EMULATOR_HOST: `host:port` of an emulator that has the topics; empty for Google's Pub/Sub."""
    push_audience: str
    """PUSH_AUDIENCE: required audience of each delivery's token; empty if the platform verifies tokens."""
    push_service_account: str
    """PUSH_SERVICE_ACCOUNT: required e-mail in that token; set if and only if PUSH_AUDIENCE is."""
    max_body_bytes: int
    """MAX_BODY_BYTES: largest request body that `predict` accepts; 1 MiB if not set."""
    predict_route: str
    """AIP_PREDICT_ROUTE: an additional path for predictions, set by Vertex AI; empty if not set."""
    health_route: str
    """AIP_HEALTH_ROUTE: an additional path for health checks, set by Vertex AI; empty if not set."""
    project: str
    """GOOGLE_CLOUD_PROJECT: the project in the names of traces; empty if not set."""
    log_level: str
    """LOG_LEVEL: `INFO` if not set."""

    @classmethod
    def read(cls, environ: Mapping[str, str], *, streaming: bool = False) -> Self:
        """The settings of `predict`, or of `predict_event` if `streaming`.

        Raises SettingsError with everything that is missing or invalid.
        """
        reader = _EnvironmentReader(environ)
        model_uri = reader.required(
            "MODEL_URI",
            "a release pointer (gs://BUCKET/releases/ride-duration/champion.json), a model folder "
            "(gs://… or a path) or models:/NAME@ALIAS",
        )
        allowed = reader.bucket_prefixes("MODEL_BUCKETS")
        if not model_uri and (bucket := reader.text("MODEL_BUCKET")):
            pointer = f"{bucket.rstrip('/')}/releases/ride-duration/champion.json"
            reader.add_error(f"MODEL_BUCKET is read by the jobs only; its pointer is MODEL_URI={pointer}")
        if model_uri and allowed and not f"{model_uri}/".startswith((*allowed, "models:/", "runs:/")):
            reader.add_error(f"MODEL_URI={model_uri!r} is not in MODEL_BUCKETS: {', '.join(allowed)}")
        if problem := _problem_with(model_uri):
            reader.add_error(f"MODEL_URI={redact_user_info(model_uri)!r}: {problem}")
        needs_server = is_model_uri(model_uri) or model_uri.startswith("mlflow-artifacts:")
        if needs_server:
            reader.required(ADDRESS, f"the URL of the MLflow server that holds {model_uri}")
        if streaming:
            topic_forms = "projects/PROJECT/topics/TOPIC, stdout: or a file path"
            reader.required("PREDICTIONS_TOPIC", topic_forms)
            reader.required("DEAD_LETTER_TOPIC", topic_forms)
            account, audience = "PUSH_SERVICE_ACCOUNT", "PUSH_AUDIENCE"
            if reader.text(audience):
                reader.required(account, f"{audience} alone would accept every Google account")
            if reader.text(account):
                reader.required(audience, f"{account} alone would accept tokens for other services")
        settings = cls(
            model_uri=model_uri,
            allowed_prefixes=allowed,
            tracking=reader.tracking_server(needed=needs_server),
            refresh_seconds=reader.number("MODEL_REFRESH_SECONDS", default=60, minimum=0),
            allow_pickle=reader.switch("ALLOW_PICKLE"),
            predictions_topic=reader.text("PREDICTIONS_TOPIC"),
            dead_letter_topic=reader.text("DEAD_LETTER_TOPIC"),
            pubsub_emulator=reader.matching("PUBSUB_EMULATOR_HOST", r"[^\s/]+:\d+", "127.0.0.1:8085"),
            push_audience=reader.text("PUSH_AUDIENCE"),
            push_service_account=reader.matching(
                "PUSH_SERVICE_ACCOUNT", r"[^\s@]+@[^\s@]+", "push@PROJECT.iam.gserviceaccount.com"
            ),
            max_body_bytes=int(reader.number("MAX_BODY_BYTES", default=1 << 20, minimum=1)),
            predict_route=reader.matching("AIP_PREDICT_ROUTE", r"/\S*", "/predict"),
            health_route=reader.matching("AIP_HEALTH_ROUTE", r"/\S*", "/health"),
            project=reader.text("GOOGLE_CLOUD_PROJECT"),
            log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
        )
        reader.raise_errors()
        return settings


def _problem_with(model_uri: str) -> str:
    """Why no release will ever be found there; empty if there may be one."""
    if model_uri.lower().startswith(("databricks", "dbfs:", "uc:")):
        return DATABRICKS
    if is_model_uri(model_uri):
        try:
            parse_model_uri(model_uri)
        except ModelUnavailable as error:
            return str(error)
    return ""
