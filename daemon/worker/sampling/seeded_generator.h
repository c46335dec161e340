#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace luna::worker {

/// A generator of its own on `device`, as torch.Generator(device).manual_seed(seed).
at::Generator seeded_generator(at::Device device, std::uint64_t seed);

}  // namespace luna::worker
