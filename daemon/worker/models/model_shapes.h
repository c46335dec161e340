#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/base/status.h"
#include "daemon/worker/weights/tensor_directory.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// Names and shapes of a loaded component, as detection sees them in a file.
TensorDirectory directory_of(const WeightStore& store);

/// Extent of one axis; 0 when there is no such tensor or axis.
std::int64_t extent(const TensorDirectory& directory, const std::string& name, std::size_t axis);

/// How many of "<stem>0<tail>", "<stem>1<tail>", ... there are without a gap.
std::int64_t count_indexed(const TensorDirectory& directory, const std::string& stem,
                           const std::string& tail);

/// Width and height from metadata "modelspec.resolution" ("512x768"); nullopt when it is absent or
/// written otherwise, since other programs write it.
std::optional<std::pair<std::uint32_t, std::uint32_t>> native_size(
    const TensorDirectory& directory);

/// A positive whole number from the file's metadata, nullopt when the key is absent.
/// INVALID_ARGUMENT for anything else.
Result<std::optional<std::int64_t>> metadata_number(const TensorDirectory& directory,
                                                    const std::string& key);

}  // namespace luna::worker
