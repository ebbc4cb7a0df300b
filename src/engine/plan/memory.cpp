// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/system.h"
#include "engine/plan/plan.h"
#include "frf/error.h"

namespace frf::engine {

FloatBuffer::FloatBuffer(std::size_t floats) : size_(floats) {
  // Large buffers in huge pages: kernels touch hundreds of rows at once, more than a TLB of 4 KiB pages holds.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  std::size_t bytes = (floats * sizeof(float) + 127) / 64 * 64;
  const bool large = bytes >= kHugePage;
  if (large) bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  auto* data = static_cast<float*>(std::aligned_alloc(large ? kHugePage : 64, bytes));
  if (!data) throw Error(ErrorCode::kOutOfMemory, fmt::format("{} could not be allocated", FormatBytes(bytes)));
#if defined(__linux__)
  if (large) madvise(data, bytes, MADV_HUGEPAGE);  // a hint: without it everything works, a little slower
#endif
  std::memset(data, 0, bytes);
  data_ = {data, [](float* p) { std::free(p); }};
}

FloatBuffer WeightStore::Get(const std::string& key, std::size_t floats, const std::function<void(float*)>& fill) {
  const std::lock_guard lock(mutex_);
  FloatBuffer& buffer = buffers_[key];
  if (buffer.data() == nullptr) {
    buffer = FloatBuffer(floats);
    fill(buffer.data());
  }
  return buffer;
}

std::size_t WeightStore::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [key, buffer] : buffers_) total += buffer.size() * sizeof(float);
  return total;
}

std::vector<std::size_t> PlaceBuffers(const std::vector<Lifetime>& buffers, std::size_t& total) {
  std::vector<std::size_t> order(buffers.size()), offsets(buffers.size(), 0);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return buffers[a].floats > buffers[b].floats; });
  std::vector<std::size_t> placed;
  total = 0;
  for (const std::size_t b : order) {
    std::vector<std::size_t> busy;  // those alive at the same time, by offset
    for (const std::size_t p : placed) {
      if (buffers[p].first <= buffers[b].last && buffers[b].first <= buffers[p].last) busy.push_back(p);
    }
    std::sort(busy.begin(), busy.end(), [&](auto x, auto y) { return offsets[x] < offsets[y]; });
    std::size_t at = 0;
    for (const std::size_t p : busy) {
      if (offsets[p] >= at + buffers[b].floats) break;
      at = std::max(at, offsets[p] + buffers[p].floats);
    }
    offsets[b] = at;
    total = std::max(total, at + buffers[b].floats);
    placed.push_back(b);
  }
  return offsets;
}

}  // namespace frf::engine
