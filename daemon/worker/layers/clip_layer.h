#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/norms.h"

namespace luna::worker {

struct ClipLayerShape {
  std::int64_t width = 0;
  std::int64_t heads = 1;
  std::int64_t hidden = 0;  ///< of the feed-forward part
};

/// One layer of CLIP's text model (pre-norm): causal self-attention and a quick-GELU feed-forward
/// part. Names as in transformers: layer_norm1, self_attn.{q,k,v,out}_proj, layer_norm2, mlp.fc1,
/// mlp.fc2.
class ClipLayer {
 public:
  ClipLayer(const WeightScope& scope, const ClipLayerShape& shape, Placement& placement);
  /// x [n,tokens,width]; token i sees tokens 0..i only, padding included.
  at::Tensor forward(at::Tensor x) const;

 private:
  std::int64_t heads_;
  LayerNorm norm1_;
  Linear query_;
  Linear key_;
  Linear value_;
  Linear out_;
  LayerNorm norm2_;
  Linear widen_;
  Linear narrow_;
};

}  // namespace luna::worker
