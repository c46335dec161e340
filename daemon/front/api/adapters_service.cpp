#include "daemon/front/api/adapters_service.h"

#include <mutex>

#include "daemon/front/api/grpc_status.h"
#include "daemon/front/core/upload_store.h"

namespace luna::front {
namespace {

/// Takes one file in. gRPC runs one reaction at a time here, cancellation excepted.
class AdapterUpload final : public grpc::ServerReadReactor<v1::UploadAdapterRequest> {
 public:
  AdapterUpload(ApiContext& api, v1::UploadAdapterResponse* response)
      : api_(api), response_(response) {
    Result<Gate::Ticket> ticket = api.gate.enter();
    if (ticket.ok()) {
      ticket_ = *std::move(ticket);
      StartRead(&message_);
    } else {
      end(ticket.status());
    }
  }

  void OnReadDone(bool ok) override {
    const Status status = ok ? take() : keep();
    if (!status.ok() || !ok || known_) {
      end(status);
    } else {
      StartRead(&message_);
    }
  }
  void OnCancel() override {
    end(Status(StatusCode::kCancelled, "the client cancelled the upload or went away"));
  }
  void OnDone() override { delete this; }

 private:
  UploadStore& store() { return api_.core.uploads(); }

  Status take() {
    if (!incoming_) {
      if (message_.part_case() != v1::UploadAdapterRequest::kHeader) {
        return error(StatusCode::kInvalidArgument,
                     "the first message of an upload must be its header");
      }
      const v1::UploadAdapterHeader& header = message_.header();
      known_ = store().has(header.sha256());
      if (known_) {
        response_->set_file(UploadStore::name_of(header.sha256()));
        return {};
      }
      LUNA_ASSIGN_OR_RETURN(incoming_, store().begin(header.sha256(), header.bytes()));
      return {};
    }
    if (message_.part_case() != v1::UploadAdapterRequest::kChunk) {
      return error(StatusCode::kInvalidArgument, "after the header, an upload has chunks only");
    }
    return incoming_->append(message_.chunk());
  }

  Status keep() {
    if (!incoming_) return error(StatusCode::kInvalidArgument, "an upload without a header");
    std::lock_guard lock(mutex_);
    if (ended_) return {};
    LUNA_ASSIGN_OR_RETURN(std::string name, incoming_->finish());
    response_->set_file(std::move(name));
    return {};
  }

  void end(const Status& status) {
    std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    Finish(to_grpc(status));
  }

  ApiContext& api_;
  v1::UploadAdapterResponse* response_;
  Gate::Ticket ticket_;
  v1::UploadAdapterRequest message_;
  std::unique_ptr<UploadStore::Incoming> incoming_;
  bool known_ = false;  ///< it is here already: nothing more is read
  std::mutex mutex_;
  bool ended_ = false;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadAdapterRequest>* AdaptersService::Upload(
    grpc::CallbackServerContext*, v1::UploadAdapterResponse* response) {
  return new AdapterUpload(api_, response);  // deletes itself in OnDone
}

}  // namespace luna::front
