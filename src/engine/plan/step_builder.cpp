// SPDX-License-Identifier: Apache-2.0
// Where values lie, and the steps between the ends that are no convolutions.
#include "engine/plan/step_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "base/system.h"
#include "engine/plain_op.h"
#include "frf/error.h"

namespace frf::engine {

using kernels::Map;
using kernels::PaddedChannels;

int StepBuilder::RootOf(int value) const {
  while (lowered_.values[value].parent >= 0) value = lowered_.values[value].parent;
  return value;
}

Map StepBuilder::MapOf(int id) const {
  const Value& value = lowered_.values[id];
  int offset = 0, root = id;
  for (; lowered_.values[root].parent >= 0; root = lowered_.values[root].parent)
    offset += lowered_.values[root].offset;
  return {address_[root] + offset,        value.height, value.width, value.padded(),
          lowered_.values[root].padded(), RowOf(root)};
}

// Channels from one row to the next. Rows of a power of two of bytes would all lie in the same few sets of
// the caches, and eight of them, a tile's, would throw each other out; so each is three cache lines longer.
std::ptrdiff_t StepBuilder::RowOf(int root) const {
  const Value& value = lowered_.values[root];
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(value.width) * value.padded();
  if (value.height == 1 || value.constant.has_data() || root == lowered_.picture) return row;
  return row + (IsBytes(root) ? 3 * 64 : 3 * 16);
}

kernels::ByteMap StepBuilder::ByteMapOf(int id) const {
  const Map map = MapOf(id);  // counts in channels: here bytes
  const auto* root = reinterpret_cast<std::uint8_t*>(address_[RootOf(id)]);
  return {const_cast<std::uint8_t*>(root) + (map.data - address_[RootOf(id)]),
          map.height,
          map.width,
          map.channels,
          map.pixel,
          map.row,
          *lowered_.values[id].coding};
}

const std::uint8_t* StepBuilder::ZeroPoints(int zero, std::size_t bytes) {
  if (zero == 0) return reinterpret_cast<const std::uint8_t*>(Zeros((bytes + 3) / 4));
  FloatBuffer buffer((bytes + 3) / 4);
  std::memset(buffer.data(), zero, buffer.size() * sizeof(float));
  return reinterpret_cast<const std::uint8_t*>(Keep(buffer));
}

std::string StepBuilder::WeightKey(const std::string& name, const Tensor& weight) {
  return fmt::format("{}/{}/{:016x}", name, ToString(weight.shape()), XxHash64(weight.raw(), weight.bytes()));
}

const float* StepBuilder::Keep(const FloatBuffer& buffer) {
  plan_.kept_.push_back(buffer);
  return buffer.data();
}

const float* StepBuilder::Keep(const std::vector<float>& values) {
  if (values.empty()) return nullptr;
  FloatBuffer buffer(values.size());
  std::copy(values.begin(), values.end(), buffer.data());
  return Keep(buffer);
}

const float* StepBuilder::Zeros(std::size_t floats) {
  if (!zeros_ || plan_.kept_.front().size() < floats) {
    zeros_ = Keep(FloatBuffer(std::max<std::size_t>(floats, 4096)));
    if (plan_.kept_.back().size() > plan_.kept_.front().size())
      std::swap(plan_.kept_.front(), plan_.kept_.back());
    zeros_ = plan_.kept_.front().data();
  }
  return zeros_;
}

void StepBuilder::KeepConstants() {
  for (std::size_t id = 0; id < lowered_.values.size(); ++id) {
    const Value& value = lowered_.values[id];
    if (!value.constant.has_data()) continue;
    if (!value.map) {
      plan_.plain_[id] = value.constant;
      continue;
    }
    FloatBuffer buffer(static_cast<std::size_t>(value.height) * value.width * value.padded());
    const float* from = value.constant.data<float>();
    const std::size_t plane = static_cast<std::size_t>(value.height) * value.width;
    for (int c = 0; c < value.channels; ++c) {
      for (std::size_t i = 0; i < plane; ++i) buffer.data()[i * value.padded() + c] = from[c * plane + i];
    }
    address_[id] = buffer.data();
    Keep(buffer);
  }
}

void StepBuilder::PlaceValues() {
  const auto count = static_cast<int>(lowered_.values.size());
  address_.assign(count, nullptr);
  plan_.plain_.resize(count);
  Zeros(1);
  KeepConstants();
  std::vector<Lifetime> lives(count, {0, 1 << 30, -1});
  for (int o = 0; o < static_cast<int>(lowered_.ops.size()); ++o) {
    const auto touch = [&](int id) {
      Lifetime& life = lives[RootOf(id)];
      life.first = std::min(life.first, o);
      life.last = std::max(life.last, o);
    };
    for (const int id : Reads(lowered_.ops[o].op)) touch(id);
    for (const int id : Writes(lowered_.ops[o].op)) touch(id);
  }
  for (const Lifetime& life : lives) last_reader_.push_back(life.last);
  // What a band touches lives as long as the band: its operations take turns.
  for (const Band& band : bands_) {
    for (Lifetime& life : lives) {
      if (life.last < band.begin || life.first >= band.end) continue;
      life.first = std::min(life.first, band.begin);
      life.last = std::max(life.last, band.end - 1);
    }
  }
  std::vector<int> ids;
  std::vector<Lifetime> buffers;
  for (int id = 0; id < count; ++id) {
    const Value& value = lowered_.values[id];
    if (!value.map || value.parent >= 0 || value.constant.has_data() || lives[id].last < 0 || IsInner(id))
      continue;
    ids.push_back(id);
    buffers.push_back({(BytesOf(id) / sizeof(float) + 31) / 16 * 16, lives[id].first, lives[id].last});
  }
  std::size_t total = 0;
  const std::vector<std::size_t> offsets = PlaceBuffers(buffers, total);
  const std::uint64_t limit = plan_.options_.max_memory ? plan_.options_.max_memory : DefaultMaxMemory();
  if (total * sizeof(float) > limit) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("the network needs {} for its maps at this size, {} are "
                                                     "allowed; a smaller size or a larger max_memory "
                                                     "helps",
                                                     FormatBytes(total * sizeof(float)), FormatBytes(limit)));
  }
  plan_.memory_ = std::make_shared<plain::MemoryMeter>(limit);
  plan_.memory_->Reserve(total * sizeof(float), "maps");
  plan_.arena_ = FloatBuffer(total + 64);
  for (std::size_t i = 0; i < ids.size(); ++i) address_[ids[i]] = plan_.arena_.data() + offsets[i];
}

