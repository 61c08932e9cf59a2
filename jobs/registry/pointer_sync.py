"""Makes the release pointer follow an alias that was moved in the MLflow UI."""

from functions.model import load_model
from jobs.registry.model_versions import ModelRegistry
from jobs.registry.reachability import describe_location, require_reachable
from jobs.registry.release_pointer import artifact_server, read_pointer, write_pointer
from jobs.settings import ALIAS, Settings


def sync(settings: Settings, name: str, *, allow_pickle: bool = False) -> str:
    """Updates the pointer if it differs from the aliased version; returns what was done, in one line.

    Raises:
        RidecastError: the version cannot be read, not by those who follow the pointer, or does not load; the
            pointer is unchanged.
    """
    registry = ModelRegistry(settings.tracking_uri, name)
    version = registry.version_by_alias(ALIAS)
    if version is None:
        # Not an error: this is run on a schedule, also before the first promotion.
        return f"no version of {name} has the alias {ALIAS}, so there is nothing to follow: promote one first"
    pointer = settings.pointer(name)
    release = registry.release(version)
    require_reachable(release.location, settings.bucket)
    if release == read_pointer(pointer):
        return f"{pointer} already names version {version}"
    load_model(release, allow_pickle=allow_pickle, server=artifact_server(release))
    write_pointer(pointer, release)
    where = describe_location(release.location, settings.bucket)
    return f"{pointer} now names version {version}, whose files are in {where}"
