// SPDX-License-Identifier: Apache-2.0
// The loader: equal bytes for any number of workers, resumable anywhere, errors in their place, memory
// bounded.
#include "data/loader.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "data/internal.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

// Drawn samples; sample `bad` fails, and reads are counted.
class DrawnDataset : public Dataset {
 public:
  explicit DrawnDataset(int count, int bad = -1) : count_(count), bad_(bad) {
    classes_.names = {"a", "b", "c"};
  }
  std::string description() const override { return "drawn"; }
  int size() const override { return count_; }
  const Classes& classes() const override { return classes_; }
  std::string name(int index) const override { return fmt::format("d{}_{}.png", index % 3, index); }
  std::string image_path(int) const override { return {}; }
  std::string label_path(int) const override { return {}; }
  Sample Get(int index) const override {
    ++reads;
    if (index == bad_) throw Error(ErrorCode::kCorruptFile, name(index) + ": PNG ends after 3 bytes");
    return {.name = name(index), .image = Picture(20, 24, index), .labels = Stripes(20, 24, 3)};
  }
  mutable std::atomic<int> reads{0};

 private:
  int count_, bad_;
  Classes classes_;
};

AugmentSpec Full() {
  AugmentSpec spec;
  spec.crop_height = 16, spec.crop_width = 17;
  spec.scale_min = 0.6, spec.scale_max = 1.5, spec.color = 0.8, spec.class_crop = 0.5, spec.copy_paste = 0.5;
  spec.rare_classes = {1};
  return spec;
}

struct Flat {
  std::vector<float> images;
  std::vector<std::uint8_t> labels;
  std::vector<std::string> names;
  bool operator==(const Flat&) const = default;
};

Flat Epoch(Loader& loader, std::int64_t epoch, std::int64_t first = 0) {
  Flat all;
  loader.StartEpoch(epoch, first);
  for (std::int64_t step = first; auto batch = loader.Next(); ++step) {
    EXPECT_EQ(batch->step, step);
    EXPECT_EQ(batch->images.size(), batch->count * 3u * batch->height * batch->width);
    EXPECT_EQ(batch->labels.size(), batch->count * 1u * batch->height * batch->width);
    all.images.insert(all.images.end(), batch->images.begin(), batch->images.end());
    all.labels.insert(all.labels.end(), batch->labels.begin(), batch->labels.end());
    all.names.insert(all.names.end(), batch->names.begin(), batch->names.end());
    loader.Recycle(std::move(batch));
  }
  return all;
}

TEST(Loader, BytesDoNotDependOnWorkersCacheOrPrefetch) {
  const auto data = std::make_shared<DrawnDataset>(23);
  Loader reference(data, Full(), {.batch = 4, .seed = 5, .workers = 0});
  const Flat first = Epoch(reference, 0), second = Epoch(reference, 1);
  EXPECT_EQ(first.names.size(), 20u);
  EXPECT_NE(first.names, second.names);
  for (const int workers : {1, 4}) {
    for (const bool cache : {true, false}) {
      Loader loader(
          data, Full(),
          {.batch = 4, .seed = 5, .workers = workers, .prefetch = workers == 1 ? 1 : 3, .cache = cache});
      EXPECT_EQ(Epoch(loader, 0), first) << workers << cache;
      EXPECT_EQ(Epoch(loader, 1), second) << workers << cache;
    }
  }
}

TEST(Loader, ResumesAtAnyStep) {
  const auto data = std::make_shared<DrawnDataset>(23);
  Loader whole(data, Full(), {.batch = 4, .seed = 5, .workers = 0});
  const Flat all = Epoch(whole, 3);
  for (std::int64_t step = 0; step <= 5; ++step) {
    Loader loader(data, Full(), {.batch = 4, .seed = 5, .workers = 2});
    const Flat rest = Epoch(loader, 3, step);
    EXPECT_EQ(rest.names, std::vector<std::string>(all.names.begin() + 4 * step, all.names.end()));
    EXPECT_EQ(rest.images, std::vector<float>(all.images.begin() + 4 * step * 3 * 16 * 17, all.images.end()));
  }
}

TEST(Loader, AnEpochHoldsEverySampleOnce) {
  const auto data = std::make_shared<DrawnDataset>(10);
  Loader loader(data, Full(), {.batch = 4, .drop_last = false});
  EXPECT_EQ(loader.steps_per_epoch(), 3);
  const Flat all = Epoch(loader, 0);
  EXPECT_EQ(std::set<std::string>(all.names.begin(), all.names.end()).size(), 10u);
  Loader ordered(data, Full(), {.batch = 4, .shuffle = false, .drop_last = false});
  const Flat in_order = Epoch(ordered, 7);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(in_order.names[i], data->name(i));
}

