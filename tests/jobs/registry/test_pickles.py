"""`promote` and `sync` do what they advise for a model that is a pickle."""

from pathlib import Path

import pytest
import skops.io  # noqa: F401  # before MLflow: it looks through all modules, and MLflow's load when looked at
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from jobs.commands import promote, sync

NAME = "pickled"


@pytest.mark.slow
def test_a_pickle_is_promoted_and_followed_if_allowed(pickle_folder: Path, tmp_path: Path) -> None:
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking, registry_uri=tracking)
    client.create_registered_model(NAME)
    client.create_model_version(NAME, str(pickle_folder))
    client.set_registered_model_alias(NAME, "champion", "1")
    runner = CliRunner(env={"MLFLOW_TRACKING_URI": tracking, "MODEL_BUCKET": str(tmp_path / "bucket")})
    pointer = tmp_path / "bucket" / "releases" / NAME / "champion.json"
    for command, options in (
        (sync.command, ["--name", NAME]),
        (promote.command, ["--name", NAME, "--version", "1", "--force"]),
    ):
        refused = runner.invoke(command, options)
        assert refused.exit_code == 1
        assert "the model is a pickle" in refused.output
        assert "set ALLOW_PICKLE=true" in refused.output
        assert not pointer.exists()
        allowed = runner.invoke(command, options, env={"ALLOW_PICKLE": "true"})
        assert allowed.exit_code == 0, allowed.output
        assert '"version": "1"' in pointer.read_text()
        pointer.unlink()
