#pragma once

#include <optional>

#include <ATen/ATen.h>

#include "common/types/dtype.h"

namespace luna::worker {

/// libtorch's name of an element type; every DType has one.
at::ScalarType scalar_type_of(DType dtype);
/// nullopt for types that neither travel nor stand in files (complex, quantised, unsigned 16 bit,
/// ...).
std::optional<DType> dtype_of(at::ScalarType type);

}  // namespace luna::worker
