#include "tests/contract/service/bare_calls.h"

#include <condition_variable>
#include <mutex>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

namespace luna {
namespace {

grpc::ByteBuffer buffer_of(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

/// One string field of a message.
std::string field(int number, const std::string& text) {
  std::string bytes;
  bytes += static_cast<char>(number << 3 | 2);
  bytes += static_cast<char>(text.size());
  return bytes + text;
}

/// Sends one message, reads one, and waits for the end.
class OneExchange final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  std::string run(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                  const std::string& message) {
    grpc::GenericStub stub(channel);
    stub.PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
    request_ = buffer_of(message);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
    StartCall();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
    return answer_;
  }
  void OnReadDone(bool ok) override {
    if (ok) answer_ = bytes_of(response_);
  }
  void OnDone(const grpc::Status&) override {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  grpc::ClientContext context_;
  grpc::ByteBuffer request_, response_;
  std::string answer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

}  // namespace

int health_of(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  OneExchange exchange;
  const std::string answer = exchange.run(channel, "/grpc.health.v1.Health/Check",
                                          service.empty() ? "" : field(1, service));
  return answer.size() == 2 && answer[0] == 8 ? answer[1] : -1;
}

std::string reflected_services(const std::shared_ptr<grpc::Channel>& channel) {
  OneExchange exchange;
  return exchange.run(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                      field(7, ""));
}

}  // namespace luna
