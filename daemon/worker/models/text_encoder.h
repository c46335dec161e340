#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

struct TextEncoding {
  at::Tensor hidden;  ///< [1, chunks * 77, width] f32, weights applied
  at::Tensor pooled;  ///< [1, width] f32; of the first chunk, unweighted
};

/// Which states of a text model are the encoding.
struct TextLayer {
  int from_the_end = 1;  ///< 1: the last layer's; 2: those of the one before ...
  bool normed = true;    ///< after the final norm
};

/// One text encoder (CLIP-L, ...). All maths in f32 over weights rounded to their storage type, as
/// ComfyUI.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual int width() const = 0;
  /// Key of this encoder in TokenChunks: "l", "g", "t5xxl".
  virtual const std::string& token_key() const = 0;
  /// The token that its chunks are filled up with.
  virtual std::int64_t pad() const = 0;

  /// chunks: as the tokenizer made them, each of max_length tokens; empty means one empty prompt.
  /// INVALID_ARGUMENT for ids beyond the table, embeddings of a wrong width, chunks of unequal
  /// length, a layer that does not exist.
  virtual Result<TextEncoding> encode(const std::vector<std::vector<Token>>& chunks,
                                      TextLayer layer) const = 0;

  virtual at::Device device() const = 0;
  virtual std::uint64_t resident_bytes() const = 0;
  /// What runs, by the names of its component's tensors; may lack some, or all.
  virtual const WeightStore::Tensors& running_weights() const {
    static const WeightStore::Tensors kNone;
    return kNone;
  }
};

}  // namespace luna::worker
