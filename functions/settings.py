"""The functions' configuration: environment variables, read once into a frozen object, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from functions.errors import SettingsError

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


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
            self.add_error(f"{name} is not set: {hint}")
        return value

    def number(self, name: str, default: float, minimum: float) -> float:
        text = self.text(name)
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if not minimum <= value < float("inf"):
            self.add_error(f"{name}={text!r} must be a number, {minimum:g} or more")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default).upper()
        if value not in choices:
            self.add_error(f"{name}={value!r} must be one of {', '.join(choices)}")
        return value

    def bucket_prefixes(self, name: str) -> tuple[str, ...]:
        """Comma-separated bucket names, as URI prefixes."""
        buckets = [bucket.strip() for bucket in self.text(name).split(",")]
        return tuple(f"gs://{bucket}/" for bucket in buckets if bucket)

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
    """MODEL_URI: a release pointer, a model folder (both `gs://…` or a path) or `models:/NAME@ALIAS`."""
    allowed_prefixes: tuple[str, ...]
    """MODEL_BUCKETS: where models may come from, each as `gs://BUCKET/`; empty allows any location."""
    tracking_uri: str
    """MLFLOW_TRACKING_URI: the MLflow server's http(s) URL; only required for `models:/`."""
    tracking_token: str = field(repr=False)
    """MLFLOW_TRACKING_TOKEN: bearer token for that server; empty if not set."""
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
        if model_uri and allowed and not f"{model_uri}/".startswith((*allowed, "models:/")):
            reader.add_error(f"MODEL_URI={model_uri!r} is not in MODEL_BUCKETS: {', '.join(allowed)}")
        if model_uri.startswith("models:/"):
            reader.required("MLFLOW_TRACKING_URI", f"the URL of the MLflow server that holds {model_uri}")
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
            tracking_uri=reader.text("MLFLOW_TRACKING_URI"),
            tracking_token=reader.text("MLFLOW_TRACKING_TOKEN"),
            refresh_seconds=reader.number("MODEL_REFRESH_SECONDS", default=60, minimum=0),
            allow_pickle=reader.choice("ALLOW_PICKLE", "FALSE", ("TRUE", "FALSE")) == "TRUE",
            predictions_topic=reader.text("PREDICTIONS_TOPIC"),
            dead_letter_topic=reader.text("DEAD_LETTER_TOPIC"),
            pubsub_emulator=reader.text("PUBSUB_EMULATOR_HOST"),
            push_audience=reader.text("PUSH_AUDIENCE"),
            push_service_account=reader.text("PUSH_SERVICE_ACCOUNT"),
            max_body_bytes=int(reader.number("MAX_BODY_BYTES", default=1 << 20, minimum=1)),
            predict_route=reader.text("AIP_PREDICT_ROUTE"),
            health_route=reader.text("AIP_HEALTH_ROUTE"),
            project=reader.text("GOOGLE_CLOUD_PROJECT"),
            log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
        )
        reader.raise_errors()
        return settings
