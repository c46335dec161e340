#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/image/png.h"

namespace luna {

/// INVALID_ARGUMENT for a bad keyword, text that is not UTF-8 or holds a zero byte, or more than
/// the limits.
Status check_texts(const std::vector<PngText>& texts, const PngLimits& limits);

}  // namespace luna
