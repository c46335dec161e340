#include <algorithm>
#include <array>

#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

class GLora final : public WeightChange {
 public:
  GLora(std::array<at::Tensor, 4> parts, std::optional<double> alpha, at::Tensor magnitude)
      : a1_(parts[0].flatten(1)),
        a2_(parts[1].flatten(1)),
        b1_(parts[2].flatten(1)),
        b2_(parts[3].flatten(1)),
        alpha_(alpha),
        magnitude_(std::move(magnitude)) {}

  Status fits(at::IntArrayRef weight) const override {
    if (weight.size() >= 2) {
      const std::int64_t out = weight[0], channels = weight[1];
      const std::int64_t in = c10::multiply_integers(weight) / std::max<std::int64_t>(out, 1);
      const bool fits = is_old(weight) ? a2_.size(0) == in && a1_.size(1) == in &&
                                             b2_.size(0) == out && b1_.size(1) == in
                                       : a1_.size(0) == channels && a2_.size(1) == channels &&
                                             b1_.size(0) == out && b2_.size(1) == in;
      if (fits && (is_old(weight) || is_present())) return magnitude_fits(magnitude_, weight);
    }
    return misfit(
        weight, "matching GLoRA parts",
        fmt::format("a1 {} x {}, b1 {} x {}", a1_.size(0), a1_.size(1), b1_.size(0), b1_.size(1)));
  }

  at::Tensor apply(at::Tensor weight, double strength) const override {
    const bool old = is_old(weight.sizes());
    const at::Tensor towards = (old ? older_direction(weight) : direction(weight)).view_as(weight);
    const std::int64_t rank = old ? a1_.size(0) : a2_.size(0);
    const double scale = alpha_ ? *alpha_ / static_cast<double>(rank) : 1.0;
    if (magnitude_.defined()) return decomposed(weight, scale * towards, magnitude_, strength);
    return weight.add_(towards, strength * scale);
  }

  std::uint64_t bytes() const override {
    return a1_.nbytes() + a2_.nbytes() + b1_.nbytes() + b2_.nbytes() +
           (magnitude_.defined() ? magnitude_.nbytes() : 0);
  }

 private:
  /// Of a convolution, a1 and a2 mix its input channels.
  at::Tensor direction(const at::Tensor& weight) const {
    const at::Tensor mix = at::mm(f32_beside(a1_, weight), f32_beside(a2_, weight));
    const at::Tensor mixed = at::einsum("oi...,ij->oj...", {weight, mix});
    return mixed.flatten(1) + at::mm(f32_beside(b1_, weight), f32_beside(b2_, weight));
  }
  at::Tensor older_direction(const at::Tensor& weight) const {
    return at::mm(f32_beside(b2_, weight), f32_beside(b1_, weight)) +
           at::mm(at::mm(weight.flatten(1), f32_beside(a2_, weight)), f32_beside(a1_, weight));
  }

  bool is_present() const {
    return b2_.size(0) == b1_.size(1) && b1_.size(1) == a1_.size(1) && a1_.size(1) == a2_.size(0);
  }
  /// Both layouts may fit the parts among themselves; then a square weight decides for the older.
  bool is_old(at::IntArrayRef weight) const {
    const bool old =
        b2_.size(1) == b1_.size(0) && b1_.size(0) == a1_.size(0) && a1_.size(0) == a2_.size(1);
    if (!is_present()) return old;
    return old && weight.size() >= 2 && a2_.size(0) == weight[0] && weight[0] == weight[1];
  }

  const at::Tensor a1_, a2_, b1_, b2_;
  const std::optional<double> alpha_;
  const at::Tensor magnitude_;
};

}  // namespace

Result<WeightChangePtr> make_glora(const AdapterParts& parts) {
  std::array<at::Tensor, 4> tensors;
  const std::array<const char*, 4> names = {"a1", "a2", "b1", "b2"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(tensors[i], parts.need(names[i], 2));
  }
  LUNA_ASSIGN_OR_RETURN(const auto alpha, parts.alpha());
  return WeightChangePtr(
      std::make_shared<GLora>(std::move(tensors), alpha, parts.find("dora_scale")));
}

}  // namespace luna::worker
