#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

class LowRank final : public AdditiveChange {
 public:
  LowRank(at::Tensor up, at::Tensor down, at::Tensor mid, double scale, at::Tensor magnitude,
          MagnitudeNorm norm)
      : AdditiveChange(scale, std::move(magnitude), norm),
        up_(std::move(up)),
        down_(std::move(down)),
        mid_(std::move(mid)) {}

  std::uint64_t bytes() const override {
    return up_.nbytes() + down_.nbytes() + (mid_.defined() ? mid_.nbytes() : 0) + magnitude_bytes();
  }
  std::optional<LowRankProduct> product(at::IntArrayRef weight) const override {
    if (has_magnitude()) return std::nullopt;
    const at::Tensor up = up_.flatten(1);
    std::vector<std::int64_t> extents = weight.vec();
    extents[0] = up.size(1);
    const at::Tensor down = mid_.defined() ? right_factor(at::empty(0)) : down_;
    return LowRankProduct{up, down.reshape(extents), scale()};
  }

 protected:
  Status direction_fits(at::IntArrayRef weight) const override {
    const std::int64_t out = up_.size(0);
    std::int64_t in = down_.numel() / down_.size(0);
    if (mid_.defined()) in *= mid_.size(2) * mid_.size(3);
    if (!weight.empty() && out == weight[0] && out * in == c10::multiply_integers(weight))
      return {};
    return misfit(weight, fmt::format("{} rows", weight.empty() ? 0 : weight[0]),
                  fmt::format("{} x {}", out, in));
  }
  at::Tensor direction(const at::Tensor& weight) const override {
    return at::mm(f32_beside(up_, weight).flatten(1), right_factor(weight).flatten(1));
  }

 private:
  /// [rank, in * kernel]: what the input passes first, down and then mid.
  at::Tensor right_factor(const at::Tensor& weight) const {
    const at::Tensor down = f32_beside(down_, weight);
    if (!mid_.defined()) return down;
    return at::einsum("oikl,iq->oqkl", {f32_beside(mid_, weight), down.flatten(1)});
  }

  const at::Tensor up_, down_, mid_;
};

}  // namespace

Result<WeightChangePtr> make_low_rank(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor up, parts.need("up", 2));
  LUNA_ASSIGN_OR_RETURN(at::Tensor down, parts.need("down", 2));
  at::Tensor mid = parts.find("mid");
  const std::int64_t rank = down.size(0);
  const bool mid_fits = !mid.defined() || (mid.dim() == 4 && mid.size(1) == rank);
  const std::int64_t between = mid.defined() && mid_fits ? mid.size(0) : rank;
  if (!mid_fits || up.numel() / up.size(0) != between) {
    return parts.wrong(
        fmt::format("a rank of {} for 'down' and of {} for 'up' do not belong together", rank,
                    up.numel() / up.size(0)));
  }
  LUNA_ASSIGN_OR_RETURN(const double scale, parts.alpha_over(rank));
  at::Tensor magnitude = parts.find("dora_scale");
  MagnitudeNorm norm = MagnitudeNorm::kComfyUi;
  if (parts.has("magnitude_vector")) {
    magnitude = parts.find("magnitude_vector").flatten();
    norm = MagnitudeNorm::kPeft;
  }
  return WeightChangePtr(std::make_shared<LowRank>(std::move(up), std::move(down), std::move(mid),
                                                   scale, std::move(magnitude), norm));
}

}  // namespace luna::worker
