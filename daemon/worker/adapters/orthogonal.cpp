#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

/// (I + Q)(I - Q)^-1 for every skew Q = B - Bᵀ in `blocks` [..., n, n]. A positive `limit` bounds
/// the norm of all Q together.
at::Tensor rotations(const at::Tensor& blocks, double limit) {
  at::Tensor skew = blocks - blocks.transpose(-1, -2);
  if (limit > 0) {
    const double norm = skew.norm().item<double>() + 1e-8;
    if (norm > limit) skew = skew * (limit / norm);
  }
  const at::Tensor identity = at::eye(blocks.size(-1), blocks.options());
  return at::matmul(identity + skew, at::linalg_inv(identity - skew));
}

/// ComfyUI weighs the rotation by the strength and then the difference again; a strength between 0
/// and 1 therefore does less than LyCORIS would (weight_adapter/oft.py, boft.py).
class Oft final : public WeightChange {
 public:
  Oft(at::Tensor blocks, double limit) : blocks_(std::move(blocks)), limit_(limit) {}

  Status fits(at::IntArrayRef weight) const override {
    const std::int64_t rows = blocks_.size(0) * blocks_.size(1);
    if (!weight.empty() && weight[0] == rows) return {};
    return misfit(weight, "blocks for its rows",
                  fmt::format("{} blocks of {}", blocks_.size(0), blocks_.size(1)));
  }
  at::Tensor apply(at::Tensor weight, double strength) const override {
    const at::Tensor turns = rotations(f32_beside(blocks_, weight), limit_);
    const at::Tensor identity = at::eye(turns.size(-1), turns.options());
    const at::Tensor blocks = weight.reshape({turns.size(0), turns.size(1), -1});
    const at::Tensor difference =
        at::matmul((strength * (turns - identity)).transpose(1, 2), blocks);
    return weight.add_(difference.view_as(weight), strength);
  }
  std::uint64_t bytes() const override { return blocks_.nbytes(); }

 private:
  const at::Tensor blocks_;
  const double limit_;
};

class Boft final : public WeightChange {
 public:
  Boft(at::Tensor blocks, at::Tensor rescale, double limit)
      : blocks_(std::move(blocks)), rescale_(std::move(rescale)), limit_(limit) {}

  Status fits(at::IntArrayRef weight) const override {
    const std::int64_t rows = blocks_.size(1) * blocks_.size(2);
    const std::int64_t widest = (std::int64_t{1} << (blocks_.size(0) - 1)) * blocks_.size(2);
    if (!weight.empty() && weight[0] == rows && rows % widest == 0) return {};
    return misfit(weight, "blocks for its rows",
                  fmt::format("{} rounds of {} blocks of {}", blocks_.size(0), blocks_.size(1),
                              blocks_.size(2)));
  }
  at::Tensor apply(at::Tensor weight, double strength) const override {
    const at::Tensor turns = rotations(f32_beside(blocks_, weight), limit_);
    const std::int64_t size = blocks_.size(2), half = size / 2;
    const at::Tensor identity = at::eye(size, turns.options());
    const at::Tensor rows = weight.reshape({weight.size(0), -1});
    const std::int64_t columns = rows.size(1);
    at::Tensor turned = rows;
    for (std::int64_t round = 0; round < blocks_.size(0); ++round) {
      const std::int64_t apart = (std::int64_t{1} << round) * half;
      const at::Tensor turn = strength * turns[round] + (1 - strength) * identity;
      // Rows that lie `apart` come together, are turned in blocks, and go back.
      at::Tensor blocks =
          turned.view({-1, 2, apart, columns}).transpose(1, 2).reshape({-1, size, columns});
      blocks = at::matmul(turn, blocks);
      turned = blocks.view({-1, apart, 2, columns}).transpose(1, 2).reshape({-1, columns});
    }
    if (rescale_.defined()) {
      turned = turned * f32_beside(rescale_, weight).reshape({-1, 1});
    }
    return weight.add_((turned - rows).view_as(weight), strength);
  }
  std::uint64_t bytes() const override {
    return blocks_.nbytes() + (rescale_.defined() ? rescale_.nbytes() : 0);
  }

 private:
  const at::Tensor blocks_, rescale_;
  const double limit_;
};

Result<at::Tensor> blocks_of(const AdapterParts& parts, std::int64_t dimensions) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor blocks, parts.need("oft_blocks", dimensions));
  if (blocks.dim() != dimensions || blocks.size(-1) != blocks.size(-2)) {
    return parts.wrong("'oft_blocks' are not square");
  }
  if (parts.has("dora_scale")) {
    return error(StatusCode::kUnimplemented,
                 "layer '{}': a DoRA magnitude beside 'oft_blocks' is not served", parts.layer);
  }
  return blocks;
}

}  // namespace

Result<WeightChangePtr> make_oft(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor blocks, blocks_of(parts, 3));
  LUNA_ASSIGN_OR_RETURN(const auto limit, parts.alpha());
  return WeightChangePtr(std::make_shared<Oft>(std::move(blocks), limit.value_or(0)));
}

Result<WeightChangePtr> make_boft(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor blocks, blocks_of(parts, 4));
  LUNA_ASSIGN_OR_RETURN(const auto limit, parts.alpha());
  at::Tensor rescale = parts.find("rescale");
  const std::int64_t rows = blocks.size(1) * blocks.size(2);
  if (blocks.size(2) % 2 != 0 || blocks.size(0) > 30 ||
      (rescale.defined() && rescale.numel() != rows && rescale.numel() != 1)) {
    return parts.wrong("'oft_blocks' of odd size, too many rounds, or a 'rescale' for other rows");
  }
  return WeightChangePtr(
      std::make_shared<Boft>(std::move(blocks), std::move(rescale), limit.value_or(0)));
}

}  // namespace luna::worker
