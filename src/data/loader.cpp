// SPDX-License-Identifier: Apache-2.0
// The batch loader. A worker claims the next step of the epoch, makes the whole batch, and puts it under its
// step; Next() takes them in order. Nothing random lives in a worker, so their number and timing cannot
// change a batch. Subtle: StartEpoch does not wait for batches in flight; each carries its epoch's state and
// is dropped if that is past.
#include "data/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/random.h"
#include "data/internal.h"
#include "image/transform.h"

namespace frf {
namespace {

// Keys that keep the epoch's order and the donors apart from the samples' own random numbers.
constexpr std::uint64_t kOrderKey = 0x6f72646572ULL, kDonorKey = 0x646f6e6f72ULL;

// Decoded samples at the base size, kept until `limit` bytes are held; later ones are decoded anew each
// time.
class SampleCache {
 public:
  SampleCache(std::shared_ptr<const Dataset> data, bool enabled, std::uint64_t limit)
      : data_(std::move(data)), limit_(enabled ? limit : 0), kept_(data_->size()) {}

  std::shared_ptr<const Sample> Get(int index, const BaseSize& base) {
    {
      const std::lock_guard lock(mutex_);
      if (base == base_ && kept_[index]) return kept_[index];
    }
    auto sample = std::make_shared<const Sample>(Read(index, base));
    const std::uint64_t bytes = sample->image.pixels.size() + sample->labels.ids.size() + sizeof(Sample);
    const std::lock_guard lock(mutex_);
    // A worker that still finishes a batch of the phase before must not put its samples here.
    if (base == base_ && !kept_[index] && held_ + bytes <= limit_) {
      kept_[index] = sample;
      held_ += bytes;
    }
    return sample;
  }

  void SetBase(const BaseSize& base) {
    const std::lock_guard lock(mutex_);
    if (base == base_) return;
    base_ = base;
    held_ = 0;
    for (auto& sample : kept_) sample.reset();
  }

 private:
  // Errors that do not name the file (out of memory) get its name.
  Sample Read(int index, const BaseSize& base) const {
    try {
      return ScaleToBase(data_->Get(index), base);
    } catch (const Error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw Error(ErrorCode::kOutOfMemory, data_->name(index) + ": not enough memory to decode it");
    } catch (const std::exception& error) {
      throw Error(ErrorCode::kInternal, fmt::format("{}: {}", data_->name(index), error.what()));
    }
  }

  std::shared_ptr<const Dataset> data_;
  std::uint64_t limit_, held_ = 0;
  BaseSize base_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Sample>> kept_;
};

// The images of an epoch, in order. Balanced ones by systematic sampling: image i stands in it as often as
// its expected count says, rounded up or down by chance, and their number stays that of the data set.
std::vector<int> EpochOrder(const Dataset& data, const LoaderOptions& options, std::int64_t epoch) {
  const int count = data.size();
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  Random random(options.seed ^ kOrderKey, epoch);
  if (options.balance > 0) {
    std::map<std::string, int> images;  // of a recording
    for (int i = 0; i < count; ++i) ++images[RecordingOf(data.name(i))];
    double sum = 0;
    for (const auto& [recording, size] : images) sum += std::pow(size, 1 - options.balance);
    const double offset = random.Uniform();
    double expected = 0;
    std::int64_t taken = 0;
    for (int i = 0; i < count; ++i) {
      expected += count * std::pow(images[RecordingOf(data.name(i))], -options.balance) / sum;
      // The last one fills up, whatever rounding left.
      const std::int64_t until =
          i + 1 == count ? count
                         : std::min(static_cast<std::int64_t>(expected + offset), std::int64_t{count});
      for (; taken < until; ++taken) order[taken] = i;
    }
  }
  if (options.shuffle) random.Shuffle(order);
  return order;
}

struct EpochState {
  std::int64_t epoch = 0;
  AugmentSpec augment;
  std::vector<int> order;
};

struct Slot {
  std::unique_ptr<Batch> batch;
  std::exception_ptr error;
};

}  // namespace

struct Loader::Impl {
  std::shared_ptr<const Dataset> data;
  LoaderOptions options;
  AugmentSpec augment;  // of the next epoch
  SampleCache cache;
  std::int64_t steps = 0;