std::size_t StepBuilder::BytesOf(int id) const {
  const Value& value = lowered_.values[id];
  std::size_t channels = static_cast<std::size_t>(value.height) * RowOf(id);
  if (id == lowered_.picture) {
    const std::size_t height = value.height + kMostBorder, width = value.width + kMostBorder;
    channels = height * width * (PictureIsBordered() ? 3 : std::max(3, value.padded()));
  }
  return IsBytes(id) ? channels + 64
                     : channels * sizeof(float);  // kernels read whole blocks of 16 bytes and of four
}

// Large, and every pixel begins a cache line.
bool StepBuilder::LeavesCaches(const kernels::Map& map) const {
  constexpr std::ptrdiff_t kLine = 16;  // floats
  return sizeof(float) * map.height * map.width * map.channels >= plan_.options_.past_caches_bytes &&
         map.pixel % kLine == 0 && map.row % kLine == 0 &&
         reinterpret_cast<std::uintptr_t>(map.data) % (kLine * sizeof(float)) == 0;
}

bool StepBuilder::NextGoesBackwards() const { return plan_.steps_.size() % 2 == 1; }

void StepBuilder::Add(Step step) {
  if (step.items <= 0) return;  // an empty map; a step is over when an item ends it
  step.backwards = NextGoesBackwards();
  plan_.steps_.push_back(std::move(step));
}

void StepBuilder::Build() {
  FindBands();
  PlaceValues();
  auto band = bands_.begin();
  for (int o = 0; o < static_cast<int>(lowered_.ops.size()); ++o) {
    if (band != bands_.end() && o == band->begin) {
      Build(*band);
      o = band++->end - 1;
      continue;
    }
    current_ = o;
    std::visit([&](const auto& op) { Build(lowered_.ops[o].name, op); }, lowered_.ops[o].op);
  }
}

std::shared_ptr<kernels::Program> StepBuilder::ProgramOf(const std::string& name, const ElementOp& op,
                                                         int skipped, double& bytes) {
  const Value& dst = lowered_.values[op.dst];
  auto program = std::make_shared<kernels::Program>();
  program->channels = dst.padded();
  program->true_channels = dst.channels;
  program->height = dst.height;
  program->width = dst.width;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const ElementInput& input = op.inputs[i];
    kernels::ProgramInput in{.kind = input.kind};
    const bool bytes_in = static_cast<int>(i) != skipped && IsBytes(input.value);
    if (bytes_in)
      in.bytes = ByteMapOf(input.value);
    else if (static_cast<int>(i) != skipped)
      in.map = MapOf(input.value);
    if (input.kind == kernels::ProgramInput::kResized) {
      const auto keep = [&](const std::vector<kernels::Tap>& taps) {
        FloatBuffer buffer(taps.size() * sizeof(kernels::Tap) / sizeof(float));
        std::memcpy(buffer.data(), taps.data(), taps.size() * sizeof(kernels::Tap));
        return reinterpret_cast<const kernels::Tap*>(Keep(buffer));
      };
      in.rows = keep(input.rows);
      in.columns = keep(input.columns);
    }
    bytes += 4.0 * in.map.height * in.map.width * in.map.channels +
             1.0 * in.bytes.height * in.bytes.width * in.bytes.channels;
    program->inputs.push_back(in);
  }
  program->code = op.code;
  kernels::ProgramOutput output{.reg = op.result};
  if (IsBytes(op.dst)) {
    output.bytes = ByteMapOf(op.dst);
  } else {
    output.map = MapOf(op.dst);
    output.round = RoundingOf(op.dst);
    output.past_caches = LeavesCaches(output.map);
  }
  program->output = output;
  kernels_.plan_program(*program, plan_.options_.threads);
  if (program->registers > 64)
    throw Error(ErrorCode::kInternal, name + ": too many registers in an element-wise program");
  bytes += (IsBytes(op.dst) ? 1.0 : 4.0) * dst.height * dst.width * dst.padded();
  return program;
}

