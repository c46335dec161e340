#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// One bool a row of [n, ...], on its device: whether all of the row is finite. Contiguous f32 on
/// the CPU is read once, at the speed of memory; ATen's own test makes four passes and three
/// temporaries, which is most of what a small evaluation costs beside its forward.
at::Tensor finite_rows(const at::Tensor& rows);
/// The same for all of a tensor of any type. Waits for the device.
bool all_finite(const at::Tensor& tensor);

}  // namespace luna::worker::ops
