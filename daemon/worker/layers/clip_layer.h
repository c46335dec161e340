#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/norms.h"

namespace luna::worker {

struct ClipLayerShape {
  std::int64_t width = 0;
  std::int64_t heads = 1;
  std::int64_t hidden = 0;  ///< of the feed-forward part
  bool quick_gelu = true;   ///< CLIP-L's activation; else the exact GELU of CLIP-G
};

/// One layer of CLIP's text model (pre-norm): causal self-attention and a feed-forward part. Names
/// as in transformers: layer_norm1, self_attn.{q,k,v,out}_proj, layer_norm2, mlp.fc1, mlp.fc2.
/// Where there is a self_attn.in_proj (open_clip), it holds query, key and value one below the
/// other.
class ClipLayer {
 public:
  ClipLayer(const WeightScope& scope, const ClipLayerShape& shape, Placement& placement);
  /// x [n,tokens,width]; token i sees tokens 0..i only, padding included.
  at::Tensor forward(at::Tensor x) const;

 private:
  std::vector<at::Tensor> query_key_value(const at::Tensor& x) const;

  std::int64_t heads_;
  bool quick_gelu_;
  LayerNorm norm1_;
  std::vector<Linear> inputs_;  ///< query, key and value; or the three in one
  Linear out_;
  LayerNorm norm2_;
  Linear widen_;
  Linear narrow_;
};

}  // namespace luna::worker
