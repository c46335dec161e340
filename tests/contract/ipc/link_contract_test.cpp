// What front and workers promise each other, whatever the other end runs in.
#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/memory.h"
#include "tests/contract/ipc/front_side.h"
#include "tests/contract/ipc/peer.h"

namespace luna::ipc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LinkContract : public ::testing::TestWithParam<PeerKind> {};
INSTANTIATE_TEST_SUITE_P(Peers, LinkContract,
                         ::testing::Values(PeerKind::kThread, PeerKind::kProcess),
                         [](const auto& kind) {
                           return kind.param == PeerKind::kThread ? "Thread" : "Process";
                         });

TensorRef tensor_in(BytesPtr bytes) {
  const auto size = static_cast<std::int64_t>(bytes->view().size());
  return {{DType::kU8, {size}}, std::move(bytes)};
}

BytesPtr sealed_memory(std::size_t size, int fill) {
  MemoryRegion region = *MemoryRegion::create("contract", size);
  std::memset(region.bytes().data(), fill, size);
  return *std::move(region).finish();
}

bool same_content(const TensorRef& a, const TensorRef& b) {
  return a.spec == b.spec && std::ranges::equal(a.host_bytes()->view(), b.host_bytes()->view());
}

ino_t inode_of(int fd) {
  struct stat info{};
  EXPECT_EQ(::fstat(fd, &info), 0);
  return info.st_ino;
}

TEST_P(LinkContract, TheHandshakeBringsSettingsDownAndReadinessAndHeartbeatsUp) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  EXPECT_EQ(front.ready.get(), "echo 3 on cuda:7");
  EXPECT_TRUE(front.ready_status.ok());
  front.link().drain();
  EXPECT_EQ(front.closed.get().code(), StatusCode::kUnavailable);
  ASSERT_EQ(front.heartbeats.size(), 2u);
  EXPECT_EQ(front.heartbeats[0].device, "cuda:7");
  EXPECT_EQ(peer->join(), StatusCode::kOk) << "a drained worker ends in order";
}

TEST_P(LinkContract, EveryKindOfJobIsAnsweredWithItsOwnKindOfReply) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  const TensorRef tensor = tensor_in(bytes_from("twelve bytes"));
  DenoiseRequest denoise;
  denoise.rows.resize(3);
  for (DenoiseRow& row : denoise.rows) row.x = tensor;
  EncodeTextRequest text;
  text.text = "a castle";
  VaeEncodeRequest to_latent;
  to_latent.pixels = tensor;
  VaeDecodeRequest to_pixels;
  to_pixels.latent = tensor;

  EXPECT_EQ(front.run(TokenizeRequest{"a cat"})->reply<TokenizeReply>().warnings[0], "a cat");
  EXPECT_EQ(front.run(text)->reply<EncodeTextReply>().warnings[0], "a castle");
  EXPECT_TRUE(same_content(front.run(to_latent)->reply<VaeEncodeReply>().latent, tensor));
  EXPECT_TRUE(same_content(front.run(to_pixels)->reply<VaeDecodeReply>().pixels, tensor));
  EXPECT_TRUE(same_content(front.run(denoise)->reply<DenoiseReply>().denoised.at(2), tensor));
  EXPECT_EQ(front.run(InspectModelRequest{"/m"})->reply<InspectModelReply>().components[0].family,
            "/m");
  EXPECT_EQ(front.run(LoadModelRequest{Slot::kVae, {"/vae", Precision::kF16}})
                ->reply<LoadModelReply>()
                .model.paths[0],
            "/vae");
  EXPECT_EQ(front.run(UnloadModelRequest{"12345"})->reply<UnloadModelReply>().freed_bytes, 5u);
}

TEST_P(LinkContract, ProgressComesInOrderBeforeTheResult) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  SampleRequest request;
  request.run.steps = 25;
  request.rows.resize(2);
  request.rows[0].latent = request.rows[1].latent = tensor_in(bytes_from("latent"));
  const auto outcome = front.run(request);
  EXPECT_EQ(outcome->reply<SampleReply>().latents.size(), 2u);
  ASSERT_EQ(outcome->progress.size(), 25u);
  for (int i = 0; i < 25; ++i)
    EXPECT_EQ(outcome->progress[static_cast<std::size_t>(i)].step, i + 1);
}

