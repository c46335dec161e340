// A session with a daemon for a script that has GPU memory of its own (torch_client.py): it does
// what a line on its standard input says and answers with a line. It touches no GPU.
//   prove UUID HANDLE OFFSET EVENT         -> NONCE MEMORY        of 16 bytes there
//   confirm LEASE NONCE                    -> planes of the session
//   allocate UUID BYTES                    -> MEMORY
//   encode H W UUID HANDLE OFFSET EVENT    -> MEMORY              f32 [1, H, W, 3] to a latent
//   decode h w UUID HANDLE OFFSET EVENT    -> MEMORY              f32 [1, 4, h, w] to pixels
//   decode_host h w UUID HANDLE OFFSET EVENT -> SUM               the same by the host: sum of its
//   bytes free LEASE                             -> bytes
// MEMORY is "HANDLE OFFSET EVENT LEASE BYTES", all bytes in hex, "-" for none; or "host BYTES".
#include <chrono>
#include <iostream>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>

#include <grpcpp/grpcpp.h>

#include "luna/v1/primitives.grpc.pb.h"
#include "luna/v1/session.grpc.pb.h"
#include "luna/v1/tensor.grpc.pb.h"
#include "luna/v1/workflow.grpc.pb.h"
#include "tests/gpu/hex.h"

namespace luna {
namespace {

constexpr const char* kWorkflow = "cuda-client";

std::string in_words(const v1::TensorRef& tensor) {
  std::uint64_t bytes = tensor.spec().dtype() == v1::DTYPE_U8 ? 1 : 4;
  for (const std::int64_t extent : tensor.spec().shape())
    bytes *= static_cast<std::uint64_t>(extent);
  if (!tensor.has_cuda()) return "host " + std::to_string(bytes);
  const v1::CudaHandle& cuda = tensor.cuda();
  const std::string event = cuda.event_handle().empty() ? "-" : to_hex(cuda.event_handle());
  return to_hex(cuda.handle()) + " " + std::to_string(cuda.offset()) + " " + event + " " +
         cuda.lease_id() + " " + std::to_string(bytes);
}

std::string failure(const grpc::Status& status) {
  return "error " + std::to_string(status.error_code()) + " " + status.error_message();
}

/// UUID HANDLE OFFSET EVENT
void read_handle(std::istringstream& words, v1::CudaHandle* cuda) {
  std::string uuid, handle, event;
  std::uint64_t offset = 0;
  words >> uuid >> handle >> offset >> event;
  cuda->set_device_uuid(uuid);
  cuda->set_handle(from_hex(handle));
  cuda->set_offset(offset);
  cuda->set_event_handle(from_hex(event));
}

void set_spec(v1::TensorRef* tensor, v1::DType dtype, std::initializer_list<std::int64_t> shape) {
  tensor->mutable_spec()->set_dtype(dtype);
  for (const std::int64_t extent : shape) tensor->mutable_spec()->add_shape(extent);
}

class Client {
 public:
  explicit Client(const std::shared_ptr<grpc::Channel>& channel)
      : sessions_(v1::Sessions::NewStub(channel)),
        tensors_(v1::Tensors::NewStub(channel)),
        primitives_(v1::Primitives::NewStub(channel)),
        workflows_(v1::Workflows::NewStub(channel)) {}

  grpc::Status open(const std::string& checkpoint) {
    stream_ = sessions_->Attend(&attending_);
    v1::SessionRequest hello;
    hello.mutable_hello()->set_client_name("cuda_client");
    v1::SessionResponse welcome;
    if (!stream_->Write(hello) || !stream_->Read(&welcome)) return stream_->Finish();
    session_ = welcome.welcome().session_id();
    grpc::ClientContext context;
    v1::RegisterWorkflowRequest workflow;
    workflow.set_workflow_id(kWorkflow);
    workflow.mutable_models()->mutable_checkpoint()->set_file(checkpoint);
    v1::RegisterWorkflowResponse registered;
    return workflows_->Register(&context, workflow, &registered);
  }

  std::string answer(std::istringstream words) {
    std::string verb;
    words >> verb;
    if (verb == "prove") return prove(words);
    if (verb == "confirm") return confirm(words);
    if (verb == "allocate") return allocate(words);
    if (verb == "encode") return encode(words);
    if (verb == "decode") return decode(words, false);
    if (verb == "decode_host") return decode(words, true);
    if (verb == "free") return free(words);
    return "error no verb " + verb;
  }

 private:
  std::unique_ptr<grpc::ClientContext> context(bool cuda_results) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("luna-session-id", session_);
    context->AddMetadata("luna-workflow-id", kWorkflow);
    if (cuda_results) context->AddMetadata("luna-results", "cuda");
    return context;
  }

