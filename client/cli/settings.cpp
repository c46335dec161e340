#include "client/cli/settings.h"

#include <algorithm>
#include <limits>
#include <random>

#include "client/cli/lora_text.h"
#include "common/types/model.h"

namespace luna::client {
namespace {

bool fits(const nlohmann::json& value, const std::optional<std::string>&) {
  return value.is_string();
}
bool fits(const nlohmann::json& value, const std::optional<std::vector<std::string>>&) {
  return value.is_array() &&
         std::ranges::all_of(value, [](const auto& one) { return one.is_string(); });
}
bool fits(const nlohmann::json& value, const std::optional<double>&) { return value.is_number(); }
bool fits(const nlohmann::json& value, const std::optional<std::uint64_t>&) {
  return value.is_number_unsigned() ||
         (value.is_number_integer() && value.get<std::int64_t>() >= 0);
}
bool fits(const nlohmann::json& value, const std::optional<int>&) {
  if (!value.is_number_integer()) return false;
  const auto number = value.get<std::int64_t>();
  return number >= std::numeric_limits<int>::min() && number <= std::numeric_limits<int>::max();
}

template <class T>
Status in_range(std::string_view flag, const std::optional<T>& value, T low, T high) {
  if (!value || (*value >= low && *value <= high)) return {};
  return error(StatusCode::kInvalidArgument, "{} {}: expected {} to {}", flag, *value, low, high);
}

Status check_precision(std::string_view flag, const std::optional<std::string>& value) {
  if (!value || precision_from_name(*value)) return {};
  return error(StatusCode::kInvalidArgument, "{} '{}': expected f32, bf16 or fp16", flag, *value);
}

}  // namespace

Settings merged(const Settings& base, const Settings& over) {
  nlohmann::json both = to_json(base);
  if (over.batch && over.batch != base.batch) both.erase("batch_index");
  both.update(to_json(over));
  return settings_from_json(both).value();
}

nlohmann::json to_json(const Settings& settings) {
  nlohmann::json object = nlohmann::json::object();
  for_each_setting(settings, [&](const char* name, const auto& field) {
    if (field) object[name] = *field;
  });
  return object;
}

Result<Settings> settings_from_json(const nlohmann::json& object) {
  if (!object.is_object()) {
    return error(StatusCode::kInvalidArgument, "the request is {}, expected an object",
                 object.type_name());
  }
  Settings settings;
  Status status;
  std::size_t used = 0;
  for_each_setting(settings, [&]<class T>(const char* name, std::optional<T>& field) {
    const auto found = object.find(name);
    if (found == object.end() || !status.ok()) return;
    ++used;
    if (!fits(*found, field)) {
      status = error(StatusCode::kInvalidArgument, "'{}' of the request is {} ({})", name,
                     found->dump(), found->type_name());
      return;
    }
    field = found->template get<T>();
  });
  LUNA_RETURN_IF_ERROR(status);
  if (used == object.size()) return settings;
  for (const auto& [key, value] : object.items()) {
    bool known = false;
    for_each_setting(settings,
                     [&](std::string_view name, const auto&) { known = known || name == key; });
    if (!known) {
      return error(StatusCode::kInvalidArgument, "the request has an unknown key '{}'", key);
    }
  }
  return settings;
}

Status check(const Settings& settings) {
  LUNA_RETURN_IF_ERROR(in_range("--steps", settings.steps, 1, 10000));
  LUNA_RETURN_IF_ERROR(in_range("--cfg", settings.cfg, 0.0, 1000.0));
  LUNA_RETURN_IF_ERROR(in_range("--denoise", settings.denoise, 0.0, 1.0));
  LUNA_RETURN_IF_ERROR(in_range("--batch", settings.batch, 1, 1024));
  LUNA_RETURN_IF_ERROR(in_range("--clip-skip", settings.clip_skip, 1, 48));
  LUNA_RETURN_IF_ERROR(check_precision("--precision", settings.precision));
  LUNA_RETURN_IF_ERROR(check_precision("--clip-precision", settings.clip_precision));
  LUNA_RETURN_IF_ERROR(check_precision("--vae-precision", settings.vae_precision));
  for (const std::string& lora : settings.loras.value_or(std::vector<std::string>())) {
    LUNA_RETURN_IF_ERROR(lora_from_text(lora).status());
  }
  if (settings.lora_application && !lora_application_from_name(*settings.lora_application)) {
    return error(StatusCode::kInvalidArgument,
                 "--lora-application '{}': expected auto, merged or row-wise",
                 *settings.lora_application);
  }
  if (settings.mask && !settings.image) {
    return error(StatusCode::kInvalidArgument,
                 "--mask needs --image, the picture that it belongs to");
  }
  return {};
}

Settings with_defaults(Settings settings) {
  const auto fill = [](auto& field, auto value) {
    if (!field) field = value;
  };
  fill(settings.negative, std::string());
  fill(settings.steps, 20);
  fill(settings.cfg, 7.0);
  fill(settings.sampler, std::string("euler"));
  fill(settings.scheduler, std::string("normal"));
  fill(settings.denoise, 1.0);
  fill(settings.batch, 1);
  if (!settings.seed) {
    std::random_device random;
    const std::uint64_t high = random();
    settings.seed = (high << 32 | random()) & ((std::uint64_t{1} << 48) - 1);
  }
  return settings;
}

}  // namespace luna::client
