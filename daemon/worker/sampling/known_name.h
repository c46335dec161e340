#pragma once

#include <string>
#include <vector>

namespace luna::worker {

/// "'a', 'b', 'c'": the three of `known` with the smallest edit distance to `name`, nearest first.
std::string nearest_of(const std::string& name, const std::vector<std::string>& known);

}  // namespace luna::worker
