// SPDX-License-Identifier: Apache-2.0
// 3x3 convolution of bytes by F(4x4, 3x3) in whole numbers: a quarter of the multiplications, of 16-bit
// factors, two at a time into 32-bit sums (half as many as bytes, so half of the time). Equal to
// byte_conv.inl.h to the last bit.
//
// Exact, because Winograd's identity holds in whole numbers once its fractions are cleared, and then also
// modulo 2^32:
// - transformed bytes are at most 68 * 255, transformed weights (fractions cleared: kWhole) at most 49 * 127:
// 16 bits;
// - sums may leave 32 bits, nothing is lost: all that follows are additions and multiplications modulo 2^32;
// - in the end stand 576 times the results, modulo 2^32. 576 is 9 * 64, 9 has an inverse modulo 2^32, and a
// shift divides by
//   64 what is below 2^31: results within +-2^25, which the plan makes sure of (kMostByteWinogradSum).
#pragma once

#include "engine/kernels/byte_conv.inl.h"
#include "engine/kernels/byte_winograd_tiles.inl.h"
#include "engine/kernels/winograd_tiles.inl.h"

namespace frf::kernels::FRF_ISA {

static std::size_t ByteWinogradPackedSize(int out, int depth) {
  return static_cast<std::size_t>(kBytePoints * kBytePoints) * PaddedChannels(out) * depth;
}

// Weights out x in x 3 x 3 to panels: for every point and every two channels, two words an output channel.
static void PackByteWinograd(const std::int8_t* weights, int out, int in, int depth, std::int16_t* packed) {
  constexpr int S = kBytePoints, kMost = kMaxVectors * kLanes * 2;
  const Panels panels = PanelsOf(PaddedChannels(out) / kBlock);
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes, words = 2 * width;
    std::int16_t* const panel = packed + static_cast<std::int64_t>(first) * S * S * depth;
    for (int c = 0; c < depth; c += 2) {
      // As they will lie, so that the loops over them are vectors.
      std::int16_t g[9][kMost] = {}, row[3][kMost];
      for (int k = 0; k < width && first + k < out; ++k) {
        for (int i = 0; i < 2 && c + i < in; ++i) {
          const std::int8_t* const from = weights + (static_cast<std::int64_t>(first + k) * in + c + i) * 9;
          for (int t = 0; t < 9; ++t) g[t][2 * k + i] = from[t];
        }
      }
      for (int i = 0; i < S; ++i) {
        const auto [a0, a1, a2] = kWhole[i];
        for (int x = 0; x < 3; ++x) {
          for (int w = 0; w < words; ++w)
            row[x][w] = static_cast<std::int16_t>(a0 * g[x][w] + a1 * g[3 + x][w] + a2 * g[6 + x][w]);
        }
        for (int j = 0; j < S; ++j) {
          const auto [b0, b1, b2] = kWhole[j];
          std::int16_t* const to = panel + (static_cast<std::int64_t>(i * S + j) * depth + c) * width;
          for (int w = 0; w < words; ++w)
            to[w] = static_cast<std::int16_t>(b0 * row[0][w] + b1 * row[1][w] + b2 * row[2][w]);
        }
      }
    }
  }
}

#if defined(FRF_ISA_AVX512) || defined(FRF_ISA_AVX2)

// Scratch: words of all points, then sums of all points of one panel, then one tile's results.
struct ByteWinogradLayout {
  std::ptrdiff_t source_point, product_point;  // words, sums
  std::ptrdiff_t products, results;            // floats from the beginning
  std::size_t size;                            // floats
};

// From point to point 64 bytes more than needed: a power of two would send all stores of a tile to one cache
// set.
static inline ByteWinogradLayout LayoutOf(const ByteWinograd& winograd) {
  constexpr std::ptrdiff_t kPoints = kBytePoints * kBytePoints;
  const std::ptrdiff_t rows = winograd.tiles_per_item + kMaxRows;
  const std::ptrdiff_t source = rows * winograd.conv.depth + 32, product = rows * kMaxVectors * kLanes + 16;
  const std::ptrdiff_t products = kPoints * source / 2, results = products + kPoints * product;
  return {source, product, products, results,
          static_cast<std::size_t>(results + kByteTile * kByteTile * kMaxVectors * kLanes)};
}