TEST_P(LinkContract, TensorsOfEverySizeComeBackUnchanged) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  for (const std::size_t size : {0u, 1u, 15u, 4096u, 65536u, 65537u, 1u << 20, 9u << 20}) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 31 + i / 251);
    VaeEncodeRequest request;
    request.pixels = tensor_in(bytes_from(std::move(content)));
    const auto outcome = front.run(request);
    EXPECT_TRUE(same_content(outcome->reply<VaeEncodeReply>().latent, request.pixels)) << size;
  }
}

TEST_P(LinkContract, ATensorInSealedMemoryIsTheSameMemoryAtBothEnds) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  const BytesPtr memory = sealed_memory(8 << 20, 0x5a);
  VaeEncodeRequest request;
  request.pixels = tensor_in(*slice_of(memory, 4096, 1 << 20));
  const auto outcome = front.run(request);
  const BytesPtr back = outcome->reply<VaeEncodeReply>().latent.host_bytes();
  EXPECT_NE(back->fd(), memory->fd()) << "it came through the kernel";
  EXPECT_EQ(inode_of(back->fd()), inode_of(memory->fd()));
  EXPECT_EQ(back->fd_offset(), 4096u);
  EXPECT_TRUE(same_content(outcome->reply<VaeEncodeReply>().latent, request.pixels));
}

TEST_P(LinkContract, AWorkerFindsTheHostCopyThatTheFrontHasAndOnlyThat) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  EXPECT_EQ(front.run(TokenizeRequest{"seek"})->reply<TokenizeReply>().warnings[0], "none");
  EXPECT_EQ(front.sought.file.path, "/models/sought");
  EXPECT_EQ(front.sought.slot, Slot::kUNet);
  front.to_find = HostWeights{"the hash", {}, {}, sealed_memory(4096, 1)};
  EXPECT_EQ(front.run(TokenizeRequest{"seek"})->reply<TokenizeReply>().warnings[0], "the hash");
}

TEST_P(LinkContract, ASeekMayBeAnsweredLongAfterWhileOtherMessagesPass) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.answer_seeks_later = true;
  const auto seeking = front.run(TokenizeRequest{"seek"});
  EXPECT_TRUE(front.run(TokenizeRequest{"meanwhile"})->status().ok());
  EXPECT_FALSE(seeking->done.arrived());
  ASSERT_EQ(front.late_answers.size(), 1u);
  front.late_answers[0](HostWeights{"the hash", {}, {}, sealed_memory(4096, 1)});
  EXPECT_EQ(seeking->reply<TokenizeReply>().warnings[0], "the hash");
}

TEST_P(LinkContract, AnAnswerToASeekAfterTheLinksEndDoesNothing) {
  std::vector<WorkerLink::Handlers::Found> answers;
  {
    const auto peer = Peer::start(GetParam());
    FrontSide front(peer->take_socket());
    front.answer_seeks_later = true;
    const auto seeking = front.run(TokenizeRequest{"seek"});
    front.run(TokenizeRequest{"meanwhile"})->done.get();
    answers = front.late_answers;
  }
  ASSERT_EQ(answers.size(), 1u);
  answers[0](std::nullopt);
}

TEST_P(LinkContract, AWorkerThatCouldNotReadSaysWhat) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.run(TokenizeRequest{"fail to read"})->done.get();
  ASSERT_EQ(front.failed_reads.size(), 1u);
  EXPECT_EQ(front.failed_reads[0].file.path, "/models/unreadable");
  EXPECT_EQ(front.failed_reads[0].slot, Slot::kVae);
}

TEST_P(LinkContract, PinsArriveBeforeTheJobsThatFollowThemEachListInPlaceOfTheLast) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.link().pin({"/models/early"});  // perhaps before the handshake
  EXPECT_THAT(front.run(TokenizeRequest{"pins"})->reply<TokenizeReply>().warnings,
              ElementsAre("/models/early"));
  front.link().pin({"/models/a", "/models/b"});
  EXPECT_THAT(front.run(TokenizeRequest{"pins"})->reply<TokenizeReply>().warnings,
              ElementsAre("/models/a", "/models/b"));
  front.link().pin({});
  EXPECT_THAT(front.run(TokenizeRequest{"pins"})->reply<TokenizeReply>().warnings, IsEmpty());
}

