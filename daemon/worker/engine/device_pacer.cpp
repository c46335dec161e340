#include "daemon/worker/engine/device_pacer.h"

#include <utility>

#include <c10/core/impl/VirtualGuardImpl.h>

namespace luna::worker {

void DevicePacer::run(const std::function<void()>& work, Finished finished) {
  if (device_.is_cpu()) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    finished(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return;
  }
  std::optional<InFlight>& slot = in_flight_[next_];
  wait_for(slot);
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  c10::Event begin(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  c10::Event end(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  begin.record(stream);
  work();
  end.record(stream);
  slot.emplace(InFlight{std::move(begin), std::move(end), std::move(finished)});
  next_ = (next_ + 1) % in_flight_.size();
}

void DevicePacer::finish() {
  for (std::size_t i = 0; i < in_flight_.size(); ++i)
    wait_for(in_flight_[(next_ + i) % in_flight_.size()]);
}

void DevicePacer::wait_for(std::optional<InFlight>& piece) {
  if (!piece) return;
  InFlight done = std::move(*piece);
  piece.reset();
  done.end.synchronize();
  done.finished(done.begin.elapsedTime(done.end) / 1000.0);
}

}  // namespace luna::worker
