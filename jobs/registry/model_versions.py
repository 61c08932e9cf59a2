"""The versions of a model in the MLflow registry, as releases."""

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
from jobs.registry.model_store import build_manifest

HELD_OUT = "held_out.parquet"
"""Artifact of a training run: the rides it was evaluated on, with their durations."""
SCIKIT_LEARN = "sklearn"
"""Name of the logged scikit-learn pipeline that the ONNX model was converted from."""

PROMOTED_AT = "promoted_at"
"""Tag of a version that became champion: the time in ISO 8601."""


class VersionNotFound(RidecastError):
    """The registry lacks the requested version, or its run lacks a required artifact."""


class ModelRegistry:
    """The versions of one registered model.

    Args:
        tracking_uri: a server's address or `sqlite:///FILE`.
        name: the name of the registered model.
    """

    def __init__(self, tracking_uri: str, name: str) -> None:
        self._client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        self._tracking_uri = tracking_uri
        self._name = name

    def latest_version(self) -> int:
        """The highest version number; raises VersionNotFound if nothing is registered."""
        versions = self._client.search_model_versions(f"name='{self._name}'")
        if not versions:
            raise VersionNotFound(f"no version of {self._name} is registered: run `python -m jobs train`")
        return max(int(version.version) for version in versions)

    def version_by_alias(self, alias: str) -> int | None:
        """The version that has the alias; None if none has."""
        try:
            return int(self._client.get_model_version_by_alias(self._name, alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def was_promoted(self, version: int) -> bool:
        """Whether a version has been the champion before."""
        return PROMOTED_AT in self._version(version).tags

    def release(self, version: int) -> Release:
        """A version with the current size and digest of each of its files."""
        run_id = self._version(version).run_id or ""
        location = self._client.get_model_version_download_uri(self._name, str(version))
        if location.startswith("file:"):
            location = unquote(urlsplit(location).path)
        location = location.rstrip("/")
        return Release(
            name=self._name,
            version=str(version),
            run_id=run_id,
            location=location,
            files=build_manifest(location),
        )

    def held_out(self, release: Release) -> pd.DataFrame:
        """The rides that a version was evaluated on in its training run."""
        with tempfile.TemporaryDirectory() as folder:
            return pd.read_parquet(self._download(release, HELD_OUT, folder))

    def scikit_learn(self, release: Release) -> Model:
        """The scikit-learn model that a version was converted from."""
        with tempfile.TemporaryDirectory() as folder:
            location = self._download(release, SCIKIT_LEARN, folder)
            return load_model(Release(name=self._name, version=release.version, location=location))

    def set_champion(self, release: Release, alias: str, tags: dict[str, str]) -> None:
        """Sets tags on a version, then moves the alias to it."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self._name, release.version, key, value)
        self._client.set_registered_model_alias(self._name, alias, release.version)

    def _version(self, version: int) -> ModelVersion:
        try:
            return self._client.get_model_version(self._name, str(version))
        except MlflowException as error:
            raise VersionNotFound(f"{self._name} has no version {version}") from error

    def _download(self, release: Release, artifact: str, folder: str) -> str:
        try:
            return mlflow.artifacts.download_artifacts(
                f"runs:/{release.run_id}/{artifact}", dst_path=folder, tracking_uri=self._tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise VersionNotFound(
                f"version {release.version} of {release.name} cannot be evaluated, as its run has no "
                f"{artifact}: was it trained by `python -m jobs train`?"
            ) from error


def release_from_registry(uri: str, tracking_uri: str) -> Release:
    """Resolves `models:/NAME@ALIAS` or `models:/NAME/7`, in an MLflow server or database.

    Raises:
        VersionNotFound: there is no such version.
    """
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    registry = ModelRegistry(tracking_uri, name)
    version = registry.version_by_alias(alias) if alias else int(number) if number.isdecimal() else None
    if version is None:
        raise VersionNotFound(f"{tracking_uri} has no {uri}: use models:/NAME@ALIAS or models:/NAME/VERSION")
    return registry.release(version)
