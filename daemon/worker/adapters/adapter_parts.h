#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <ATen/ATen.h>

#include "daemon/worker/adapters/weight_change.h"

namespace luna::worker {

/// The tensors that an adapter file has for one layer, by what they are ("up", "down", "alpha",
/// "hada_w1_a" ...), and the layer's name in the file.
struct AdapterParts {
  std::string layer;
  std::map<std::string, at::Tensor, std::less<>> tensors;
  std::optional<double>
      scale;  ///< said outside the tensors (PEFT's config): instead of alpha / rank

  bool has(std::string_view part) const { return tensors.contains(part); }
  /// Undefined when there is none.
  at::Tensor find(std::string_view part) const;
  /// INVALID_ARGUMENT naming layer and part when there is none.
  Result<at::Tensor> need(std::string_view part) const;
  /// As need(), with so many dimensions at least, and none of extent 0.
  Result<at::Tensor> need(std::string_view part, std::int64_t dimensions) const;
  /// nullopt when the file gives none; INVALID_ARGUMENT unless it is one finite number.
  Result<std::optional<double>> alpha() const;
  /// `scale` where it is said, else alpha / rank, else 1.
  Result<double> alpha_over(std::int64_t rank) const;
  /// INVALID_ARGUMENT about this layer.
  Status wrong(const std::string& what) const;
};

// What the parts make, one function a kind; INVALID_ARGUMENT for parts that contradict each other.

/// LoRA and LoCon: W + up·down, for convolutions with `mid` in between (Tucker form); with LyCORIS'
/// or PEFT's DoRA magnitude.
Result<WeightChangePtr> make_low_rank(const AdapterParts& parts);
/// LoHa: (w1_a·w1_b) ⊙ (w2_a·w2_b); in Tucker form with t1 and t2.
Result<WeightChangePtr> make_hadamard(const AdapterParts& parts);
/// LoKr: the Kronecker product of w1 and w2, each whole or as a product.
Result<WeightChangePtr> make_kronecker(const AdapterParts& parts);
/// GLoRA: W·a1·a2 + b1·b2, or, in LyCORIS' older files, W·a2·a1 + b2·b1; shapes tell.
Result<WeightChangePtr> make_glora(const AdapterParts& parts);
/// OFT: rows in blocks, each block turned by the Cayley transform of a skew matrix.
Result<WeightChangePtr> make_oft(const AdapterParts& parts);
/// BOFT: as OFT in several rounds, rows shuffled between them as in a butterfly.
Result<WeightChangePtr> make_boft(const AdapterParts& parts);

/// W + strength * difference.
WeightChangePtr make_difference(at::Tensor difference);
/// The weight itself, whatever the strength.
WeightChangePtr make_replacement(at::Tensor value);

}  // namespace luna::worker
