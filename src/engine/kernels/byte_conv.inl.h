// SPDX-License-Identifier: Apache-2.0
// Convolution in 8-bit integers: unsigned bytes times signed weights, four at a time into 32-bit sums, by the
// dot-product instruction of AVX-512 VNNI or AVX-VNNI. Exact: no sum leaves 32 bits (255 * 127 * 4 KiB * taps
// is below 2^31), so it equals any other order of the same additions. Subtle: the instruction wants the
// unsigned factor first, and it is the weights that come as vectors, so the picture's four bytes are
// broadcast: rows and panels are those of gemm.inl.h with four channels where that one has one.
#pragma once

#include "engine/kernels/direct_conv.inl.h"

namespace frf::kernels::FRF_ISA {

#if defined(FRF_ISA_AVX512)
#define FRF_DOT_TARGET __attribute__((target("avx512vnni")))
using Sums = __m512i;
#define FRF_DOT(sum, bytes, weights) _mm512_dpbusd_epi32(sum, bytes, weights)
#define FRF_DOT_WORDS(sum, words, weights) _mm512_dpwssd_epi32(sum, words, weights)
#define FRF_LOAD_SUMS(p) _mm512_loadu_si512(p)
#define FRF_STORE_SUMS(p, v) _mm512_storeu_si512(p, v)
#define FRF_FOUR_BYTES(x) _mm512_set1_epi32(x)
FRF_INLINE V SumsToFloat(const std::int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
#elif defined(FRF_ISA_AVX2)
#define FRF_DOT_TARGET __attribute__((target("avxvnni")))
using Sums = __m256i;
#define FRF_DOT(sum, bytes, weights) _mm256_dpbusd_avx_epi32(sum, bytes, weights)
#define FRF_DOT_WORDS(sum, words, weights) _mm256_dpwssd_avx_epi32(sum, words, weights)
#define FRF_LOAD_SUMS(p) _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
#define FRF_STORE_SUMS(p, v) _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v)
#define FRF_FOUR_BYTES(x) _mm256_set1_epi32(x)
FRF_INLINE V SumsToFloat(const std::int32_t* p) {
  return _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
#endif

static std::size_t BytePackedSize(int out, std::int64_t taps, int depth) {
  return static_cast<std::size_t>(PaddedChannels(out)) * taps * depth;
}

// Weights out x in x kh x kw to panels: for every four channels of a tap, four bytes an output channel.
static void PackBytes(const std::int8_t* weights, int out, int in, int kh, int kw, int tap_w, int depth,
                      std::int8_t* packed) {
  const Panels panels = PanelsOf(PaddedChannels(out) / kBlock);
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes;
    for (int ky = 0; ky < kh; ++ky) {
      for (int tap = 0; tap < kw / tap_w; ++tap) {
        for (int d = 0; d < depth; d += 4) {
          for (int k = 0; k < width; ++k) {
            for (int i = 0; i < 4; ++i) {
              // A tap of several kernel columns has their channels one after the other.
              const int kx = tap * tap_w + (d + i) / (tap_w > 1 ? in : depth),
                        c = tap_w > 1 ? (d + i) % in : d + i;
              const bool real = first + k < out && c < in && kx < kw;
              *packed++ =
                  real ? weights[((static_cast<std::int64_t>(first + k) * in + c) * kh + ky) * kw + kx] : 0;
            }
          }
        }
      }
    }
  }
}

#if defined(FRF_ISA_AVX512) || defined(FRF_ISA_AVX2)

// As Multiply in gemm.inl.h, four bytes of a row and of each channel's weights a step: four unsigned and four
// signed bytes, or with kWords two signed words and two. `depth` in bytes.
template <bool kWords, int N, int R = Rows(N)>
FRF_DOT_TARGET __attribute__((noinline)) static void MultiplyIntegers(const std::uint8_t* const* rows,
                                                                      int taps, std::ptrdiff_t depth,
                                                                      const std::int8_t* panel,
                                                                      Prefetch prefetch, std::int32_t* dst) {
  constexpr int kWidth = N * kLanes;
  Sums acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) acc[r][n] = Sums{};
  }
  for (; taps > 0; --taps, rows += R) {
    const std::uint8_t* row[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) row[r] = rows[r];
    const std::uint8_t* next = row[0] + prefetch.ahead;
    for (std::ptrdiff_t c = 0; c < depth; c += 4, next += prefetch.line) {
      __builtin_prefetch(next);
      Sums weight[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) weight[n] = FRF_LOAD_SUMS(panel + n * kLanes * 4);
      panel += kWidth * 4;
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        std::int32_t four;
        __builtin_memcpy(&four, row[r] + c, 4);
        const Sums bytes = FRF_FOUR_BYTES(four);
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          if constexpr (kWords)
            acc[r][n] = FRF_DOT_WORDS(acc[r][n], bytes, weight[n]);
          else
            acc[r][n] = FRF_DOT(acc[r][n], bytes, weight[n]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) FRF_STORE_SUMS(dst + r * kWidth + n * kLanes, acc[r][n]);
  }
}

using IntegerProduct = void (*)(const std::uint8_t* const*, int, std::ptrdiff_t, const std::int8_t*, Prefetch,
                                std::int32_t*);

template <bool kWords>
static inline IntegerProduct IntegerProductOf(int vectors, int rows) {
  if constexpr (kLanes == 16) {
    if (rows != Rows(vectors))
      return vectors == 3 ? MultiplyIntegers<kWords, 3, 6> : MultiplyIntegers<kWords, 4, 5>;
    static constexpr IntegerProduct kTable[] = {MultiplyIntegers<kWords, 1>, MultiplyIntegers<kWords, 2>,
                                                MultiplyIntegers<kWords, 3>, MultiplyIntegers<kWords, 4>,
                                                MultiplyIntegers<kWords, 5>};
    return kTable[vectors - 1];
  } else {
    static constexpr IntegerProduct kTable[] = {MultiplyIntegers<kWords, 1>, MultiplyIntegers<kWords, 2>};
    return kTable[vectors - 1];
  }
}

static void PlanByteConv(ByteConv& conv, int threads, std::size_t l2_bytes) {
  const std::int64_t width = conv.out_blocks * kBlock;
  const std::int64_t bytes = static_cast<std::int64_t>(conv.depth) * (conv.stride_w > 1 ? conv.stride_w : 1) +
                             (conv.dst.data ? width : 4 * width);
  PlanPixels(conv, static_cast<std::int64_t>(conv.floats.height) * conv.floats.width,
             PanelsOf(conv.out_blocks), bytes, threads, l2_bytes);
}

static std::size_t ByteConvScratch(const ByteConv& conv) {
  return kSpareFloats + AfterScratch(conv, conv.out_blocks);
}

// What becomes of the sums of one row of pixels.
struct ByteTail {
  const float *scale, *offset;  // at the panel's first channel
  V low, high, add_step, dst_step, sum_offset;
};

// All but scale and offset, which are the panel's.
static inline ByteTail ByteTailOf(const ByteConv& conv) {
  const float to_sum = conv.add.data ? 1.0f / conv.sum.coding.step : 0.0f;
  const float zeros = (static_cast<float>(conv.add.coding.zero) * conv.add.coding.step +
                       static_cast<float>(conv.dst.coding.zero) * conv.dst.coding.step) *
                      to_sum;
  return {nullptr,
          nullptr,
          Broadcast(static_cast<float>(conv.low)),
          Broadcast(static_cast<float>(conv.high)),
          Broadcast(conv.add.coding.step * to_sum),
          Broadcast(conv.dst.coding.step * to_sum),
          Broadcast(static_cast<float>(conv.sum.coding.zero) - zeros)};
}

// Bytes: round(sum * scale + offset), and where there is an addition, its sum in a third coding.
#if defined(FRF_ISA_AVX512)

// Four vectors of whole numbers as bytes, one after the other, of which the first kCount count; what is below
// 0 or above 255 saturates. Packing works within 128 bits, so its result is put in order at the end.
template <int kCount>
FRF_INLINE __m512i PackWhole(const __m512i (&v)[4]) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_packs_epi32(v[0], v[1]),
                high = kCount > 2 ? _mm512_packs_epi32(v[2], v[3]) : low;
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

// Sums in the destination's coding, and that plus what is added, in the total's.
FRF_INLINE __m512i WholeOf(V sums, V scale, V offset, const ByteTail& tail) {
  return _mm512_cvtps_epi32(Clamp(Fma(sums, scale, offset), tail.low, tail.high));
}
FRF_INLINE __m512i TotalOf(__m512i whole, const std::uint8_t* add, const ByteTail& tail) {
  const V added = Fma(LoadBytes(add), tail.add_step, tail.sum_offset);
  return _mm512_cvtps_epi32(Min(Fma(_mm512_cvtepi32_ps(whole), tail.dst_step, added), Broadcast(255.0f)));
}

template <int kCount>
FRF_INLINE void StoreWhole(std::uint8_t* dst, const __m512i (&v)[4]) {
  const __m512i bytes = PackWhole<kCount>(v);
  if constexpr (kCount == 4) _mm512_storeu_si512(dst, bytes);
  if constexpr (kCount == 3 || kCount == 2)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), _mm512_castsi512_si256(bytes));
  if constexpr (kCount == 3)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 32), _mm512_extracti32x4_epi32(bytes, 2));
  if constexpr (kCount == 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_castsi512_si128(bytes));
}

