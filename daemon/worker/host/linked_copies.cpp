#include "daemon/worker/host/linked_copies.h"

#include <future>

#include "common/log/log.h"

namespace luna::worker {
namespace {

class LinkedCopies final : public HostCopies {
 public:
  LinkedCopies(std::shared_ptr<ipc::FrontLink> link, std::chrono::milliseconds patience)
      : link_(std::move(link)), patience_(patience) {}

  std::optional<HostWeights> find(const ComponentSource& source) override {
    auto answer = std::make_shared<std::promise<std::optional<HostWeights>>>();
    auto found = answer->get_future();
    link_->seek_weights(source, [answer](std::optional<HostWeights> weights) {
      answer->set_value(std::move(weights));
    });
    if (found.wait_for(patience_) != std::future_status::ready) {
      log::logger("host").warn("the front did not say whether it has the {} of {}",
                               slot_name(source.slot), source.file.path);
      return std::nullopt;
    }
    return found.get();
  }

  void keep(const ComponentSource& source, const HostWeights& weights) override {
    link_->offer_weights(source, weights);
  }
  void give_up(const ComponentSource& source) override { link_->tell_read_failed(source); }

 private:
  const std::shared_ptr<ipc::FrontLink> link_;
  const std::chrono::milliseconds patience_;
};

}  // namespace

std::shared_ptr<HostCopies> make_linked_copies(std::shared_ptr<ipc::FrontLink> link,
                                               std::chrono::milliseconds patience) {
  return std::make_shared<LinkedCopies>(std::move(link), patience);
}

}  // namespace luna::worker
