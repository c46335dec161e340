#pragma once

#include <memory>

#include "daemon/worker/engine/engine.h"

namespace luna::worker {

/// Opens the engine so that its large results travel by descriptor.
Result<std::unique_ptr<Engine>> open_engine(const WorkerSettings& settings,
                                            std::shared_ptr<HostCopies> copies);

}  // namespace luna::worker
