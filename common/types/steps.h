#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/base/strong_id.h"
#include "common/types/model.h"

namespace luna {

using StepsId = StrongId<struct StepsTag>;

/// What a worker must know to serve one client's step socket.
struct StepsOpening {
  StepsId id;
  std::string workflow;                           ///< for fairness and counters
  ModelSet models;                                ///< absolute paths, resolved by the front
  std::map<std::string, std::string> lora_files;  ///< as the client names them -> absolute path
  std::uint32_t rows_per_call = 64;
};

}  // namespace luna
