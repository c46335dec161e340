#include "daemon/worker/engine/request_tensors.h"

#include <cmath>
#include <string>

#include "daemon/worker/engine/concat_conditioning.h"
#include "daemon/worker/engine/vector_conditioning.h"
#include "daemon/worker/ops/finite.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kMaxTokens = 16384;

Status unserved(std::string_view what, std::string_view field) {
  return error(StatusCode::kUnimplemented, "{}: {} is not served by this version", what, field);
}

Status check_served(const ConditioningEntry& entry, std::string_view what) {
  if (entry.attention_mask) return unserved(what, "attention_mask");
  for (const auto& [name, tensor] : entry.extras)
    if (name != "concat_latent_image" && name != "concat_mask")
      return unserved(what, "extras." + name);
  return {};
}

}  // namespace

Result<at::Tensor> finite_floats_in_place(const TensorRef& tensor, std::string_view what) {
  LUNA_ASSIGN_OR_RETURN(const at::Tensor there, tensor_in_place(tensor, what));
  if (!at::isFloatingType(there.scalar_type()) && there.scalar_type() != at::kByte) {
    return error(StatusCode::kInvalidArgument, "{}: expected floating-point values, found {}", what,
                 tensor.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor floats,
                        torch_call(what, [&] { return there.to(at::kFloat); }));
  LUNA_ASSIGN_OR_RETURN(const bool finite,
                        torch_call(what, [&] { return ops::all_finite(floats); }));
  if (!finite) {
    return error(StatusCode::kInvalidArgument, "{}: expected finite values, found NaN or infinity",
                 what);
  }
  return floats;
}

Result<at::Tensor> finite_floats(const TensorRef& tensor, std::string_view what) {
  LUNA_ASSIGN_OR_RETURN(const at::Tensor floats, finite_floats_in_place(tensor, what));
  return torch_call(what, [&] { return floats.cpu(); });
}

Result<at::Tensor> latent_row(const TensorRef& tensor, std::string_view what, int channels) {
  const auto& shape = tensor.spec.shape;
  const bool fits = shape.size() == 3 && shape[0] == channels && shape[1] >= 1 && shape[2] >= 1 &&
                    shape[1] <= kMaxLatentExtent && shape[2] <= kMaxLatentExtent;
  if (!fits) {
    return error(StatusCode::kInvalidArgument,
                 "{}: expected [{}, h, w] with h and w in 1..{}, found {}", what, channels,
                 kMaxLatentExtent, tensor.spec.to_string());
  }
  return finite_floats(tensor, what);
}

Result<at::Tensor> mask_row(const TensorRef& tensor, std::string_view what, at::IntArrayRef nchw) {
  const auto& shape = tensor.spec.shape;
  const bool fits =
      (shape.size() == 2 || (shape.size() == 3 && shape[0] == 1)) && tensor.spec.numel() > 0;
  if (!fits) {
    return error(StatusCode::kInvalidArgument, "{}: expected a mask [H, W] or [1, H, W], found {}",
                 what, tensor.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor mask, finite_floats(tensor, what));
  return torch_call(what, [&] { return latent_mask(mask, nchw); });
}

Result<ActiveEntry> active_entry(const ConditioningEntry& entry, std::string_view what,
                                 const DenoisingModel& model, const ModelSampling& sampling,
                                 const EntryPlace& place, std::map<std::string, at::Tensor> given) {
  LUNA_RETURN_IF_ERROR(check_served(entry, what));
  const auto& shape = entry.cross_attn.spec.shape;
  const int width = model.traits().context_width;
  if (shape.size() != 3 || shape[0] != 1 || shape[1] < 1 || shape[1] > kMaxTokens ||
      shape[2] != width) {
    return error(StatusCode::kInvalidArgument, "{}.cross_attn: expected [1, 1..{}, {}], found {}",
                 what, kMaxTokens, width, entry.cross_attn.spec.to_string());
  }
  if (!std::isfinite(entry.strength) || !(entry.start_percent >= 0 && entry.end_percent <= 1)) {
    return error(StatusCode::kInvalidArgument,
                 "{}: expected a finite strength and a range within 0..1, found {} and {}..{}",
                 what, entry.strength, entry.start_percent, entry.end_percent);
  }
  LUNA_ASSIGN_OR_RETURN(
      const at::Tensor floats,
      finite_floats_in_place(entry.cross_attn, std::string(what) + ".cross_attn"));
  ActiveEntry active;
  LUNA_ASSIGN_OR_RETURN(active.context, torch_call(what, [&] {
                          return floats.to(model.device(), model.compute_type());
                        }));
  active.extras = std::move(given);
  if (model.traits().vector != VectorConditioning::kNone && !active.extras.contains("y")) {
    LUNA_ASSIGN_OR_RETURN(active.extras["y"],
                          vector_conditioning(entry, what, model.traits(), place));
    active.extras["y"] = active.extras["y"].to(model.device());
  }
  if (model.traits().inpaints() && !active.extras.contains("c_concat")) {
    LUNA_ASSIGN_OR_RETURN(const at::Tensor concat,
                          concat_conditioning(entry, what, model.traits(), place));
    LUNA_ASSIGN_OR_RETURN(active.extras["c_concat"], torch_call(what, [&] {
                            return concat.to(model.device(), model.compute_type());
                          }));
  }
  LUNA_ASSIGN_OR_RETURN(active.region,
                        entry_region(entry, what, place.height, place.width, place.batch_index));
  if (active.region.weight.defined()) {
    LUNA_RETURN_IF_ERROR(
        torch_call(what, [&] { active.region.weight = active.region.weight.to(model.device()); }));
  }
  active.strength = entry.strength;
  active.is_default = entry.is_default;
  active.sigma_from = sampling.percent_to_sigma(entry.start_percent);
  active.sigma_to = sampling.percent_to_sigma(entry.end_percent);
  return active;
}

Result<std::shared_ptr<const ModelSampling>> sampling_of(const DenoiserTraits& traits) {
  using Sampling = std::shared_ptr<const ModelSampling>;
  static const Sampling eps = make_eps_sampling();
  static const Sampling v = make_v_sampling(false);
  static const Sampling v_zsnr = make_v_sampling(true);
  const SigmaRange& sigmas = traits.sigmas;
  switch (traits.prediction) {
    case Prediction::kEps:
      return eps;
    case Prediction::kV:
      return traits.zero_terminal_snr ? v_zsnr : v;
    case Prediction::kEdm:
      return Sampling(make_edm_sampling(sigmas.min, sigmas.max, sigmas.data));
    case Prediction::kEdmV:
      return Sampling(make_edm_v_sampling(sigmas.min, sigmas.max, sigmas.data));
    case Prediction::kFlow:
    case Prediction::kFlux:
      break;
  }
  return error(StatusCode::kUnimplemented,
               "family {}: its prediction type is not served by this version", traits.family);
}

}  // namespace luna::worker
