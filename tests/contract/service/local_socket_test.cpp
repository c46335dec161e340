// Who comes to the local socket and does not keep to the rules is told so or turned away; nobody
// else notices, and nothing of theirs stays.
#include <fstream>

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/frame_channel.h"
#include "common/local/host_id.h"
#include "common/local/memory.h"
#include "luna/v1/local.pb.h"
#include "luna/v1/session.grpc.pb.h"
#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using testing::HasSubstr;

/// A session by bare gRPC, and its local socket by hand.
class BarePeer {
 public:
  explicit BarePeer(const std::string& address, const std::string& host = host_id()) {
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    stream_ = v1::Sessions::NewStub(channel_)->Attend(&context_);
    v1::SessionRequest hello;
    hello.mutable_hello()->set_client_name("bare");
    hello.mutable_hello()->set_host_id(host);
    stream_->Write(hello);
    v1::SessionResponse response;
    stream_->Read(&response);
    welcome_ = response.welcome();
  }
  ~BarePeer() { context_.TryCancel(); }

  const v1::SessionWelcome& welcome() const { return welcome_; }
  const std::string& session() const { return welcome_.session_id(); }
  void connect(std::uint16_t version = 1) {
    auto fd = connect_unix(welcome_.local_socket().path());
    ASSERT_TRUE(fd.ok()) << fd.status().to_string();
    socket_.emplace(*std::move(fd), version);
  }
  FrameChannel& socket() { return *socket_; }

  struct Answer {
    v1::LocalResponse response;
    std::vector<UniqueFd> descriptors;
    StatusCode code() const { return static_cast<StatusCode>(response.code()); }
  };
  /// UNAVAILABLE once the daemon has closed the socket.
  Result<Answer> ask(const v1::LocalRequest& request, std::vector<BytesPtr> with = {}) {
    LUNA_RETURN_IF_ERROR(socket_->send(1, request.SerializeAsString(), std::move(with), soon()));
    return listen();
  }
  Result<Answer> listen() {
    LUNA_ASSIGN_OR_RETURN(Frame frame, socket_->receive(soon()));
    Answer answer;
    if (!answer.response.ParseFromString(frame.body)) return error(StatusCode::kInternal, "junk");
    answer.descriptors = std::move(frame.descriptors);
    return answer;
  }

  v1::LocalRequest attach_request() const {
    v1::LocalRequest request;
    request.mutable_attach()->set_token(welcome_.local_socket().token());
    return request;
  }
  /// Attach and Prove, as they should be.
  void introduce() {
    connect();
    auto attached = ask(attach_request(), {memory(16)});
    ASSERT_TRUE(attached.ok()) << attached.status().to_string();
    ASSERT_EQ(attached->response.code(), 0u) << attached->response.message();
    EXPECT_EQ(attached->response.attached().nonce(), std::string(16, '\0'));
    const BytesPtr theirs = *map_received(std::move(attached->descriptors.at(0)));
    v1::LocalRequest prove;
    prove.mutable_prove()->set_nonce(theirs->view().data(), 16);
    const auto proved = ask(prove);
    ASSERT_TRUE(proved.ok()) << proved.status().to_string();
    ASSERT_EQ(proved->response.code(), 0u) << proved->response.message();
    EXPECT_EQ(proved->response.proved().planes(0), "shm");
  }
  Result<Answer> register_region(std::vector<BytesPtr> with, std::uint64_t bytes) {
    v1::LocalRequest request;
    request.mutable_register_region()->set_bytes(bytes);
    return ask(request, std::move(with));
  }
  std::string region(std::size_t size) {
    auto answer = register_region({memory(size)}, size);
    EXPECT_TRUE(answer.ok() && answer->response.code() == 0);
    return answer.ok() ? answer->response.region_registered().region_id() : "";
  }

  static BytesPtr memory(std::size_t size) {
    return std::move(*MemoryRegion::create("test", size)).share();
  }
  static Deadline soon() { return Deadline::after(std::chrono::seconds(10)); }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>> stream_;
  v1::SessionWelcome welcome_;
  std::optional<FrameChannel> socket_;
};

class LocalSocket : public ServiceTest {
 protected:
  LocalSocket() { shared_memory_ = true; }

