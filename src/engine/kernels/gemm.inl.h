// SPDX-License-Identifier: Apache-2.0
// The product that convolutions are made of: R rows of words (operands.inl.h) times a panel of weights N
// vectors wide, R x N sums held in registers from the first word to the last. Subtle: rows are given by
// pointers, so the same code multiplies a matrix, the pixels of a 1x1 convolution and the taps of any other
// (what XNNPACK calls an indirect product). A weight panel stays in L1 or L2 while many rows pass by.
#pragma once

#include "engine/kernels/bytes.inl.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/operands.inl.h"
#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

// Rows that fit in registers beside N weight vectors: 32 registers with AVX-512, 16 otherwise.
constexpr int Rows(int vectors) {
  if (kLanes == 16) return vectors <= 3 ? 8 : vectors == 4 ? 6 : 5;
  return kLanes == 8 ? 6 : 4;
}
inline constexpr int kMaxRows = 8;
inline constexpr int kMaxVectors = kLanes == 16 ? 5 : 2;

// What follows the sum of one block of rows.
struct Tail {
  const float* bias;  // at the panel's first channel; null: none
  Act act;
  float alpha, beta;
  const float* const* add;  // R pointers at the panel's first channel; null: none
  float* const* sum;        // likewise; null: none
  bool add_first;
  Coding round, round_sum;  // Epilogue's
  // All of it is a bias and bounds, which sums can take in registers.
  bool plain() const {
    return !add && !sum && round.step <= 0 && (act == Act::kNone || act == Act::kRelu || act == Act::kClip);
  }
};

FRF_INLINE V Activate(V v, Act act, float alpha, float beta) {
  switch (act) {
    case Act::kNone:
      return v;
    case Act::kRelu:
      return Max(v, Zero());
    case Act::kClip:
      return Clamp(v, Broadcast(alpha), Broadcast(beta));
    case Act::kLeaky:
      return Max(v, Zero()) + Min(v, Zero()) * Broadcast(alpha);
    case Act::kSigmoid:
      return Sigmoid(v);
    case Act::kHardSigmoid:
      return Clamp(Fma(v, Broadcast(alpha), Broadcast(beta)), Zero(), Broadcast(1.0f));
    case Act::kHardSwish:
      return v * Clamp(Fma(v, Broadcast(1.0f / 6.0f), Broadcast(0.5f)), Zero(), Broadcast(1.0f));
    case Act::kSilu:
      return v * Sigmoid(v);
  }
  return v;
}

// The rare activations, kept out of loops that are laid out for the common ones.
__attribute__((noinline)) static V ActivateRare(V v, Act act, float alpha, float beta) {
  return Activate(v, act, alpha, beta);
}

// `ahead`: floats from a row to where the next block's rows begin, which are fetched meanwhile, a cache line
// at every step: hardware prefetchers do not follow so many short rows. `line` is 16 (or what lies between
// lines that are not neighbours), or 0 where nothing is to be fetched.
struct Prefetch {
  std::ptrdiff_t ahead = 0, line = 0;
};

// Weights that no cache holds stream past. Hardware prefetchers bring them at a third of what memory gives,
// so the first block of rows that meets them fetches them this many floats ahead, into L2.
inline constexpr std::ptrdiff_t kStreamAhead = std::ptrdiff_t{512} * 16;
// From so many bytes of a convolution's weights on.
inline constexpr std::int64_t kStreamBytes = std::int64_t{1} << 20;

// Adds products over taps and depth, which counts words, to acc[r][n].
template <int N, int R, bool kStream>
FRF_INLINE void AddAllProducts(const float* const* rows, int taps, std::ptrdiff_t depth, const float* panel,
                               const Prefetch& prefetch, Sum (&acc)[R][N]) {
  for (; taps > 0; --taps, rows += R) {
    const float* row[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) row[r] = rows[r];
    const float* next = row[0] + prefetch.ahead;
    for (std::ptrdiff_t c = 0; c < depth; ++c, next += prefetch.line) {
      __builtin_prefetch(next);
      V weight[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) weight[n] = Load(panel + n * kLanes);
      if constexpr (kStream) {
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) __builtin_prefetch(panel + kStreamAhead + n * kLanes, 0, 2);
      }
      panel += N * kLanes;
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const V value = Broadcast(row[r][c]);
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) acc[r][n] = AddProducts(value, weight[n], acc[r][n]);
      }
    }
  }
}