static std::size_t ByteWinogradScratch(const ByteWinograd& winograd) { return LayoutOf(winograd).size; }

static inline Tiles TilesOf(const ByteConv& conv) {
  return TilesOf(conv.floats.height, conv.floats.width, conv.dilation_h, conv.dilation_w, kByteTile);
}

static void PlanByteWinograd(ByteWinograd& winograd, int threads, std::size_t l2_bytes) {
  const ByteConv& conv = winograd.conv;
  const Panels panels = PanelsOf(conv.out_blocks);
  const std::int64_t all = TilesOf(conv).all, wanted = 2L * threads;
  const int rows = Rows(panels.wide);
  const auto weights =
      static_cast<std::int64_t>(ByteWinogradPackedSize(conv.out_blocks * kBlock, conv.depth)) * 2;
  // Weights that L2 holds stay there from item to item; others pass by less often where items are longer.
  std::int64_t tiles = weights <= static_cast<std::int64_t>(l2_bytes) ? rows : 2 * rows;
  const std::int64_t even = (all + wanted - 1) / wanted;
  if (tiles > even) tiles = even / rows * rows;
  if (tiles < rows) tiles = rows;
  winograd.tiles_per_item = static_cast<int>(tiles);
  const std::int64_t blocks = (all + tiles - 1) / tiles;
  winograd.panels_per_item = panels.count;
  if (blocks < wanted) {
    const std::int64_t groups = (wanted + blocks - 1) / blocks;
    winograd.panels_per_item = static_cast<int>((panels.count + groups - 1) / groups);
  }
  winograd.items = blocks * ((panels.count + winograd.panels_per_item - 1) / winograd.panels_per_item);
}

// A tile's corner in its destination, and how its phase's pixels lie there and in the source.
struct BytePlace {
  int y, x;                // in the destination
  int source_y, source_x;  // of the tile's first source value; may lie outside
};

static inline BytePlace PlaceOf(const ByteConv& conv, const Tiles& tiles, std::int64_t tile) {
  const auto phase = static_cast<int>(tile / tiles.each), py = phase / conv.dilation_w,
             px = phase % conv.dilation_w;
  const std::int64_t at = tile % tiles.each;
  const int y = static_cast<int>(at / tiles.across) * kByteTile * conv.dilation_h + py;
  const int x = static_cast<int>(at % tiles.across) * kByteTile * conv.dilation_w + px;
  return {y, x, y - conv.pad_top, x - conv.pad_left};
}

__attribute__((noinline)) static void TransformInside(const std::uint8_t* corner, std::ptrdiff_t row,
                                                      std::ptrdiff_t pixel, int depth, std::int16_t* dst,
                                                      std::ptrdiff_t point) {
  TransformAllBytes<true>([=](int i, int j) { return corner + i * row + j * pixel; }, depth, dst, point);
}

__attribute__((noinline)) static void TransformEdge(const ByteConv& conv, const BytePlace& place,
                                                    std::int16_t* dst, std::ptrdiff_t point) {
  constexpr int S = kBytePoints;
  const ByteMap& src = conv.src;
  const std::uint8_t* from[S][S];
  for (int i = 0; i < S; ++i) {
    const int y = place.source_y + i * conv.dilation_h;
    for (int j = 0; j < S; ++j) {
      const int x = place.source_x + j * conv.dilation_w;
      from[i][j] = y >= 0 && x >= 0 && y < src.height && x < src.width
                       ? src.data + y * src.row + x * src.pixel
                       : conv.zeros;
    }
  }
  TransformAllBytes<false>([&](int i, int j) { return from[i][j]; }, conv.depth, dst, point);
}

