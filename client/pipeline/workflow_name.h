#pragma once

#include <string>

#include "common/types/info.h"

namespace luna::client {

/// An id that depends on the model set alone ("auto-0123456789abcdef"), so that clients with equal
/// sets share one registration and a repeated registration changes nothing.
std::string workflow_name(const RequestedModels& models);

}  // namespace luna::client
