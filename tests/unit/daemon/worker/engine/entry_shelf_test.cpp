#include "daemon/worker/engine/entry_shelf.h"

#include <gmock/gmock.h>

#include "common/base/lasting_bytes.h"
#include "tests/unit/daemon/worker/engine/fake_unet.h"

namespace luna::worker {
namespace {

class EntryShelfTest : public testing::Test {
 protected:
  static TensorRef lasting(float value) {
    TensorRef tensor = tensor_of({1, 2, 4}, std::vector<float>(8, value));
    tensor.place = BytesPtr(std::make_shared<LastingBytes>(tensor.host_bytes()));
    return tensor;
  }
  static DenoiseRow row_with(TensorRef context) {
    DenoiseRow row;
    row.conditioning.cross_attn = std::move(context);
    return row;
  }
  /// The first value of the entry's context; what is made counts up.
  float get(const DenoiseRow& row, EntryPlace place = {8, 8}) {
    const auto entry = shelf_.get(row, model_, place, [&]() -> Result<ActiveEntry> {
      ActiveEntry made;
      made.context = at::full({1, 2, 4}, static_cast<float>(++made_));
      return made;
    });
    EXPECT_TRUE(entry.ok());
    return entry.ok() ? entry->context[0][0][0].item<float>() : 0;
  }

  EntryShelf shelf_;
  std::shared_ptr<const DenoisingModel> model_ = std::make_shared<FakeUnet>();
  int made_ = 0;
};

TEST_F(EntryShelfTest, WhatLastsIsMadeOnce) {
  const DenoiseRow row = row_with(lasting(1));
  EXPECT_EQ(get(row), 1);
  EXPECT_EQ(get(row), 1);
  EXPECT_EQ(get(row_with(lasting(1))), 2) << "equal bytes elsewhere are others";
  EXPECT_EQ(shelf_.sweep(), 8u * sizeof(float)) << "the second has gone with its bytes";
}

TEST_F(EntryShelfTest, WhatMayChangeIsMadeEveryTime) {
  const DenoiseRow row = row_with(tensor_of({1, 2, 4}, std::vector<float>(8, 1)));
  EXPECT_EQ(get(row), 1);
  EXPECT_EQ(get(row), 2);
  DenoiseRow half = row_with(lasting(1));
  half.extras["y"] = tensor_of({1, 4}, std::vector<float>(4, 1));
  EXPECT_EQ(get(half), 3);
  EXPECT_EQ(get(half), 4) << "all of its tensors must last";
  EXPECT_EQ(shelf_.sweep(), 0u);
}

TEST_F(EntryShelfTest, EverythingThatMakesADifferenceIsToldApart) {
  DenoiseRow row = row_with(lasting(1));
  EXPECT_EQ(get(row), 1);
  EXPECT_EQ(get(row, {8, 16}), 2) << "another size of latent";
  row.conditioning.numbers["crop_w"] = 8;
  EXPECT_EQ(get(row), 3);
  row.extras["y"] = lasting(2);
  EXPECT_EQ(get(row), 4);
  row.conditioning.cross_attn.spec.shape = {1, 1, 8};
  EXPECT_EQ(get(row), 5);
  const auto former = std::exchange(model_, std::make_shared<FakeUnet>());
  EXPECT_EQ(get(row), 6);
  model_ = former;
  EXPECT_EQ(get(row), 5);
}

TEST_F(EntryShelfTest, NothingOutlivesItsBytesOrItsModel) {
  std::weak_ptr<const Bytes> bytes;
  {
    const DenoiseRow row = row_with(lasting(1));
    bytes = row.conditioning.cross_attn.host_bytes();
    get(row);
    EXPECT_GT(shelf_.sweep(), 0u);
  }
  EXPECT_TRUE(bytes.expired());
  EXPECT_EQ(shelf_.sweep(), 0u);
  const DenoiseRow row = row_with(lasting(1));
  get(row);
  model_ = std::make_shared<FakeUnet>();
  EXPECT_EQ(shelf_.sweep(), 0u);
}

TEST_F(EntryShelfTest, OfTooManyTheOneThatWasNotUsedForTheLongestTimeGoes) {
  std::vector<DenoiseRow> rows;
  for (int i = 0; i < 64; ++i) {
    rows.push_back(row_with(lasting(1)));
    get(rows.back());
  }
  get(rows.front());
  rows.push_back(row_with(lasting(1)));
  get(rows.back());
  EXPECT_EQ(get(rows.front()), 1);
  EXPECT_EQ(get(rows[1]), 66);
}

}  // namespace
}  // namespace luna::worker
