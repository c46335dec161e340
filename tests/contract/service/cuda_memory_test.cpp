// The calls about GPU memory over real gRPC, before a worker that only says that it is on a GPU.
#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include "luna/v1/primitives.grpc.pb.h"
#include "luna/v1/session.grpc.pb.h"
#include "luna/v1/tensor.grpc.pb.h"
#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kUuid = "GPU-00000000-0000-0000-0000-000000000001";

class CudaMemoryCalls : public ServiceTest {
 protected:
  void start_on_gpu() {
    start();
    WorkerReport report;
    report.device_uuid = kUuid;
    core_->worker_report(WorkerId{1}, report);
    channel_ = grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
    tensors_ = v1::Tensors::NewStub(channel_);
    stream_ = v1::Sessions::NewStub(channel_)->Attend(&attending_);
    v1::SessionRequest hello;
    hello.mutable_hello()->set_client_name("cuda memory test");
    v1::SessionResponse welcome;
    ASSERT_TRUE(stream_->Write(hello) && stream_->Read(&welcome));
    session_ = welcome.welcome().session_id();
  }
  void TearDown() override {
    attending_.TryCancel();
    if (stream_) (void)stream_->Finish();
  }

  std::unique_ptr<grpc::ClientContext> context(bool cuda_results = false) const {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("luna-session-id", session_);
    context->AddMetadata("luna-workflow-id", "w");
    if (cuda_results) context->AddMetadata("luna-results", "cuda");
    return context;
  }
  static void set_memory(v1::TensorRef* tensor, v1::DType dtype,
                         std::initializer_list<std::int64_t> shape, std::string handle) {
    tensor->mutable_spec()->set_dtype(dtype);
    for (const std::int64_t extent : shape) tensor->mutable_spec()->add_shape(extent);
    tensor->mutable_cuda()->set_device_uuid(kUuid);
    tensor->mutable_cuda()->set_handle(std::move(handle));
  }
  grpc::Status prove(v1::ProveCudaResponse* response) {
    v1::ProveCudaRequest request;
    set_memory(request.mutable_memory(), v1::DTYPE_U8, {16}, std::string(64, 'h'));
    return tensors_->ProveCuda(context().get(), request, response);
  }
  grpc::Status confirm(const std::string& lease, const std::string& nonce,
                       v1::ConfirmCudaResponse* response) {
    v1::ConfirmCudaRequest request;
    request.set_lease_id(lease);
    request.set_nonce(nonce);
    return tensors_->ConfirmCuda(context().get(), request, response);
  }
  grpc::Status decode(std::string handle, bool cuda_results = false) {
    v1::VaeDecodeRequest request;
    set_memory(request.mutable_latent(), v1::DTYPE_F32, {1, 4, 8, 8}, std::move(handle));
    v1::VaeDecodeResponse response;
    return v1::Primitives::NewStub(channel_)->VaeDecode(context(cuda_results).get(), request,
                                                        &response);
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Tensors::Stub> tensors_;
  grpc::ClientContext attending_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>> stream_;
  std::string session_;
};

TEST_F(CudaMemoryCalls, TwoNumbersMakeThePlaneAndThenMemoryIsPassedOnAsItIs) {
  start_on_gpu();
  EXPECT_THAT(decode(std::string(64, 'h')).error_message(), HasSubstr("Tensors.ProveCuda"));
  v1::ProveCudaResponse proof;
  ASSERT_TRUE(prove(&proof).ok());
  EXPECT_EQ(proof.nonce(), "read by worker");
  EXPECT_EQ(proof.memory().cuda().offset(), 512u);
  v1::ConfirmCudaResponse confirmed;
  const grpc::Status status =
      confirm(proof.memory().cuda().lease_id(), "written by it", &confirmed);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(confirmed.planes(), ElementsAre("cuda", "inline"));
  EXPECT_THAT(confirmed.device_uuids(), ElementsAre(kUuid));
  EXPECT_THAT(worker_->released(), ElementsAre("41"));

  ASSERT_TRUE(decode("\2c" + std::string(64, 'h'), true).ok());
  const Job job = *worker_->last("vae_decode");
  const auto& handle = std::get<CudaHandle>(std::get<VaeDecodeRequest>(job.request).latent.place);
  EXPECT_EQ(handle.handle, std::string(64, 'h'));
  EXPECT_TRUE(job.cuda_results);
}

TEST_F(CudaMemoryCalls, AnotherNumberIsFailedPrecondition) {
  start_on_gpu();
  v1::ProveCudaResponse proof;
  ASSERT_TRUE(prove(&proof).ok());
  v1::ConfirmCudaResponse confirmed;
  EXPECT_EQ(confirm(proof.memory().cuda().lease_id(), "else", &confirmed).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(CudaMemoryCalls, AllocatedMemoryIsALeaseThatFreeEnds) {
  start_on_gpu();
  v1::AllocateTensorRequest request;
  request.set_device_uuid(kUuid);
  request.set_bytes(4096);
  v1::AllocateTensorResponse response;
  ASSERT_TRUE(tensors_->Allocate(context().get(), request, &response).ok());
  EXPECT_THAT(response.tensor().spec().shape(), ElementsAre(4096));
  v1::FreeTensorRequest free;
  free.add_resident_ids(response.tensor().cuda().lease_id());
  v1::FreeTensorResponse freed;
  ASSERT_TRUE(tensors_->Free(context().get(), free, &freed).ok());
  EXPECT_EQ(freed.freed_bytes(), 4096u);
  EXPECT_THAT(worker_->released(), ElementsAre("41"));
}

TEST_F(CudaMemoryCalls, AGpuWithoutAWorkerNamesThoseThatHaveOne) {
  start_on_gpu();
  v1::AllocateTensorRequest request;
  request.set_device_uuid("GPU-elsewhere");
  request.set_bytes(4096);
  v1::AllocateTensorResponse response;
  const grpc::Status status = tensors_->Allocate(context().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr(kUuid));
}

}  // namespace
}  // namespace luna