template <int kCount>
FRF_INLINE void StoreByteVectors(const std::int32_t* sums, int n, const ByteTail& tail, std::uint8_t* dst,
                                 const std::uint8_t* add, std::uint8_t* total) {
  __m512i whole[4] = {};
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const int at = n + i * kLanes;
    whole[i] = WholeOf(SumsToFloat(sums + at), Load(tail.scale + at), Load(tail.offset + at), tail);
  }
  StoreWhole<kCount>(dst + n, whole);
  if (!add) return;
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) whole[i] = TotalOf(whole[i], add + n + i * kLanes, tail);
  StoreWhole<kCount>(total + n, whole);
}

FRF_INLINE void StoreByteRow(const std::int32_t* sums, int width, const ByteTail& tail, std::uint8_t* dst,
                             const std::uint8_t* add, std::uint8_t* total) {
  int n = 0;
  for (; n + 4 * kLanes <= width; n += 4 * kLanes) StoreByteVectors<4>(sums, n, tail, dst, add, total);
  if (width - n == 3 * kLanes)
    StoreByteVectors<3>(sums, n, tail, dst, add, total);
  else if (width - n == 2 * kLanes)
    StoreByteVectors<2>(sums, n, tail, dst, add, total);
  else if (width - n == kLanes)
    StoreByteVectors<1>(sums, n, tail, dst, add, total);
}