  std::mutex mutex;
  std::condition_variable work, ready;
  std::shared_ptr<const EpochState> current;  // null before the first epoch
  std::int64_t next_claim = 0, next_out = 0;
  std::map<std::int64_t, Slot> slots;
  std::vector<std::unique_ptr<Batch>> spare;
  bool stop = false;
  double waited = 0;
  std::vector<std::jthread> threads;

  Impl(std::shared_ptr<const Dataset> set, const AugmentSpec& spec, const LoaderOptions& wanted)
      : data(std::move(set)), options(wanted), augment(spec), cache(data, wanted.cache, wanted.cache_bytes) {}

  std::int64_t GlobalBatch() const { return static_cast<std::int64_t>(options.batch) * options.shards; }

  // Positions in the epoch's order that this shard takes at `step`.
  std::pair<std::int64_t, std::int64_t> Positions(std::int64_t step) const {
    const std::int64_t first = step * GlobalBatch();
    const std::int64_t there = std::min(GlobalBatch(), data->size() - first);
    return {first + there * options.shard / options.shards,
            first + there * (options.shard + 1) / options.shards};
  }

  std::shared_ptr<const Sample> Donor(const EpochState& state, int index, std::int64_t position) {
    const int count = data->size();
    if ((state.augment.copy_paste <= 0 && state.augment.cutmix <= 0) || count < 2) return nullptr;
    Random random(options.seed ^ kDonorKey, state.epoch, position);
    const std::string recording = RecordingOf(data->name(index));
    int donor = index;
    for (int attempt = 0; attempt < 4; ++attempt) {  // another recording, if four draws find one
      donor = static_cast<int>((index + 1 + random.Below(count - 1)) % count);
      if (RecordingOf(data->name(donor)) != recording) break;
    }
    return cache.Get(donor, BaseSizeOf(state.augment));
  }

  std::unique_ptr<Batch> NewBatch() {
    const std::lock_guard lock(mutex);
    if (spare.empty()) return std::make_unique<Batch>();
    auto batch = std::move(spare.back());
    spare.pop_back();
    return batch;
  }

  std::unique_ptr<Batch> Make(const EpochState& state, std::int64_t step) {
    const auto [first, last] = Positions(step);
    const AugmentSpec& spec = state.augment;
    const NetworkSize size{spec.crop_height, spec.crop_width, spec.crop_height, spec.crop_width};
    const std::size_t pixels = static_cast<std::size_t>(size.height) * size.width;
    auto batch = NewBatch();
    batch->step = step;
    batch->count = static_cast<int>(last - first);
    batch->height = size.height;
    batch->width = size.width;
    batch->images.resize(batch->count * pixels * 3);
    batch->labels.resize(batch->count * pixels);
    batch->names.resize(batch->count);
    for (int i = 0; i < batch->count; ++i) {
      const std::int64_t position = first + i;
      const int index = state.order[position];
      const auto sample = cache.Get(index, BaseSizeOf(spec));
      const auto donor = Donor(state, index, position);
      const Sample made =
          AugmentScaled(*sample, spec, options.input, options.seed, state.epoch, position, donor.get());
      Preprocess(made.image.view(), options.input, size, batch->images.data() + i * pixels * 3);
      std::copy(made.labels.ids.begin(), made.labels.ids.end(), batch->labels.begin() + i * pixels);
      batch->names[i] = made.name;
    }
    return batch;
  }

  Slot MakeSlot(const EpochState& state, std::int64_t step) {
    Slot slot;
    try {
      slot.batch = Make(state, step);
    } catch (...) {
      slot.error = std::current_exception();
    }
    return slot;
  }

  bool CanClaim() const { return current && next_claim < steps && next_claim < next_out + options.prefetch; }

  void Work() {
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [&] { return stop || CanClaim(); });
      if (stop) return;
      const std::int64_t step = next_claim++;
      const auto state = current;
      lock.unlock();
      Slot slot = MakeSlot(*state, step);
      lock.lock();
      if (state != current) continue;  // another epoch was started meanwhile
      slots.emplace(step, std::move(slot));
      ready.notify_all();
    }
  }
};