static void TransformByteSource(const ByteConv& conv, const BytePlace& place, std::int16_t* dst,
                                std::ptrdiff_t point) {
  constexpr int kReach = kBytePoints - 1;
  const ByteMap& src = conv.src;
  const bool inside = place.source_y >= 0 && place.source_x >= 0 &&
                      place.source_y + kReach * conv.dilation_h < src.height &&
                      place.source_x + kReach * conv.dilation_w < src.width;
  if (!inside) return TransformEdge(conv, place, dst, point);
  TransformInside(src.data + place.source_y * src.row + place.source_x * src.pixel, src.row * conv.dilation_h,
                  src.pixel * conv.dilation_w, conv.depth, dst, point);
}

// To memory, a row of all channels a pixel: what tiles at edges and float results go through.
__attribute__((noinline)) static void TransformToSums(const std::int32_t* products, std::ptrdiff_t point,
                                                      int vectors, std::int32_t* results) {
  const std::ptrdiff_t width = static_cast<std::ptrdiff_t>(vectors) * kLanes;
  for (int n = 0; n < vectors; ++n, products += kLanes, results += kLanes) {
    TransformWordProducts(products, point, [&](int i, const SignedSums(&sums)[kByteTile]) {
#pragma GCC unroll 6
      for (int j = 0; j < kByteTile; ++j)
        StoreModular(results + (i * kByteTile + j) * width, reinterpret_cast<Modular>(sums[j]));
    });
  }
}

#if defined(FRF_ISA_AVX512)

// Four pixels' bytes of 16 channels each.
FRF_INLINE void StoreFourPixels(std::uint8_t* dst, std::ptrdiff_t pixel, const __m512i (&v)[kByteTile]) {
  const __m512i bytes = PackWhole<4>(v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_castsi512_si128(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + pixel), _mm512_extracti32x4_epi32(bytes, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * pixel), _mm512_extracti32x4_epi32(bytes, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 3 * pixel), _mm512_extracti32x4_epi32(bytes, 3));
}

// A whole tile of bytes, from products to the destination without a stop in memory.
template <bool kAdd>
__attribute__((noinline)) static void TransformToBytes(const std::int32_t* products, std::ptrdiff_t point,
                                                       int vectors, const ByteTail& tail, const ByteMap& to,
                                                       std::uint8_t* dst, const ByteMap& with,
                                                       const std::uint8_t* add, const ByteMap& total,
                                                       std::uint8_t* sum) {
  for (int n = 0; n < vectors * kLanes; n += kLanes) {
    const V scale = Load(tail.scale + n), offset = Load(tail.offset + n);
    TransformWordProducts(products + n, point, [&](int i, const SignedSums(&sums)[kByteTile]) {
      __m512i whole[kByteTile];
#pragma GCC unroll 6
      for (int j = 0; j < kByteTile; ++j)
        whole[j] = WholeOf(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums[j])), scale, offset, tail);
      StoreFourPixels(dst + i * to.row + n, to.pixel, whole);
      if constexpr (kAdd) {
#pragma GCC unroll 6
        for (int j = 0; j < kByteTile; ++j)
          whole[j] = TotalOf(whole[j], add + i * with.row + j * with.pixel + n, tail);
        StoreFourPixels(sum + i * total.row + n, total.pixel, whole);
      }
    });
  }
}

#endif

// One tile's products of one panel to where they belong.
FRF_INLINE void FinishByteTile(const ByteConv& conv, const BytePlace& place, const std::int32_t* products,
                               std::ptrdiff_t point, int vectors, int channel, const ByteTail& tail,
                               std::int32_t* results) {
  constexpr int T = kByteTile;
  const auto at = [&](const auto& map, int y, int x) {
    return map.data + y * map.row + x * map.pixel + channel;
  };
#if defined(FRF_ISA_AVX512)
  const bool whole = conv.dilation_h == 1 && conv.dilation_w == 1 && place.y + T <= conv.floats.height &&
                     place.x + T <= conv.floats.width;
  if (conv.dst.data && whole) {
    std::uint8_t* const dst = at(conv.dst, place.y, place.x);
    if (!conv.add.data)
      return TransformToBytes<false>(products, point, vectors, tail, conv.dst, dst, conv.add, nullptr,
                                     conv.sum, nullptr);
    return TransformToBytes<true>(products, point, vectors, tail, conv.dst, dst, conv.add,
                                  at(conv.add, place.y, place.x), conv.sum, at(conv.sum, place.y, place.x));
  }
#endif
  TransformToSums(products, point, vectors, results);
  for (int i = 0; i < T; ++i) {
    const int y = place.y + i * conv.dilation_h;
    if (y >= conv.floats.height) break;
    for (int j = 0; j < T; ++j) {
      const int x = place.x + j * conv.dilation_w;
      if (x >= conv.floats.width) break;
      const std::int32_t* const sums = results + static_cast<std::ptrdiff_t>(i * T + j) * vectors * kLanes;
      if (!conv.dst.data)
        StoreFloatRow(sums, vectors * kLanes, tail, conv, at(conv.floats, y, x));
      else
        StoreByteRow(sums, vectors * kLanes, tail, at(conv.dst, y, x),
                     conv.add.data ? at(conv.add, y, x) : nullptr, at(conv.sum, y, x));
    }
  }
}

