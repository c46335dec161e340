#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"

namespace luna::worker {

/// Rules for CLIP's chunks of tokens. Source of the rules: ComfyUI comfy/sd1_clip.py,
/// ClipTokenWeightEncoder.encode_token_weights and SDClipModel.process_tokens.

constexpr std::int64_t kClipStart = 49406;
constexpr std::int64_t kClipEnd = 49407;

/// The empty prompt: start, end, padding. CLIP-L pads with the end token, CLIP-G with 0.
std::vector<Token> empty_chunk(std::size_t length, std::int64_t pad);

/// Whether any weight differs from 1.
bool has_weights(const std::vector<std::vector<Token>>& chunks);

/// Where the pooled vector is read: the last token that counts. All count up to the first end
/// token, vectors given directly always; padding at the very start never does.
std::int64_t pooled_position(const std::vector<Token>& chunk, std::int64_t pad);

/// z [chunks+1,tokens,width] with the empty prompt's states as the last row. Returns
/// [chunks,tokens,width]: every token's state moved away from the empty prompt's at the same
/// position by its weight, (z - e) w + e.
at::Tensor apply_weights(const at::Tensor& z, const std::vector<std::vector<Token>>& chunks);

}  // namespace luna::worker
