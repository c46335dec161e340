#pragma once

#include <string>
#include <vector>

namespace luna {

/// Names of what SamplerRun takes, in ComfyUI's order; a worker serves exactly these.
const std::vector<std::string>& served_samplers();
const std::vector<std::string>& served_schedulers();

}  // namespace luna
