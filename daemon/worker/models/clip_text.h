#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/layers/clip_layer.h"
#include "daemon/worker/models/text_encoder.h"
#include "daemon/worker/weights/tensor_directory.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// The shape of a CLIP text model, read from transformers' names ("text_model.embeddings....").
struct ClipTextConfig {
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;
  std::int64_t width = 0;
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  Slot slot = Slot::kClipL;  ///< kClipG: OpenCLIP's bigG, with the exact GELU and a projection

  /// INVALID_ARGUMENT for a layout that is none, or a width that the heads do not divide. Heads:
  /// width / 64, or metadata "luna.clip_l.heads" ("luna.clip_g.heads").
  static Result<ClipTextConfig> detect(const TensorDirectory& component, Slot slot);
  /// "12 layers, width 768, 12 heads, 77 tokens".
  std::string describe() const;
};

/// CLIP-L, whose pooled vector is not projected, or CLIP-G, whose is. Runs in f32 whatever the
/// storage type (converted once, at the building; the token table stays in its storage type).
/// Reference for the numbers: ComfyUI comfy/sd1_clip.py SDClipModel and ClipTokenWeightEncoder,
/// comfy/sdxl_clip.py.
class ClipTextEncoder : public TextEncoder {
 public:
  /// INVALID_ARGUMENT names every missing or misshapen tensor.
  static Result<std::shared_ptr<const ClipTextEncoder>> build(
      std::shared_ptr<const WeightStore> weights, Slot slot, at::Device device);

  int width() const override { return static_cast<int>(config_.width); }
  const std::string& token_key() const override { return token_key_; }
  std::int64_t pad() const override;
  Result<TextEncoding> encode(const std::vector<std::vector<Token>>& chunks,
                              TextLayer layer) const override;
  at::Device device() const override { return placement_.device(); }
  std::uint64_t resident_bytes() const override { return placement_.resident_bytes(); }
  const WeightStore::Tensors& running_weights() const override { return placement_.running(); }

  ClipTextEncoder(const ClipTextConfig& config, const WeightScope& scope, at::Device device);

 private:
  struct States {
    at::Tensor chosen;  ///< [n,tokens,width]
    at::Tensor last;    ///< of the last layer, after the final norm
  };
  Status check(const std::vector<std::vector<Token>>& chunks, TextLayer layer) const;
  at::Tensor embed(const std::vector<const std::vector<Token>*>& rows) const;
  States run(at::Tensor x, TextLayer layer) const;
  at::Tensor project(const at::Tensor& pooled) const;

  const ClipTextConfig config_;
  const std::string token_key_;
  Placement placement_;
  at::Tensor token_table_;
  at::Tensor positions_;
  std::vector<ClipLayer> layers_;
  LayerNorm final_norm_;
  at::Tensor projection_;  ///< [width, width], to be multiplied from the right; CLIP-G's
};

}  // namespace luna::worker
