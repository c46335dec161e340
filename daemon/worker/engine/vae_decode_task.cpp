#include <utility>

#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/engine/result_ref.h"
#include "daemon/worker/engine/vae_task.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;  // of one reply

class VaeDecodeTask final : public VaeTask {
 public:
  VaeDecodeTask(TaskServices& services, TaskTicket ticket, VaeDecodeRequest request,
                std::shared_ptr<const Vae> vae)
      : VaeTask(services, std::move(ticket), std::move(vae), request.tile),
        request_(std::move(request)) {}

  Status start() override {
    LUNA_RETURN_IF_ERROR(check_tile(tile_));
    const auto& shape = request_.latent.spec.shape;
    const int channels = vae_->latent_channels();
    const std::int64_t cell = vae_->factor() * vae_->factor();
    const bool fits = shape.size() == 4 && shape[0] >= 1 && shape[0] <= 256 &&
                      shape[1] == channels && shape[2] >= 1 && shape[3] >= 1 &&
                      shape[2] <= kMaxLatentExtent && shape[3] <= kMaxLatentExtent &&
                      shape[0] * shape[2] * shape[3] * cell <= kMaxPixels;
    if (!fits) {
      return error(StatusCode::kInvalidArgument,
                   "latent: expected [1..256, {}, h, w] with h and w in 1..{} and at most {} "
                   "pixels in all, found {}",
                   channels, kMaxLatentExtent, kMaxPixels, request_.latent.spec.to_string());
    }
    LUNA_ASSIGN_OR_RETURN(latent_, finite_floats_in_place(request_.latent, "latent"));
    pictures_ = latent_.size(0);
    if (tile_.size > 0) LUNA_RETURN_IF_ERROR(plan_tiles(latent_.sizes(), tile_).status());
    return torch_call("making room for pixels", [&] {
      pixels_ = at::empty({pictures_, shape[2] * vae_->factor(), shape[3] * vae_->factor(), 3},
                          at::TensorOptions()
                              .dtype(request_.as_u8 ? at::kByte : at::kFloat)
                              .device(result_device(services_, ticket_)));
    });
  }

 private:
  bool fits_whole() const override {
    return vae_->decode_activation_bytes(static_cast<int>(pixels_.size(1)),
                                         static_cast<int>(pixels_.size(2))) <=
           services_.free_bytes();
  }
  at::Tensor input_of(std::int64_t index) const override {
    return latent_.narrow(0, index, 1).to(vae_->device());
  }
  at::Tensor evaluate(const at::Tensor& input) const override { return vae_->decode(input); }
  std::uint64_t activation_bytes(const at::Tensor& input) const override {
    return vae_->decode_activation_bytes(static_cast<int>(input.size(2)) * vae_->factor(),
                                         static_cast<int>(input.size(3)) * vae_->factor());
  }
  Result<TilePlan> plan_tiles(at::IntArrayRef shape, const TileOptions& tile) const override {
    return TilePlan::for_decode(shape, tile, vae_->factor());
  }
  TileOptions fallback_tile() const override { return {512, 128}; }
  std::int64_t out_channels() const override { return 3; }
  Status end_picture(std::int64_t index, const at::Tensor& result) override {
    if (!result.isfinite().all().item<bool>()) {
      return error(StatusCode::kInvalidArgument,
                   "picture {}: the decoded pixels have NaN or infinite values", index);
    }
    const at::Tensor shown = result[0].permute({1, 2, 0}).add(1).div(2).clamp(0, 1);
    pixels_[index].copy_(request_.as_u8 ? shown.mul(255).to(at::kByte) : shown);
    return {};
  }
  Result<JobReply> make_reply() override {
    LUNA_ASSIGN_OR_RETURN(TensorRef pixels, result_ref(pixels_, services_, ticket_));
    return JobReply(VaeDecodeReply{std::move(pixels)});
  }
  const char* kind() const override { return "vae_decode"; }

  const VaeDecodeRequest request_;
  at::Tensor latent_;  ///< on the host, or where it came
  at::Tensor pixels_;  ///< the reply, filled picture by picture
};

}  // namespace

std::unique_ptr<Task> make_vae_decode_task(TaskServices& services, TaskTicket ticket,
                                           VaeDecodeRequest request,
                                           std::shared_ptr<const Vae> vae) {
  return std::make_unique<VaeDecodeTask>(services, std::move(ticket), std::move(request),
                                         std::move(vae));
}

}  // namespace luna::worker
