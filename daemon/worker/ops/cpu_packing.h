#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// Whether weights of this type gain from oneDNN's own form on this processor: bf16 where it has
/// instructions, f32 with AVX-512. Without, oneDNN wants another form for nearly every picture size
/// and batch, and makes one of another with its reference code in every call: 560 ms for a kernel
/// [1280, 1280, 3, 3] whose convolution takes 20 ms, where a plain weight costs 40 ms more.
/// False on every other device: packing is CPU only, and all functions here decide by device and
/// type of their tensors.
bool can_pack(at::Device device, at::ScalarType type);

/// Whether a tensor is a packed weight. Only conv2d() and linear() can read one.
bool is_packed(const at::Tensor& weight);

/// The bytes that a weight occupies, packed or plain.
std::uint64_t weight_bytes(const at::Tensor& weight);
/// Upper bound of the elements that a weight of this shape has when packed: oneDNN pads the first
/// two extents to whole blocks.
std::uint64_t packed_elements_bound(at::IntArrayRef shape);

/// The memory format that the convolutions of this library read and write: NHWC in memory, NCHW in
/// shape, on every device. Going from pictures to tokens is then a view.
at::Tensor to_picture_format(const at::Tensor& x);

/// [n,c,h,w] in picture format seen as tokens [n,h*w,c]; no copy.
at::Tensor tokens_of(const at::Tensor& picture);
/// [n,h*w,c] seen as a picture [n,c,h,w] in picture format; no copy when the tokens are contiguous.
at::Tensor picture_of(const at::Tensor& tokens, std::int64_t height, std::int64_t width);

}  // namespace luna::worker::ops
