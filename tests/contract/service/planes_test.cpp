// Tensors through shared memory and inside the messages: the same bits, and no copy where none is
// needed.
#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using client::InferenceService;
using testing::ElementsAre;
using testing::HasSubstr;

class PlanesTest : public ServiceTest {
 protected:
  PlanesTest() { shared_memory_ = true; }

  void start_with(const std::string& plane) {
    start();
    client_ = connect(plane);
    ASSERT_NE(client_, nullptr);
    ASSERT_EQ(client_->plane(), plane) << client_->why_inline();
  }
  /// Bytes that no two places share.
  static TensorRef pattern(std::vector<std::int64_t> shape, DType dtype = DType::kF32) {
    TensorRef tensor{{dtype, std::move(shape)}, {}};
    std::string bytes(tensor.spec.byte_size(), '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>((i * 2654435761u) >> 13 & 0x3F);
    tensor.place = bytes_from(std::move(bytes));
    return tensor;
  }
  static std::string text(const TensorRef& tensor) {
    const BytesPtr bytes = tensor.host_bytes();
    if (!bytes) return "no bytes";
    return {reinterpret_cast<const char*>(bytes->view().data()), bytes->view().size()};
  }
  SessionInfo own_line() {
    const auto status = client_->status();
    EXPECT_TRUE(status.ok()) << status.status().to_string();
    return status->open_sessions.back();
  }
};

class BothPlanes : public PlanesTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Planes, BothPlanes, testing::Values("inline", "shm"),
                         [](const auto& plane) { return std::string(plane.param); });

TEST_P(BothPlanes, TheWorkerSeesTheBytesThatTheClientSent) {
  start_with(GetParam());
  VaeEncodeRequest encode;
  encode.pixels = pattern({1, 512, 512, 3});
  ASSERT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  const Job seen = *worker_->last("vae_encode");
  EXPECT_EQ(text(std::get<VaeEncodeRequest>(seen.request).pixels), text(encode.pixels));

  SampleRequest request = one_row(3);
  SampleRow& row = request.rows[0];
  row.latent = pattern({4, 96, 96});
  row.noise.tensor = row.latent;
  row.conditioning["positive"][0].cross_attn = pattern({1, 77, 768});
  Sampling sampling = sample(request);
  const auto reply = wait(sampling.future);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const SampleRow arrived = std::get<SampleRequest>(worker_->last("sample")->request).rows[0];
  EXPECT_EQ(text(arrived.latent), text(row.latent));
  EXPECT_EQ(text(*arrived.noise.tensor), text(row.latent));
  EXPECT_EQ(text(arrived.conditioning.at("positive")[0].cross_attn),
            text(row.conditioning["positive"][0].cross_attn));
}

TEST_P(BothPlanes, TheClientSeesTheBytesThatTheWorkerMade) {
  start_with(GetParam());
  DenoiseRequest request;
  DenoiseRow& row = request.rows.emplace_back();
  row.x = pattern({4, 128, 128});
  row.sigma = 2.5;
  ConditioningEntry entry;
  entry.cross_attn = pattern({1, 77, 8});
  row.conditioning.cross_attn = entry.cross_attn;
  const auto denoised = call(&InferenceService::denoise, request);
  ASSERT_TRUE(denoised.ok()) << denoised.status().to_string();
  EXPECT_EQ(*floats_of(denoised->denoised.at(0)), std::vector<float>(4 * 128 * 128, 2.5f));

  worker_->set_result_bytes(3 << 20);
  VaeDecodeRequest decode;
  decode.latent = filled({1, 4, 8, 8}, 0);
  const auto decoded = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  EXPECT_EQ(text(decoded->pixels), std::string(3 << 20, '\x07'));
}

TEST_P(BothPlanes, AnUploadComesBackAsItWentUp) {
  start_with(GetParam());
  for (const std::int64_t size : {1, 40'000, 70'000, 9'000'000}) {
    const TensorRef tensor = pattern({size}, DType::kU8);
    const auto kept = client_->upload("w", tensor);
    ASSERT_TRUE(kept.ok()) << kept.status().to_string();
    const std::string id = std::get<ResidentTensor>(kept->place).id;
    const auto back = client_->download("w", id);
    ASSERT_TRUE(back.ok()) << back.status().to_string();
    EXPECT_EQ(text(*back), text(tensor)) << size;
    EXPECT_EQ(*client_->free_tensors("w", {id}), static_cast<std::uint64_t>(size));
  }
}

TEST_P(BothPlanes, NothingIsLeftOnTheServerBesidesTheClientsOwnMemory) {
  start_with(GetParam());
  worker_->set_result_bytes(3 << 20);
  VaeDecodeRequest decode;
  decode.latent = pattern({1, 4, 128, 128});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(call(&InferenceService::vae_decode, decode).ok());
  const SessionInfo line = own_line();
  EXPECT_EQ(line.tensors, 0u);
  EXPECT_LE(line.regions, 1u) << "one piece of the arena, used again and again";
}

