#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/types/model.h"

namespace luna {

/// Counters of one kind of forward (a model on a worker), since the worker started.
struct ForwardCounters {
  std::uint64_t forwards = 0;
  std::uint64_t rows = 0;
  std::map<int, std::uint64_t> batch_sizes;  ///< rows of a forward -> how often
  double seconds_on_device = 0;
};

/// What a worker says of itself, with every heartbeat and on request.
struct WorkerReport {
  std::string device;            ///< "cpu", "cuda:0 NVIDIA H200"
  std::string device_uuid = {};  ///< of a GPU: "GPU-...", as the driver prints it
  std::uint64_t jobs_running = 0;
  std::uint64_t jobs_queued = 0;
  std::uint64_t jobs_done = 0;
  std::uint64_t jobs_failed = 0;
  std::uint64_t jobs_cancelled = 0;
  double seconds_in_queue = 0;
  std::map<std::string, ForwardCounters>
      forwards;  ///< by kind: "unet", "clip_l", "vae_decode", "vae_encode"
  std::vector<LoadedModel> models;
  std::uint64_t resident_bytes = 0;       ///< of the process (RSS) on CPU, of the device on a GPU
  std::uint64_t step_in_progress_ms = 0;  ///< how long the forward now running has taken
  std::uint64_t peak_resident_bytes = 0;  ///< the largest resident_bytes since the start
  std::map<std::string, std::uint64_t>
      memory;  ///< bytes by kind, of what is counted: "weights", of loaded models on the device;
               ///< "overlays", of what adapters made of them; "activations_estimate", of the
               ///< largest forward so far as it was estimated before it ran; "results", made and
               ///< not yet handed over
  std::map<std::uint64_t, std::uint64_t>
      step_evaluations;  ///< answered, by open step socket (StepsId)
  std::map<std::string, std::uint64_t>
      files_read;  ///< since the start: "models", components that came from a file rather than a
                   ///< host copy; "adapters"
  std::map<std::string, std::uint64_t>
      overlays;  ///< that adapters were merged into since the start: "in_new_memory";
                 ///< "in_reused_memory", in that of one that left
};

}  // namespace luna