TEST(Loader, BalanceEvensOutRecordings) {
  // Recordings of 60, 30 and 6 images: 96 draws an epoch become 32 of each at 1, and their own numbers at 0.
  class Uneven : public DrawnDataset {
   public:
    Uneven() : DrawnDataset(96) {}
    std::string name(int i) const override {
      return fmt::format("train/{}_{}.png", i < 60 ? "long" : i < 90 ? "mid" : "brief", i);
    }
  };
  const auto data = std::make_shared<Uneven>();
  const auto counts = [&](double balance) {
    std::map<std::string, int> result;
    std::set<std::string> names;
    Loader loader(data, {.crop_height = 4, .crop_width = 4}, {.batch = 8, .balance = balance});
    for (const std::string& name : Epoch(loader, 3).names) ++result[name.substr(6, 4)], names.insert(name);
    result["distinct"] = static_cast<int>(names.size());
    return result;
  };
  EXPECT_EQ(counts(0),
            (std::map<std::string, int>{{"long", 60}, {"mid_", 30}, {"brie", 6}, {"distinct", 96}}));
  auto even = counts(1);
  EXPECT_NEAR(even["long"], 32, 1);
  EXPECT_NEAR(even["mid_"], 32, 1);
  EXPECT_NEAR(even["brie"], 32, 1);
  auto half = counts(0.5);  // square roots: 7.75, 5.48, 2.45 of 15.68 -> 47.5, 33.5, 15
  EXPECT_NEAR(half["long"], 47.5, 1.5);
  EXPECT_NEAR(half["brie"], 15, 1.5);
}

TEST(Loader, ShardsShareEveryBatch) {
  const auto data = std::make_shared<DrawnDataset>(22);
  Loader whole(data, Full(), {.batch = 6, .seed = 1, .workers = 0, .drop_last = false});
  const Flat all = Epoch(whole, 2);
  std::vector<std::vector<std::string>> parts;
  std::int64_t steps = 0;
  for (int shard = 0; shard < 3; ++shard) {
    Loader loader(data, Full(),
                  {.batch = 2, .seed = 1, .workers = 1, .drop_last = false, .shard = shard, .shards = 3});
    steps = loader.steps_per_epoch();
    loader.StartEpoch(2);
    for (std::int64_t step = 0; auto batch = loader.Next(); ++step) {
      if (parts.size() <= static_cast<std::size_t>(step)) parts.emplace_back();
    }
    Flat part = Epoch(loader, 2);
    for (std::size_t i = 0, step = 0; i < part.names.size(); ++i) {
      step = i / 2;
      parts[std::min(step, parts.size() - 1)].push_back(part.names[i]);
    }
  }
  EXPECT_EQ(steps, 4);
  std::vector<std::string> joined;
  for (const auto& part : parts) joined.insert(joined.end(), part.begin(), part.end());
  EXPECT_EQ(joined, all.names);  // 2 + 2 + 2 a step; the last step's 4 as 1 + 1 + 2
}

TEST(Loader, AWorkersErrorComesAtItsStepAndNamesTheFile) {
  const auto data = std::make_shared<DrawnDataset>(8, 5);
  for (const int workers : {0, 1, 4}) {
    Loader loader(data, AugmentSpec{.crop_height = 8, .crop_width = 8},
                  {.batch = 2, .workers = workers, .shuffle = false});
    loader.StartEpoch(0);
    EXPECT_EQ(loader.Next()->step, 0);
    EXPECT_EQ(loader.Next()->step, 1);
    EXPECT_FRF_ERROR(loader.Next(), ErrorCode::kCorruptFile, "d2_5.png: PNG ends");
    EXPECT_EQ(loader.Next()->step, 3);
    EXPECT_EQ(loader.Next(), nullptr);
  }
}

TEST(Loader, CacheReadsOnceAndHeedsItsLimit) {
  const auto data = std::make_shared<DrawnDataset>(8);
  const AugmentSpec spec{.crop_height = 8, .crop_width = 8};
  {
    Loader loader(data, spec, {.batch = 2, .workers = 1});
    for (int epoch = 0; epoch < 3; ++epoch) Epoch(loader, epoch);
    EXPECT_EQ(data->reads, 8);
  }
  data->reads = 0;
  const std::uint64_t three = 3 * (20 * 24 * 4 + sizeof(Sample));
  Loader loader(data, spec, {.batch = 2, .workers = 1, .cache_bytes = three});
  for (int epoch = 0; epoch < 3; ++epoch) Epoch(loader, epoch);
  EXPECT_EQ(data->reads, 8 + 5 + 5);
}

TEST(Loader, PrefetchBoundsWhatIsMade) {
  const auto data = std::make_shared<DrawnDataset>(64);
  Loader loader(data, AugmentSpec{.crop_height = 8, .crop_width = 8},
                {.batch = 1, .workers = 4, .prefetch = 3, .cache = false});
  loader.StartEpoch(0);
  loader.Next();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(data->reads, 1 + 3);
}

TEST(Loader, ANewEpochDropsBatchesInFlight) {
  const auto data = std::make_shared<DrawnDataset>(40);
  Loader loader(data, Full(), {.batch = 2, .seed = 9, .workers = 3});
  Loader reference(data, Full(), {.batch = 2, .seed = 9, .workers = 0});
  const Flat wanted = Epoch(reference, 4);
  for (int i = 0; i < 30; ++i) {
    loader.StartEpoch(i % 4);
    if (i % 3 == 0) loader.Next();
  }
  EXPECT_EQ(Epoch(loader, 4), wanted);
}

