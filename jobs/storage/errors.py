"""File access errors, with a message that says which file failed, why, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pyarrow as pa
import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import InvalidResponse

from functions.errors import RidecastError


class FileAccessError(RidecastError):
    """A file cannot be read or written; the message says which, why, and what to do."""


class DownloadFailed(FileAccessError):
    """A web server returned an error or an incomplete file, or could not be reached."""


class NotPublished(DownloadFailed):
    """A web server answered that it does not have the file, or does not give it to us."""


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Translates the errors of the operating system, Google's libraries and Arrow.

    Raises:
        FileAccessError: the body failed with one of them.
    """
    name = redact_query(uri)
    try:
        yield
    except FileNotFoundError as error:
        raise FileAccessError(f"{name} does not exist: give the path of a file") from error
    except requests.RequestException as error:
        raise FileAccessError(f"{name} cannot be reached ({error}): try again") from error
    except OSError as error:
        raise FileAccessError(f"{name} cannot be used ({error.strerror or error})") from error
    except pa.ArrowException as error:
        raise FileAccessError(f"{name} cannot be read ({error}): give a complete Parquet file") from error
    except GoogleAuthError as error:
        raise FileAccessError(
            f"no usable Google Cloud credentials for {name} ({error}): "
            "run `gcloud auth application-default login`"
        ) from error
    except InvalidResponse as error:
        raise FileAccessError(_gcs_message(name, error.response.status_code, error)) from error
    except GoogleAPICallError as error:
        raise FileAccessError(_gcs_message(name, error.code or 0, error)) from error
    except GoogleAPIError as error:
        raise FileAccessError(_gcs_message(name, 0, error)) from error


def redact_query(uri: str) -> str:
    """A web address without what may grant access: a query, or a user name and password before the host.

    Any other URI is returned as it is.
    """
    if not uri.startswith(("https://", "http://")):
        return uri
    scheme, _, rest = uri.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _gcs_message(uri: str, status: int, error: Exception) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"{uri} does not exist: look with `gcloud storage ls`"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f"permission denied on {uri}: grant this identity roles/storage.objectViewer to read, or "
            "roles/storage.objectUser to write"
        )
    return f"Cloud Storage failed for {uri} ({error}): try again"