TEST_P(LinkContract, LeasesAndSessionsThatEndReachTheWorkerBeforeTheJobsThatFollow) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.ready.get();
  front.link().release_leases({"4", "7"});
  front.link().end_session("s-1");
  EXPECT_THAT(front.run(TokenizeRequest{"ended"})->reply<TokenizeReply>().warnings,
              ElementsAre("4", "7", "session s-1"));
}

TEST_P(LinkContract, ADescriptorThatIsNoMemoryIsTheSameOpenFileAtBothEnds) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd write_end(ends[1]);
  CudaHandle handle{"GPU-a", "", 1 << 21, 64};
  handle.region_id = "r-1";
  handle.descriptor = descriptor_alone(UniqueFd(ends[0]));
  VaeDecodeRequest request;
  request.latent.spec = {DType::kF32, {4}};
  request.latent.place = handle;
  const auto done = front.run(request);
  const auto& back = std::get<CudaHandle>(done->reply<VaeDecodeReply>().pixels.place);
  EXPECT_EQ(back.region_id, "r-1");
  EXPECT_EQ(back.offset, 64u);
  ASSERT_NE(back.descriptor, nullptr);
  EXPECT_NE(back.descriptor->fd(), handle.descriptor->fd());
  ASSERT_EQ(::write(write_end.get(), "x", 1), 1);
  char read = 0;
  EXPECT_EQ(::read(back.descriptor->fd(), &read, 1), 1);
  EXPECT_EQ(read, 'x');
}

TEST_P(LinkContract, WeightsThatAWorkerOffersArriveWhole) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.run(TokenizeRequest{"offer"})->done.get();
  const auto& [source, weights] = front.offered.get();
  EXPECT_EQ(source.file.path, "/models/offered");
  EXPECT_EQ(source.slot, Slot::kVae);
  EXPECT_EQ(weights.content_hash, "hash");
  EXPECT_EQ(weights.metadata.at("key"), "value");
  ASSERT_EQ(weights.tensors.size(), 1u);
  EXPECT_TRUE(weights.validate().ok()) << weights.validate().to_string();
  EXPECT_GE(weights.bytes->fd(), 0) << "so much goes by descriptor";
}

TEST_P(LinkContract, ManyRowsWithLargeTensorsTravelInOneJob) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  DenoiseRequest request;
  request.rows.resize(150);
  for (std::size_t i = 0; i < request.rows.size(); ++i) {
    request.rows[i].x =
        tensor_in(i % 2 == 0 ? sealed_memory(70000, static_cast<int>(i))
                             : bytes_from(std::string(70000, static_cast<char>(i))));
  }
  const auto outcome = front.run(request);
  const auto& rows = outcome->reply<DenoiseReply>().denoised;
  ASSERT_EQ(rows.size(), 150u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(same_content(rows[i], request.rows[i].x)) << i;
  }
}

TEST_P(LinkContract, AThousandJobsFromFourThreadsEachGetTheirOwnAnswer) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  std::vector<std::vector<std::shared_ptr<Outcome>>> outcomes(4);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 250; ++i) {
        outcomes[static_cast<std::size_t>(caller)].push_back(
            front.run(TokenizeRequest{fmt::format("{} {}", caller, i)}));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (int caller = 0; caller < 4; ++caller) {
    for (int i = 0; i < 250; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(caller)][static_cast<std::size_t>(i)];
      EXPECT_EQ(outcome->reply<TokenizeReply>().warnings[0], fmt::format("{} {}", caller, i));
    }
  }
}

TEST_P(LinkContract, ACancelledJobEndsWithCancelledAndOthersGoOn) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.ready.get();
  const auto hanging = front.run(TokenizeRequest{"hang"});
  front.link().cancel(front.last_id());
  EXPECT_EQ(hanging->status().to_string(), "CANCELLED: stopped between two steps");
  EXPECT_TRUE(front.run(TokenizeRequest{"next"})->status().ok());
  front.link().cancel(front.last_id());
  front.link().cancel(JobId{999});
  EXPECT_TRUE(front.run(TokenizeRequest{"a late cancel harms nobody"})->status().ok());
}

TEST_P(LinkContract, ACancelThatTheWorkerIgnoresIsAnsweredAfterTheGrace) {
  LinkOptions options;
  options.cancel_grace = std::chrono::milliseconds(20);
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket(), options);
  const auto deaf = front.run(TokenizeRequest{"deaf"});
  front.ready.get();
  front.link().cancel(front.last_id());
  EXPECT_EQ(deaf->status().code(), StatusCode::kCancelled);
}

