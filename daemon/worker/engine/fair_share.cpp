#include "daemon/worker/engine/fair_share.h"

#include <algorithm>

namespace luna::worker {

void FairShare::enter(const std::string& workflow) {
  auto [account, is_new] = accounts_.try_emplace(workflow);
  if (is_new && accounts_.size() > 1) {
    double least = -1;
    for (const auto& [name, other] : accounts_) {
      if (name != workflow && (least < 0 || other.seconds < least)) least = other.seconds;
    }
    account->second.seconds = std::max(0.0, least);
  }
  ++account->second.jobs;
}

void FairShare::leave(const std::string& workflow) {
  const auto account = accounts_.find(workflow);
  if (account != accounts_.end() && --account->second.jobs == 0) accounts_.erase(account);
}

void FairShare::charge(const std::string& workflow, double seconds) {
  const auto account = accounts_.find(workflow);
  if (account != accounts_.end()) account->second.seconds += seconds;
}

double FairShare::served(const std::string& workflow) const {
  const auto account = accounts_.find(workflow);
  return account == accounts_.end() ? 0 : account->second.seconds;
}

}  // namespace luna::worker
