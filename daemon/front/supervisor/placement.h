#pragma once

#include <string>
#include <vector>

#include "common/config/config.h"
#include "common/types/worker_settings.h"

namespace luna::front {

/// One worker that may run: where it belongs and what it is told.
struct Placement {
  std::string pool;
  WorkerSettings settings;
};

/// What of the machine placement needs to know.
struct Machine {
  int gpus = 0;
  int cores = 1;

  /// Cores this process may use, and GPUs that the driver shows (none without one) and
  /// CUDA_VISIBLE_DEVICES leaves. Without libluna_cuda.so beside `worker_program` no worker could
  /// drive a GPU, and there is none.
  static Machine look(const std::string& worker_program);
};

/// One entry for each worker that each pool may have at most, device by device. "auto" is every
/// GPU, or the CPU where there is none. CPU workers that are not told a number of threads share the
/// cores among them; GPU workers get as many for their host side. `common` holds what all are told
/// (vocabulary, embedding folders).
std::vector<Placement> place_workers(const Config& config, const Machine& machine,
                                     const WorkerSettings& common);

}  // namespace luna::front