  static void expect_closed(BarePeer& peer) {
    const auto after = peer.listen();
    EXPECT_EQ(after.status().code(), StatusCode::kUnavailable) << after.status().to_string();
  }
  static void expect_refused(const Result<BarePeer::Answer>& answer, StatusCode code,
                             const std::string& sentence) {
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(answer->code(), code) << answer->response.message();
    EXPECT_THAT(answer->response.message(), HasSubstr(sentence));
  }
  /// A call of the bare peer's session with its latent in a region.
  Status decode_from(const BarePeer& peer, const std::string& region, std::uint64_t offset,
                     std::vector<std::int64_t> shape = {1, 4, 8, 8}) {
    front::Caller caller;
    caller.workflow_id = "w";
    caller.session_id = peer.session();
    VaeDecodeRequest decode;
    decode.latent.spec = {DType::kF32, std::move(shape)};
    decode.latent.place = SharedRegion{region, offset};
    auto answer = std::make_shared<std::promise<Result<JobReply>>>();
    auto future = answer->get_future();
    JobEvents events;
    events.on_done = [answer](Result<JobReply> reply) { answer->set_value(std::move(reply)); };
    core_->submit(caller, decode, std::move(events));
    return wait(future).status();
  }
};

TEST_F(LocalSocket, ItIsPrivateAndLiesBesideTheOther) {
  start();
  struct stat info{};
  ASSERT_EQ(::stat((socket() + ".local").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  local_server_.reset();
  EXPECT_NE(::stat((socket() + ".local").c_str(), &info), 0) << "it is removed at the end";
}

TEST_F(LocalSocket, AClientOfAnotherHostIsNotToldOfIt) {
  start();
  BarePeer far(address(), "another boot"), mute(address(), "");
  EXPECT_FALSE(far.welcome().has_local_socket());
  EXPECT_FALSE(mute.welcome().has_local_socket());
  EXPECT_EQ(far.welcome().planes_size(), 1);
}

TEST_F(LocalSocket, ATokenMustBeRightAndIsSpentOnce) {
  start();
  BarePeer peer(address());
  peer.connect();
  v1::LocalRequest wrong;
  wrong.mutable_attach()->set_token("l-guess");
  expect_refused(peer.ask(wrong, {BarePeer::memory(16)}), StatusCode::kPermissionDenied, "token");
  expect_closed(peer);
  peer.introduce();
  peer.connect();
  expect_refused(peer.ask(peer.attach_request(), {BarePeer::memory(16)}),
                 StatusCode::kPermissionDenied, "token");
  expect_closed(peer);
}

TEST_F(LocalSocket, NothingIsAnsweredBeforeTheProof) {
  start();
  BarePeer peer(address());
  peer.connect();
  expect_refused(peer.register_region({BarePeer::memory(64)}, 64), StatusCode::kFailedPrecondition,
                 "expected attach first, found register_region");
  expect_closed(peer);
  peer.connect();
  ASSERT_TRUE(peer.ask(peer.attach_request(), {BarePeer::memory(16)}).ok());
  expect_refused(peer.register_region({BarePeer::memory(64)}, 64), StatusCode::kFailedPrecondition,
                 "expected prove first");
  expect_closed(peer);
}

TEST_F(LocalSocket, WhoReadAnotherNumberSharesNoMemory) {
  start();
  BarePeer peer(address());
  peer.connect();
  ASSERT_TRUE(peer.ask(peer.attach_request(), {BarePeer::memory(16)}).ok());
  v1::LocalRequest prove;
  prove.mutable_prove()->set_nonce(std::string(16, 'x'));
  expect_refused(peer.ask(prove), StatusCode::kFailedPrecondition, "share no memory");
  expect_closed(peer);
  EXPECT_TRUE(support::wait_until([&] {
    return client_->status()->open_sessions.back().fallback.find("prove") != std::string::npos;
  }));
}

TEST_F(LocalSocket, ThePieceOfMemoryOfAnAttachIsLookedAt) {
  start();
  for (std::vector<BytesPtr> with : {std::vector<BytesPtr>(),
                                     {BarePeer::memory(16), BarePeer::memory(16)},
                                     {BarePeer::memory(8)},
                                     {BarePeer::memory(2 << 20)}}) {
    BarePeer peer(address());
    peer.connect();
    expect_refused(peer.ask(peer.attach_request(), std::move(with)), StatusCode::kInvalidArgument,
                   "attach comes with");
    expect_closed(peer);
  }
}

TEST_F(LocalSocket, OnlyMemoryThatCannotShrinkIsRegistered) {
  start();
  BarePeer peer(address());
  peer.introduce();
  expect_refused(peer.register_region({}, 64), StatusCode::kInvalidArgument, "one descriptor");
  expect_refused(peer.register_region({BarePeer::memory(64), BarePeer::memory(64)}, 64),
                 StatusCode::kInvalidArgument, "found 2");
  expect_refused(peer.register_region({BarePeer::memory(64)}, 65), StatusCode::kInvalidArgument,
                 "65 bytes were announced, the descriptor has 64");
  expect_refused(peer.register_region({BarePeer::memory(64)}, 0), StatusCode::kInvalidArgument,
                 "0 bytes");
  UniqueFd unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 64), 0);
  expect_refused(peer.register_region({descriptor_alone(std::move(unsealed))}, 64),
                 StatusCode::kInvalidArgument, "sealed against shrinking");
  UniqueFd file(::open(folder_.write("file", std::string(64, 'x')).c_str(), O_RDWR | O_CLOEXEC));
  expect_refused(peer.register_region({descriptor_alone(std::move(file))}, 64),
                 StatusCode::kInvalidArgument, "without seals");
  EXPECT_EQ(client_->status()->open_sessions.back().regions, 0u);
  EXPECT_NE(peer.region(64), "") << "the connection goes on";
}

