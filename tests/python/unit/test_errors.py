"""One exception class a meaning, and a message that says what to do next."""

import pytest

import luna_client
from luna_client.errors import CODE_NAMES, from_status

AT = "unix:/run/lunad.sock"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", luna_client.InvalidRequest),
        ("OUT_OF_RANGE", luna_client.InvalidRequest),
        ("NOT_FOUND", luna_client.NotFound),
        ("ALREADY_EXISTS", luna_client.AlreadyExists),
        ("PERMISSION_DENIED", luna_client.PermissionDenied),
        ("UNAUTHENTICATED", luna_client.PermissionDenied),
        ("FAILED_PRECONDITION", luna_client.FailedPrecondition),
        ("RESOURCE_EXHAUSTED", luna_client.ResourceExhausted),
        ("DEADLINE_EXCEEDED", luna_client.DeadlineExceeded),
        ("CANCELLED", luna_client.Cancelled),
        ("ABORTED", luna_client.Unavailable),
        ("UNAVAILABLE", luna_client.Unavailable),
        ("UNIMPLEMENTED", luna_client.Unimplemented),
        ("DATA_LOSS", luna_client.DataLoss),
        ("INTERNAL", luna_client.InternalError),
    ],
)
def test_each_code_has_its_class_and_keeps_the_servers_words(code, kind):
    error = from_status(code, "slot 'vae': expected a VAE, found a UNet", AT)
    assert type(error) is kind
    assert "expected a VAE" in str(error)


def test_every_code_of_grpc_has_a_name():
    assert len(CODE_NAMES) == 17
    assert CODE_NAMES[14] == "UNAVAILABLE"


def test_an_unknown_code_is_still_a_luna_error():
    error = from_status("UNKNOWN", "", AT)
    assert type(error) is luna_client.LunaError
    assert AT in str(error)


def test_a_full_queue_says_when_to_come_back():
    error = from_status(
        "RESOURCE_EXHAUSTED", "256 jobs of the workflow are unfinished; retry in 1500 ms", AT
    )
    assert isinstance(error, luna_client.ResourceExhausted)
    assert error.retry_after == 1.5
    assert from_status("RESOURCE_EXHAUSTED", "2 GiB are wanted", AT).retry_after is None


def test_a_daemon_that_is_not_there_is_told_from_one_that_broke_off():
    nobody = from_status("UNAVAILABLE", "failed to connect to all addresses", AT)
    broke = from_status("UNAVAILABLE", "Socket closed", AT)
    assert "start lunad" in str(nobody) and AT in str(nobody)
    assert "connects again" in str(broke)
    assert nobody.connection_lost and broke.connection_lost


def test_a_daemon_without_a_worker_has_not_lost_the_connection():
    error = from_status("UNAVAILABLE", "no worker of the role unet", AT)
    assert not error.connection_lost
    assert str(error) == "no worker of the role unet"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("UNAVAILABLE", "lunad is stopping: running calls are finished, new ones are refused"),
        ("FAILED_PRECONDITION", "the daemon is stopping and takes no new calls"),
    ],
)
def test_a_daemon_that_is_being_stopped_has_a_class_of_its_own(code, message):
    assert isinstance(from_status(code, message, AT), luna_client.DaemonStopping)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "the timeout passed"),
        ("CANCELLED", "Locally cancelled by application!", "the call was cancelled"),
        ("UNIMPLEMENTED", "", "as new as this client"),
        (
            "RESOURCE_EXHAUSTED",
            "Received message larger than max (5 vs. 4)",
            "limits.message_bytes",
        ),
    ],
)
def test_what_grpc_says_of_itself_becomes_a_sentence(code, message, said):
    assert said in str(from_status(code, message, AT))


def test_python_programs_may_catch_the_built_in_kinds():
    assert issubclass(luna_client.InvalidRequest, ValueError)
    assert issubclass(luna_client.NotFound, LookupError)
    assert issubclass(luna_client.DeadlineExceeded, TimeoutError)
    assert issubclass(luna_client.Unavailable, ConnectionError)


def test_a_stage_is_told_before_the_message():
    error = luna_client.NotFound("no file 'x'")
    error.add_context("sampling")
    assert str(error) == error.message == "sampling: no file 'x'"
