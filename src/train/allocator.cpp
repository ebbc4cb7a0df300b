// SPDX-License-Identifier: Apache-2.0
// Caching allocator for libtorch's CPU tensors. A training step asks for the same sizes again and again;
// blocks are kept by size class instead of going back to the kernel, which would clear and map every page
// anew. Subtle: a block's header stands in front of it, and large blocks start at varying offsets within a
// page: were they all at the same one, streams read side by side would compete for the same cache sets.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>
#include <vector>

#include "frf/error.h"
#include "train/device.h"

namespace frf {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMapped = std::size_t{4} << 20;  // from here on mapped in huge pages
constexpr std::size_t kCached = std::size_t{1} << 12;  // below this malloc is as good
constexpr std::size_t kSpare = std::size_t{256} << 20;
constexpr std::size_t kSlack = 4096;  // header and offset
constexpr std::uint64_t kMagic = 0x66726620626c6f63ULL;

struct alignas(64) Header {
  std::uint64_t magic;
  std::size_t size;       // usable bytes: the class
  std::size_t map_bytes;  // 0: from malloc
  void* base;
};

// Eight classes a power of two: at most an eighth is wasted.
std::size_t SizeClass(std::size_t bytes) {
  if (bytes <= 64) return 64;
  const int top = 63 - __builtin_clzll(bytes - 1);
  const std::size_t step = std::max<std::size_t>(std::size_t{1} << (top > 3 ? top - 3 : 0), 64);
  return (bytes + step - 1) / step * step;
}

class Cache {
 public:
  static Cache& Get() {
    static Cache* cache = new Cache;  // never destroyed: tensors of static storage may outlive everything
    return *cache;
  }

  void* Allocate(std::size_t bytes) {
    const std::size_t size = SizeClass(bytes);
    {
      const std::lock_guard lock(mutex_);
      stats_.bytes_live += size;
      stats_.bytes_peak = std::max(stats_.bytes_peak, stats_.bytes_live);
      if (void* data = size >= kCached ? TakeLocked(size) : nullptr) return data;
      ++stats_.fresh;
      // Sizes changed (another crop, validation): more is kept than ever lived at once.
      if (stats_.bytes_kept > stats_.bytes_peak + kSpare) TrimLocked();
    }
    return Fresh(size);
  }

  void Free(void* data) {
    Header* header = HeaderOf(data);
    const std::size_t size = header->size;
    {
      const std::lock_guard lock(mutex_);
      stats_.bytes_live -= size;
      if (size >= kCached) {
        free_[size].push_back(data);
        stats_.bytes_kept += size;
        return;
      }
    }
    Release(header);
  }

  void Trim() {
    const std::lock_guard lock(mutex_);
    TrimLocked();
  }

  AllocatorStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  static Header* HeaderOf(void* data) {
    Header* header = reinterpret_cast<Header*>(static_cast<char*>(data) - sizeof(Header));
    if (header->magic != kMagic) std::abort();  // a pointer that is not ours: memory is corrupt already
    return header;
  }

  void* Fresh(std::size_t size) {
    Header header{.magic = kMagic, .size = size, .map_bytes = 0, .base = nullptr};
    char* data = nullptr;
    if (size >= kMapped) {
      const std::size_t wanted = (size + kSlack + kHugePage - 1) / kHugePage * kHugePage;
      header.map_bytes = wanted + kHugePage;
      header.base = ::mmap(nullptr, header.map_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (header.base == MAP_FAILED) Fail(size);
      char* aligned = reinterpret_cast<char*>(
          (reinterpret_cast<std::uintptr_t>(header.base) + kHugePage - 1) / kHugePage * kHugePage);
      ::madvise(aligned, wanted, MADV_HUGEPAGE);
      const std::size_t color = next_color_++ % 31;  // 31 offsets of 128 bytes stay below kSlack
      data = aligned + sizeof(Header) + color * 128;
    } else {
      header.base = std::aligned_alloc(64, size + sizeof(Header));
      if (header.base == nullptr) Fail(size);
      data = static_cast<char*>(header.base) + sizeof(Header);
    }
    std::memcpy(data - sizeof(Header), &header, sizeof(Header));
    return data;
  }

  static void Release(Header* header) {
    const Header copy = *header;
    if (copy.map_bytes > 0) {
      ::munmap(copy.base, copy.map_bytes);
    } else {
      std::free(copy.base);
    }
  }

  // A kept block of this class, or of one at most half as large again.
  void* TakeLocked(std::size_t size) {
    for (auto found = free_.lower_bound(size); found != free_.end() && found->first <= size + size / 2;
         ++found) {
      if (found->second.empty()) continue;
      void* data = found->second.back();
      found->second.pop_back();
      stats_.bytes_kept -= found->first;
      stats_.bytes_live += found->first - size;  // Free subtracts the block's own class
      ++stats_.reused;
      return data;
    }
    return nullptr;
  }

  void TrimLocked() {
    for (auto& [size, blocks] : free_) {
      for (void* data : blocks) Release(HeaderOf(data));
      blocks.clear();
    }
    stats_.bytes_kept = 0;
  }

  [[noreturn]] static void Fail(std::size_t size) {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("libtorch wanted {} MiB more and the system has none; use a smaller batch or crop",
                    size >> 20));
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  AllocatorStats stats_;
  std::atomic<std::size_t> next_color_{0};
};

void FreeBlock(void* data) {
  if (data != nullptr) Cache::Get().Free(data);
}

class CachingAllocator final : public c10::Allocator {
 public:
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  c10::DataPtr allocate(std::size_t bytes) override { return Make(bytes); }
  void copy_data(void* dst, const void* src, std::size_t count) const override {
    std::memcpy(dst, src, count);
  }
#else
  c10::DataPtr allocate(std::size_t bytes) const override { return Make(bytes); }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &FreeBlock; }

 private:
  static c10::DataPtr Make(std::size_t bytes) {
    if (bytes == 0) return {nullptr, nullptr, &FreeBlock, c10::Device(c10::DeviceType::CPU)};
    void* data = Cache::Get().Allocate(bytes);
    return {data, data, &FreeBlock, c10::Device(c10::DeviceType::CPU)};
  }
};

}  // namespace

bool InstallCachingAllocator() {
  static const bool installed = [] {
    const char* choice = std::getenv("FRF_ALLOCATOR");
    if (choice != nullptr && std::string_view(choice) == "system") return false;
    c10::SetCPUAllocator(new CachingAllocator, /*priority=*/100);
    // oneDNN's scratch memory and std::vector come from malloc: keep theirs mapped as well.
    ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
    ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
    return true;
  }();
  return installed;
}

AllocatorStats CachingAllocatorStats() { return Cache::Get().stats(); }
void TrimCachingAllocator() { Cache::Get().Trim(); }

}  // namespace frf
