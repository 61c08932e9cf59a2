"""All values that Terraform plans for infra/tests/everything.tftest.hcl, as text that can be compared.

`make values` writes them to values.json, where a change is reviewed like a change of the code. A mocked apply
makes up what only Google knows, so each such text stands here as the address of the resource that owns it.
Added is what an apply does not show: which resource waits for which, life cycles, and the backend.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.infra.module import INFRA, AppliedState, Resource, copy_to, run_tests, terraform

STORED = Path(__file__).with_name("values.json")
_MOCKED = re.compile(r"\b[a-z0-9]{8}\b")
"""What Terraform's mock provider makes for an unknown text."""
_OWNERS = ("id", "email", "number", "project", "name", "uri", "url")
"""Attributes by which resources usually refer to another; the first with a text is its owner."""
_EDGE = re.compile(r'^\s*"(?:\[root\] )?([^"]+?)" -> "(?:\[root\] )?([^"]+?)"', re.MULTILINE)
_BLOCK = re.compile(r'^(?:resource|data) "(\w+)" "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_LIFECYCLE = re.compile(r"^  lifecycle \{\n(.*?)^  \}", re.MULTILINE | re.DOTALL)
_BACKEND = re.compile(r'^  backend "(\w+)" \{(.*?)\}', re.MULTILINE | re.DOTALL)

Document = dict[str, Any]


def document(state: AppliedState, folder: Path) -> Document:
    """The values, edges, life cycles and backend of an applied configuration.

    Args:
        folder: an initialised copy of infra/.
    """
    text = {path: path.read_text() for path in sorted(folder.glob("*.tf"))}
    backends = [found.groups() for content in text.values() for found in _BACKEND.finditer(content)]
    return {
        "backend": {kind: " ".join(body.split()) for kind, body in backends},
        "lifecycle": dict(_lifecycles("\n".join(text.values()))),
        "waits_for": _edges(folder, text),
        **_named(state),
    }


def as_text(document: Document) -> str:
    """One line per value, so that a diff shows what has changed."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _named(state: AppliedState) -> Document:
    """Resources and outputs, with addresses in place of random texts; empty values are left out."""
    written = [path for pattern in ("*.tf", "sql/*", "tests/*.hcl") for path in INFRA.glob(pattern)]
    everything = "\n".join(path.read_text() for path in written)
    owners: dict[str, tuple[int, str, str]] = {}
    for resource in [*state.resources, *state.data]:
        for path, value in _leaves(resource.values):
            if isinstance(value, str) and _MOCKED.fullmatch(value) and value not in everything:
                owner = (_rank(path), address(resource), ".".join(path))
                owners[value] = min(owner, owners.get(value, owner))
    names = {value: f"<{owner[1]}.{owner[2]}>" for value, owner in owners.items()}

    def replace(value: Any) -> Any:
        if isinstance(value, str):
            return _MOCKED.sub(lambda found: names.get(found[0], found[0]), value)
        if isinstance(value, dict):
            shown = {key: replace(each) for key, each in value.items()}
            return {key: each for key, each in shown.items() if each not in (None, {}, [])}
        return [replace(each) for each in value] if isinstance(value, list) else value

    resources = {address(each): replace(each.values) for each in state.resources}
    return {
        "resources": {owner: _without_own(owner, values) for owner, values in resources.items()},
        "outputs": replace(state.outputs),
    }


def _rank(path: tuple[str, ...]) -> int:
    """How likely a resource with a random text there is its owner: the lower, the likelier."""
    if path[-1] in _OWNERS:
        return _OWNERS.index(path[-1])
    return len(_OWNERS) + len(path)


def _without_own(owner: str, values: Document) -> Document:
    """Leaves out what a resource only says of itself: its own random values."""
    return {name: value for name, value in values.items() if value != f"<{owner}.{name}>"}


def address(resource: Resource) -> str:
    key = f'["{resource.key}"]' if resource.key else ""
    return f"{resource.type}.{resource.name}{key}"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, (*path, str(number)))
    else:
        yield path, value


def _lifecycles(text: str) -> Iterator[tuple[str, str]]:
    for kind, name, body in _BLOCK.findall(text):
        for found in _LIFECYCLE.findall(body):
            yield f"{kind}.{name}", " ".join(found.split())


def _edges(folder: Path, text: dict[Path, str]) -> dict[str, list[str]]:
    """Resource → those that Terraform makes before it."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(shutil.copytree(folder, Path(temporary) / "infra", symlinks=True))
        for path, content in text.items():
            (copy / path.name).write_text(_BACKEND.sub("", content))
        process = terraform(copy, "graph")
    assert process.returncode == 0, process.stderr
    edges: dict[str, list[str]] = {}
    for after, before in _EDGE.findall(process.stdout):
        edges.setdefault(after, []).append(before)
    return {after: sorted(before) for after, before in sorted(edges.items())}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_to(Path(temporary) / "infra")
        terraform(folder, "init", "-backend=false", "-input=false")
        run = run_tests(folder, "everything")
        assert run.state, run.messages
        STORED.write_text(as_text(document(run.state, folder)))
