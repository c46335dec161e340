// Which overlay is written into the memory of which other one.
#include <set>

#include <gmock/gmock.h>

#include "tests/unit/daemon/worker/residency/adapted_residency.h"

namespace luna::worker {
namespace {

class Overlays : public AdaptedResidency {
 protected:
  static OverlayMemoryUse memories(std::uint64_t in_new, std::uint64_t in_reused) {
    return {in_new, in_reused};
  }
  /// What an overlay of this LoRA takes.
  std::uint64_t bytes_of(const std::string& lora) {
    open();
    get(lora, 1);
    return residency_->overlay_bytes();
  }
  void open_for_idle(std::uint64_t bytes) {
    Residency::Options options;
    options.overlay_bytes = bytes;
    open(options);
  }
};

TEST_F(Overlays, OfStrengthsThatAreNewWithEveryCallLieInTwoPiecesOfMemoryByTurns) {
  const std::string a = lora("a.safetensors");
  const std::uint64_t one = bytes_of(a);
  open();
  std::set<const void*> addresses;
  for (int i = 1; i <= 20; ++i) {
    addresses.insert(address_of(get(a, 0.05 * i)));
    get(a, 0.05 * i);
  }
  EXPECT_EQ(use(), memories(2, 18));
  EXPECT_EQ(addresses.size(), 2u);
  EXPECT_EQ(residency_->overlay_bytes(), 2 * one);
}

TEST_F(Overlays, OfTheLastTwoStrengthsAreThereWhoeverGoesBackAndForth) {
  const std::string a = lora("a.safetensors");
  for (const double strength : {0.1, 0.2, 0.3, 0.4}) get(a, strength);
  for (int i = 0; i < 5; ++i) {
    get(a, 0.3);
    get(a, 0.4);
  }
  EXPECT_EQ(use(), memories(2, 2));
  get(a, 0.5);
  get(a, 0.6);
  get(a, 0.7);
  EXPECT_EQ(use(), memories(4, 3)) << "two that came back stay, beside two for those that pass";
  get(a, 0.3);
  get(a, 0.4);
  EXPECT_EQ(use(), memories(4, 3));
}

TEST_F(Overlays, OfAStrengthThatComesBackAfterItWasWrittenOverGetRoomAndStay) {
  const std::string a = lora("a.safetensors");
  const auto round = [&] {
    for (const double strength : {0.1, 0.2, 0.3, 0.4}) get(a, strength);
    return use();
  };
  EXPECT_EQ(round(), memories(2, 2));
  EXPECT_EQ(round(), memories(4, 2));
  EXPECT_EQ(round(), memories(4, 2)) << "all of them are there";
}

TEST_F(Overlays, OfOtherFilesStayAsLongAsThereIsRoom) {
  const std::string a = lora("a.safetensors"), b = lora("b.safetensors");
  const std::vector<Set> sets = {{{a, 1, {}}}, {{b, 1, {}}}, {{a, 1, {}}, {b, 1, {}}}};
  for (int round = 0; round < 3; ++round) {
    for (const Set& set : sets) get(set);
  }
  EXPECT_EQ(use(), memories(3, 0));
}

TEST_F(Overlays, InUseAreNotWrittenOver) {
  const std::string a = lora("a.safetensors");
  const ModelHandle first = get(a, 0.1), second = get(a, 0.2), third = get(a, 0.3);
  EXPECT_EQ(use(), memories(3, 0));
  const std::vector<std::string> hashes = {hash_of(first), hash_of(second), hash_of(third)};
  std::set<const void*> addresses;
  for (int i = 0; i < 10; ++i) addresses.insert(address_of(get(a, 1 + 0.1 * i)));
  EXPECT_EQ(use(), memories(5, 8));
  for (const ModelHandle& model : {first, second, third})
    EXPECT_FALSE(addresses.contains(address_of(model)));
  EXPECT_EQ((std::vector<std::string>{hash_of(first), hash_of(second), hash_of(third)}), hashes);
}

TEST_F(Overlays, WhoseWeightsSomebodyStillHasAreNotWrittenOver) {
  const std::string a = lora("a.safetensors");
  const Component kept = get(a, 0.1)->model;  // its handle is gone
  const at::Tensor weight = running_weights_of(kept).at(kChanged);
  const at::Tensor before = weight.clone();
  for (int i = 0; i < 5; ++i) get(a, 1 + 0.1 * i);
  EXPECT_TRUE(weight.equal(before));
}

TEST_F(Overlays, AtTheLimitOfIdleOnesAreWrittenIntoTheLongestUnused) {
  const std::string a = lora("a.safetensors"), b = lora("b.safetensors"), c = lora("c.safetensors");
  open_for_idle(2 * bytes_of(a));
  const void* const place = address_of(get(a, 1));
  get(b, 1);
  EXPECT_EQ(address_of(get(c, 1)), place);
  EXPECT_EQ(use(), memories(2, 1));
  get(b, 1);
  EXPECT_EQ(use(), memories(2, 1)) << "that one was not the longest unused";
}

TEST_F(Overlays, UnderABudgetAreWrittenIntoThoseThatMakeRoom) {
  const AdapterUse use_of_it{lora("a.safetensors", true), 0.1, {}};
  Residency::Options options;
  options.budget_bytes = std::uint64_t{11} << 20;  // 8 MiB of them the base's
  open(options);
  std::size_t sets = 0;
  while (use().in_reused < 3 && sets < 100) {
    get(Set(++sets, use_of_it));  // each of another length
    EXPECT_LE(residency_->resident_bytes(), options.budget_bytes);
  }
  EXPECT_EQ(use(), memories(sets - 3, 3));
}

TEST_F(Overlays, OfOtherWeightsLieInMemoryOfTheirOwn) {
  const std::string a = lora("a.safetensors"), more = lora("more.safetensors", true);
  open_for_idle(bytes_of(more));
  get(a, 1);
  get(more, 1);
  get(a, 2);
  EXPECT_EQ(use(), memories(3, 0));
}

TEST_F(Overlays, AreMadeAnewOverABaseThatWasUnloadedAndLoadedAgain) {
  const std::string a = lora("a.safetensors");
  const std::string hash = hash_of(get(a, 1));
  unload();
  EXPECT_EQ(residency_->overlay_bytes(), 0u);
  EXPECT_EQ(hash_of(get(a, 1)), hash);
  EXPECT_EQ(use(), memories(2, 0));
}

}  // namespace
}  // namespace luna::worker