TEST_F(LocalSocket, RegionsAreBoundedInNumberAndBytes) {
  config_.limits.regions_per_session = 2;
  config_.limits.region_bytes_per_session = 1000;
  start();
  BarePeer peer(address());
  peer.introduce();
  expect_refused(peer.register_region({BarePeer::memory(1001)}, 10), StatusCode::kResourceExhausted,
                 "region_bytes_per_session");
  v1::LocalRequest create;
  create.mutable_create_region()->set_bytes(std::uint64_t{1} << 50);
  expect_refused(peer.ask(create), StatusCode::kResourceExhausted, "region_bytes_per_session");
  peer.region(10);
  peer.region(10);
  expect_refused(peer.register_region({BarePeer::memory(10)}, 10), StatusCode::kResourceExhausted,
                 "regions_per_session");
}

TEST_F(LocalSocket, NobodyNamesAnothersRegion) {
  start();
  BarePeer owner(address()), other(address());
  owner.introduce();
  other.introduce();
  const std::string region = owner.region(4096);
  EXPECT_TRUE(decode_from(owner, region, 0).ok());
  EXPECT_EQ(decode_from(other, region, 0).code(), StatusCode::kPermissionDenied);
  v1::LocalRequest release;
  release.mutable_release_regions()->add_region_ids(region);
  expect_refused(other.ask(release), StatusCode::kPermissionDenied, "another session");
  v1::LocalRequest take;
  take.mutable_take_region()->set_region_id(region);
  expect_refused(other.ask(take), StatusCode::kPermissionDenied, "another session");
  expect_refused(owner.ask(take), StatusCode::kFailedPrecondition, "only results are taken");
}

TEST_F(LocalSocket, ATensorMustLieWithinItsRegion) {
  start();
  BarePeer peer(address());
  peer.introduce();
  const std::string region = peer.region(2048);
  EXPECT_TRUE(decode_from(peer, region, 1024).ok());
  EXPECT_EQ(decode_from(peer, region, 1028).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decode_from(peer, region, ~std::uint64_t{0} - 3).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decode_from(peer, region, 2).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decode_from(peer, "r-none", 0).code(), StatusCode::kNotFound);
}

