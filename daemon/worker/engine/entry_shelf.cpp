#include "daemon/worker/engine/entry_shelf.h"

#include <algorithm>
#include <utility>

#include "common/base/lasting_bytes.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMostEntries = 64;
constexpr std::uint64_t kMostBytes = std::uint64_t{512} << 20;

/// Tensors of its own: on the CPU one may be a view of the request's bytes, which would then live
/// as long as the shelf.
std::uint64_t own(ActiveEntry& entry) {
  std::uint64_t bytes = 0;
  const auto copy = [&](at::Tensor& tensor) {
    if (tensor.device().is_cpu()) tensor = tensor.clone();
    bytes += tensor.nbytes();
  };
  copy(entry.context);
  for (auto& [name, tensor] : entry.extras) copy(tensor);
  return bytes;
}

}  // namespace

bool EntryShelf::Kept::gone() const {
  return model.expired() || std::ranges::any_of(pieces, [](const Piece& piece) {
           return piece.address && piece.bytes.expired();
         });
}

bool EntryShelf::pieces_of(const DenoiseRow& row, std::vector<Piece>& pieces) {
  const auto add = [&](const std::string& name, const TensorRef& tensor) {
    const BytesPtr bytes = tensor.host_bytes();
    pieces.push_back({name, tensor.spec, bytes.get(), bytes});
    const bool zeros = std::holds_alternative<std::monostate>(tensor.place);
    return zeros || (bytes && is_lasting(*bytes));
  };
  const ConditioningEntry& entry = row.conditioning;
  bool lasting = add("cross_attn", entry.cross_attn);
  if (entry.pooled) lasting &= add("pooled", *entry.pooled);
  for (const auto& [name, tensor] : entry.extras) lasting &= add("entry." + name, tensor);
  for (const auto& [name, tensor] : row.extras) lasting &= add("row." + name, tensor);
  // None of these is among the pieces by which an entry is found again.
  const bool more = entry.attention_mask || entry.area || entry.mask || entry.set_area_to_bounds ||
                    entry.is_default;
  return lasting && !more;
}

Result<ActiveEntry> EntryShelf::get(const DenoiseRow& row,
                                    const std::shared_ptr<const DenoisingModel>& model,
                                    const EntryPlace& place, const Make& make) {
  std::vector<Piece> pieces;
  const bool lasting = pieces_of(row, pieces);
  const auto same = [&](const Piece& a, const Piece& b) {
    return a.address == b.address && a.name == b.name && a.spec == b.spec;
  };
  {
    std::lock_guard lock(mutex_);
    const auto known = !lasting ? kept_.end() : std::ranges::find_if(kept_, [&](const Kept& kept) {
      return !kept.gone() && kept.model.lock() == model && kept.height == place.height &&
             kept.width == place.width && kept.numbers == row.conditioning.numbers &&
             std::ranges::equal(kept.pieces, pieces, same);
    });
    if (known != kept_.end()) {
      known->used = ++turn_;
      return known->entry;
    }
    ++made_;
  }
  LUNA_ASSIGN_OR_RETURN(ActiveEntry entry, make());
  if (!lasting) return entry;
  Kept kept{
      std::move(pieces), row.conditioning.numbers, model, place.height, place.width, entry, 0, 0};
  LUNA_ASSIGN_OR_RETURN(kept.size,
                        torch_call("keeping a conditioning", [&] { return own(kept.entry); }));
  entry = kept.entry;
  keep(std::move(kept));
  return entry;
}

void EntryShelf::keep(Kept kept) {
  std::lock_guard lock(mutex_);
  std::erase_if(kept_, [](const Kept& one) { return one.gone(); });
  if (kept.size > kMostBytes) return;
  std::uint64_t bytes = kept.size;
  for (const Kept& one : kept_) bytes += one.size;
  while (!kept_.empty() && (kept_.size() >= kMostEntries || bytes > kMostBytes)) {
    const auto oldest = std::ranges::min_element(kept_, {}, &Kept::used);
    bytes -= oldest->size;
    kept_.erase(oldest);
  }
  kept.used = ++turn_;
  kept_.push_back(std::move(kept));
}

std::uint64_t EntryShelf::sweep() {
  std::lock_guard lock(mutex_);
  std::erase_if(kept_, [](const Kept& one) { return one.gone(); });
  std::uint64_t bytes = 0;
  for (const Kept& one : kept_) bytes += one.size;
  return bytes;
}

std::uint64_t EntryShelf::made() const {
  std::lock_guard lock(mutex_);
  return made_;
}

}  // namespace luna::worker
