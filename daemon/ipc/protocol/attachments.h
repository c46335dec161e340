#pragma once

#include <cstddef>
#include <vector>

#include "common/base/bytes.h"

namespace luna::ipc {

/// Most inline bytes of one message; beyond them even small attachments go by descriptor.
inline constexpr std::size_t kInlineTotal = std::size_t{1} << 20;
/// Most descriptors of one message.
inline constexpr std::size_t kDescriptorsPerMessage = 64;

/// Gives every attachment the way it will travel. Those with a descriptor that is safe to map, or
/// that is no memory (descriptor_alone), keep it; large ones without are copied together into one
/// sealed memory descriptor, and so are those that pass the two limits. Order and content stay.
/// When the machine has no memory or descriptor left, attachments stay as they are and the frame's
/// own limits decide.
std::vector<BytesPtr> prepare_attachments(std::vector<BytesPtr> attachments);

}  // namespace luna::ipc