#else

FRF_INLINE void StoreByteRow(const std::int32_t* sums, int width, const ByteTail& tail, std::uint8_t* dst,
                             const std::uint8_t* add, std::uint8_t* total) {
  for (int n = 0; n < width; n += kLanes) {
    const V v = Fma(SumsToFloat(sums + n), Load(tail.scale + n), Load(tail.offset + n));
    const V clamped = Clamp(v, tail.low, tail.high);
    StoreBytes(dst + n, clamped);
    if (!add) continue;
    const V magic = Broadcast(12582912.0f);
    const V rounded = (clamped + magic) - magic;
    StoreBytes(total + n,
               Clamp(Fma(rounded, tail.dst_step, Fma(LoadBytes(add + n), tail.add_step, tail.sum_offset)),
                     Zero(), Broadcast(255.0f)));
  }
}

#endif

FRF_INLINE void StoreFloatRow(const std::int32_t* sums, int width, const ByteTail& tail, const ByteConv& conv,
                              float* dst) {
  for (int n = 0; n < width; n += kLanes) {
    V v = Fma(SumsToFloat(sums + n), Load(tail.scale + n), Load(tail.offset + n));
    if (conv.act == Act::kRelu)
      v = Max(v, Zero());
    else if (conv.act != Act::kNone)
      v = ActivateRare(v, conv.act, conv.alpha, conv.beta);
    Store(dst + n, v);
  }
}

