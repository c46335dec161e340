#include "daemon/worker/sampling/noise.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "daemon/worker/sampling/brownian_tree.h"
#include "daemon/worker/sampling/seeded_generator.h"

namespace luna::worker {
namespace {

constexpr std::uint32_t kMaxBatch = 4096;

/// The rows of one ComfyUI latent batch: equal seed and size, so one draw serves them all.
struct Draw {
  std::uint64_t seed;
  std::vector<std::int64_t> shape;  // [batch_size, C, h, w]
};

/// Which slice of which draw every row takes.
class DrawPlan {
 public:
  DrawPlan(const std::vector<NoiseRow>& rows, at::IntArrayRef chw) {
    for (const NoiseRow& row : rows) {
      std::vector<std::int64_t> shape = {row.batch_size};
      shape.insert(shape.end(), chw.begin(), chw.end());
      const auto found = std::find_if(draws_.begin(), draws_.end(), [&](const Draw& draw) {
        return draw.seed == row.seed && draw.shape == shape;
      });
      slices_.emplace_back(found - draws_.begin(), row.batch_index);
      if (found == draws_.end()) draws_.push_back({row.seed, std::move(shape)});
    }
  }

  const std::vector<Draw>& draws() const { return draws_; }

  /// Calls `sample(i)` once for every draw and stacks the rows' slices: [rows, C, h, w].
  at::Tensor rows(const std::function<at::Tensor(std::size_t draw)>& sample) const {
    std::vector<at::Tensor> samples;
    for (std::size_t i = 0; i < draws_.size(); ++i) samples.push_back(sample(i));
    if (is_whole_draw()) return samples.front();
    std::vector<at::Tensor> rows;
    for (const auto& [draw, index] : slices_)
      rows.push_back(samples[static_cast<std::size_t>(draw)][index]);
    return at::stack(rows);
  }

 private:
  bool is_whole_draw() const {
    if (draws_.size() != 1 ||
        draws_.front().shape[0] != static_cast<std::int64_t>(slices_.size())) {
      return false;
    }
    for (std::size_t i = 0; i < slices_.size(); ++i) {
      if (slices_[i].second != static_cast<std::int64_t>(i)) return false;
    }
    return true;
  }

  std::vector<Draw> draws_;
  std::vector<std::pair<std::ptrdiff_t, std::int64_t>> slices_;  // draw, index in it
};

class RunNoise final : public StepNoise {
 public:
  RunNoise(const std::vector<NoiseRow>& rows, at::IntArrayRef chw, at::Device device,
           const std::vector<float>& sigmas)
      : plan_(rows, chw), device_(device) {
    for (const float sigma : sigmas) {
      if (sigma > 0) sigma_min_ = std::min(sigma_min_.value_or(sigma), sigma);
      sigma_max_ = std::max(sigma_max_, sigma);
    }
  }

  at::Tensor next() override {
    if (step_streams_.empty()) {
      for (const Draw& draw : plan_.draws()) {
        step_streams_.push_back(
            seeded_generator(device_, device_.is_cpu() ? draw.seed + 1 : draw.seed));
      }
    }
    return draw_all(step_streams_);
  }

  at::Tensor churn() override {
    if (churn_streams_.empty()) {
      for (const Draw& draw : plan_.draws()) {
        churn_streams_.push_back(seeded_generator(device_, draw.seed));
        if (device_.is_cpu())
          at::randn(draw.shape, churn_streams_.back(), at::TensorOptions(at::kFloat));
      }
    }
    return draw_all(churn_streams_);
  }

  at::Tensor between(double sigma, double sigma_next) override {
    return increment(trees_, at::kCPU, sigma, sigma_next);
  }

  at::Tensor between_on_device(double sigma, double sigma_next) override {
    return increment(device_trees_, device_, sigma, sigma_next);
  }

 private:
  at::Tensor increment(std::vector<BrownianTree>& trees, at::Device device, double sigma,
                       double sigma_next) const {
    if (trees.empty()) {
      for (const Draw& draw : plan_.draws()) {
        trees.emplace_back(draw.seed, sigma_min_.value_or(0), sigma_max_, draw.shape, device);
      }
    }
    const auto from = static_cast<float>(sigma);
    const auto to = static_cast<float>(sigma_next);
    const float sign = from < to ? 1.0F : -1.0F;
    const float root = std::sqrt(std::abs(to - from));
    const at::Tensor increments = plan_.rows(
        [&](std::size_t i) { return trees[i].increment(std::min(from, to), std::max(from, to)); });
    return (increments * sign / root).to(device_);
  }

  at::Tensor draw_all(std::vector<at::Generator>& streams) const {
    const auto options = at::TensorOptions(at::kFloat).device(device_);
    return plan_.rows(
        [&](std::size_t i) { return at::randn(plan_.draws()[i].shape, streams[i], options); });
  }

  DrawPlan plan_;
  at::Device device_;
  std::optional<float> sigma_min_;
  float sigma_max_ = 0;
  std::vector<at::Generator> step_streams_;
  std::vector<at::Generator> churn_streams_;
  std::vector<BrownianTree> trees_;
  std::vector<BrownianTree> device_trees_;
};

}  // namespace

Status check_noise_rows(const std::vector<NoiseRow>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const NoiseRow& row = rows[i];
    if (row.batch_size < 1 || row.batch_size > kMaxBatch) {
      return error(StatusCode::kInvalidArgument, "row {}: noise batch_size is {}, expected 1 to {}",
                   i, row.batch_size, kMaxBatch);
    }
    if (row.batch_index >= row.batch_size) {
      return error(StatusCode::kInvalidArgument,
                   "row {}: noise batch_index is {}, expected below the batch_size of {}", i,
                   row.batch_index, row.batch_size);
    }
  }
  return {};
}

at::Tensor initial_noise(const std::vector<NoiseRow>& rows, at::IntArrayRef chw) {
  const DrawPlan plan(rows, chw);
  return plan.rows([&](std::size_t i) {
    const Draw& draw = plan.draws()[i];
    return at::randn(draw.shape, seeded_generator(at::kCPU, draw.seed),
                     at::TensorOptions(at::kFloat));
  });
}

std::unique_ptr<StepNoise> make_step_noise(std::vector<NoiseRow> rows, at::IntArrayRef chw,
                                           at::Device device, const std::vector<float>& sigmas) {
  return std::make_unique<RunNoise>(rows, chw, device, sigmas);
}

}  // namespace luna::worker
