#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/base/status.h"

namespace luna::client {

/// What `luna generate` is told, flag by flag; what was not said is empty. The same names are the
/// keys of the request in a picture's metadata.
struct Settings {
  std::optional<std::string> checkpoint, unet, vae, clip, clip_g;
  std::optional<std::string> prompt, negative;
  std::optional<int> width, height, steps;
  std::optional<double> cfg;
  std::optional<std::string> sampler, scheduler;
  std::optional<std::uint64_t> seed;
  std::optional<double> denoise;
  std::optional<int> batch, batch_index, clip_skip;
  std::optional<std::string> image, mask;
  std::optional<std::vector<std::string>> loras;  ///< as lora_from_text() takes them
  std::optional<std::uint64_t> lora_seed;
  std::optional<std::string> lora_application;
  std::optional<std::string> precision, clip_precision, vae_precision;

  bool operator==(const Settings&) const = default;
};

/// Calls visit("checkpoint", settings.checkpoint) and so on for every field.
template <class SettingsRef, class Visit>
void for_each_setting(SettingsRef& settings, Visit visit) {
  visit("checkpoint", settings.checkpoint);
  visit("unet", settings.unet);
  visit("vae", settings.vae);
  visit("clip", settings.clip);
  visit("clip_g", settings.clip_g);
  visit("prompt", settings.prompt);
  visit("negative", settings.negative);
  visit("width", settings.width);
  visit("height", settings.height);
  visit("steps", settings.steps);
  visit("cfg", settings.cfg);
  visit("sampler", settings.sampler);
  visit("scheduler", settings.scheduler);
  visit("seed", settings.seed);
  visit("denoise", settings.denoise);
  visit("batch", settings.batch);
  visit("batch_index", settings.batch_index);
  visit("clip_skip", settings.clip_skip);
  visit("loras", settings.loras);
  visit("lora_seed", settings.lora_seed);
  visit("lora_application", settings.lora_application);
  visit("image", settings.image);
  visit("mask", settings.mask);
  visit("precision", settings.precision);
  visit("clip_precision", settings.clip_precision);
  visit("vae_precision", settings.vae_precision);
}

/// `over` where it says something, `base` elsewhere. Another batch in `over` drops the place within
/// the batch, which belonged to the old one.
Settings merged(const Settings& base, const Settings& over);

nlohmann::json to_json(const Settings& settings);
/// INVALID_ARGUMENT for an unknown key or a wrong type, by name.
Result<Settings> settings_from_json(const nlohmann::json& object);

/// Ranges of what was said. INVALID_ARGUMENT names the flag, what was found and what is allowed.
Status check(const Settings& settings);

/// Steps 20, cfg 7, euler, normal, denoise 1, batch 1, empty negative where nothing was said.
/// The seed becomes a random one below 2^48, which every JSON reader keeps exactly.
Settings with_defaults(Settings settings);

}  // namespace luna::client
