#include "daemon/worker/models/unet_variant.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

constexpr const char* kVelocity = "v_pred";
constexpr const char* kZeroTerminalSnr = "ztsnr";
constexpr const char* kEdmMean = "edm_mean";
constexpr const char* kEdmStd = "edm_std";
constexpr const char* kSigmaMax = "edm_vpred.sigma_max";
constexpr const char* kSigmaMin = "edm_vpred.sigma_min";

// Playground 2.5; ComfyUI does not look at the values of its markers either.
constexpr SigmaRange kPlaygroundSigmas{.min = 0.002, .max = 80.0, .data = 0.5};

Status check_number(const TensorDirectory& component, const char* name) {
  const auto found = component.tensors.find(name);
  if (found == component.tensors.end() || found->second.numel() == 1) return {};
  return error(StatusCode::kInvalidArgument, "'{}' should be one number, found {}", name,
               found->second.to_string());
}

Status unread(const char* marker, std::string_view reason) {
  return error(StatusCode::kUnimplemented,
               "a UNet with the marker '{}' of another prediction is not served: {}", marker,
               reason);
}

}  // namespace

bool is_variant_marker(std::string_view name) {
  constexpr std::array<std::string_view, 6> kMarkers = {kVelocity, kZeroTerminalSnr, kEdmMean,
                                                        kEdmStd,   kSigmaMax,        kSigmaMin};
  return std::ranges::find(kMarkers, name) != kMarkers.end();
}

Result<UNetVariant> UNetVariant::detect(const TensorDirectory& component,
                                        const std::string& family) {
  UNetVariant variant;
  for (const char* marker : {kVelocity, kEdmMean, kEdmStd, kSigmaMax}) {
    if (component.has(marker) && family != "sdxl")
      return unread(marker, fmt::format("it is known for SDXL alone, and this is {}", family));
  }
  if (component.has(kEdmMean) != component.has(kEdmStd)) {
    return unread(component.has(kEdmMean) ? kEdmMean : kEdmStd,
                  fmt::format("'{}' and '{}' come together", kEdmMean, kEdmStd));
  }
  for (const char* marker : {kSigmaMax, kSigmaMin})
    LUNA_RETURN_IF_ERROR(check_number(component, marker));
  if (component.has(kEdmMean)) {
    variant.prediction = Prediction::kEdm;
    variant.sigmas = kPlaygroundSigmas;
    variant.normalized_latents = true;
  } else if (component.has(kSigmaMax)) {
    variant.prediction = Prediction::kEdmV;
  } else if (component.has(kVelocity)) {
    variant.prediction = Prediction::kV;
    variant.zero_terminal_snr = component.has(kZeroTerminalSnr);
  }
  return variant;
}

Result<UNetVariant> UNetVariant::read(const WeightStore& weights, const std::string& family) {
  LUNA_ASSIGN_OR_RETURN(UNetVariant variant, detect(directory_of(weights), family));
  if (variant.prediction != Prediction::kEdmV) return variant;
  const auto number = [&](const char* name, double otherwise) {
    const at::Tensor* found = weights.find(name);
    return found ? found->to(at::kDouble).reshape({}).item<double>() : otherwise;
  };
  SigmaRange& sigmas = variant.sigmas;
  sigmas.max = number(kSigmaMax, sigmas.max);
  sigmas.min = number(kSigmaMin, sigmas.min);
  if (!(sigmas.min > 0 && sigmas.min < sigmas.max && std::isfinite(sigmas.max))) {
    return error(StatusCode::kInvalidArgument,
                 "'{}' and '{}' should be a range of positive numbers, found {} to {}", kSigmaMin,
                 kSigmaMax, sigmas.min, sigmas.max);
  }
  return variant;
}

std::string UNetVariant::name() const {
  switch (prediction) {
    case Prediction::kV:
      return zero_terminal_snr ? "v_zsnr" : "v";
    case Prediction::kEdm:
      return "edm";
    case Prediction::kEdmV:
      return "edm_v";
    default:
      return "eps";
  }
}

std::string UNetVariant::title() const {
  switch (prediction) {
    case Prediction::kV:
      return zero_terminal_snr ? "v-prediction with zero terminal SNR" : "v-prediction";
    case Prediction::kEdm:
      return "EDM";
    case Prediction::kEdmV:
      return "v-prediction over EDM's sigmas";
    default:
      return "";
  }
}

}  // namespace luna::worker
