"""The versions of a model in the MLflow registry, as releases."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow.artifacts
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from functions.model import Model, load_model
from functions.model_uris import is_model_uri, parse_model_uri
from functions.releases import Release
from jobs.registry.logged_models import (
    NOT_FOUND,
    VersionNotFound,
    absolute_location,
    find_logged,
    logged_models,
    with_files,
)
from jobs.registry.model_store import EmptyModelFolder
from jobs.ui.hints import job_command

HELD_OUT = "held_out.parquet"
"""Artifact of a training run: the rides it was evaluated on, with their durations."""
SCIKIT_LEARN = "sklearn"
"""Name of the logged scikit-learn pipeline that the ONNX model was converted from."""

PROMOTED_AT = "promoted_at"
"""Tag of a version that became champion: the time in ISO 8601."""


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
        versions = self._versions()
        if not versions:
            raise VersionNotFound(f"no version of {self._name} is registered: run `{job_command('train')}`")
        return max(int(version.version) for version in versions)

    def version_by_alias(self, alias: str) -> int | None:
        """The version that has the alias; None if none has."""
        try:
            return int(self._client.get_model_version_by_alias(self._name, alias).version)
        except MlflowException as error:
            if error.error_code in NOT_FOUND:
                return None
            raise

    def was_promoted(self, version: int) -> bool:
        """Whether a version has been the champion before."""
        return PROMOTED_AT in self._version(version).tags

    def release(self, version: int) -> Release:
        """A version with the current size and digest of each of its files.

        Raises:
            VersionNotFound: there is no such version, or its files are gone.
        """
        run_id = self._version(version).run_id or ""
        location = self._client.get_model_version_download_uri(self._name, str(version))
        if is_model_uri(location):  # as older servers registered it
            location = find_logged(self._client, location, parse_model_uri(location)).location
        try:
            return with_files(
                Release(name=self._name, version=str(version), run_id=run_id, location=location)
            )
        except EmptyModelFolder as error:
            raise VersionNotFound(f"{self._name} version {version} has no files here: {error}") from error

    def register(self, uri: str, release: Release) -> int:
        """Registers a model as a new version, unless it is one; returns the version's number.

        Args:
            uri: the model's URI as it was given.
            release: what it refers to.
        """
        if release.name == self._name and release.version.isdecimal():
            return int(release.version)
        source, model_id = absolute_location(release.location), ""
        if is_model_uri(uri) and release.version.isdecimal():
            source = f"models:/{release.name}/{release.version}"
        elif is_model_uri(uri):
            model_id = release.version
        known = {source, f"models:/{model_id}"} if model_id else {source}
        for version in self._versions():
            if version.source in known:
                return int(version.version)
        with _suppress_existing():
            self._client.create_registered_model(self._name)
        created = self._client.create_model_version(
            self._name, source, release.run_id or None, await_creation_for=0, model_id=model_id or None
        )
        return int(created.version)

    def held_out(self, release: Release) -> pd.DataFrame | None:
        """The rides that a version was evaluated on in its training run; None if `jobs train` made none."""
        with tempfile.TemporaryDirectory() as folder:
            path = self._download(release, HELD_OUT, folder)
            return pd.read_parquet(path) if path else None

    def scikit_learn(self, release: Release) -> Model | None:
        """The scikit-learn model that a version was converted from; None if its run has none."""
        with tempfile.TemporaryDirectory() as folder:
            location = self._download(release, SCIKIT_LEARN, folder)
            if not location:
                return None
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
            if error.error_code in NOT_FOUND:
                raise VersionNotFound(f"{self._name} has no version {version}") from error
            raise

    def _versions(self) -> list[ModelVersion]:
        quote = '"' if "'" in self._name else "'"
        found: list[ModelVersion] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_model_versions(
                f"name={quote}{self._name}{quote}", page_token=token or None
            )
            found += page
            token = page.token or None
        return found

    def _download(self, release: Release, artifact: str, folder: str) -> str:
        """Downloads an artifact of a version's run; empty if it has no run, or that has no such artifact."""
        if not release.run_id:
            return ""
        name = artifact.partition("/")[0]
        try:
            files = self._client.list_artifacts(release.run_id)
            logged = logged_models(self._client, release.run_id)
        except MlflowException as error:
            if error.error_code in NOT_FOUND:  # deleted, or another server's
                return ""
            raise
        if name not in (*(file.path for file in files), *(model.name for model in logged)):
            return ""
        return mlflow.artifacts.download_artifacts(
            f"runs:/{release.run_id}/{artifact}", dst_path=folder, tracking_uri=self._tracking_uri
        )


def release_from_database(uri: str, tracking_uri: str) -> Release:
    """Resolves `models:/…` or `runs:/…` with MLflow itself, as `functions.resolver` does with a server.

    Raises:
        ModelUnavailable: the URI has another form.
        VersionNotFound: there is no such version or model.
    """
    parsed = parse_model_uri(uri)
    if not parsed.name:
        client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        return with_files(find_logged(client, uri, parsed))
    registry = ModelRegistry(tracking_uri, parsed.name)
    if parsed.version:
        return registry.release(int(parsed.version))
    version = registry.version_by_alias(parsed.alias) if parsed.alias else registry.latest_version()
    if version is None:
        raise VersionNotFound(f"no version of {parsed.name} has the alias {parsed.alias}")
    return registry.release(version)


@contextmanager
def _suppress_existing() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
