#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>

namespace luna {

/// grpc.health.v1.Health/Check: 1 SERVING, 2 NOT_SERVING, -1 when the call fails. Speaks the
/// protocol's bytes, as no generated code for it is installed.
int health_of(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

/// The bytes of the answer to list_services of grpc.reflection.v1alpha, which contain the names;
/// empty when reflection is not served.
std::string reflected_services(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace luna
