#include "daemon/worker/models/registry.h"

#include <tuple>

#include "daemon/worker/models/autoencoder_kl.h"
#include "daemon/worker/models/clip_text.h"
#include "daemon/worker/models/component_names.h"
#include "daemon/worker/models/model_shapes.h"
#include "daemon/worker/models/unet_ldm.h"
#include "daemon/worker/models/unet_variant.h"
#include "daemon/worker/models/unserved_families.h"

namespace luna::worker {
namespace {

constexpr std::size_t kNamesShown = 5;

std::string some_names(const TensorDirectory& directory) {
  if (directory.tensors.empty()) return "no tensors at all";
  std::string text;
  std::size_t shown = 0;
  for (const auto& [name, spec] : directory.tensors) {
    if (shown == kNamesShown) break;
    text += (shown++ == 0 ? "'" : ", '") + name + "' " + spec.to_string();
  }
  if (directory.tensors.size() > shown)
    text += " and " + std::to_string(directory.tensors.size() - shown) + " more";
  return text;
}

ComponentInfo info_of(Slot slot, std::string family, std::string description,
                      const TensorDirectory& component) {
  ComponentInfo info;
  info.slot = slot;
  info.family = std::move(family);
  info.description = std::move(description);
  for (const auto& [name, spec] : component.tensors)
    info.parameters += static_cast<std::uint64_t>(spec.numel());
  return info;
}

/// "SDXL inpainting UNet (v-prediction): ".
std::string title_of(const std::string& family, bool inpaints, const UNetVariant& variant) {
  const char* const name = family == "sd1" ? "SD1.5" : family == "sdxl" ? "SDXL" : "SDXL refiner";
  const std::string kind = variant.title().empty() ? "" : " (" + variant.title() + ")";
  return fmt::format("{} {}UNet{}: ", name, inpaints ? "inpainting " : "", kind);
}

Result<DetectedComponent> describe_unet(const TensorDirectory& file, const Rename& rename) {
  const TensorDirectory component = renamed(file, rename);
  LUNA_ASSIGN_OR_RETURN(const UNetConfig config, UNetConfig::detect(component));
  if (config.linear_projections && config.context_width == 1024)
    return error(StatusCode::kUnimplemented,
                 "an SD2 UNet (context of 1024, matrices as projections) is not served yet");
  const std::string family = family_of(config);
  const bool inpaints = config.inpaints() && family != "sdxl_refiner";
  if (config.in_channels != config.out_channels && !inpaints)
    return error(StatusCode::kUnimplemented,
                 "a UNet of family {} with {} input and {} output channels{} is not served yet; "
                 "expected as many input as output channels, or 9 and 4 (an inpainting SD1.5 or "
                 "SDXL)",
                 family, config.in_channels, config.out_channels,
                 config.in_channels == 8 ? " (an InstructPix2Pix or another editing model)" : "");
  LUNA_ASSIGN_OR_RETURN(const UNetVariant variant, UNetVariant::detect(component, family));
  ComponentInfo info = info_of(Slot::kUNet, family,
                               title_of(family, inpaints, variant) + config.describe(), component);
  info.prediction = variant.name();
  info.inpaint = inpaints;
  if (const auto size = native_size(component)) {
    std::tie(info.native_width, info.native_height) = *size;
  }
  return DetectedComponent{std::move(info), rename};
}

Result<DetectedComponent> describe_clip(const TensorDirectory& file, Slot slot,
                                        const Rename& rename) {
  const TensorDirectory component = renamed(file, rename);
  LUNA_ASSIGN_OR_RETURN(const ClipTextConfig config, ClipTextConfig::detect(component, slot));
  const char* const title = slot == Slot::kClipG ? "CLIP-G" : "CLIP-L";
  return DetectedComponent{
      info_of(slot, std::string(slot_name(slot)),
              fmt::format("{} text encoder: {}", title, config.describe()), component),
      rename};
}

Result<DetectedComponent> describe_vae(const TensorDirectory& file, const Rename& rename) {
  const TensorDirectory component = renamed(file, rename);
  LUNA_ASSIGN_OR_RETURN(const AutoencoderConfig config, AutoencoderConfig::detect(component));
  return DetectedComponent{
      info_of(Slot::kVae, "autoencoder_kl", "AutoencoderKL: " + config.describe(), component),
      rename};
}

DetectedComponent describe_taesd(const TensorDirectory& file, const Rename& rename) {
  return DetectedComponent{
      info_of(Slot::kPreview, "taesd",
              fmt::format("TAESD decoder: {} latent channels, width {}",
                          extent(file, "1.weight", 1), extent(file, "1.weight", 0)),
              file),
      rename};
}

Status unserved(const UnservedFamily& family, const TensorDirectory& directory) {
  return error(
      StatusCode::kUnimplemented,
      "{} is not served yet, told by tensor '{}'; this version serves SD1.5 and SDXL "
      "UNets, CLIP-L and CLIP-G text encoders, AutoencoderKL and TAESD decoders (it looked for "
      "{}); found {}",
      family.name, family.marker, served_markers(), some_names(directory));
}

}  // namespace

Result<std::vector<DetectedComponent>> detect_components(const TensorDirectory& directory) {
  const auto other = find_unserved_family(directory);
  if (other && other->denoiser) return unserved(*other, directory);

  std::vector<DetectedComponent> components;
  const auto add = [&](Result<DetectedComponent> component) -> Status {
    if (!component.ok()) return component.status();
    components.push_back(std::move(component).value());
    return {};
  };
  if (const auto rename = find_unet(directory))
    LUNA_RETURN_IF_ERROR(add(describe_unet(directory, *rename)));
  if (const auto rename = find_autoencoder(directory))
    LUNA_RETURN_IF_ERROR(add(describe_vae(directory, *rename)));
  if (const auto rename = find_clip_l(directory); rename && !other)
    LUNA_RETURN_IF_ERROR(add(describe_clip(directory, Slot::kClipL, *rename)));
  if (const auto rename = find_clip_g(directory); rename && !other)
    LUNA_RETURN_IF_ERROR(add(describe_clip(directory, Slot::kClipG, *rename)));
  if (const auto rename = find_taesd(directory))
    components.push_back(describe_taesd(directory, *rename));
  if (!components.empty()) return components;

  if (other) return unserved(*other, directory);
  if (looks_like_adapter(directory))
    return error(
        StatusCode::kInvalidArgument,
        "a model was expected, and this file holds an adapter (LoRA or its like): found {}",
        some_names(directory));
  return error(
      StatusCode::kInvalidArgument,
      "no model of a known family: looked for {}, and for the markers of families that are "
      "not served yet: {}; found {}",
      served_markers(), unserved_markers(), some_names(directory));
}

Result<Component> build_component(const ComponentInfo& info,
                                  std::shared_ptr<const WeightStore> weights,
                                  at::ScalarType compute, at::Device device) {
  if (info.slot == Slot::kUNet && (info.family == "sd1" || info.family.starts_with("sdxl"))) {
    LUNA_ASSIGN_OR_RETURN(auto model, LdmUNet::build(std::move(weights), compute, device));
    return Component(std::shared_ptr<const DenoisingModel>(std::move(model)));
  }
  if (info.slot == Slot::kClipL || info.slot == Slot::kClipG) {
    LUNA_ASSIGN_OR_RETURN(auto model,
                          ClipTextEncoder::build(std::move(weights), info.slot, device));
    return Component(std::shared_ptr<const TextEncoder>(std::move(model)));
  }
  if (info.slot == Slot::kVae && info.family == "autoencoder_kl") {
    LUNA_ASSIGN_OR_RETURN(auto model, AutoencoderKl::build(std::move(weights), compute, device));
    return Component(std::shared_ptr<const Vae>(std::move(model)));
  }
  if (info.slot == Slot::kPreview && info.family == "taesd") {
    LUNA_ASSIGN_OR_RETURN(auto model, TaesdDecoder::build(std::move(weights), compute, device));
    return Component(std::move(model));
  }
  return error(
      StatusCode::kUnimplemented,
      "slot '{}' with family '{}' has no class; expected unet/sd1, unet/sdxl, clip_l, clip_g, "
      "vae/autoencoder_kl or preview/taesd",
      slot_name(info.slot), info.family);
}

}  // namespace luna::worker
