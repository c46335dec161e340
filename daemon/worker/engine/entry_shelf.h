#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/types/sampling.h"
#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/models/denoising_model.h"

namespace luna::worker {

/// Conditioning that was made ready for a model (checked, converted, on the device), for clients
/// that name it again at every step. Kept are entries all of whose tensors are lasting
/// (LastingBytes), as long as these live, the model too, and there is room: 64 entries, 512 MiB;
/// then the one that was not used for the longest time goes. Thread-safe.
class EntryShelf {
 public:
  using Make = std::function<Result<ActiveEntry>()>;

  /// What make() gives for the row's conditioning and extras at this place, now or earlier.
  Result<ActiveEntry> get(const DenoiseRow& row, const std::shared_ptr<const DenoisingModel>& model,
                          const EntryPlace& place, const Make& make);
  /// Lets go of what belongs to bytes or models that are gone; the bytes that are left.
  std::uint64_t sweep();
  std::uint64_t made() const;  ///< since the start, kept or not

 private:
  struct Piece {
    std::string name;
    TensorSpec spec;
    const Bytes* address = nullptr;  ///< null: all zeros
    std::weak_ptr<const Bytes> bytes;
  };
  struct Kept {
    std::vector<Piece> pieces;
    std::map<std::string, double> numbers;
    std::weak_ptr<const DenoisingModel> model;
    std::int64_t height = 0, width = 0;
    ActiveEntry entry;
    std::uint64_t size = 0;
    std::uint64_t used = 0;
    bool gone() const;
  };
  /// False when one of them is not lasting.
  static bool pieces_of(const DenoiseRow& row, std::vector<Piece>& pieces);
  void keep(Kept kept);

  mutable std::mutex mutex_;
  std::vector<Kept> kept_;
  std::uint64_t turn_ = 0;
  std::uint64_t made_ = 0;
};

}  // namespace luna::worker
