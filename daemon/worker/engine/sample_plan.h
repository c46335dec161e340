#pragma once

#include <memory>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/sampling.h"
#include "daemon/worker/engine/guider.h"
#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/sampling/sampler.h"

namespace luna::worker {

/// A SampleRequest made ready for one model and what adapters make of it: everything checked,
/// tensors on the device in the model's scale. Row i of every tensor is row i of the request.
struct SamplePlan {
  struct Row {
    std::vector<ActiveEntry> positive, negative;
    Guider guider;
    const DenoisingModel* model = nullptr;  ///< with what is merged of the row's adapters
    const RowAdapters* adapters = nullptr;  ///< what is added to the row
  };
  std::shared_ptr<const ModelSampling> sampling;
  Sampler sampler = nullptr;
  std::vector<float> sigmas;  ///< fewer than two: the latent is the result
  std::vector<Row> rows;
  at::Tensor latent;         ///< [rows, C, h, w] f32
  at::Tensor noise;          ///< of the start
  at::Tensor inpaint_noise;  ///< of the known part under a mask
  at::Tensor mask;           ///< [rows, C, h, w]; undefined without any mask
  std::vector<NoiseRow> step_noise;
};

/// INVALID_ARGUMENT or UNIMPLEMENTED names the row and field. Every row is planned for `model`.
Result<SamplePlan> plan_sample(const SampleRequest& request, const DenoisingModel& model);

/// Latent scale of the VAE and of the model. An empty (all zero) latent stays zero in both
/// (comfyui-semantics.md 3.8).
at::Tensor latent_to_model(const at::Tensor& latent, const DenoiserTraits& traits);
/// As latent_to_model() does with what is not empty; [C, h, w], or with rows before.
at::Tensor scaled_to_model(const at::Tensor& latent, const DenoiserTraits& traits);
at::Tensor latent_from_model(const at::Tensor& latent, const DenoiserTraits& traits);

}  // namespace luna::worker
