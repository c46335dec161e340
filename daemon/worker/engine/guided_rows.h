#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/engine/row_batcher.h"
#include "daemon/worker/engine/sample_plan.h"

namespace luna::worker {

/// One evaluation of a trajectory as rows of the batcher, and back: for each row of the state one
/// model row per active conditioning entry of either sign, over the entry's area; their mean by
/// weight; guidance (reference: comfy/samplers.py:_calc_cond_batch, finalize_default_conds,
/// cfg_function, KSamplerX0Inpaint; comfy/model_base.py:_apply_model).
class GuidedRows {
 public:
  /// `x` [rows, C, h, w] f32, the sampler's state.
  GuidedRows(const SamplePlan& plan, const at::Tensor& x, double sigma, bool wants_uncond);

  std::size_t size() const { return parts_.size(); }
  ModelRow model_row(std::size_t index) const;
  /// The state's row that a model row belongs to.
  std::size_t row_of(std::size_t index) const { return parts_[index].row; }

  struct Denoised {
    at::Tensor guided;  ///< as x
    at::Tensor uncond;  ///< when it was wanted
  };
  /// `outputs`: the model's, one a model row.
  Denoised combine(const std::vector<at::Tensor>& outputs) const;

 private:
  struct Part {
    std::size_t row = 0;
    bool negative = false;
    const ActiveEntry* entry = nullptr;
    at::Tensor weight;  ///< [1, 1, h, w] of the entry's region; undefined: its strength everywhere
  };
  void add_parts(std::size_t row, bool negative);
  void add_default_parts(std::size_t row, bool negative, std::size_t first_part);
  bool evaluates_negative(std::size_t row) const;
  at::Tensor row_of_state(const at::Tensor& rows, std::size_t row) const {
    return rows.narrow(0, static_cast<std::int64_t>(row), 1);
  }
  std::vector<at::Tensor> denoised_parts(const std::vector<at::Tensor>& outputs) const;
  at::Tensor mean_of(std::size_t row, bool negative, const std::vector<at::Tensor>& denoised) const;

  const SamplePlan& plan_;
  const double sigma_;
  const bool wants_uncond_;
  at::Tensor x_;       ///< under a mask: with the known part noised in
  at::Tensor scaled_;  ///< as the model takes it
  std::vector<Part> parts_;
};

}  // namespace luna::worker
