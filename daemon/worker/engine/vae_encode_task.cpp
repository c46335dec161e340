#include <utility>

#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/engine/result_ref.h"
#include "daemon/worker/engine/vae_task.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kMaxExtent = 8192;
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;

class VaeEncodeTask final : public VaeTask {
 public:
  VaeEncodeTask(TaskServices& services, TaskTicket ticket, VaeEncodeRequest request,
                std::shared_ptr<const Vae> vae)
      : VaeTask(services, std::move(ticket), std::move(vae), request.tile),
        request_(std::move(request)) {}

  Status start() override {
    const std::int64_t factor = vae_->factor();
    LUNA_RETURN_IF_ERROR(check_tile(tile_));
    const auto& shape = request_.pixels.spec.shape;
    const bool fits = shape.size() == 4 && shape[0] >= 1 && shape[0] <= 256 && shape[1] >= factor &&
                      shape[2] >= factor && shape[1] <= kMaxExtent && shape[2] <= kMaxExtent &&
                      shape[3] >= 3 && shape[3] <= 16 &&
                      shape[0] * shape[1] * shape[2] <= kMaxPixels;
    if (!fits) {
      return error(StatusCode::kInvalidArgument,
                   "pixels: expected [1..256, H, W, 3 or more] with H and W in {}..{} and at most "
                   "{} pixels in all, "
                   "found {}",
                   factor, kMaxExtent, kMaxPixels, request_.pixels.spec.to_string());
    }
    LUNA_ASSIGN_OR_RETURN(const at::Tensor values,
                          finite_floats_in_place(request_.pixels, "pixels"));
    pictures_ = shape[0];
    // As ComfyUI: what is over a multiple of the factor is cut off, half of it at each side.
    const std::int64_t height = shape[1] / factor * factor, width = shape[2] / factor * factor;
    if (tile_.size > 0)
      LUNA_RETURN_IF_ERROR(plan_tiles({pictures_, 3, height, width}, tile_).status());
    return torch_call("preparing pixels", [&] {
      pixels_ = values.narrow(1, shape[1] % factor / 2, height)
                    .narrow(2, shape[2] % factor / 2, width)
                    .narrow(3, 0, 3);
      latents_.reserve(static_cast<std::size_t>(pictures_));
    });
  }

 private:
  bool fits_whole() const override {
    return vae_->encode_activation_bytes(static_cast<int>(pixels_.size(1)),
                                         static_cast<int>(pixels_.size(2))) <=
           services_.free_bytes();
  }
  at::Tensor input_of(std::int64_t index) const override {
    at::Tensor input = pixels_.narrow(0, index, 1).permute({0, 3, 1, 2}).to(vae_->device());
    if (request_.pixels.spec.dtype == DType::kU8) input = input / 255;
    return (input * 2 - 1).contiguous();
  }
  at::Tensor evaluate(const at::Tensor& input) const override { return vae_->encode(input); }
  std::uint64_t activation_bytes(const at::Tensor& input) const override {
    return vae_->encode_activation_bytes(static_cast<int>(input.size(2)),
                                         static_cast<int>(input.size(3)));
  }
  Result<TilePlan> plan_tiles(at::IntArrayRef shape, const TileOptions& tile) const override {
    return TilePlan::for_encode(shape, tile, vae_->factor());
  }
  TileOptions fallback_tile() const override { return {512, 64}; }
  std::int64_t out_channels() const override { return vae_->latent_channels(); }
  Status end_picture(std::int64_t index, const at::Tensor& result) override {
    if (!result.isfinite().all().item<bool>()) {
      return error(StatusCode::kInvalidArgument,
                   "picture {}: the encoded latent has NaN or infinite values", index);
    }
    latents_.push_back(result.to(at::kFloat).to(result_device(services_, ticket_)));
    return {};
  }
  Result<JobReply> make_reply() override {
    LUNA_ASSIGN_OR_RETURN(TensorRef latent, result_ref(at::cat(latents_), services_, ticket_));
    return JobReply(VaeEncodeReply{std::move(latent)});
  }
  const char* kind() const override { return "vae_encode"; }

  const VaeEncodeRequest request_;
  at::Tensor pixels_;  ///< [B, H, W, 3] f32 on the host or where they came, cropped
  std::vector<at::Tensor> latents_;
};

}  // namespace

std::unique_ptr<Task> make_vae_encode_task(TaskServices& services, TaskTicket ticket,
                                           VaeEncodeRequest request,
                                           std::shared_ptr<const Vae> vae) {
  return std::make_unique<VaeEncodeTask>(services, std::move(ticket), std::move(request),
                                         std::move(vae));
}

}  // namespace luna::worker
