#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace luna::worker {

/// UNIMPLEMENTED for a file that is a pickle by its ending (.pt, .pth, .bin, .ckpt, in any case):
/// reading one runs code of its author. `what` are read here, "embeddings" for instance.
Status refuse_pickle(const std::string& path, std::string_view what);

}  // namespace luna::worker
