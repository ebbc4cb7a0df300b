// SPDX-License-Identifier: Apache-2.0
// What winograd_avx512.cpp and winograd_gradient_avx512.cpp share: tiles of a batch of channel-blocked maps,
// and their transforms. Transforms along one axis are the engine's. Included by those two alone, which are
// compiled with AVX-512 (cmake/Train.cmake).
#pragma once

#define FRF_ISA train_avx512
#define FRF_ISA_AVX512 1
#include "engine/kernels/fetch.inl.h"
#include "engine/kernels/winograd_tiles.inl.h"
#include "train/kernels/winograd_kernels.h"

namespace frf::winograd {
namespace {

namespace isa = kernels::train_avx512;
using isa::Broadcast;
using isa::kLanes;
using isa::Load;
using isa::Panels;
using isa::PanelsOf;
using isa::Store;
using isa::V;
template <int T>
using Form = isa::Winograd<T, 1>;

struct TileList {
  int across, down;  // of one image
  std::int64_t each, all;
};

inline TileList ListOf(int height, int width, int images, int tile) {
  const int across = (width + tile - 1) / tile, down = (height + tile - 1) / tile;
  const std::int64_t each = static_cast<std::int64_t>(across) * down;
  return {across, down, each, each * images};
}

struct Corner {
  std::int64_t image;
  int y, x;
};

inline Corner CornerOf(const TileList& list, std::int64_t tile, int size) {
  const std::int64_t at = tile % list.each;
  return {tile / list.each, static_cast<int>(at / list.across) * size,
          static_cast<int>(at % list.across) * size};
}

inline const float* ImageOf(const Map& map, std::int64_t image) {
  return map.data + image * map.blocks * map.height * map.width * 16;
}

// Floats from one transformed tile to the next: 16 more than needed, as powers of two would send all tiles to
// few cache sets.
inline std::ptrdiff_t Row(const Map& map) { return map.blocks * 16 + 16; }

alignas(64) constexpr float kZeros[16] = {};

// S x S values from (y0, x0) on of all channels, zeros where there are none, along both axes by `axis`, to
// `dst`, from point to point `point` floats.
template <int S, int Points, typename Axis>
FRF_INLINE void Transform(const Map& map, const Corner& corner, int y0, int x0, float* dst,
                          std::ptrdiff_t point, const Axis& axis) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(map.height) * map.width * 16,
                       row = static_cast<std::ptrdiff_t>(map.width) * 16;
  const bool inside = y0 >= 0 && x0 >= 0 && y0 + S <= map.height && x0 + S <= map.width;
  const float* from = ImageOf(map, corner.image) + y0 * row + x0 * 16;
  for (int b = 0; b < map.blocks; ++b, from += plane, dst += 16) {
    V grid[S][Points];
    for (int i = 0; i < S; ++i) {
      V line[Points > S ? Points : S];
      if (inside) {
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j) {
          line[j] = Load(from + i * row + j * 16);
          __builtin_prefetch(from + plane + i * row +
                             j * 16);  // the next channels, which no hardware foresees
        }
      } else {
        const bool there = y0 + i >= 0 && y0 + i < map.height;
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j)
          line[j] = Load(there && x0 + j >= 0 && x0 + j < map.width ? from + i * row + j * 16 : kZeros);
      }
      axis(line);
#pragma GCC unroll 9
      for (int j = 0; j < Points; ++j) grid[i][j] = line[j];
    }
    for (int j = 0; j < Points; ++j) {
      V line[Points > S ? Points : S];
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) line[i] = grid[i][j];
      axis(line);
#pragma GCC unroll 9
      for (int i = 0; i < Points; ++i) Store(dst + (i * Points + j) * point, line[i]);
    }
  }
}

template <int T>
void TransformSource(const Map& src, const Corner& corner, int pad_top, int pad_left, float* dst,
                     std::ptrdiff_t point) {
  constexpr int S = Form<T>::kPoints;
  Transform<S, S>(src, corner, corner.y - pad_top, corner.x - pad_left, dst, point,
                  [](V(&line)[S]) { Form<T>::Input(line); });
}

// Sixteen outputs of a kernel from `first` on: where they lie, and which of them there are.
struct OutputLanes {
  __m512i offsets;
  __mmask16 valid;
  OutputLanes(const Packing& p, int first)
      : offsets(_mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                   _mm512_set1_epi32(static_cast<int>(p.strides[0])))),
        valid(first >= p.out        ? 0
              : p.out - first >= 16 ? 0xffff
                                    : static_cast<__mmask16>((1u << (p.out - first)) - 1)) {}
};

}  // namespace
}  // namespace frf::winograd
