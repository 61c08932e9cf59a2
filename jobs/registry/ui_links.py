"""Addresses of pages in MLflow's UI, to be printed; empty if the tracking address is not a server's."""

from urllib.parse import quote, urlsplit


def run_page(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run: parameters, metrics, plots and files."""
    return _page(tracking_uri, "experiments", experiment_id, "runs", run_id)


def version_page(tracking_uri: str, name: str, version: int | str) -> str:
    """The page of a version of a registered model."""
    return _page(tracking_uri, "models", name, "versions", str(version))


def _page(tracking_uri: str, *path: str) -> str:
    address = urlsplit(tracking_uri)
    if address.scheme not in ("http", "https"):
        return ""
    # Without the user name and password that may precede the host.
    host = address.netloc.rpartition("@")[2]
    fragment = "/".join(quote(part, safe="") for part in path)
    return f"{address.scheme}://{host}{address.path.rstrip('/')}/#/{fragment}"
