"""Runs the steps of cloudbuild.yaml on this machine, with stubs for the tools that change a cloud."""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT_ROOT = Path(__file__).parents[2]
BUILD: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "cloudbuild.yaml").read_text())
STEPS: list[dict[str, Any]] = BUILD["steps"]
BUILT_IN = {"PROJECT_ID": "ridecast-dev", "BUILD_ID": "b-2", "LOCATION": "europe-west1"}
"""Substitutions that Cloud Build provides to every build."""
STUB = """#!/bin/bash
# Records the call, then runs the behaviour that the test gave to this tool.
tool=$(basename "$0")
echo "$tool $*" >> "$STAGE/calls"
if [ -f "$STAGE/$tool.sh" ]; then . "$STAGE/$tool.sh"; fi
"""
TOOLS = ("gcloud", "terraform", "docker", "make", "sleep")
DEFAULTS = {
    "python": """case "$*" in
      *archive) echo .cache/ridecast-0123456789abcdef.zip ;;
      *tag) echo fedcba9876543210 ;;
      *smoke*) echo "asked $PREDICT_URL $RIDE_EVENTS_TOPIC $SMOKE_SUBSCRIPTION" >> "$STAGE/calls" ;;
    esac""",
    "docker": """[ "$1" != manifest ]""",  # no image is there yet
    "terraform": """case "$*" in
      *" plan "*) echo planned > .cache/plan ;;
      *" output -raw "*) echo "the-${*: -1}" ;;
    esac""",
    "gcloud": """case "$*" in
      *"builds list"*) echo b-2 ;;
      *"run services list"*--flatten*)
        printf 'ride-duration-predict\\tpredict-00007-abc\\t90\\n'
        printf 'ride-duration-predict\\tpredict-00006-xyz\\t10\\n'
        printf 'ride-duration-predict\\tpredict-00001-tag\\t\\n'
        printf 'ride-duration-predict-event\\tevent-00003-def\\t100\\n' ;;
      *"run services list"*) printf 'ride-duration-predict\\nride-duration-predict-event\\n' ;;
    esac""",
}
"""Behaviour of the tools in a successful build, as bash."""


class BuildResult(NamedTuple):
    """The result of a build."""

    succeeded: bool
    calls: list[str]
    """Calls of all tools, in order."""
    started: list[str]
    """Ids of the steps that were started."""
    output: str


def substitute(text: str, substitutions: dict[str, str]) -> str:
    """Replaces substitutions as Cloud Build does, everywhere but in scripts."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: substitutions[match[1] or match[2]], text)


def run(folder: Path, tools: dict[str, str] | None = None, **substitutions: str) -> BuildResult:
    """Runs the steps one after another, in the order of their waitFor.

    Args:
        folder: contains /workspace and the stubs.
        tools: bash that replaces the default behaviour of a tool.
    """
    workspace, stage = folder / "workspace", folder / "stage"
    (workspace / ".venv" / "bin").mkdir(parents=True)
    stage.mkdir()
    for path in [*(stage / tool for tool in TOOLS), workspace / ".venv" / "bin" / "python"]:
        path.write_text(STUB)
        path.chmod(0o755)
    for tool, behaviour in (DEFAULTS | (tools or {})).items():
        (stage / f"{tool}.sh").write_text(behaviour)
    (stage / "calls").touch()
    values = BUILT_IN | BUILD["substitutions"] | substitutions
    output, started = "", []
    for step in STEPS:
        script = stage / f"{step['id']}.script"
        script.write_text(step["script"])
        script.chmod(0o755)
        pairs = [*BUILD["options"]["env"], *step.get("env", [])]
        environment = dict(substitute(pair, values).split("=", 1) for pair in pairs)
        environment |= {"PATH": f"{stage}:/usr/bin:/bin", "STAGE": str(stage)}
        process = subprocess.run(
            [str(script)],
            cwd=workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output += process.stdout
        started.append(step["id"])
        if process.returncode and not step.get("allowFailure"):
            return BuildResult(False, (stage / "calls").read_text().splitlines(), started, output)
    return BuildResult(True, (stage / "calls").read_text().splitlines(), started, output)
