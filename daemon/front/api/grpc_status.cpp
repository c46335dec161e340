#include "daemon/front/api/grpc_status.h"

#include "common/wire/status_mapping.h"

namespace luna::front {

grpc::Status to_grpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(wire::grpc_code(status.code())),
          wire::trailer_message(status.message())};
}

}  // namespace luna::front
