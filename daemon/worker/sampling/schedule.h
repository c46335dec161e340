#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/sampling.h"
#include "daemon/worker/sampling/model_sampling.h"

namespace luna::worker {

std::vector<std::string> scheduler_names();

/// The sigmas of a run exactly as ComfyUI's KSampler takes them: scheduler, denoise below 1, the
/// samplers that drop the second-last sigma, start and end step, force_full_denoise
/// (comfyui-semantics.md 3.2). Explicit sigmas are checked (finite, descending) and kept. An empty
/// list: nothing to do, the latent is the result. INVALID_ARGUMENT for an unknown scheduler (naming
/// the nearest), steps outside 1..10000, a denoise outside 0..1, and cells that are 0/0 in the
/// reference (kl_optimal at one step).
Result<std::vector<float>> run_sigmas(const SamplerRun& run, const ModelSampling& model);

}  // namespace luna::worker
