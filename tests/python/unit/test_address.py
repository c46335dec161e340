"""The rules of the C++ client (client/facade/address), in the same order."""

import os
import socket

import pytest

from luna_client import InvalidRequest, Unavailable
from luna_client.address import check_address, find_daemon, runtime_folder, user_sockets


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.delenv("LUNA_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return monkeypatch


def listen(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


@pytest.mark.parametrize(
    "address", ["unix:/run/lunad.sock", "127.0.0.1:50551", "[::1]:1", "a.b:65535"]
)
def test_unix_paths_and_ports_are_addresses(address):
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:relative",
        "unix:/" + "x" * 107,
        "host",
        ":50551",
        "host:0",
        "host:65536",
        "host:1a",
    ],
)
def test_what_is_no_address_is_refused_with_what_was_expected(address):
    with pytest.raises(InvalidRequest, match=r"expected|at most"):
        check_address(address)


def test_what_the_caller_names_wins_over_the_variable(environment):
    environment.setenv("LUNA_ADDRESS", "unix:/variable")
    assert find_daemon("unix:/named") == "unix:/named"
    assert find_daemon() == "unix:/variable"


def test_a_bad_variable_is_an_error_and_not_passed_over(environment):
    environment.setenv("LUNA_ADDRESS", "nonsense")
    with pytest.raises(InvalidRequest, match="nonsense"):
        find_daemon()


def test_the_users_socket_is_found_when_somebody_listens(environment, tmp_path):
    path = tmp_path / "luna" / "lunad.sock"
    with listen(path):
        assert find_daemon() == f"unix:{path}"


def test_a_private_daemon_comes_after_the_users_own(environment, tmp_path):
    with listen(tmp_path / "luna" / "private.sock"):
        assert find_daemon() == f"unix:{tmp_path}/luna/private.sock"
        with listen(tmp_path / "luna" / "lunad.sock"):
            assert find_daemon() == f"unix:{tmp_path}/luna/lunad.sock"


def test_a_socket_file_without_a_listener_is_passed_over(environment, tmp_path):
    environment.setattr("luna_client.address._tmp_folder", lambda: tmp_path / "none")
    listen(tmp_path / "luna" / "lunad.sock").close()
    with pytest.raises(Unavailable, match="start lunad"):
        find_daemon()


def test_without_a_runtime_folder_the_sockets_lie_below_tmp(environment):
    environment.setenv("XDG_RUNTIME_DIR", "relative")
    assert str(runtime_folder()) == f"/tmp/luna-{os.geteuid()}"
    assert [path.name for path in user_sockets()] == ["lunad.sock", "private.sock"]
