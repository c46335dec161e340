#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "daemon/worker/engine/task.h"
#include "daemon/worker/models/vae.h"
#include "daemon/worker/models/vae_tiling.h"

namespace luna::worker {

/// Pictures through a VAE, one picture or one tile an item. A picture that does not fit in memory
/// whole is tiled as ComfyUI's fallback does.
class VaeTask : public Task {
 public:
  VaeTask(TaskServices& services, TaskTicket ticket, std::shared_ptr<const Vae> vae,
          TileOptions tile);

  bool has_item() const override { return picture_ < pictures_ && !finished(); }
  void run_item() override;

 protected:
  virtual bool fits_whole() const = 0;
  /// Picture `index` as the VAE takes it, [1, C, h, w] on its device.
  virtual at::Tensor input_of(std::int64_t index) const = 0;
  virtual at::Tensor evaluate(const at::Tensor& input) const = 0;
  /// At most what evaluate() needs.
  virtual std::uint64_t activation_bytes(const at::Tensor& input) const = 0;
  virtual Result<TilePlan> plan_tiles(at::IntArrayRef shape, const TileOptions& tile) const = 0;
  virtual TileOptions fallback_tile() const = 0;
  virtual std::int64_t out_channels() const = 0;
  virtual Status end_picture(std::int64_t index, const at::Tensor& result) = 0;
  virtual Result<JobReply> make_reply() = 0;
  virtual const char* kind() const = 0;

  TaskServices& services_;
  const TaskTicket ticket_;
  const std::shared_ptr<const Vae> vae_;
  const TileOptions tile_;
  std::int64_t pictures_ = 0;

 private:
  /// The picture that runs; without a plan it goes whole.
  struct Picture {
    at::Tensor input, result;
    std::optional<TilePlan> plan;
    std::unique_ptr<TileBlend> blend;
    std::size_t next_tile = 0;
  };
  Status begin_picture(bool tiled);
  Status run_piece();
  at::Tensor counted_evaluate(const at::Tensor& input);
  bool picture_done() const { return picture_now_->result.defined(); }

  std::int64_t picture_ = 0;
  std::optional<Picture> picture_now_;
};

/// The tasks of the two directions.
std::unique_ptr<Task> make_vae_decode_task(TaskServices& services, TaskTicket ticket,
                                           VaeDecodeRequest request,
                                           std::shared_ptr<const Vae> vae);
std::unique_ptr<Task> make_vae_encode_task(TaskServices& services, TaskTicket ticket,
                                           VaeEncodeRequest request,
                                           std::shared_ptr<const Vae> vae);

/// INVALID_ARGUMENT for sizes that no tile may have; what the tiling itself demands is checked by
/// its plan.
Status check_tile(const TileOptions& tile);

}  // namespace luna::worker
