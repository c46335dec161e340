// Every struct that travels is described completely, and comes out of the codec as it went in.
#include "filled.h"
#include <boost/pfr/tuple_size.hpp>
#include <gtest/gtest.h>

#include "daemon/ipc/protocol/archive.h"
#include "daemon/ipc/protocol/codec.h"

namespace luna::ipc {
namespace {

template <class T>
class EveryStruct : public ::testing::Test {};

using Structs = ::testing::Types<
    TensorSpec, ResidentTensor, SharedRegion, CudaHandle, TensorRef, ConditioningArea,
    ConditioningEntry, ModelRef, ModelSet, LoraRef, ComponentInfo, LoadedModel, SamplerRun,
    NoiseSpec, Guidance, SampleRow, PreviewOptions, SampleRequest, SampleProgress, SampleReply,
    DenoiseRow, DenoiseRequest, DenoiseReply, Token, TokenizeRequest, TokenizeReply,
    EncodeTextRequest, EncodeTextReply, TileOptions, VaeEncodeRequest, VaeEncodeReply,
    VaeDecodeRequest, VaeDecodeReply, InspectModelRequest, InspectModelReply, LoadModelRequest,
    LoadModelReply, UnloadModelRequest, UnloadModelReply, RestoreModelRequest, RestoreModelReply,
    LeaseCudaRequest, LeaseCudaReply, ProveCudaRequest, ProveCudaReply, ForwardCounters,
    WorkerReport, WorkerSettings, FileIdentity, ComponentSource, HostTensor, HostWeights,
    StepsOpening>;
TYPED_TEST_SUITE(EveryStruct, Structs);

template <class T>
EncodedMessage written(const T& value) {
  Writer writer;
  fields(writer, value);
  return {writer.take_body(), writer.take_attachments()};
}

TYPED_TEST(EveryStruct, DescribesAllOfItsMembers) {
  TypeParam value{};
  FieldCounter counter;
  fields(counter, value);
  EXPECT_EQ(static_cast<std::size_t>(counter.count), boost::pfr::tuple_size_v<TypeParam>);
}

TYPED_TEST(EveryStruct, ComesOutAsItWentInWithAllFieldsSetAndEveryVariant) {
  for (std::size_t variant = 0; variant < 9; ++variant) {
    const EncodedMessage first = written(filled<TypeParam>(variant));
    Reader reader(first.body, first.attachments, "struct");
    TypeParam back{};
    fields(reader, back);
    const Status status = reader.finish();
    ASSERT_TRUE(status.ok()) << status.to_string();
    const EncodedMessage second = written(back);
    EXPECT_EQ(second.body, first.body);
    EXPECT_EQ(second.attachments, first.attachments);
    EXPECT_NE(first.body, written(TypeParam{}).body) << "the filled struct equals the default one";
  }
}

}  // namespace
}  // namespace luna::ipc
