"""The documents' commands, run by a test or not: commands, options, variables and imports exist."""

import ast
import importlib
import re
import runpy
import shlex
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from jobs.__main__ import COMMANDS, Commands
from tests.blocks import DOCUMENTS, NOT_RUN, Block, blocks_of, skip_reason

PAGES = [each for each in DOCUMENTS if not each.startswith("docs/decisions/") and each != "CHANGELOG.md"]
"""Without those that tell of their own time."""
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
HEREDOC = re.compile(r"<<'END'.*?\n(.*?)^END$", re.DOTALL | re.MULTILINE)
JOBS_CALL = re.compile(r"python -m jobs ([^|\n;)`]+)")
UNCHECKED = {"…", "COMMAND", "--version", "--help"}
"""What may follow `python -m jobs` and is not a command."""


def read(page: str) -> str:
    return Path(page).read_text()


def find_command(words: list[str]) -> click.Command:
    """The command that the words after `python -m jobs` name, such as `local up`."""
    command: click.Command = Commands()
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found, f"there is no command {word}"
        command = found
    return command


@pytest.mark.parametrize("page", PAGES)
def test_jobs_have_the_commands_and_options_that_a_document_uses(page: str) -> None:
    for code in CODE.findall(read(page)):
        for call in JOBS_CALL.findall(code.replace("\\\n", " ")):
            words = call.split()
            if words[0] in UNCHECKED:
                continue
            command = find_command(words)
            known = {option for each in command.params for option in each.opts} | {"--help"}
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            # `beam` passes the options that it does not know on to Beam, which has its own test.
            assert used <= known or words[0] == "beam", code


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("infra/")])
def test_the_program_is_written_in_one_way(page: str) -> None:
    assert not re.findall(r".*(?<!\.venv/bin/)python -m jobs [a-z].*", read(page))


SHELL = [
    pytest.param(page, block, id=f"{page}:{number}")
    for page in PAGES
    for number, block in enumerate(blocks_of(page))
    if block.kind == "sh"
]


@pytest.mark.parametrize(("page", "block"), SHELL)
def test_a_shell_block_can_be_pasted(page: str, block: Block) -> None:
    shell = HEREDOC.sub("", block.text)
    # zsh, the shell of macOS, takes no comments at its prompt.
    assert "#" not in re.sub(r"'[^']*'|\"[^\"]*\"", "", shell)
    assert not re.search(r"^\s*(python|pip|mlflow|prefect|functions-framework) ", shell, re.MULTILINE)
    assert "0.0.0.0" not in shell
    for target in re.findall(r"^make ([a-z]+)", shell, re.MULTILINE):
        assert f"\n{target}:" in read("Makefile")


def test_blocks_that_no_test_runs_are_listed_with_a_reason() -> None:
    for page, reasons in NOT_RUN.items():
        texts = [block.text for block in blocks_of(page) if block.kind == "sh"]
        assert all(reasons.values())
        assert not [start for start in reasons if not any(text.startswith(start) for text in texts)]


@pytest.mark.parametrize(
    ("page", "block"), [each for each in SHELL if skip_reason(str(each.values[0]), each.values[1])]
)
def test_a_block_that_no_test_runs_names_what_exists(page: str, block: Block) -> None:
    text = block.text.replace("\\\n", " ")
    for name in re.findall(r"output -raw (\w+)", text):
        assert f'output "{name}"' in read("infra/outputs.tf")
    for name in re.findall(r"--target (\w+)", text):
        assert f" AS {name}\n" in read("Dockerfile")
    assert set(re.findall(r"-e (\w+)=", text)) <= configured() | {"FUNCTION_TARGET", "WORKERS"}
    for line in re.findall(r"\bgcloud ([^|\n;)&]+)", text):
        check_gcloud(shlex.split(line.replace('"$(', " "), posix=False))


def check_gcloud(words: list[str]) -> None:
    """Checks a command and its options against gcloud's own tree of commands, where gcloud is installed."""
    tree = gcloud_tree()
    if not tree:
        pytest.skip("needs gcloud")
    known = set(tree["flags"])
    for index, word in enumerate(words):
        if word not in tree["commands"]:
            assert not tree["commands"], f"gcloud has no command {' '.join(words[: index + 1])}"
            break
        tree = tree["commands"][word]
        known |= set(tree["flags"])
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known, (words, used - known)


@cache
def gcloud_tree() -> dict[str, Any]:
    """gcloud's table for completion in a shell: commands and flags, nested; empty without gcloud."""
    gcloud = shutil.which("gcloud")
    path = Path(gcloud).resolve().parents[1] / "data/cli/gcloud_completions.py" if gcloud else Path()
    return runpy.run_path(str(path))["STATIC_COMPLETION_CLI_TREE"] if path.is_file() else {}


@cache
def configured() -> set[str]:
    """The environment variables that the functions and the jobs read."""
    found = set(re.findall(r'reader\.\w+\(\s*"([A-Z_]+)"', read("functions/settings.py")))
    servers = read("functions/mlflow_client.py") + read("jobs/settings.py")
    found |= set(re.findall(r'"(MLFLOW_[A-Z_]+|MODEL_BUCKET)"', servers))
    for name in COMMANDS:
        command = find_command([name])
        commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        found |= {str(each.envvar) for command in commands for each in command.params if each.envvar}
    return found


def test_every_variable_is_documented() -> None:
    assert {"MODEL_URI", "MAX_BODY_BYTES", "MODEL_BUCKET", "INPUT_FILE_PATTERN", "TRIPS"} <= configured()
    assert not {name for name in configured() if f"`{name}`" not in read("docs/configuration.md")}


@pytest.mark.parametrize("page", PAGES)
def test_python_imports_what_exists(page: str) -> None:
    scripts = [block.text for block in blocks_of(page) if block.kind == "python"]
    for script in scripts + HEREDOC.findall(read(page)):
        for node in ast.walk(ast.parse(script)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("jobs.", "functions.")):
                module = importlib.import_module(str(node.module))
                assert not [each.name for each in node.names if not hasattr(module, each.name)]
