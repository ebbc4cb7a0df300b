// SPDX-License-Identifier: Apache-2.0
// Memory that is written anew at every step: grows, never shrinks; huge pages, since it is written from end
// to end.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "frf/error.h"

namespace frf {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(data_); }
  void* Get(std::size_t bytes) {
    if (bytes > size_) {
      std::free(data_);
      size_ = (bytes + (std::size_t{2} << 20) - 1) >> 21 << 21;
      data_ = std::aligned_alloc(std::size_t{2} << 20, size_);
      if (data_ == nullptr) {
        size_ = 0;
        throw Error(ErrorCode::kOutOfMemory,
                    "a convolution's scratch memory cannot be had; use a smaller batch or crop");
      }
      ::madvise(data_, size_, MADV_HUGEPAGE);
    }
    return data_;
  }
  float* Floats(std::size_t count) { return static_cast<float*>(Get(count * sizeof(float))); }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace frf
