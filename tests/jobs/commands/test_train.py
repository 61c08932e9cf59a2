"""`python -m jobs train` as it is typed."""

import subprocess
import sys

PROGRAM = """
import sys
from click.testing import CliRunner
from jobs.commands.train import command
result = CliRunner().invoke(command, ["--trips", "nowhere.parquet"])
print(result.exit_code, result.output.strip())
print([name for name in ("mlflow", "sklearn", "pandas") if name in sys.modules])
"""


def test_a_missing_file_is_named_before_anything_slow_is_imported(plain_environment: dict[str, str]) -> None:
    settings = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MODEL_BUCKET": "bucket"}
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=plain_environment | settings, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    assert printed == "1 Error: nowhere.parquet does not exist: give the path of a file\n[]\n"
