"""What the environment says, read once into one frozen object. No other module reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from functions.errors import SettingsError

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class _Reader:
    """Reads variables and gathers everything that is wrong with them into one message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def required(self, name: str, meaning: str) -> str:
        value = self.text(name)
        if not value:
            self._wrong.append(f"{name} is not set: {meaning}")
        return value

    def number(self, name: str, default: float, least: float) -> float:
        text = self.text(name)
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            self._wrong.append(f"{name}={text!r} must be a number, {least:g} or more")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default).upper()
        if value not in choices:
            self._wrong.append(f"{name}={value!r} must be one of {', '.join(choices)}")
        return value

    def places(self, name: str) -> tuple[str, ...]:
        """Buckets' names, as the beginnings of addresses in them."""
        buckets = [bucket.strip() for bucket in self.text(name).split(",")]
        return tuple(f"gs://{bucket}/" for bucket in buckets if bucket)

    def refuse(self, problem: str) -> None:
        self._wrong.append(problem)

    def finish(self) -> None:
        """Raises SettingsError with all that was wrong, if anything was."""
        if self._wrong:
            raise SettingsError("; ".join(self._wrong))


@dataclass(frozen=True)
class Settings:
    """Everything a function is told by its deployment."""

    model_uri: str
    """MODEL_URI: a release pointer, a model folder (both `gs://…` or a path) or `models:/NAME@ALIAS`."""
    model_places: tuple[str, ...]
    """MODEL_BUCKETS: the only buckets that models may come from, each as `gs://BUCKET/`; empty if any may."""
    tracking_uri: str
    """MLFLOW_TRACKING_URI: the registry's http address; required for `models:/` only."""
    tracking_token: str = field(repr=False)
    """MLFLOW_TRACKING_TOKEN: bearer token for that address; empty if not set."""
    refresh_seconds: float
    """MODEL_REFRESH_SECONDS between two looks for a newer release; 60 if not set, 0 never looks."""
    allow_pickle: bool
    """ALLOW_PICKLE=true lets a pickled model run its code in this process."""
    predictions_topic: str
    """PREDICTIONS_TOPIC: `projects/P/topics/T`, `stdout:` or a file's path; for `predict_event` only."""
    dead_letter_topic: str
    """DEAD_LETTER_TOPIC: likewise."""
    pubsub_emulator: str
    """PUBSUB_EMULATOR_HOST: `host:port` of an emulator that has the topics; empty for Google's Pub/Sub."""
    push_audience: str
    """PUSH_AUDIENCE: of the token that each delivery must carry; empty if the platform checks it."""
    push_service_account: str
    """PUSH_SERVICE_ACCOUNT: the e-mail in that token; set where PUSH_AUDIENCE is."""
    largest_body: int
    """MAX_BODY_BYTES: of a request to `predict`; 1 MiB if not set."""
    predict_route: str
    """AIP_PREDICT_ROUTE: one more path that predicts, as Vertex AI names it; empty if not set."""
    health_route: str
    """AIP_HEALTH_ROUTE: one more path that tells health; empty if not set."""
    project: str
    """GOOGLE_CLOUD_PROJECT: the project in the names of traces; empty if not set."""
    log_level: str
    """LOG_LEVEL: `INFO` if not set."""

    @classmethod
    def read(cls, environ: Mapping[str, str], *, streaming: bool = False) -> Self:
        """The settings of `predict`, or of `predict_event` if `streaming`.

        Raises:
            SettingsError: names everything that is missing or unusable.
        """
        reader = _Reader(environ)
        model_uri = reader.required(
            "MODEL_URI",
            "a release pointer (gs://BUCKET/releases/ride-duration/champion.json), a model folder "
            "(gs://… or a path) or models:/NAME@ALIAS",
        )
        model_places = reader.places("MODEL_BUCKETS")
        if model_uri and model_places and not f"{model_uri}/".startswith((*model_places, "models:/")):
            reader.refuse(f"MODEL_URI={model_uri!r} is in none of MODEL_BUCKETS: {', '.join(model_places)}")
        if model_uri.startswith("models:/"):
            reader.required("MLFLOW_TRACKING_URI", f"the registry that knows {model_uri}")
        if streaming:
            where = "projects/PROJECT/topics/TOPIC, stdout: or a file's path"
            reader.required("PREDICTIONS_TOPIC", where)
            reader.required("DEAD_LETTER_TOPIC", where)
            if reader.text("PUSH_AUDIENCE"):
                reader.required(
                    "PUSH_SERVICE_ACCOUNT", "PUSH_AUDIENCE alone would let every Google account deliver"
                )
            if reader.text("PUSH_SERVICE_ACCOUNT"):
                reader.required(
                    "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT alone would take tokens meant for other services"
                )
        settings = cls(
            model_uri=model_uri,
            model_places=model_places,
            tracking_uri=reader.text("MLFLOW_TRACKING_URI"),
            tracking_token=reader.text("MLFLOW_TRACKING_TOKEN"),
            refresh_seconds=reader.number("MODEL_REFRESH_SECONDS", default=60, least=0),
            allow_pickle=reader.choice("ALLOW_PICKLE", "FALSE", ("TRUE", "FALSE")) == "TRUE",
            predictions_topic=reader.text("PREDICTIONS_TOPIC"),
            dead_letter_topic=reader.text("DEAD_LETTER_TOPIC"),
            pubsub_emulator=reader.text("PUBSUB_EMULATOR_HOST"),
            push_audience=reader.text("PUSH_AUDIENCE"),
            push_service_account=reader.text("PUSH_SERVICE_ACCOUNT"),
            largest_body=int(reader.number("MAX_BODY_BYTES", default=1 << 20, least=1)),
            predict_route=reader.text("AIP_PREDICT_ROUTE"),
            health_route=reader.text("AIP_HEALTH_ROUTE"),
            project=reader.text("GOOGLE_CLOUD_PROJECT"),
            log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
        )
        reader.finish()
        return settings
