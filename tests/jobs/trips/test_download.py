import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.storage.files import FileAccessError
from jobs.trips import synthetic
from jobs.trips.download import find_trips

MONTH = b"PAR1 a month of trips PAR1"


@pytest.fixture
def server():
    """Serves what its `files` hold, and says how many bytes that is, even if it cuts them short."""
    files, asked, cut = {}, [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: 5 if cut else None])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    server.files, server.asked, server.cut = files, asked, cut
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def places(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    return tmp_path / "cache", folder


@pytest.fixture(autouse=True)
def _small_city(monkeypatch):
    monkeypatch.setattr(synthetic, "write_month", lambda month, path: path.write_text(str(month)))


def serve_tlc(server):
    for name in ("green_tripdata_2021-01.parquet", "green_tripdata_2021-02.parquet"):
        server.files[f"/{name}"] = MONTH


def test_a_file_that_is_named_is_taken_as_it_is(tmp_path, places):
    month = tmp_path / "march.parquet"
    month.write_bytes(MONTH)

    trips = find_trips([str(month)], *places)

    assert trips.files == [str(month)]
    assert trips.source == f"{month} (TRIPS)"


def test_a_file_that_is_named_and_missing_is_an_error(places):
    with pytest.raises(FileAccessError, match=r"no file nowhere\.parquet"):
        find_trips(["nowhere.parquet"], *places)


def test_an_address_is_downloaded_once(server, places):
    server.files["/march.parquet"] = MONTH
    place = f"{server.url}march.parquet"

    first = find_trips([place], *places)
    second = find_trips([place], *places)

    assert first == second
    with open(first.files[0], "rb") as file:  # noqa: PTH123
        assert file.read() == MONTH
    assert server.asked == ["/march.parquet"]


def test_an_address_that_answers_with_an_error_is_an_error(server, places):
    with pytest.raises(FileAccessError, match="404"):
        find_trips([f"{server.url}nothing.parquet"], *places)


@pytest.mark.parametrize("content", [b"", b"PA", b"<html>PAR1", b"PAR1 cut off"])
def test_what_is_no_whole_parquet_file_stays_out_of_the_cache(server, places, content):
    server.files["/march.parquet"] = content

    with pytest.raises(FileAccessError, match="not a whole Parquet file"):
        find_trips([f"{server.url}march.parquet"], *places)

    cache, _ = places
    assert not cache.exists()


def test_a_download_that_breaks_off_stays_out_of_the_cache(server, places):
    serve_tlc(server)
    server.cut.append(True)

    trips = find_trips([], *places, tlc=server.url)

    assert trips.source.startswith("generated city")
    cache, _ = places
    assert not cache.exists() or not list(cache.iterdir())


def test_without_a_wish_tlcs_months_are_taken_and_kept(server, places):
    serve_tlc(server)

    downloaded = find_trips([], *places, tlc=server.url)
    kept = find_trips([], *places, tlc="http://127.0.0.1:9/")

    assert downloaded.files == kept.files
    assert downloaded.source == "TLC's green taxis, 2021-01 and 2021-02, downloaded"
    assert kept.source == "TLC's green taxis, 2021-01 and 2021-02, from the cache"
    cache, folder = places
    assert len(list(cache.iterdir())) == 2
    assert not list(folder.iterdir())


def test_without_a_network_there_is_a_generated_city(places):
    trips = find_trips([], *places, tlc="http://127.0.0.1:9/")

    cache, folder = places
    assert trips.source.startswith("generated city, 2021-01 and 2021-02")
    assert trips.files == [str(path) for path in sorted(folder.iterdir())]
    with contextlib.suppress(FileNotFoundError):
        assert not list(cache.iterdir())
