"""Versions in the MLflow registry, as releases; and the release pointer that the functions follow."""

import tempfile
from urllib.parse import unquote, urlsplit

import mlflow.artifacts
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from functions.errors import RidecastError
from functions.model import Model, load_model
from functions.releases import Release
from jobs.registry.model_store import take_stock

HELD_OUT = "held_out.parquet"
"""Artifact of a training run: the rides it was judged on, with their durations."""
SCIKIT_LEARN = "sklearn"
"""Name under which a training run logs the pipeline that the ONNX model was made from."""

PROMOTED_AT = "promoted_at"
"""Tag of a version that became champion; ISO 8601."""


class NoSuchVersion(RidecastError):
    """The registry has no version as asked."""


class Registry:
    """One registered model's versions.

    Args:
        tracking_uri: a server's address or `sqlite:///FILE`.
        name: the registered model's.
    """

    def __init__(self, tracking_uri: str, name: str) -> None:
        self._client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        self._tracking_uri = tracking_uri
        self._name = name

    def newest(self) -> int:
        """Number of the version that was registered last; raises NoSuchVersion if there is none."""
        versions = self._client.search_model_versions(f"name='{self._name}'")
        if not versions:
            raise NoSuchVersion(f"no version of {self._name} is registered: run `python -m jobs train` first")
        return max(int(version.version) for version in versions)

    def aliased(self, alias: str) -> int | None:
        """Number of the version that bears the alias."""
        try:
            return int(self._client.get_model_version_by_alias(self._name, alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def was_champion(self, version: int) -> bool:
        """Whether a version has been promoted before."""
        return PROMOTED_AT in self._version(version).tags

    def release(self, version: int) -> Release:
        """A version with every file's size and digest as they are now."""
        found = self._version(version)
        location = self._client.get_model_version_download_uri(self._name, str(version))
        if location.startswith("file:"):
            location = unquote(urlsplit(location).path)
        return Release(
            name=self._name,
            version=str(version),
            run_id=found.run_id or "",
            location=location.rstrip("/"),
            files=take_stock(location.rstrip("/")),
        )

    def held_out(self, release: Release) -> pd.DataFrame:
        """The rides that a version was judged on when it was trained."""
        with tempfile.TemporaryDirectory() as folder:
            return pd.read_parquet(self._download(release, HELD_OUT, folder))

    def scikit_learn(self, release: Release) -> Model:
        """The scikit-learn model that a version was converted from."""
        with tempfile.TemporaryDirectory() as folder:
            location = self._download(release, SCIKIT_LEARN, folder)
            return load_model(Release(name=self._name, version=release.version, location=location))

    def crown(self, release: Release, alias: str, tags: dict[str, str]) -> None:
        """Gives a version the alias, and tags that tell how it came to it."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self._name, release.version, key, value)
        self._client.set_registered_model_alias(self._name, alias, release.version)

    def _version(self, version: int) -> ModelVersion:
        try:
            return self._client.get_model_version(self._name, str(version))
        except MlflowException as error:
            raise NoSuchVersion(f"{self._name} has no version {version}") from error

    def _download(self, release: Release, artifact: str, folder: str) -> str:
        try:
            return mlflow.artifacts.download_artifacts(
                f"runs:/{release.run_id}/{artifact}", dst_path=folder, tracking_uri=self._tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise NoSuchVersion(
                f"version {release.version} of {release.name} cannot be judged: its run has no {artifact}; "
                "was it trained by `python -m jobs train`?"
            ) from error


def release_of(uri: str, tracking_uri: str) -> Release:
    """The version that `models:/NAME@ALIAS` or `models:/NAME/7` names, from a registry of any kind.

    Raises:
        NoSuchVersion: there is none.
    """
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    registry = Registry(tracking_uri, name)
    version = registry.aliased(alias) if alias else int(number) if number.isdecimal() else None
    if version is None:
        raise NoSuchVersion(f"{tracking_uri} has no {uri}: write models:/NAME@ALIAS or models:/NAME/VERSION")
    return registry.release(version)