Loader::Loader(std::shared_ptr<const Dataset> data, const AugmentSpec& augment,
               const LoaderOptions& options) {
  const auto wanted = [](bool good, const std::string& message) {
    if (!good) throw Error(ErrorCode::kInvalidArgument, "loader: " + message);
  };
  wanted(data != nullptr && data->size() > 0, "the data set is empty");
  wanted(options.batch >= 1, fmt::format("batch {}; wanted 1 or more", options.batch));
  wanted(options.workers >= 0 && options.workers <= 256,
         fmt::format("{} workers; wanted 0..256", options.workers));
  wanted(options.prefetch >= 1, fmt::format("prefetch {}; wanted 1 or more", options.prefetch));
  wanted(options.shards >= 1 && options.shard >= 0 && options.shard < options.shards,
         fmt::format("shard {} of {}; wanted 0 <= shard < shards", options.shard, options.shards));
  wanted(options.balance >= 0 && options.balance <= 1,
         fmt::format("balance {}; wanted 0 to 1", options.balance));
  CheckAugment(augment);
  impl_ = std::make_unique<Impl>(std::move(data), augment, options);
  const std::int64_t count = impl_->data->size(), whole = impl_->GlobalBatch();
  impl_->steps = options.drop_last ? count / whole : (count + whole - 1) / whole;
  wanted(impl_->steps > 0, fmt::format("{} make no batch of {} x {} shards; take a smaller batch",
                                       impl_->data->description(), options.batch, options.shards));
  for (int i = 0; i < options.workers; ++i) impl_->threads.emplace_back([this] { impl_->Work(); });
}

Loader::~Loader() {
  if (!impl_) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->work.notify_all();
  impl_->threads.clear();  // joins
}

std::int64_t Loader::steps_per_epoch() const { return impl_->steps; }

void Loader::StartEpoch(std::int64_t epoch, std::int64_t first_step) {
  if (epoch < 0 || first_step < 0 || first_step > impl_->steps) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("loader: epoch {}, step {}; an epoch has steps 0..{}", epoch, first_step,
                            impl_->steps - 1));
  }
  auto state = std::make_shared<EpochState>();
  state->epoch = epoch;
  state->order = EpochOrder(*impl_->data, impl_->options, epoch);
  {
    const std::lock_guard lock(impl_->mutex);
    state->augment = impl_->augment;
    impl_->cache.SetBase(BaseSizeOf(state->augment));
    impl_->current = std::move(state);
    impl_->next_claim = impl_->next_out = first_step;
    impl_->slots.clear();
  }
  impl_->work.notify_all();
}

void Loader::SetAugment(const AugmentSpec& augment) {
  CheckAugment(augment);
  const std::lock_guard lock(impl_->mutex);
  impl_->augment = augment;
}

std::unique_ptr<Batch> Loader::Next() {
  const auto started = std::chrono::steady_clock::now();
  Slot slot;
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->current) throw Error(ErrorCode::kInvalidArgument, "loader: StartEpoch comes before Next");
    if (impl_->next_out >= impl_->steps) return nullptr;
    const std::int64_t step = impl_->next_out;
    if (impl_->threads.empty()) {
      const auto state = impl_->current;
      impl_->next_claim = step + 1;
      lock.unlock();
      slot = impl_->MakeSlot(*state, step);
      lock.lock();
    } else {
      impl_->ready.wait(lock, [&] { return impl_->slots.contains(step); });
      slot = std::move(impl_->slots[step]);
      impl_->slots.erase(step);
    }
    ++impl_->next_out;
    impl_->waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  }
  impl_->work.notify_all();
  if (slot.error) std::rethrow_exception(slot.error);
  return std::move(slot.batch);
}

void Loader::Recycle(std::unique_ptr<Batch> batch) {
  if (!batch) return;
  const std::lock_guard lock(impl_->mutex);
  if (impl_->spare.size() < static_cast<std::size_t>(impl_->options.prefetch))
    impl_->spare.push_back(std::move(batch));
}

double Loader::waited_seconds() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->waited;
}

}  // namespace frf