static void RunByteWinograd(const ByteWinograd& winograd, std::int64_t item, float* scratch) {
  constexpr int S = kBytePoints;
  const ByteConv& conv = winograd.conv;
  const Panels panels = PanelsOf(conv.out_blocks);
  const int groups = (panels.count + winograd.panels_per_item - 1) / winograd.panels_per_item;
  const Tiles tiles = TilesOf(conv);
  const std::int64_t begin = item / groups * winograd.tiles_per_item;
  const int count = static_cast<int>(begin + winograd.tiles_per_item < tiles.all ? winograd.tiles_per_item
                                                                                 : tiles.all - begin);
  const int first = static_cast<int>(item % groups) * winograd.panels_per_item;
  const int last =
      first + winograd.panels_per_item < panels.count ? first + winograd.panels_per_item : panels.count;
  const ByteWinogradLayout layout = LayoutOf(winograd);
  auto* const sources = reinterpret_cast<std::int16_t*>(scratch);
  auto* const products = reinterpret_cast<std::int32_t*>(scratch + layout.products);
  auto* const results = reinterpret_cast<std::int32_t*>(scratch + layout.results);
  for (int t = 0; t < count; ++t) {
    TransformByteSource(conv, PlaceOf(conv, tiles, begin + t),
                        sources + static_cast<std::ptrdiff_t>(t) * conv.depth, layout.source_point);
  }
  ByteTail tail = ByteTailOf(conv);
  for (int p = first; p < last; ++p) {
    const int vectors = panels.width(p), width = vectors * kLanes, channel = panels.start(p) * kLanes,
              block = RowsFor(vectors, count);
    const IntegerProduct multiply = IntegerProductOf<true>(vectors, block);
    const std::int16_t* const panel =
        winograd.weights + static_cast<std::int64_t>(channel) * S * S * conv.depth;
    for (int point = 0; point < S * S; ++point) {
      const auto* const weights =
          reinterpret_cast<const std::int8_t*>(panel + static_cast<std::int64_t>(point) * width * conv.depth);
      const std::int16_t* const source = sources + point * layout.source_point;
      for (int t = 0; t < count; t += block) {
        const std::uint8_t* rows[kMaxRows];
        for (int r = 0; r < block; ++r)
          rows[r] =
              reinterpret_cast<const std::uint8_t*>(source + static_cast<std::ptrdiff_t>(t + r) * conv.depth);
        multiply(rows, 1, 2 * conv.depth, weights, {},
                 products + point * layout.product_point + static_cast<std::ptrdiff_t>(t) * width);
      }
    }
    tail.scale = conv.scale + channel, tail.offset = conv.offset + channel;
    for (int t = 0; t < count; ++t) {
      FinishByteTile(conv, PlaceOf(conv, tiles, begin + t), products + static_cast<std::ptrdiff_t>(t) * width,
                     layout.product_point, vectors, channel, tail, results);
    }
  }
}

#else

static void PlanByteWinograd(ByteWinograd&, int, std::size_t) {}
static std::size_t ByteWinogradScratch(const ByteWinograd&) { return 0; }
static void RunByteWinograd(const ByteWinograd&, std::int64_t, float*) {}

#endif

}  // namespace frf::kernels::FRF_ISA
