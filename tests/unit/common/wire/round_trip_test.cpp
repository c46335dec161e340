// Every message that carries a type of ours goes proto -> type -> proto with every field set, and
// comes back the same. A field that is added to a proto and forgotten in a reader or a writer fails
// here by name.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "common/wire/primitives_wire.h"
#include "common/wire/sampling_wire.h"
#include "common/wire/status_wire.h"
#include "tests/unit/common/wire/message_filler.h"

namespace luna::wire {
namespace {

using google::protobuf::util::MessageDifferencer;

/// Messages without a counterpart in C++ that a service reads itself; the rest must pass through
/// here.
const std::set<std::string>& read_by_services() {
  static const std::set<std::string> names = {
      "ListModelsRequest",       "ListModelsResponse",      "InspectModelRequest",
      "LoadModelResponse",       "UnloadModelRequest",      "RestoreModelRequest",
      "PinModelRequest",         "PinModelResponse",        "UnpinModelRequest",
      "UnpinModelResponse",      "RegisterWorkflowRequest", "RegisterWorkflowResponse",
      "RenewWorkflowRequest",    "RenewWorkflowResponse",   "ReleaseWorkflowRequest",
      "ReleaseWorkflowResponse", "ListWorkflowsRequest",    "ListWorkflowsResponse",
      "GetStatusRequest",        "UploadTensorRequest",     "UploadTensorResponse",
      "DownloadTensorRequest",   "DownloadTensorResponse",  "FreeTensorRequest",
      "FreeTensorResponse",      "SampleResponse",          "AllocateTensorRequest",
      "AllocateTensorResponse",  "ProveCudaRequest",        "ProveCudaResponse",
      "ConfirmCudaRequest",      "ConfirmCudaResponse"};
  return names;
}

class RoundTrip : public testing::Test {
 protected:
  template <class Message>
  void check() {
    Message original;
    filler().fill(original);
    expect_same(original);
  }

  template <class Message>
  void expect_same(const Message& original) {
    Message spent = original;
    auto value = from_wire(spent);
    ASSERT_TRUE(value.ok()) << Message::descriptor()->name() << ": " << value.status().to_string();
    Message again;
    to_wire(*value, &again);
    std::string difference;
    MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(original, again)) << Message::descriptor()->name() << "\n"
                                                      << difference;
  }
  static MessageFiller& filler() {
    static MessageFiller filler;
    return filler;
  }
};

TEST_F(RoundTrip, EveryFieldOfEveryMessageSurvives) {
  for (int turn = 0; turn < 5; ++turn) {  // each turn, other places for the tensors
    check<v1::TensorRef>();
    check<v1::ConditioningEntry>();
    check<v1::SampleRequest>();
    check<v1::SampleProgress>();
    check<v1::SampleResult>();
    check<v1::DenoiseRequest>();
    check<v1::DenoiseResponse>();
    check<v1::TokenizeRequest>();
    check<v1::TokenizeResponse>();
    check<v1::EncodeTextRequest>();
    check<v1::EncodeTextResponse>();
    check<v1::VaeEncodeRequest>();
    check<v1::VaeEncodeResponse>();
    check<v1::VaeDecodeRequest>();
    check<v1::VaeDecodeResponse>();
    check<v1::ModelSet>();
    check<v1::LoadModelRequest>();
    check<v1::InspectModelResponse>();
    check<v1::OffloadModelRequest>();
  }
}

TEST_F(RoundTrip, WhatMovedBetweenTiersSurvivesButForTheWorkerOfWhichThereMayBeMany) {
  const auto of_all_workers = [](auto* models) {
    for (v1::LoadedModel& model : *models) model.clear_worker_id();
  };
  v1::UnloadModelResponse unloaded;
  filler().fill(unloaded);
  of_all_workers(unloaded.mutable_unloaded());
  of_all_workers(unloaded.mutable_held());
  expect_same(unloaded);
  v1::OffloadModelResponse offloaded;
  filler().fill(offloaded);
  of_all_workers(offloaded.mutable_offloaded());
  of_all_workers(offloaded.mutable_held());
  expect_same(offloaded);
  v1::RestoreModelResponse restored;
  filler().fill(restored);
  of_all_workers(restored.mutable_restored());
  expect_same(restored);
}

TEST_F(RoundTrip, FilesWorkflowsAndStatusSurvive) {
  v1::ModelFile file;
  filler().fill(file);
  v1::ModelFile spent_file = file, file_again;
  to_wire(from_wire(spent_file), &file_again);
  EXPECT_TRUE(MessageDifferencer::Equals(file, file_again));

  v1::Workflow workflow;
  filler().fill(workflow);
  workflow.mutable_resolved(0)->set_slot(v1::SLOT_UNET);
  workflow.mutable_resolved(1)->set_slot(v1::SLOT_LLM);
  expect_same(workflow);

  v1::GetStatusResponse status;
  filler().fill(status);
  status.clear_workflows();
  *status.add_workflows() = workflow;
  for (v1::WorkerStatus& worker : *status.mutable_workers()) {
    for (v1::LoadedModel& model : *worker.mutable_models()) model.set_worker_id(worker.worker_id());
  }
  for (v1::QueueStatus& queue : *status.mutable_queues()) queue.set_priority("bulk");
  for (v1::PoolStatus& pool : *status.mutable_pools()) {
    for (std::string& role : *pool.mutable_roles()) role = "vae";
  }
  expect_same(status);
}

/// Walks the descriptors of luna.v1: whatever message is not left to a service was filled
/// completely above.
TEST_F(RoundTrip, NoFieldOfTheWireIsLeftOut) {
  for (const auto* file :
       {v1::SampleRequest::descriptor()->file(), v1::TensorRef::descriptor()->file(),
        v1::TokenizeRequest::descriptor()->file(), v1::ModelSet::descriptor()->file(),
        v1::Workflow::descriptor()->file(), v1::GetStatusResponse::descriptor()->file()}) {
    for (int m = 0; m < file->message_type_count(); ++m) {
      const auto& message = *file->message_type(m);
      if (read_by_services().contains(message.name())) continue;
      for (int f = 0; f < message.field_count(); ++f) {
        EXPECT_TRUE(filler().fields().contains(message.field(f)->full_name()))
            << message.field(f)->full_name() << " is in no round trip";
      }
    }
  }
}

}  // namespace
}  // namespace luna::wire
