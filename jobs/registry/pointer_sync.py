"""python -m jobs sync: the release pointer follows the alias that was moved in MLflow's own pages."""

from functions.model import load_model
from jobs.registry.model_versions import Registry
from jobs.registry.release_pointer import point_at, pointed_at
from jobs.settings import ALIAS, Settings


def sync(settings: Settings, name: str) -> str:
    """Writes the pointer if it names another version than the alias; tells what was done.

    Raises:
        RidecastError: there is no such version, or it does not load; the pointer is as it was.
    """
    registry = Registry(settings.tracking_uri, name)
    version = registry.aliased(ALIAS)
    if version is None:
        # A clock runs this, and before the first promotion there is nothing wrong.
        return f"no version of {name} has the alias {ALIAS}, so there is nothing to follow: promote one first"
    pointer = settings.pointer(name)
    release = registry.release(version)
    if release == pointed_at(pointer):
        return f"{pointer} already names version {version}"
    load_model(release)
    point_at(pointer, release)
    return f"{pointer} now names version {version}"
