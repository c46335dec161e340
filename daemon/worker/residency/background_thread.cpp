#include "daemon/worker/residency/background_thread.h"

#include <utility>

#include <pthread.h>

namespace luna::worker {

BackgroundThread::BackgroundThread(std::string name, std::size_t limit, Work prepare, Work rest)
    : name_(std::move(name)),
      limit_(limit),
      thread_(
          [this, prepare = std::move(prepare), rest = std::move(rest)] { loop(prepare, rest); }) {}

BackgroundThread::~BackgroundThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

Status BackgroundThread::post(Work work) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= limit_) {
      return error(StatusCode::kResourceExhausted,
                   "{}: {} pieces of work are waiting, at most {} may", name_, waiting_.size(),
                   limit_);
    }
    waiting_.push_back(std::move(work));
  }
  changed_.notify_one();
  return {};
}

void BackgroundThread::loop(const Work& prepare, const Work& rest) {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  if (prepare) prepare();
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    {
      Work work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
    if (!rest || !waiting_.empty()) continue;
    lock.unlock();
    rest();
    lock.lock();
  }
}

}  // namespace luna::worker
