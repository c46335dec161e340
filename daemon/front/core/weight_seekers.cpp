#include "daemon/front/core/weight_seekers.h"

#include <utility>

namespace luna::front {

WeightSeekers::Answers WeightSeekers::seek(const ComponentSource& source, WorkerId worker,
                                           Answer answer, TimePoint now) {
  Reading& reading = readings_[source];
  // A reader that asks again has lost its first answer.
  if (reading.readers.empty() || reading.readers.contains(worker) || waiting_ >= kMaxWaiting) {
    reading.readers.insert(worker);
    return {std::move(answer)};
  }
  reading.waiters.push_back({worker, std::move(answer), now + patience_});
  ++waiting_;
  return {};
}

WeightSeekers::Answers WeightSeekers::offered(const ComponentSource& source) {
  auto entry = readings_.extract(source);
  if (entry.empty()) return {};
  Answers due;
  for (Waiter& waiter : entry.mapped().waiters) due.push_back(std::move(waiter.answer));
  waiting_ -= due.size();
  return due;
}

WeightSeekers::Answers WeightSeekers::failed(const ComponentSource& source, WorkerId worker) {
  Answers due;
  const auto entry = readings_.find(source);
  if (entry == readings_.end()) return due;
  entry->second.readers.erase(worker);
  settle(entry, due);
  return due;
}

WeightSeekers::Answers WeightSeekers::gone(WorkerId worker) {
  Answers due;
  for (auto entry = readings_.begin(); entry != readings_.end();) {
    Reading& reading = entry->second;
    waiting_ -= reading.waiters.remove_if(
        [&](const Waiter& waiter) { return waiter.worker == worker; });
    reading.readers.erase(worker);
    entry = settle(entry, due);
  }
  return due;
}

WeightSeekers::Answers WeightSeekers::overdue(TimePoint now) {
  Answers due;
  for (auto& [source, reading] : readings_) {
    while (!reading.waiters.empty() && reading.waiters.front().until <= now) {
      due.push_back(take_first(reading));
    }
  }
  return due;
}

WeightSeekers::Answer WeightSeekers::take_first(Reading& reading) {
  Waiter first = std::move(reading.waiters.front());
  reading.waiters.pop_front();
  --waiting_;
  reading.readers.insert(first.worker);
  return std::move(first.answer);
}

WeightSeekers::Readings::iterator WeightSeekers::settle(Readings::iterator entry, Answers& due) {
  Reading& reading = entry->second;
  if (!reading.readers.empty()) return std::next(entry);
  if (reading.waiters.empty()) return readings_.erase(entry);
  due.push_back(take_first(reading));
  return std::next(entry);
}

}  // namespace luna::front
