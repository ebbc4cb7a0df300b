// SPDX-License-Identifier: Apache-2.0
// See bench_convert.h. Subtle: the inner loops are plain C++ over a block that stays in the nearest caches,
// compiled once for each instruction set; the block's bounds are known, so that the compiler needs no tail.
#include "cli/bench_convert.h"

#include <algorithm>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FRF_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define FRF_CLONES
#endif

namespace frf::cli {
namespace {

constexpr int kBlock = 2048;  // pixels

FRF_CLONES void Deinterleave(const std::uint8_t* __restrict__ rgb, std::uint8_t* __restrict__ r,
                             std::uint8_t* __restrict__ g, std::uint8_t* __restrict__ b, int count) {
  for (int i = 0; i < count; ++i) {
    r[i] = rgb[3 * i];
    g[i] = rgb[3 * i + 1];
    b[i] = rgb[3 * i + 2];
  }
}

FRF_CLONES void Normalise(const std::uint8_t* __restrict__ bytes, float mean, float deviation,
                          float* __restrict__ dst, int count) {
  for (int i = 0; i < count; ++i) dst[i] = (static_cast<float>(bytes[i]) - mean) / deviation;
}

FRF_CLONES void TakeLarger(const float* __restrict__ scores, int id, float* __restrict__ best,
                           int* __restrict__ ids) {
  for (int i = 0; i < kBlock; ++i) {
    const bool larger = scores[i] > best[i];
    best[i] = larger ? scores[i] : best[i];
    ids[i] = larger ? id : ids[i];
  }
}

FRF_CLONES void Narrow(const int* __restrict__ ids, std::uint8_t* __restrict__ labels) {
  for (int i = 0; i < kBlock; ++i) labels[i] = static_cast<std::uint8_t>(ids[i]);
}

void ArgMaxBlock(const float* scores, int classes, std::int64_t pixels, std::int64_t begin,
                 std::uint8_t* labels) {
  alignas(64) float best[kBlock], tail[kBlock];
  alignas(64) int ids[kBlock];
  alignas(64) std::uint8_t bytes[kBlock];
  const auto count = static_cast<int>(std::min<std::int64_t>(kBlock, pixels - begin));
  std::fill_n(best, kBlock, -std::numeric_limits<float>::infinity());
  std::fill_n(ids, kBlock, 0);
  for (int c = 0; c < classes; ++c) {
    const float* row = scores + c * pixels + begin;
    if (count < kBlock) {
      std::copy_n(row, count, tail);
      std::fill(tail + count, tail + kBlock, 0.0f);
      row = tail;
    }
    TakeLarger(row, c, best, ids);
  }
  Narrow(ids, bytes);
  std::memcpy(labels + begin, bytes, count);
}

}  // namespace

void PlanarBytes(const ImageView& picture, std::uint8_t* planes, int threads) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(picture.height) * picture.width;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int y = 0; y < picture.height; ++y) {
    std::uint8_t* row = planes + static_cast<std::ptrdiff_t>(y) * picture.width;
    Deinterleave(picture.data + y * picture.row_stride, row, row + plane, row + 2 * plane, picture.width);
  }
}

void PlanarFloats(const ImageView& picture, const InputSpec& input, float* planes, int threads) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(picture.height) * picture.width;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int y = 0; y < picture.height; ++y) {
    alignas(64) std::uint8_t bytes[3][kBlock];
    for (int x = 0; x < picture.width; x += kBlock) {
      const int count = std::min(kBlock, picture.width - x);
      Deinterleave(picture.data + y * picture.row_stride + 3 * static_cast<std::ptrdiff_t>(x), bytes[0],
                   bytes[1], bytes[2], count);
      float* row = planes + static_cast<std::ptrdiff_t>(y) * picture.width + x;
      for (int c = 0; c < 3; ++c) Normalise(bytes[c], input.mean[c], input.std[c], row + c * plane, count);
    }
  }
}

void ArgMax(const float* scores, int classes, std::int64_t pixels, std::uint8_t* labels, int threads) {
  const std::int64_t blocks = (pixels + kBlock - 1) / kBlock;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t block = 0; block < blocks; ++block)
    ArgMaxBlock(scores, classes, pixels, block * kBlock, labels);
}

}  // namespace frf::cli
