// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/system.h"
#include "engine/plan/plan.h"
#include "frf/error.h"

namespace frf::engine {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSlabFloats = std::size_t{16} << 20;  // of packed weights: address space, not memory

[[noreturn]] void OutOfMemory(std::size_t bytes) {
  throw Error(ErrorCode::kOutOfMemory, fmt::format("{} could not be allocated", FormatBytes(bytes)));
}

// Zeroed. Large ones in huge pages (kernels touch hundreds of rows at once, more than a TLB of 4 KiB pages
// holds) that take memory only as they are touched.
std::shared_ptr<float> Allocate(std::size_t floats) {
  const std::size_t bytes = (floats * sizeof(float) + 127) / 64 * 64;
#if defined(__linux__)
  if (bytes >= kHugePage / 2) {
    const std::size_t mapped = bytes + kHugePage;  // room to begin at a huge page
    void* const base =
        mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) OutOfMemory(bytes);
    const std::size_t offset = (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
    auto* const data = reinterpret_cast<float*>(static_cast<std::byte*>(base) + offset);
    madvise(data, bytes, MADV_HUGEPAGE);  // a hint: without it everything works, a little slower
    return {data, [base, mapped](float*) { munmap(base, mapped); }};
  }
#endif
  auto* const data = static_cast<float*>(std::aligned_alloc(64, bytes));
  if (!data) OutOfMemory(bytes);
  std::memset(data, 0, bytes);
  return {data, [](float* p) { std::free(p); }};
}

}  // namespace

FloatBuffer::FloatBuffer(std::size_t floats) : data_(Allocate(floats)), size_(floats) {}

FloatBuffer FloatBuffer::Part(std::size_t offset, std::size_t floats) const {
  FloatBuffer part;
  part.data_ = {data_, data_.get() + offset};
  part.size_ = floats;
  return part;
}

FloatBuffer WeightStore::Get(const std::string& key, std::size_t floats,
                             const std::function<void(float*)>& fill) {
  const std::lock_guard lock(mutex_);
  if (const auto known = buffers_.find(key); known != buffers_.end()) {
    const FloatBuffer& buffer = known->second;
    if (buffer.size() != floats)
      throw Error(ErrorCode::kInternal,
                  fmt::format("packed weights of {}: {} floats, {} are wanted", key, buffer.size(), floats));
    return buffer;
  }
  if (floats > limit_ - std::min(limit_, total_)) {
    FloatBuffer own(floats);
    fill(own.data());
    return own;
  }
  // One slab after another, so that weights of all layers lie in the same huge pages.
  const std::size_t rounded = (floats + 15) / 16 * 16;
  if (used_ + rounded > slab_.size()) {
    slab_ = FloatBuffer(std::max(kSlabFloats, rounded));
    used_ = 0;
  }
  FloatBuffer buffer = slab_.Part(used_, floats);
  fill(buffer.data());
  used_ += rounded;
  total_ += floats;
  return buffers_[key] = buffer;
}

std::size_t WeightStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return total_ * sizeof(float);
}

std::vector<std::size_t> PlaceBuffers(const std::vector<Lifetime>& buffers, std::size_t& total) {
  std::vector<std::size_t> order(buffers.size()), offsets(buffers.size(), 0);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return buffers[a].floats > buffers[b].floats; });
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