static void RunByteConv(const ByteConv& conv, std::int64_t item, float* scratch) {
  const Panels panels = PanelsOf(conv.out_blocks);
  const auto [begin, end, first, last] = ItemOf(conv, conv.floats, panels, item);
  const int out_width = conv.floats.width;
  const int taps = conv.kernel_h * conv.kernel_w;
  float* const results = scratch + kSpareFloats;
  const Map result = conv.after ? ResultIn(results, conv.floats, conv.out_blocks, begin) : conv.floats;
  ByteTail tail = ByteTailOf(conv);
  constexpr int kMaxTaps = 128;
  const std::uint8_t* rows[kMaxTaps * kMaxRows];
  std::uint8_t *dst[kMaxRows], *sum[kMaxRows];
  const std::uint8_t* add[kMaxRows];
  float* floats[kMaxRows];
  alignas(64) std::int32_t sums[kMaxRows * kMaxVectors * kLanes];
  for (int p = first; p < last; ++p) {
    const int vectors = panels.width(p), width = vectors * kLanes, channel = panels.start(p) * kLanes,
              block = Rows(vectors);
    const std::int8_t* panel = conv.weights + static_cast<std::int64_t>(channel) * taps * conv.depth;
    const IntegerProduct multiply = IntegerProductOf<false>(vectors, block);
    tail.scale = conv.scale + channel, tail.offset = conv.offset + channel;
    // The first panel brings the rows in, the others find them. A step takes four bytes, a cache line
    // holds 64.
    const Prefetch prefetch =
        p == first ? Prefetch{block * conv.stride_w * conv.src.pixel, conv.src.pixel > conv.depth ? 0 : 4}
                   : Prefetch{};
    int y = static_cast<int>(begin / out_width), x = static_cast<int>(begin % out_width);
    for (std::int64_t pixel = begin; pixel < end; pixel += block) {
      const int count = end - pixel < block ? static_cast<int>(end - pixel) : block;
      const bool plain = count == block && GatherRow(conv, conv.src, y, x, block, out_width, rows);
      for (int r = 0; r < block; ++r) {
        if (r >= count) {  // repeat the row before
          for (int tap = 0; tap < taps; ++tap) rows[tap * block + r] = rows[tap * block + r - 1];
          continue;
        }
        if (!plain) GatherTaps(conv, conv.src, y, x, block, rows + r);
        if (conv.dst.data) {
          dst[r] = conv.dst.data + y * conv.dst.row + x * conv.dst.pixel + channel;
          add[r] = conv.add.data ? conv.add.data + y * conv.add.row + x * conv.add.pixel + channel : nullptr;
          sum[r] = conv.sum.data + y * conv.sum.row + x * conv.sum.pixel + channel;
        } else {
          floats[r] = result.data + y * result.row + x * result.pixel + channel;
        }
        if (++x == out_width) x = 0, ++y;
      }
      if (conv.dst.data) {  // where the next block goes, so that its stores do not wait
        const std::uint8_t* const ahead = dst[0] + block * conv.dst.pixel;
        for (int r = 0; r < block; ++r) __builtin_prefetch(ahead + r * conv.dst.pixel, 1);
      }
      multiply(rows, taps, conv.depth, panel, prefetch, sums);
      for (int r = 0; r < count; ++r) {
        if (conv.dst.data)
          StoreByteRow(sums + r * width, width, tail, dst[r], add[r], sum[r]);
        else
          StoreFloatRow(sums + r * width, width, tail, conv, floats[r]);
      }
    }
  }
  if (conv.after) RunAfter(conv, begin, end, result, results);
}

#else  // no instruction for it: maps stay floats that bytes stand for (Epilogue::round), and none of this is
       // called

static void PlanByteConv(ByteConv&, int, std::size_t) {}
static std::size_t ByteConvScratch(const ByteConv&) { return 0; }
static void RunByteConv(const ByteConv&, std::int64_t, float*) {}

#endif

}  // namespace frf::kernels::FRF_ISA