TEST_F(LocalSocket, MemoryOfTheDaemonsMakingIsWrittenByTheClient) {
  start();
  BarePeer peer(address());
  peer.introduce();
  v1::LocalRequest create;
  create.mutable_create_region()->set_bytes(1024);
  auto created = peer.ask(create);
  ASSERT_TRUE(created.ok() && created->descriptors.size() == 1);
  const float seven = 7;
  ASSERT_EQ(::pwrite(created->descriptors[0].get(), &seven, sizeof seven, 0), 4);
  ASSERT_TRUE(decode_from(peer, created->response.region_created().region_id(), 0).ok());
  const Job seen = *worker_->last("vae_decode");
  EXPECT_EQ(first(std::get<VaeDecodeRequest>(seen.request).latent), 7);
  expect_refused(peer.ask([] {
    v1::LocalRequest none;
    none.mutable_create_region();
    return none;
  }()),
                 StatusCode::kInvalidArgument, "at least one byte");
}

TEST_F(LocalSocket, ACallKeepsTheRegionThatIsReleasedMeanwhile) {
  start();
  BarePeer peer(address());
  peer.introduce();
  const std::string region = peer.region(4096);
  ASSERT_TRUE(decode_from(peer, region, 0).ok());
  const Job under_way = *worker_->last("vae_decode");
  v1::LocalRequest release;
  release.mutable_release_regions()->add_region_ids(region);
  const auto released = peer.ask(release);
  ASSERT_TRUE(released.ok());
  EXPECT_EQ(released->response.regions_released().freed_bytes(), 4096u);
  EXPECT_EQ(first(std::get<VaeDecodeRequest>(under_way.request).latent), 0);
  EXPECT_EQ(decode_from(peer, region, 0).code(), StatusCode::kNotFound);
}

TEST_F(LocalSocket, WhatIsNoFrameOrNoRequestEndsTheConnection) {
  start();
  BarePeer peer(address());
  peer.introduce();
  ASSERT_TRUE(peer.socket().send(7, "x", {}, BarePeer::soon()).ok());
  expect_refused(peer.listen(), StatusCode::kInvalidArgument, "expected a LocalRequest");
  expect_closed(peer);
  for (const std::string& bytes : {std::string(64, 'x'), std::string(10, '\0')}) {
    BarePeer hostile(address());
    hostile.introduce();
    ASSERT_EQ(::send(hostile.socket().fd(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    if (bytes.size() < 28) ::shutdown(hostile.socket().fd(), SHUT_WR);  // cut off in the header
    expect_closed(hostile);
  }
  BarePeer newer(address());
  newer.connect(2);
  ASSERT_TRUE(newer.socket().send(1, "", {}, BarePeer::soon()).ok());
  expect_closed(newer);
  EXPECT_TRUE(call(&client::InferenceService::tokenize, TokenizeRequest{"x"}).ok());
}

TEST_F(LocalSocket, WhoSaysNothingIsSentAway) {
  local_.introduction_time = std::chrono::milliseconds(50);
  start();
  BarePeer peer(address());
  peer.connect();
  expect_closed(peer);
  BarePeer proved(address());
  proved.introduce();
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_NE(proved.region(64), "") << "the limit is for strangers";
}

TEST_F(LocalSocket, StepSocketsAreNotServedWithoutAnOpener) {
  start();
  BarePeer peer(address());
  peer.introduce();
  v1::LocalRequest open;
  open.mutable_open_steps()->set_workflow_id("w");
  expect_refused(peer.ask(open), StatusCode::kUnimplemented, "Primitives.Denoise");
}

TEST_F(LocalSocket, TheSessionsEndClosesItAndFreesEverything) {
  start();
  auto peer = std::make_unique<BarePeer>(address());
  peer->introduce();
  for (int i = 0; i < 100; ++i) peer->region(1000);
  EXPECT_EQ(client_->status()->regions, 100u);
  core_->close_session(peer->session());
  expect_closed(*peer);
  EXPECT_EQ(client_->status()->regions, 0u);
  EXPECT_EQ(client_->status()->region_bytes, 0u);
}

TEST_F(LocalSocket, ItsEndFreesTheRegionsOfASessionThatGoesOn) {
  start();
  BarePeer peer(address());
  peer.introduce();
  peer.region(1000);
  ::shutdown(peer.socket().fd(), SHUT_RDWR);
  EXPECT_TRUE(support::wait_until([&] { return client_->status()->regions == 0; }));
  EXPECT_EQ(client_->status()->open_sessions.size(), 2u);
}

}  // namespace
}  // namespace luna