  std::string prove(std::istringstream& words) {
    v1::ProveCudaRequest request;
    set_spec(request.mutable_memory(), v1::DTYPE_U8, {16});
    read_handle(words, request.mutable_memory()->mutable_cuda());
    v1::ProveCudaResponse response;
    const grpc::Status status = tensors_->ProveCuda(context(false).get(), request, &response);
    return status.ok() ? to_hex(response.nonce()) + " " + in_words(response.memory())
                       : failure(status);
  }

  std::string confirm(std::istringstream& words) {
    std::string lease, nonce;
    words >> lease >> nonce;
    v1::ConfirmCudaRequest request;
    request.set_lease_id(lease);
    request.set_nonce(from_hex(nonce));
    v1::ConfirmCudaResponse response;
    const grpc::Status status = tensors_->ConfirmCuda(context(false).get(), request, &response);
    if (!status.ok()) return failure(status);
    std::string planes;
    for (const std::string& plane : response.planes()) planes += plane + " ";
    return planes;
  }

  std::string allocate(std::istringstream& words) {
    v1::AllocateTensorRequest request;
    std::string uuid;
    std::uint64_t bytes = 0;
    words >> uuid >> bytes;
    request.set_device_uuid(uuid);
    request.set_bytes(bytes);
    v1::AllocateTensorResponse response;
    const grpc::Status status = tensors_->Allocate(context(false).get(), request, &response);
    return status.ok() ? in_words(response.tensor()) : failure(status);
  }

  std::string encode(std::istringstream& words) {
    std::int64_t height = 0, width = 0;
    words >> height >> width;
    v1::VaeEncodeRequest request;
    set_spec(request.mutable_pixels(), v1::DTYPE_F32, {1, height, width, 3});
    read_handle(words, request.mutable_pixels()->mutable_cuda());
    v1::VaeEncodeResponse response;
    const grpc::Status status = primitives_->VaeEncode(context(true).get(), request, &response);
    return status.ok() ? in_words(response.latent()) : failure(status);
  }

  std::string decode(std::istringstream& words, bool by_host) {
    std::int64_t height = 0, width = 0;
    words >> height >> width;
    v1::VaeDecodeRequest request;
    set_spec(request.mutable_latent(), v1::DTYPE_F32, {1, 4, height, width});
    read_handle(words, request.mutable_latent()->mutable_cuda());
    request.set_keep(by_host);
    v1::VaeDecodeResponse response;
    const grpc::Status status = primitives_->VaeDecode(context(!by_host).get(), request, &response);
    if (!status.ok()) return failure(status);
    return by_host ? downloaded_sum(response.pixels().resident_id()) : in_words(response.pixels());
  }

  std::string downloaded_sum(const std::string& id) {
    v1::DownloadTensorRequest request;
    request.set_resident_id(id);
    const auto downloading = context(false);
    const auto stream = tensors_->Download(downloading.get(), request);
    std::uint64_t sum = 0;
    for (v1::DownloadTensorResponse part; stream->Read(&part);) {
      for (const char c : part.chunk()) sum += static_cast<unsigned char>(c);
    }
    const grpc::Status status = stream->Finish();
    if (!status.ok()) return failure(status);
    v1::FreeTensorRequest free;
    free.add_resident_ids(id);
    v1::FreeTensorResponse freed;
    const grpc::Status ended = tensors_->Free(context(false).get(), free, &freed);
    return ended.ok() ? std::to_string(sum) : failure(ended);
  }

  std::string free(std::istringstream& words) {
    v1::FreeTensorRequest request;
    words >> *request.add_resident_ids();
    v1::FreeTensorResponse response;
    const grpc::Status status = tensors_->Free(context(false).get(), request, &response);
    return status.ok() ? std::to_string(response.freed_bytes()) : failure(status);
  }

  std::unique_ptr<v1::Sessions::Stub> sessions_;
  std::unique_ptr<v1::Tensors::Stub> tensors_;
  std::unique_ptr<v1::Primitives::Stub> primitives_;
  std::unique_ptr<v1::Workflows::Stub> workflows_;
  grpc::ClientContext attending_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>> stream_;
  std::string session_;
};

int serve(const std::string& address, const std::string& checkpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(256 << 20);
  Client client(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  const grpc::Status opened = client.open(checkpoint);
  std::cout << (opened.ok() ? "ready" : failure(opened)) << std::endl;
  if (!opened.ok()) return 1;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << client.answer(std::istringstream(line)) << std::endl;
  return 0;
}

}  // namespace
}  // namespace luna

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: cuda_client ADDRESS CHECKPOINT\n";
    return 2;
  }
  return luna::serve(argv[1], argv[2]);
}
