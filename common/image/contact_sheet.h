#pragma once

#include <span>

#include "common/image/image.h"

namespace luna {

struct SheetLayout {
  int columns = 0;  ///< 0: as many as make the sheet about as wide as high
  int cell = 0;     ///< pixels that a picture has each way; larger ones are reduced. 0: the largest
  int margin = 8;   ///< pixels around each
};

/// Pictures row by row on white, each in the middle of its cell, as RGB. INVALID_ARGUMENT without
/// pictures, for negative numbers, or when the sheet would be wider or higher than 32768 pixels.
Result<Image> contact_sheet(std::span<const Image> pictures, const SheetLayout& layout);

}  // namespace luna
