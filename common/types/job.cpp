#include "common/types/job.h"

#include <array>

namespace luna {
namespace {

constexpr std::array<std::string_view, 3> kPriorityNames = {"interactive", "normal", "bulk"};

}  // namespace

std::string_view job_kind(const JobRequest& request) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "tokenize",      "encode_text", "vae_encode",   "vae_decode",    "denoise",    "sample",
      "inspect_model", "load_model",  "unload_model", "restore_model", "lease_cuda", "prove_cuda"};
  static_assert(kNames.size() == std::variant_size_v<JobRequest>);
  return kNames[request.index()];
}

std::string_view priority_name(Priority priority) {
  return kPriorityNames[static_cast<std::size_t>(priority)];
}

std::optional<Priority> priority_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kPriorityNames.size(); ++i) {
    if (name == kPriorityNames[i]) return static_cast<Priority>(i);
  }
  return std::nullopt;
}

}  // namespace luna
