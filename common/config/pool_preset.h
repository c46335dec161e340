#pragma once

#include <vector>

#include "common/base/status.h"
#include "common/config/config.h"

namespace luna {

/// The pools that a preset stands for. "full": the pool as it is, with all roles unless it names
/// some. "split": text encoders on the first device ("<name>-text"), UNet and VAE on the others
/// ("<name>-image"); INVALID_ARGUMENT for fewer than two devices, or when roles are named too.
Result<std::vector<Config::Pool>> expand_preset(const Config::Pool& pool);

}  // namespace luna