// sums[r][n] = sum over taps and depth.
template <int N, int R, bool kStream>
FRF_INLINE void SumProducts(const float* const* rows, int taps, std::ptrdiff_t depth, const float* panel,
                            const Prefetch& prefetch, V (&sums)[R][N]) {
  Sum acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) acc[r][n] = NoSum();
  }
  AddAllProducts<N, R, kStream>(rows, taps, depth, panel, prefetch, acc);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[r][n] = Total(acc[r][n]);
  }
}

template <int N, int R>
FRF_INLINE void StoreSums(const V (&sums)[R][N], float* dst, std::ptrdiff_t stride) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) Store(dst + r * stride + n * kLanes, sums[r][n]);
  }
}

// SumProducts to dst[r][n]. Not inlined: alone, its sums, weights and pointers just fit in the registers.
template <int N, int R = Rows(N), bool kStream = false>
__attribute__((noinline)) static void Multiply(const float* const* rows, int taps, std::ptrdiff_t depth,
                                               const float* panel, Prefetch prefetch, float* dst,
                                               std::ptrdiff_t stride) {
  V sums[R][N];
  SumProducts<N, R, kStream>(rows, taps, depth, panel, prefetch, sums);
  StoreSums(sums, dst, stride);
}

struct Bounds {
  V low, high;
};

// What the activations that are bounds leave; infinite for all others.
FRF_INLINE Bounds BoundsOf(const Tail& tail) {
  const float infinity = __builtin_inff();
  const bool clip = tail.act == Act::kClip, relu = tail.act == Act::kRelu;
  return {Broadcast(clip ? tail.alpha : relu ? 0.0f : -infinity), Broadcast(clip ? tail.beta : infinity)};
}

// Bias, activation and additions, from sums of R rows to as many destinations.
template <int N>
FRF_INLINE void FinishBlock(const float* sums, float* const* dst, const Tail& tail) {
  constexpr int R = Rows(N), kWidth = N * kLanes;
  const Rounder round(tail.round), round_sum(tail.round_sum);
  // One pair of bounds for the activation and, where it is rounded next, for what bytes can stand for.
  const bool next = round.on && (!tail.add || tail.add_first || tail.sum);
  const bool bounded = tail.act == Act::kRelu || tail.act == Act::kClip;
  const bool clamp = bounded || (next && tail.act == Act::kNone);
  auto [low, high] = BoundsOf(tail);
  if (next) low = Max(low, round.low), high = Min(high, round.high);
  for (int r = 0; r < R; ++r) {
    const float* const from = sums + r * kWidth;
    float* const to = dst[r];
    const float* const add = tail.add ? tail.add[r] : nullptr;
    float* const sum = tail.sum ? tail.sum[r] : nullptr;
#pragma GCC unroll 8
    for (int n = 0; n < kWidth; n += kLanes) {
      V v = Load(from + n);
      if (tail.bias) v = v + Load(tail.bias + n);
      if (add && tail.add_first) v = v + Load(add + n);
      if (clamp) {
        v = Min(Max(v, low), high);
      } else if (tail.act != Act::kNone) {
        v = ActivateRare(v, tail.act, tail.alpha, tail.beta);
      }
      if (add && !tail.add_first) {
        if (sum) {
          if (round.on) v = clamp ? round.Inside(v) : round(v);
          const V total = v + Load(add + n);
          Store(sum + n, round_sum.on ? round_sum(total) : total);
        } else {
          v = v + Load(add + n);
          if (round.on) v = round(v);
        }
      } else if (round.on) {
        v = clamp ? round.Inside(v) : round(v);
      }
      Store(to + n, v);
    }
  }
}

// Bounds and bias of a plain tail, on sums in registers.
template <int N, int R>
FRF_INLINE void FinishPlain(const V (&sums)[R][N], float* const* dst, const Tail& tail) {
  const auto [low, high] = BoundsOf(tail);
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    const V bias = tail.bias ? Load(tail.bias + n * kLanes) : Zero();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) Store(dst[r] + n * kLanes, Min(high, Max(low, sums[r][n] + bias)));
  }
}