void StepBuilder::Build(const std::string& name, const ElementOp& op) {
  Step step{.name = name,
            .kernel = op.code.empty() ? "resize" : fmt::format("elementwise x{}", op.code.size())};
  const auto program = ProgramOf(name, op, -1, step.bytes);
  step.items = program->items;
  step.scratch = kernels_.program_scratch(*program);
  step.run = [program, k = &kernels_](std::int64_t item, float* scratch) {
    k->program(*program, item, scratch);
  };
  Add(std::move(step));
}

std::shared_ptr<kernels::Pool> StepBuilder::MakePool(const PoolOp& op) {
  auto pool = std::make_shared<kernels::Pool>(op.geometry);
  pool->src = MapOf(op.src);
  pool->dst = MapOf(op.dst);
  if (IsBytes(op.src)) pool->src_bytes = ByteMapOf(op.src), pool->dst_bytes = ByteMapOf(op.dst);
  return pool;
}

void StepBuilder::Build(const std::string& name, const PoolOp& op) {
  const auto pool = MakePool(op);
  const bool bytes = IsBytes(op.src);
  pool->rows_per_item = std::max(1, pool->dst.height / (4 * plan_.options_.threads));
  pool->items = (pool->dst.height + pool->rows_per_item - 1) / pool->rows_per_item;
  Step step{.name = name,
            .kernel = bytes           ? "max pool u8"
                      : pool->average ? "average pool"
                                      : "max pool",
            .items = pool->items};
  step.bytes = (bytes ? 1.0 : 4.0) * pool->src.channels *
               (1.0 * pool->src.height * pool->src.width + 1.0 * pool->dst.height * pool->dst.width);
  step.run = [pool, k = &kernels_](std::int64_t item, float*) { k->pool(*pool, item); };
  Add(std::move(step));
}

void StepBuilder::Build(const std::string& name, const WeightedPoolOp& op) {
  auto pool = std::make_shared<kernels::WeightedPool>();
  pool->src = MapOf(op.src);
  pool->dst = MapOf(op.dst);
  if (IsBytes(op.src)) pool->bytes = ByteMapOf(op.src);
  pool->rows = Keep(op.rows);
  pool->columns = Keep(op.columns);
  pool->scale = op.scale;
  pool->parts = std::min(16, pool->src.height);
  FloatBuffer partial(static_cast<std::size_t>(pool->parts) * pool->src.channels);
  Keep(partial);
  pool->partial = partial.data();
  Step step{
      .name = name, .kernel = pool->bytes.data ? "weighted pool u8" : "weighted pool", .items = pool->parts};
  step.bytes = (pool->bytes.data ? 1.0 : 4.0) * pool->src.channels * pool->src.height * pool->src.width;
  step.run = [pool, k = &kernels_](std::int64_t part, float*) { k->weighted_pool(*pool, part); };
  Add(std::move(step));
  Step finish{.name = name, .kernel = "weighted pool, sum"};
  finish.run = [pool, k = &kernels_](std::int64_t, float*) { k->finish_weighted_pool(*pool); };
  Add(std::move(finish));
}

void StepBuilder::Build(const std::string& name, const CopyChannelsOp& op) {
  Step step{.name = name, .kernel = "copy channels", .items = lowered_.values[op.src].height};
  const int tail = op.clear_tail ? PaddedChannels(op.to + op.count) - op.to - op.count : 0;
  if (IsBytes(op.src)) {  // both are in one coding (Lowering)
    const kernels::ByteMap src = ByteMapOf(op.src), dst = ByteMapOf(op.dst);
    step.bytes = 2.0 * op.count * src.height * src.width;
    step.run = [=, from = op.from, to = op.to, count = op.count](std::int64_t y, float*) {
      for (int x = 0; x < src.width; ++x) {
        std::memcpy(dst.data + y * dst.row + x * dst.pixel + to,
                    src.data + y * src.row + x * src.pixel + from, count);
      }
    };
    return Add(std::move(step));
  }
  const Map src = MapOf(op.src), dst = MapOf(op.dst);
  step.bytes = 8.0 * op.count * src.height * src.width;
  step.run = [=, from = op.from, to = op.to, count = op.count](std::int64_t y, float*) {
    const float* source = src.data + y * src.row + from;
    float* target = dst.data + y * dst.row + to;
    for (int x = 0; x < src.width; ++x, source += src.pixel, target += dst.pixel) {
      std::memcpy(target, source, count * sizeof(float));
      if (tail > 0) std::memset(target + count, 0, tail * sizeof(float));
    }
  };
  Add(std::move(step));
}

}  // namespace frf::engine