TEST(Loader, SpecChangesByPhase) {
  const auto data = std::make_shared<DrawnDataset>(8);
  Loader loader(data, AugmentSpec{.crop_height = 10, .crop_width = 12, .base_scale = 0.5},
                {.batch = 2, .workers = 2});
  loader.StartEpoch(0);
  EXPECT_EQ(loader.Next()->height, 10);
  loader.SetAugment(AugmentSpec{.crop_height = 20, .crop_width = 24, .flip = 0});
  EXPECT_EQ(loader.Next()->height, 10);  // from the next epoch on
  loader.StartEpoch(1);
  const auto batch = loader.Next();
  EXPECT_EQ(batch->height, 20);
  EXPECT_EQ(std::vector<std::uint8_t>(batch->labels.begin(), batch->labels.begin() + 480),
            Stripes(20, 24, 3).ids);
}

TEST(Loader, ImagesAreNormalised) {
  const auto data = std::make_shared<DrawnDataset>(1);
  LoaderOptions options{.batch = 1, .workers = 0};
  options.input.mean = {100, 50, 0};
  options.input.std = {2, 4, 8};
  Loader loader(data, AugmentSpec{.crop_height = 20, .crop_width = 24, .flip = 0}, options);
  loader.StartEpoch(0);
  const auto batch = loader.Next();
  const Image image = Picture(20, 24, 0);
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 480; ++i) {
      const float wanted = (image.pixels[3 * i + c] - options.input.mean[c]) / options.input.std[c];
      ASSERT_NEAR(batch->images[c * 480 + i], wanted, 1e-5);
    }
  }
}

TEST(Loader, WaitsAreCounted) {
  const auto data = std::make_shared<DrawnDataset>(8);
  Loader loader(data, Full(), {.batch = 2, .workers = 0});
  EXPECT_EQ(loader.waited_seconds(), 0);
  Epoch(loader, 0);
  EXPECT_GT(loader.waited_seconds(), 0);
}

TEST(Loader, OptionsOutOfRangeAreNamed) {
  const auto data = std::make_shared<DrawnDataset>(3);
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 0}), ErrorCode::kInvalidArgument, "batch 0");
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 4}), ErrorCode::kInvalidArgument, "make no batch of 4");
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 1, .workers = -1}), ErrorCode::kInvalidArgument, "-1 workers");
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 1, .prefetch = 0}), ErrorCode::kInvalidArgument, "prefetch 0");
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 1, .shard = 2, .shards = 2}), ErrorCode::kInvalidArgument,
                   "shard 2 of 2");
  EXPECT_FRF_ERROR(Loader(data, {}, {.batch = 1, .balance = 2}), ErrorCode::kInvalidArgument, "balance 2");
  EXPECT_FRF_ERROR(Loader(nullptr, {}, {}), ErrorCode::kInvalidArgument, "empty");
  Loader loader(data, {}, {.batch = 1});
  EXPECT_FRF_ERROR(loader.Next(), ErrorCode::kInvalidArgument, "StartEpoch");
  EXPECT_FRF_ERROR(loader.StartEpoch(0, 4), ErrorCode::kInvalidArgument, "step 4");
}

TEST(Loader, CamVidIsServed) {
  FRF_SKIP_WITHOUT_CAMVID();
  const std::shared_ptr<const Dataset> data =
      OpenDataset({.spec = "camvid:" + CamVidFolder(), .split = "val"});
  AugmentSpec spec{.crop_height = 180,
                   .crop_width = 240,
                   .base_scale = 0.5,
                   .scale_min = 0.5,
                   .scale_max = 2,
                   .color = 0.8};
  Loader loader(data, spec, {.batch = 8, .workers = 2});
  EXPECT_EQ(loader.steps_per_epoch(), 12);
  const Flat all = Epoch(loader, 0);
  EXPECT_EQ(all.names.size(), 96u);
  for (const std::uint8_t id : all.labels) ASSERT_TRUE(id < 11 || id == kVoidLabel);
}

TEST(Measure, SharesAndMeanByHand) {
  // Stripes of 3 over 24 columns, the last void: columns 0..22 hold 8, 8, 7 of each class.
  const DrawnDataset data(4);
  const auto shares = ClassShares(data);
  ASSERT_EQ(shares.size(), 3u);
  EXPECT_DOUBLE_EQ(shares[0], 8.0 / 23);
  EXPECT_DOUBLE_EQ(shares[1], 8.0 / 23);
  EXPECT_DOUBLE_EQ(shares[2], 7.0 / 23);
  EXPECT_EQ(RareClasses({0.5, 0.01, 0, 0.02, 0.47}), (std::vector<int>{1}));
  const DrawnDataset one(1);
  const InputSpec input = MeasureMeanStd(one);
  EXPECT_NEAR(input.mean[0], 7 * 9.5, 1e-4);                             // 7 y, y in 0..19
  EXPECT_NEAR(input.std[0], 7 * std::sqrt((20 * 20 - 1) / 12.0), 1e-3);  // of a uniform ladder
}

}  // namespace
}  // namespace frf::test
