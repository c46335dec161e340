#include "daemon/worker/host/open_engine.h"

#include "daemon/worker/exchange/result_bytes.h"

namespace luna::worker {

Result<std::unique_ptr<Engine>> open_engine(const WorkerSettings& settings,
                                            std::shared_ptr<HostCopies> copies) {
  return Engine::open(settings, make_result_bytes, std::move(copies));
}

}  // namespace luna::worker
