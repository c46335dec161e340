#pragma once

namespace luna::front {

/// The test program as a worker: run with --control-fd it behaves as $LUNA_FAKE_WORKER says:
/// "good" (also when unset), "exit" (ends at once), "mute" (ready, and no heartbeat), "slow" (never
/// ready), "refuse" (says that it never will be), "stubborn" (does not drain). Inspections are
/// answered by the file's name: "environment" and "own_group" with what they ask for, "crash" with
/// SIGABRT, "device_error" with the exit code for it; "stuck" is a step that never ends, while
/// heartbeats go on; "hold" waits until it is cancelled, unless "hold.released" lies beside it.
int fake_worker_main(int control_fd);

}  // namespace luna::front
