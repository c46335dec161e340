#include "daemon/worker/engine/vae_task.h"

#include <utility>

#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {

VaeTask::VaeTask(TaskServices& services, TaskTicket ticket, std::shared_ptr<const Vae> vae,
                 TileOptions tile)
    : services_(services), ticket_(std::move(ticket)), vae_(std::move(vae)), tile_(tile) {}

Status VaeTask::begin_picture(bool tiled) {
  Picture picture;
  picture.input = input_of(picture_);
  if (tiled) {
    const TileOptions tile = tile_.size > 0 ? tile_ : fallback_tile();
    LUNA_ASSIGN_OR_RETURN(picture.plan, plan_tiles(picture.input.sizes(), tile));
    picture.blend = std::make_unique<TileBlend>(*picture.plan, out_channels(), services_.device);
  }
  picture_now_ = std::move(picture);
  return {};
}

Status VaeTask::run_piece() {
  if (!picture_now_) LUNA_RETURN_IF_ERROR(begin_picture(tile_.size > 0 || !fits_whole()));
  Picture& picture = *picture_now_;
  services_.pacer.run(
      [&] {
        if (!picture.plan) {
          picture.result = counted_evaluate(picture.input);
          return;
        }
        picture.blend->add(counted_evaluate(
            TilePlan::cut(picture.input, picture.plan->tiles()[picture.next_tile])));
        if (++picture.next_tile == picture.plan->tiles().size())
          picture.result = picture.blend->finish();
      },
      [this_kind = kind(), &counters = services_.counters, &share = services_.fair_share,
       workflow = ticket_.workflow](double seconds) {
        counters.forward(this_kind, 1, seconds);
        share.charge(workflow, seconds);
      });
  return {};
}

at::Tensor VaeTask::counted_evaluate(const at::Tensor& input) {
  services_.counters.activations(activation_bytes(input));
  return evaluate(input);
}

void VaeTask::run_item() {
  Status status = torch_call(kind(), [&] { return run_piece(); });
  if (status.code() == StatusCode::kResourceExhausted && picture_now_ && !picture_now_->plan) {
    status = torch_call(kind(), [&] { return begin_picture(true); });
  } else if (status.ok() && picture_done()) {
    status = torch_call(kind(), [&] { return end_picture(picture_, picture_now_->result); });
    picture_now_.reset();
    ++picture_;
  }
  if (!status.ok()) {
    finish(status);
  } else if (picture_ == pictures_) {
    finish(torch_call(kind(), [&] { return make_reply(); }));
  }
}

Status check_tile(const TileOptions& tile) {
  if (tile.size == 0) return {};
  if (tile.size < 64 || tile.size > 8192 || tile.overlap < 0 || tile.overlap > tile.size) {
    return error(
        StatusCode::kInvalidArgument,
        "tile: expected a size of 0 or in 64..8192 and an overlap in 0..size, found {} and {}",
        tile.size, tile.overlap);
  }
  return {};
}

}  // namespace luna::worker
