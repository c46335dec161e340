#pragma once

#include <stop_token>

#include "client/include/luna/client/generate.h"
#include "client/service/admin_service.h"
#include "client/service/inference_service.h"

namespace luna::client {

/// What a generation runs under.
struct GenerateContext {
  InferenceService* inference = nullptr;
  AdminService* admin = nullptr;  ///< used when the request names no workflow, or has a mask
  OnGenerateProgress on_progress;
  OnPicture on_picture;  ///< empty: the result has the pictures
  std::stop_token stop;
  Deadline deadline;
  Priority priority = Priority::kNormal;
};

/// Registers the models, encodes both prompts (equal ones once, and once for each set of text
/// encoder LoRAs) and the starting picture (for an inpainting model also without what the mask
/// repaints) at the same time, samples the rows, 16 in a call, and decodes each before the next 16
/// begin. Blocks; tensors between the stages travel by value, so a worker that dies costs a re-run
/// and not the result. CANCELLED when `stop` was requested.
Result<GenerateResult> run_generate(const GenerateContext& context, const GenerateRequest& request);

}  // namespace luna::client
