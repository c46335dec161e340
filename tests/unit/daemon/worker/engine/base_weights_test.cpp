// The weights below all overlays, and the overlays that are written over each other, by their hash.
#include <random>

#include "tests/support/repetitions.h"
#include "tests/unit/daemon/worker/residency/adapted_residency.h"

namespace luna::worker {
namespace {

using BaseWeights = AdaptedResidency;

TEST_F(BaseWeights, HaveTheSameHashAfterAnyNumberOfSwitchesAndSoHasASetThatComesAgain) {
  const std::string a = lora("a.safetensors");
  const std::string pristine = hash_of(get()), first = hash_of(get(a, 0.8));
  EXPECT_NE(first, pristine);
  std::mt19937 random(5);
  for (int i = 0; i < support::repetitions(200, 10'000); ++i)
    get(a, 0.001 * static_cast<double>(1 + random() % 2000));
  EXPECT_EQ(hash_of(get()), pristine);
  EXPECT_EQ(hash_of(get(a, 0.8)), first);
  EXPECT_GT(use().in_reused, use().in_new);
}

TEST_F(BaseWeights, AndEverySetHaveTheirHashWhateverIsInUseIsWrittenOverOrIsEvicted) {
  const std::string a = lora("a.safetensors"), b = lora("b.safetensors"),
                    c = lora("c.safetensors", true);
  std::vector<Set> sets = {{}};
  for (const double strength : {0.1, 0.2, 0.3, 0.4, 0.5}) {
    sets.push_back({{a, strength, {}}});
    sets.push_back({{b, -strength, {}}});
    sets.push_back({{c, strength, {}}, {a, 1, {}}});
  }
  std::vector<std::string> hashes;
  for (const Set& set : sets) {
    open();  // in memory that nothing was written to before
    hashes.push_back(hash_of(get(set)));
  }
  // Room for a few overlays only: those at rest are written over all the time.
  Residency::Options options;
  options.overlay_bytes = 3 * residency_->overlay_bytes();
  open(options);
  std::mt19937 random(7);
  std::map<std::size_t, ModelHandle> held;
  for (int i = 0; i < support::repetitions(100, 10'000); ++i) {
    const std::size_t next = random() % sets.size();
    held.insert_or_assign(next, get(sets[next]));
    for (const auto& [set, model] : held) ASSERT_EQ(hash_of(model), hashes[set]) << i;
    while (held.size() > random() % 4) held.erase(held.begin());
    if (held.empty() && random() % 4 == 0) unload();
  }
  EXPECT_GT(use().in_reused, 0u);
}

TEST_F(BaseWeights, AndTheOverlayThatWasWrittenOverAreRightAfterASwitchThatFails) {
  const std::string a = lora("a.safetensors");
  const std::string pristine = hash_of(get()), first = hash_of(get(a, 0.1));
  const std::string second = hash_of(get(a, 0.2));
  *fails_ = true;  // when all is written, over the first one
  EXPECT_EQ(ask({{a, 0.3, {}}}).status().code(), StatusCode::kInternal);
  *fails_ = false;
  const OverlayMemoryUse before = use();
  EXPECT_EQ(hash_of(get(a, 0.2)), second);
  EXPECT_EQ(use(), before) << "it is still there";
  EXPECT_EQ(hash_of(get(a, 0.1)), first);
  EXPECT_EQ(hash_of(get()), pristine);
  EXPECT_EQ(use().in_new, before.in_new + 1) << "nothing half written was left";
}

TEST_F(BaseWeights, AndAllOverlaysStayWhenAnAdapterIsFoundNotToFit) {
  const std::string a = lora("a.safetensors");
  support::SafetensorsWriter writer;
  for (const std::string layer : {"attn1_to_k", "attn1_to_v"}) {
    const std::int64_t rows = layer == "attn1_to_v" ? 63 : 64;
    writer.add(kBlock + layer + ".lora_up.weight", {rows, 1},
               support::uniform_values(layer, static_cast<std::size_t>(rows)));
    writer.add(kBlock + layer + ".lora_down.weight", {1, 64}, support::uniform_values("", 64));
  }
  writer.write(dir_.file("misfit.safetensors"));
  const std::string pristine = hash_of(get()), first = hash_of(get(a, 0.1));
  const std::string second = hash_of(get(a, 0.2));
  const OverlayMemoryUse before = use();
  EXPECT_EQ(ask({{a, 0.3, {}}, {dir_.file("misfit.safetensors"), 1, {}}}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(hash_of(get(a, 0.1)), first);
  EXPECT_EQ(hash_of(get(a, 0.2)), second);
  EXPECT_EQ(hash_of(get()), pristine);
  EXPECT_EQ(use(), before);
}

}  // namespace
}  // namespace luna::worker
