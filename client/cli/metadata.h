#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "client/cli/settings.h"
#include "common/image/png.h"

namespace luna::client {

/// The text chunks of a picture of `width` x `height`: "parameters" (read by A1111 and its
/// relatives), "prompt" (ComfyUI's API graph; dropping the picture on its page loads it) and "luna"
/// (from which --from repeats the picture). `settings` are complete but for the size, which is
/// filled in unless it came from the starting picture: that one must be cut again, not resized.
/// `masked_picture`: an inpainting model repainted what is under the mask.
std::vector<PngText> picture_texts(const Settings& settings, int width, int height,
                                   bool masked_picture = false);

/// A1111's text: prompt, negative prompt, one line of "Key: value" pairs.
std::string a1111_parameters(const Settings& settings);

/// The same request as nodes of ComfyUI.
nlohmann::json comfy_graph(const Settings& settings, bool masked_picture = false);

/// The settings in a picture's "luna" chunk. NOT_FOUND when it has none, INVALID_ARGUMENT when it
/// is not readable; both name the file.
Result<Settings> settings_of_picture(const std::string& path);

}  // namespace luna::client
