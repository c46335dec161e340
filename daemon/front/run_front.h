#pragma once

namespace luna::front {

/// The whole program lunad: options, configuration, core, workers and gRPC, until it is asked to
/// end. The result is an ExitCode.
int run_front(int argc, char** argv);

}  // namespace luna::front