TEST_P(LinkContract, AJobWhoseDeadlinePassesIsAnsweredAtOnceAndTheWorkerToldToStop) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.ready.get();
  const auto late =
      front.run(TokenizeRequest{"hang"}, Deadline::after(std::chrono::milliseconds(20)));
  const auto later =
      front.run(TokenizeRequest{"hang"}, Deadline::after(std::chrono::milliseconds(10)));
  EXPECT_EQ(late->status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(later->status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(front.run(TokenizeRequest{"next"})->status().ok());
  front.link().drain();
  front.closed.get();
  EXPECT_EQ(front.heartbeats.back().jobs_cancelled, 2u) << "as the worker counts";
}

TEST_P(LinkContract, ADeadlineInThePastNeverReachesTheWorker) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  const auto late = front.run(TokenizeRequest{"die"}, Deadline(Deadline::Clock::now()));
  EXPECT_EQ(late->status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(front.run(TokenizeRequest{"alive"})->status().ok());
}

TEST_P(LinkContract, APeerThatDiesLeavesNoJobUnanswered) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.ready.get();
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 8; ++i) outcomes.push_back(front.run(TokenizeRequest{"hang"}));
  outcomes.push_back(front.run(TokenizeRequest{"die"}));
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(outcome->status().message(), HasSubstr("worker 3"));
  }
  EXPECT_EQ(front.closed.get().code(), StatusCode::kUnavailable);
  EXPECT_EQ(front.jobs_answered_at_close, 9) << "on_closed comes after the jobs' answers";
  EXPECT_EQ(front.run(TokenizeRequest{"too late"})->status().code(), StatusCode::kUnavailable);
}

TEST_P(LinkContract, APeerKilledFromOutsideIsNoticed) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.ready.get();
  const auto outcome = front.run(TokenizeRequest{"hang"});
  peer->kill();
  EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
}

TEST_P(LinkContract, AWorkerNoticesThatTheFrontIsGone) {
  const auto peer = Peer::start(GetParam());
  {
    FrontSide front(peer->take_socket());
    front.ready.get();
  }
  EXPECT_EQ(peer->join(), StatusCode::kUnavailable);
}

TEST_P(LinkContract, ClosingByTheFrontAnswersItsJobsAndReportsNoFault) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  const auto outcome = front.run(TokenizeRequest{"hang"});
  front.link().close();
  EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(front.closed.get().ok());
}

TEST_P(LinkContract, ADrainingWorkerIsGivenNothingNew) {
  const auto peer = Peer::start(GetParam());
  FrontSide front(peer->take_socket());
  front.link().drain();
  EXPECT_EQ(front.run(TokenizeRequest{"new"})->status().code(), StatusCode::kUnavailable);
}

TEST_P(LinkContract, PeersOfTwoVersionsNameBothAndPart) {
  LinkOptions other;
  other.protocol_version = 41;
  const auto peer = Peer::start(GetParam(), other);
  FrontSide front(peer->take_socket());
  const auto outcome = front.run(TokenizeRequest{"hello?"});
  EXPECT_EQ(front.closed.get().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(front.closed.get().message(),
              AllOf(HasSubstr("protocol version 41"),
                    HasSubstr(fmt::format("this side version {}", kProtocolVersion))));
  EXPECT_THAT(outcome->status().message(), HasSubstr("protocol version 41"));
  EXPECT_EQ(peer->join(), StatusCode::kFailedPrecondition) << "the worker knows as well";
}

TEST_P(LinkContract, NoDescriptorIsLeftOpen) {
  const std::size_t before = open_descriptors();
  {
    const auto peer = Peer::start(GetParam());
    FrontSide front(peer->take_socket());
    for (int i = 0; i < 20; ++i) {
      VaeEncodeRequest request;
      request.pixels =
          tensor_in(i % 2 == 0 ? sealed_memory(100000, i) : bytes_from(std::string(100000, 'x')));
      EXPECT_TRUE(front.run(request)->status().ok());
    }
    front.run(TokenizeRequest{"die"})->done.get();
    front.closed.get();
    peer->join();
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace luna::ipc
