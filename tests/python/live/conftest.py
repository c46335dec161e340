"""One daemon for all tests of a run; tests that kill daemons have their own."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from daemon import CHECKPOINT, PROGRAMS, Daemon

import luna_client


def pytest_collection_modifyitems(items):
    if not (PROGRAMS / "lunad").exists():
        for item in items:
            item.add_marker(
                pytest.mark.skip(reason=f"{PROGRAMS} holds no lunad; ./dev build makes it")
            )


@pytest.fixture(scope="session")
def daemon(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("lunad")).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def own_daemon(tmp_path):
    daemon = Daemon(tmp_path).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def luna(daemon):
    with luna_client.connect(daemon.address, client_name="test") as luna:
        yield luna


@pytest.fixture
def proxies(luna):
    return luna.get_model_proxies(models=CHECKPOINT)


@pytest.fixture(scope="session")
def prompts(daemon):
    """(positive, negative), encoded once."""
    with luna_client.connect(daemon.address) as luna:
        clip = luna.get_model_proxies(models=CHECKPOINT).clip
        return clip.encode("a red boat at sea"), clip.encode("")
