#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/types/model.h"
#include "daemon/worker/models/denoising_model.h"

namespace luna::worker {

/// A row's model: with weights of its LoRA set's own, or the pristine ones and what the set adds.
struct RowModel {
  std::shared_ptr<const DenoisingModel> model;
  RowAdapters adapters;
};

/// Of all rows of a call; they differ in their LoRAs alone.
struct RowModels {
  std::vector<RowModel> rows;
  std::vector<AppliedLoras> applied;  ///< one a row; none when no row has LoRAs
  std::vector<std::string> warnings;
};

}  // namespace luna::worker
