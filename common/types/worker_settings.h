#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace luna {

/// What a worker is told when it connects; every limit is finite.
struct WorkerSettings {
  std::string device = "cpu";  ///< "cpu" or "cuda:<n>"
  int threads = 0;             ///< of a forward on CPU; 0: the machine's cores shared out
  int max_rows_per_forward = 16;
  std::uint32_t heartbeat_ms = 500;
  std::uint32_t max_queued_jobs = 256;
  std::string
      clip_vocabulary;  ///< CLIP's merges: a text file, or a folder with vocab.json and merges.txt
  std::vector<std::string> embedding_folders;  ///< textual-inversion files
  std::uint64_t memory_budget_bytes = 0;       ///< of models; 0: no limit but the machine's
  std::uint64_t cuda_outbox_bytes = 512ull
                                    << 20;  ///< of GPU memory for results and leases; 0: none
  std::uint32_t cuda_imports = 64;          ///< allocations of clients that it keeps mapped
};

}  // namespace luna
