#include "common/config/pool_preset.h"

#include <fmt/ranges.h>

namespace luna {

Result<std::vector<Config::Pool>> expand_preset(const Config::Pool& pool) {
  if (pool.preset != "split") return std::vector<Config::Pool>{pool};
  if (pool.roles != Config::Pool{}.roles) {
    return error(StatusCode::kInvalidArgument,
                 "pool '{}': preset \"split\" says which roles live where; leave out roles, or the "
                 "preset",
                 pool.name);
  }
  if (pool.devices.size() < 2) {
    return error(StatusCode::kInvalidArgument,
                 "pool '{}': preset \"split\" needs two devices or more, the first for text "
                 "encoders and the others for UNet and VAE, such as [\"cpu\", \"auto\"]; found "
                 "[\"{}\"]",
                 pool.name, fmt::join(pool.devices, "\", \""));
  }
  Config::Pool text = pool;
  text.preset = "full";
  text.name += "-text";
  text.roles = {"clip"};
  text.devices.resize(1);
  Config::Pool image = pool;
  image.preset = "full";
  image.name += "-image";
  image.roles = {"vae", "unet"};
  image.devices.erase(image.devices.begin());
  return std::vector<Config::Pool>{text, image};
}

}  // namespace luna