// Multiply and a plain tail: from registers to the destinations.
template <int N>
__attribute__((noinline)) static void MultiplyTo(const float* const* rows, int taps, std::ptrdiff_t depth,
                                                 const float* panel, Prefetch prefetch, float* const* dst,
                                                 const Tail& tail) {
  V sums[Rows(N)][N];
  SumProducts<N, Rows(N), false>(rows, taps, depth, panel, prefetch, sums);
  FinishPlain(sums, dst, tail);
}

// A block of products with what follows.
template <int N>
static void TailBlock(const float* const* rows, int taps, int depth, const float* panel, float* const* dst,
                      const Tail& tail, const Prefetch& prefetch) {
  if (tail.plain()) return MultiplyTo<N>(rows, taps, depth, panel, prefetch, dst, tail);
  constexpr int kWidth = N * kLanes;
  alignas(64) float sums[Rows(N) * kWidth];
  Multiply<N>(rows, taps, depth, panel, prefetch, sums, kWidth);
  FinishBlock<N>(sums, dst, tail);
}

using ProductFunction = void (*)(const float* const*, int, std::ptrdiff_t, const float*, Prefetch, float*,
                                 std::ptrdiff_t);
using TailFunction = void (*)(const float* const*, int, int, const float*, float* const*, const Tail&,
                              const Prefetch&);

// The rows of a block when there are `count` rows in all: few, so that a block that is not full counts.
// (Panels of one convolution differ in width, and what is a whole number of blocks for one is none for the
// other.)
static inline int RowsFor(int vectors, int count) {
  const int usual = Rows(vectors), fewer = kLanes != 16 ? usual : vectors == 3 ? 6 : vectors == 4 ? 5 : usual;
  const auto padded = [&](int rows) { return (count + rows - 1) / rows * rows; };
  return padded(fewer) < padded(usual) ? fewer : usual;
}

template <bool kStream>
static inline ProductFunction ProductOf(int vectors, int rows) {
  if constexpr (kLanes == 16) {
    if (rows != Rows(vectors)) return vectors == 3 ? Multiply<3, 6, kStream> : Multiply<4, 5, kStream>;
    static constexpr ProductFunction kTable[] = {Multiply<1, Rows(1), kStream>, Multiply<2, Rows(2), kStream>,
                                                 Multiply<3, Rows(3), kStream>, Multiply<4, Rows(4), kStream>,
                                                 Multiply<5, Rows(5), kStream>};
    return kTable[vectors - 1];
  } else {
    static constexpr ProductFunction kTable[] = {Multiply<1, Rows(1), kStream>,
                                                 Multiply<2, Rows(2), kStream>};
    return kTable[vectors - 1];
  }
}

// `stream`: the panel's weights are not in a cache (kStreamAhead).
static inline ProductFunction ProductOf(int vectors, int rows, bool stream = false) {
  return stream ? ProductOf<true>(vectors, rows) : ProductOf<false>(vectors, rows);
}

static inline TailFunction TailOf(int vectors) {
  if constexpr (kLanes == 16) {
    static constexpr TailFunction kTable[] = {TailBlock<1>, TailBlock<2>, TailBlock<3>, TailBlock<4>,
                                              TailBlock<5>};
    return kTable[vectors - 1];
  } else {
    static constexpr TailFunction kTable[] = {TailBlock<1>, TailBlock<2>};
    return kTable[vectors - 1];
  }
}

// Output channels are covered by panels as even as can be: four vectors wide where that divides, else up to
// five (AVX-512), always two elsewhere.
struct Panels {
  int count, wide, narrow, wide_count;  // the first wide_count panels are `wide` vectors, the others `narrow`
  int width(int i) const { return i < wide_count ? wide : narrow; }
  // First vector of panel i.
  int start(int i) const { return i < wide_count ? i * wide : wide_count * wide + (i - wide_count) * narrow; }
};

static inline Panels PanelsOf(int blocks) {
  const int vectors = blocks * kBlock / kLanes;
  if (kLanes != 16) return {vectors / 2, 2, 2, vectors / 2};
  const int count = vectors % 4 == 0   ? vectors / 4
                    : vectors % 9 == 0 ? vectors / 3
                                       : (vectors + kMaxVectors - 1) / kMaxVectors;
  const int narrow = vectors / count, extra = vectors % count;
  return {count, narrow + (extra > 0), narrow, extra > 0 ? extra : count};
}

}  // namespace frf::kernels::FRF_ISA
