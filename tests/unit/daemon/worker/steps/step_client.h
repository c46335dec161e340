#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/frame_channel.h"
#include "common/local/memory.h"
#include "common/local/socket.h"
#include "daemon/worker/engine/inbox.h"
#include "daemon/worker/steps/step_server.h"
#include "luna/v1/local.pb.h"
#include "tests/support/wait_until.h"

namespace luna::worker {

/// An engine with a device thread that keeps every job until the test answers it.
class ScriptedEngine final : public Engine {
 public:
  struct Held {
    Job job;
    JobEvents events;
    BytesMaker make_bytes;
  };
  ~ScriptedEngine() override { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    inbox_.post([this] { stopping_ = true; });
    thread_.join();
  }

  using Engine::run;
  void run(Job job, JobEvents events, BytesMaker make_bytes) override {
    std::lock_guard lock(mutex_);
    held_.push_back({std::move(job), std::move(events), std::move(make_bytes)});
    ++seen_;
  }
  void cancel(JobId job) override {
    std::lock_guard lock(mutex_);
    cancelled_.push_back(job);
  }
  void pin(const std::vector<std::string>&) override {}
  void drain(std::function<void()>) override {}
  void post(std::function<void()> call) override { inbox_.post(std::move(call)); }
  void watch(int fd, short events, std::function<void()> ready) override {
    inbox_.watch(fd, events, std::move(ready));
  }
  void unwatch(int fd) override { inbox_.unwatch(fd); }
  WorkerReport report() const override { return {}; }
  std::string device_description() const override { return "scripted"; }

  /// The oldest job that waits for an answer, once it is there.
  std::shared_ptr<Held> next() {
    std::shared_ptr<Held> taken;
    const bool came = support::wait_until([&] {
      std::lock_guard lock(mutex_);
      if (held_.empty()) return false;
      taken = std::make_shared<Held>(std::move(held_.front()));
      held_.erase(held_.begin());
      return true;
    });
    EXPECT_TRUE(came) << "no job came";
    return taken;
  }
  /// As an engine answers: on the device thread, each row's result made by the job's maker.
  void answer(const std::shared_ptr<Held>& held, float value) {
    inbox_.post([held, value] {
      DenoiseReply reply;
      for (const DenoiseRow& row : std::get<DenoiseRequest>(held->job.request).rows) {
        const TensorSpec spec{DType::kF32, row.x.spec.shape};
        const std::vector<float> values(static_cast<std::size_t>(spec.numel()), value);
        const auto fill = [&](std::span<std::byte> target) {
          std::ranges::copy(std::as_bytes(std::span(values)), target.begin());
        };
        const BytesMaker& make = held->make_bytes;
        auto bytes = make ? make(spec.byte_size(), fill)
                          : Result<BytesPtr>(bytes_copy_of(std::as_bytes(std::span(values))));
        if (!bytes.ok()) return held->events.on_done(bytes.status());
        reply.denoised.push_back({spec, *std::move(bytes)});
      }
      held->events.on_done(JobReply(std::move(reply)));
    });
  }
  void fail(const std::shared_ptr<Held>& held, Status why) {
    inbox_.post([held, why = std::move(why)] { held->events.on_done(why); });
  }
  std::size_t seen() const {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  std::vector<JobId> cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Held> held_;
  std::vector<JobId> cancelled_;
  std::size_t seen_ = 0;
  Inbox inbox_;
  bool stopping_ = false;
  std::thread thread_{[this] {
    while (!stopping_) {
      for (Inbox::Call& call : inbox_.take(Deadline())) call();
    }
  }};
};

/// Memory of the client's that both sides may write.
struct ClientMemory {
  explicit ClientMemory(std::size_t floats) {
    auto region = MemoryRegion::create("test", floats * sizeof(float));
    EXPECT_TRUE(region.ok());
    values = {reinterpret_cast<float*>(region->bytes().data()), floats};
    bytes = std::move(*region).share();
  }
  std::span<float> values;
  BytesPtr bytes;
};

/// The other end of a step socket, which says what it likes.
class StepClient {
 public:
  explicit StepClient(UniqueFd socket) : channel_(std::move(socket), 1) {}

  void send(const v1::LocalRequest& request, BytesPtr descriptor = nullptr) {
    send_bytes(1, request.SerializeAsString(), std::move(descriptor));
  }
  void send_bytes(std::uint16_t message, std::string body, BytesPtr descriptor = nullptr) {
    std::vector<BytesPtr> attachments;
    if (descriptor) attachments.push_back(std::move(descriptor));
    const Status sent = channel_.send(message, std::move(body), std::move(attachments), soon());
    EXPECT_TRUE(sent.ok()) << sent.to_string();
  }
  Result<v1::LocalResponse> receive() {
    LUNA_ASSIGN_OR_RETURN(const Frame frame, channel_.receive(soon()));
    v1::LocalResponse response;
    EXPECT_EQ(frame.message, 2);
    EXPECT_TRUE(response.ParseFromString(frame.body));
    return response;
  }
  v1::LocalResponse ask(const v1::LocalRequest& request, BytesPtr descriptor = nullptr) {
    send(request, std::move(descriptor));
    auto response = receive();
    EXPECT_TRUE(response.ok()) << response.status().to_string();
    return response.ok() ? *response : v1::LocalResponse();
  }
  v1::LocalResponse register_region(BytesPtr memory, std::uint64_t bytes) {
    v1::LocalRequest request;
    request.mutable_register_region()->set_bytes(bytes);
    return ask(request, std::move(memory));
  }
  std::string region_of(const BytesPtr& memory) {
    return register_region(memory, memory->view().size()).region_registered().region_id();
  }
  /// One row of [1, 2, 2] at offset 0 of `region`, its result 16 bytes further.
  static v1::LocalRequest step(const std::string& region) {
    v1::LocalRequest request;
    v1::DenoiseRow* row = request.mutable_denoise()->mutable_request()->add_rows();
    for (const int extent : {1, 2, 2}) row->mutable_x()->mutable_spec()->add_shape(extent);
    row->mutable_x()->mutable_region()->set_region_id(region);
    row->set_sigma(2);
    auto* context = row->mutable_conditioning()->mutable_cross_attn();
    for (const int extent : {1, 1, 4}) context->mutable_spec()->add_shape(extent);
    v1::SharedRegion* into = request.mutable_denoise()->add_into();
    into->set_region_id(region);
    into->set_offset(16);
    return request;
  }
  void close() { channel_ = FrameChannel(UniqueFd(), 1); }
  int fd() const { return channel_.fd(); }

 private:
  static Deadline soon() { return Deadline::after(std::chrono::seconds(10)); }
  FrameChannel channel_;
};

}  // namespace luna::worker
