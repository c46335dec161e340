#include "common/types/job.h"

#include <array>

namespace luna {

std::string_view job_kind(const JobRequest& request) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "tokenize", "encode_text",   "vae_encode", "vae_decode",  "denoise",
      "sample",   "inspect_model", "load_model", "unload_model"};
  static_assert(kNames.size() == std::variant_size_v<JobRequest>);
  return kNames[request.index()];
}

}  // namespace luna