TEST_P(BothPlanes, AnAllocatedTensorIsFilledAndNamed) {
  start_with(GetParam());
  auto tensor = client_->allocate({DType::kU8, {1, 300, 300, 3}});
  ASSERT_TRUE(tensor.ok()) << tensor.status().to_string();
  std::ranges::fill(tensor->bytes, std::byte{9});
  VaeEncodeRequest encode;
  encode.pixels = tensor->tensor;
  ASSERT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  const Job seen = *worker_->last("vae_encode");
  EXPECT_EQ(text(std::get<VaeEncodeRequest>(seen.request).pixels), std::string(270'000, '\x09'));
  const auto kept = client_->upload("w", tensor->tensor);
  ASSERT_TRUE(kept.ok()) << kept.status().to_string();
  std::ranges::fill(tensor->bytes, std::byte{1});
  const auto back = client_->download("w", std::get<ResidentTensor>(kept->place).id);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(text(*back), std::string(270'000, '\x09')) << "what is kept never changes";
}

TEST_F(PlanesTest, ATensorGoesOnToTheWorkerByItsDescriptor) {
  start_with("shm");
  auto tensor = client_->allocate({DType::kF32, {1, 256, 256, 3}});
  ASSERT_TRUE(tensor.ok());
  VaeEncodeRequest encode;
  encode.pixels = tensor->tensor;
  ASSERT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  const Job seen = *worker_->last("vae_encode");
  const BytesPtr arrived = std::get<VaeEncodeRequest>(seen.request).pixels.host_bytes();
  ASSERT_GE(arrived->fd(), 0);
  tensor->bytes[5] = std::byte{77};
  EXPECT_EQ(arrived->view()[5], std::byte{77}) << "the same memory";
}

TEST_F(PlanesTest, AResultThatGoesInAgainIsNotCopied) {
  start_with("shm");
  worker_->set_result_bytes(12 << 20);
  VaeDecodeRequest decode;
  decode.latent = filled({1, 4, 8, 8}, 0);
  const auto decoded = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  VaeEncodeRequest encode;
  encode.pixels = decoded->pixels;
  encode.pixels.spec.shape = {1, 2048, 2048, 3};
  ASSERT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  EXPECT_EQ(own_line().regions, 0u) << "its descriptor was lent, and the arena never asked";
}

TEST_F(PlanesTest, TheStatusTellsWhoHasWhichPlaneAndWhy) {
  start();
  const auto inline_client = connect("inline");
  const auto status = client_->status();
  ASSERT_TRUE(status.ok()) << status.status().to_string();
  ASSERT_EQ(status->open_sessions.size(), 2u);
  EXPECT_EQ(status->open_sessions[0].client_name, "contract test");
  EXPECT_THAT(status->open_sessions[0].planes, ElementsAre("shm", "inline"));
  EXPECT_EQ(status->open_sessions[0].fallback, "");
  EXPECT_THAT(status->open_sessions[1].planes, ElementsAre("inline"));
  EXPECT_THAT(status->open_sessions[1].fallback, HasSubstr("has not come"));
}

TEST_F(PlanesTest, WhereThereIsNoLocalSocketTheClientSaysSoAndWorks) {
  shared_memory_ = false;
  start();
  EXPECT_EQ(client_->plane(), "inline");
  EXPECT_THAT(client_->why_inline(), HasSubstr("offers no local socket"));
  VaeEncodeRequest encode;
  encode.pixels = pattern({1, 512, 512, 3});
  EXPECT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  client::ConnectOptions options;
  options.address = address();
  options.plane = "shm";
  EXPECT_THAT(client::GrpcClient::connect(options).status().message(),
              HasSubstr("shared memory was demanded"));
  options.plane = "pigeon";
  EXPECT_EQ(client::GrpcClient::connect(options).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(PlanesTest, WithoutRoomForRegionsTensorsTravelInsideTheMessages) {
  config_.limits.region_bytes_per_session = 100'000;
  start();
  ASSERT_EQ(client_->plane(), "shm");
  worker_->set_result_bytes(3 << 20);
  VaeDecodeRequest decode;
  decode.latent = pattern({1, 4, 128, 128});
  const auto decoded = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  EXPECT_EQ(text(decoded->pixels), std::string(3 << 20, '\x07'));
  EXPECT_EQ(text(std::get<VaeDecodeRequest>(worker_->last("vae_decode")->request).latent),
            text(decode.latent));
}

TEST_F(PlanesTest, TheEndOfTheLocalSocketEndsThePlaneAndNotTheSession) {
  start();
  ASSERT_EQ(client_->plane(), "shm");
  local_server_.reset();
  VaeEncodeRequest encode;
  encode.pixels = pattern({1, 512, 512, 3});
  ASSERT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  EXPECT_EQ(client_->plane(), "inline");
  EXPECT_TRUE(call(&InferenceService::vae_encode, encode).ok());
  EXPECT_THAT(own_line().planes, ElementsAre("inline"));
}

TEST_F(PlanesTest, AClosedSessionLeavesNoRegion) {
  start();
  auto other = connect("shm");
  auto held = other->allocate({DType::kU8, {1 << 20}});
  ASSERT_TRUE(held.ok());
  EXPECT_GT(client_->status()->regions, 0u);
  other.reset();
  EXPECT_TRUE(support::wait_until([&] { return client_->status()->regions == 0; }));
  held->bytes[0] = std::byte{1};  // the client's own mapping outlives it
}

}  // namespace
}  // namespace luna
