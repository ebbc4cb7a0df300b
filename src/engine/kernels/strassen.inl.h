// SPDX-License-Identifier: Apache-2.0
// 1x1 convolutions with seven products of quarters instead of eight (Strassen 1969, in Winograd's form with
// 15 additions: Knuth, The Art of Computer Programming, volume 2, 4.6.4). An item's matrix, pixels x
// channels, and the weights, channels x outputs, are halved both ways:
//
//   |C11 C12|   |A11 A12|   |B11 B12|    A: even and odd groups of pixels, first and second half of the
//   |C21 C22| = |A21 A22| * |B21 B22|       channels; B's sums are made when weights are packed
//
//   S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2
//   X = A11 B11                       C11 = X + A12 B21
//   X = X + S2 (B22 - B12 + B11)
//   Y = X + S1 (B12 - B11)            C12 = Y + S4 B22
//   Z = X + S3 (B22 - B12)            C21 = Z + A22 (B21 - B22 + B12 - B11)
//                                     C22 = Y + Z - X
//
// Subtle: a product starts from what it is added to, in registers, so that of the seven additions of results
// one is left. Groups are counted from the map's first pixel, so that rounding does not depend on items. All
// blocks of a product pass before the next product begins: a seventh of the panel then stays in L1.
#pragma once

#include "engine/kernels/pixel_items.inl.h"

namespace frf::kernels::FRF_ISA {

inline constexpr int kStrassenProducts = 7;

static bool FitsStrassen(int out, int depth) {
  return PaddedChannels(out) % (2 * kBlock) == 0 && depth % (2 * kBlock) == 0;
}

// Of half of the outputs. As PanelsOf, but where that mixes blocks of five and six rows: halves of items are
// small, and eight divides them.
static inline Panels StrassenPanels(int out_blocks) {
  const int blocks = out_blocks / 2;
  const Panels usual = PanelsOf(blocks);
  if (usual.wide != 5 || usual.narrow == 5) return usual;
  const int count = (blocks + 2) / 3, narrow = blocks / count, extra = blocks % count;
  return {count, narrow + (extra > 0), narrow, extra > 0 ? extra : count};
}

// Pixels of a group: whole blocks of every panel.
static inline int StrassenGroup(const Panels& panels) {
  return std::lcm(Rows(panels.wide), Rows(panels.narrow));
}

static std::size_t StrassenPackedSize(int out, int depth) {
  return static_cast<std::size_t>(PaddedChannels(out)) / 2 * (depth / 2) * kStrassenProducts;
}

// Weights out x in: for each panel the second factors of the seven products in the order of their use.
static void PackStrassen(const float* weights, int out, int in, int depth, float* packed) {
  const int half_out = PaddedChannels(out) / 2, half_depth = depth / 2;
  const Panels panels = StrassenPanels(PaddedChannels(out) / kBlock);
  const auto at = [&](int o, int c) { return o < out && c < in ? weights[o * in + c] : 0.0f; };
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes;
    for (int c = 0; c < half_depth; ++c) {
      for (int k = 0; k < width; ++k) {
        const int left = first + k, right = half_out + left;
        const float b11 = at(left, c), b12 = at(right, c), b21 = at(left, half_depth + c),
                    b22 = at(right, half_depth + c);
        const float factors[kStrassenProducts] = {b11, b21,       b22 - b12 + b11,      b12 - b11,
                                                  b22, b22 - b12, b21 - b22 + b12 - b11};
        for (int i = 0; i < kStrassenProducts; ++i) packed[(i * half_depth + c) * width + k] = factors[i];
      }
    }
    packed += static_cast<std::ptrdiff_t>(kStrassenProducts) * half_depth * width;
  }
}

static void PlanStrassen(DirectConv& conv, int threads, std::size_t l2_bytes) {
  const std::int64_t floats = 2L * conv.depth + conv.weights.out_blocks * kBlock;  // the sums of sources too
  PlanPixels(conv, static_cast<std::int64_t>(conv.dst.height) * conv.dst.width,
             StrassenPanels(conv.weights.out_blocks), 4 * floats, threads, l2_bytes, 2);
}

// Scratch of an item: what rows beyond its pixels are written to, S1 to S4 of half of its pixels, X, Y and Z
// of one panel, its result and its program's registers. In floats.
struct StrassenLayout {
  // S: a cache line longer than its channels, or rows of a block would share few sets of L1.
  std::ptrdiff_t s_row, s, result, after;  // from one row, one of the S, one of X, Y, Z to the next; the end
  explicit StrassenLayout(const DirectConv& conv) {
    const Panels panels = StrassenPanels(conv.weights.out_blocks);
    const int group = StrassenGroup(panels);
    const std::ptrdiff_t rows = (conv.pixels_per_item + 2 * group - 1) / (2 * group) * group;
    s_row = conv.depth / 2 + kBlock;
    s = rows * s_row;
    result = rows * panels.wide * kLanes;
    after = kSpareFloats + 4 * s + 3 * result;
  }
};

static std::size_t StrassenScratch(const DirectConv& conv) {
  return StrassenLayout(conv).after + AfterScratch(conv, conv.weights.out_blocks);
}

// Every second group of an item's pixels, from `begin` on, a block of R at a time.
struct StrassenHalf {
  const DirectConv& conv;
  const Map& result;
  int group;
  std::int64_t begin, end;
  float* spare;

  FRF_INLINE std::int64_t PixelOf(int row) const { return begin + row + row / group * group; }

  // Beyond the last pixel, that once more.
  template <int R>
  FRF_INLINE void Sources(int row, int channel, const float** rows) const {
    std::int64_t pixel = PixelOf(row);
    if (pixel >= end) pixel = end - 1;
    int y = static_cast<int>(pixel / conv.src.width), x = static_cast<int>(pixel % conv.src.width);
    for (int r = 0; r < R; ++r) {
      rows[r] = conv.src.data + y * conv.src.row + x * conv.src.pixel + channel;
      if (++pixel < end && ++x == conv.src.width) x = 0, ++y;
    }
  }

  FRF_INLINE const float* Source(int row) const {
    const float* source;
    Sources<1>(row, 0, &source);
    return source;
  }

  // The result's blocks are N vectors wide.
  template <int N, int R = Rows(N)>
  FRF_INLINE void Destinations(int row, int channel, float** dst, const float** add, float** sum) const {
    std::int64_t pixel = PixelOf(row);
    int y = static_cast<int>(pixel / conv.dst.width), x = static_cast<int>(pixel % conv.dst.width);
    const Epilogue& e = conv.epilogue;
    for (int r = 0; r < R; ++r, ++pixel) {
      if (pixel >= end) {
        dst[r] = sum[r] = spare;
        add[r] = spare + kMaxVectors * kLanes;
        continue;
      }
      dst[r] = result.data + y * result.row + x * result.pixel + channel;
      if (e.add.data) add[r] = e.add.data + y * e.add.row + x * e.add.pixel + channel;
      if (e.sum.data) sum[r] = e.sum.data + y * e.sum.row + x * e.sum.pixel + channel;
      if (++x == conv.dst.width) x = 0, ++y;
    }
    if (!conv.after)
      FetchBlock(dst[0] + (PixelOf(row + R) - PixelOf(row)) * result.pixel, result.pixel, R, N);
  }
};

// S1 to S4 of `rows` pixels of each half.
static void SumSources(const StrassenHalf& even, const StrassenHalf& odd, int rows,
                       const StrassenLayout& layout, float* s) {
  const int half = even.conv.depth / 2;
  for (int i = 0; i < rows; ++i, s += layout.s_row) {
    const float *const first = even.Source(i), *const second = odd.Source(i);
    for (int c = 0; c < half; c += kLanes) {
      const V a11 = Load(first + c), a12 = Load(first + half + c), a21 = Load(second + c),
              a22 = Load(second + half + c);
      const V s1 = a21 + a22, s2 = s1 - a11;
      Store(s + c, s1);
      Store(s + layout.s + c, s2);
      Store(s + 2 * layout.s + c, a11 - a21);
      Store(s + 3 * layout.s + c, a12 - s2);
    }
  }
}

// A product added to what lies in `before` as its results will in dst.
template <int N, bool kStream>
FRF_INLINE void SumOnTop(const float* const* rows, std::ptrdiff_t depth, const float* panel,
                         const Prefetch& prefetch, const float* before, V (&sums)[Rows(N)][N]) {
  constexpr int R = Rows(N), kWidth = N * kLanes;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[r][n] = Load(before + r * kWidth + n * kLanes);
  }
  AddAllProducts<N, R, kStream>(rows, 1, depth, panel, prefetch, sums);
}

template <int N, bool kStream>
__attribute__((noinline)) static void MultiplyOnTop(const float* const* rows, std::ptrdiff_t depth,
                                                    const float* panel, Prefetch prefetch,
                                                    const float* before, float* dst) {
  V sums[Rows(N)][N];
  SumOnTop<N, kStream>(rows, depth, panel, prefetch, before, sums);
  StoreSums(sums, dst, N * kLanes);
}

// And a plain tail: from registers to the destinations.
template <int N, bool kStream>
__attribute__((noinline)) static void MultiplyOnTopTo(const float* const* rows, std::ptrdiff_t depth,
                                                      const float* panel, Prefetch prefetch,
                                                      const float* before, float* const* dst,
                                                      const Tail& tail) {
  V sums[Rows(N)][N];
  SumOnTop<N, kStream>(rows, depth, panel, prefetch, before, sums);
  FinishPlain(sums, dst, tail);
}

// A product's first factor: half of the channels of a half's pixels, from `channel` on, or one of the S.
struct StrassenFactor {
  const StrassenHalf* half;  // null: of sums
  int channel;
  const float* sums;
};

struct StrassenOutputs {
  int channel;  // the first
  Tail tail;
};

// One panel of the outputs' first half and the same of the second half.
template <int N>
class StrassenPanel {
 public:
  // `rows`: of each half; `channel`: the panel's first; its weights.
  StrassenPanel(const StrassenHalf& even, const StrassenHalf& odd, int rows, int channel,
                const float* weights, float* scratch)
      : conv_(even.conv),
        even_(even),
        odd_(odd),
        layout_(conv_),
        half_(conv_.depth / 2),
        rows_(rows),
        stream_(static_cast<std::int64_t>(conv_.weights.out_blocks) * kBlock * conv_.depth *
                    kStrassenProducts >=
                kStreamBytes),
        weights_(weights),
        left_(OutputsAt(channel)),
        right_(OutputsAt(channel + conv_.weights.out_blocks * kBlock / 2)),
        s_(scratch + kSpareFloats),
        x_(s_ + 4 * layout_.s) {}

  // `first`: of the item's panels, which brings the sources in and makes their sums.
  void Run(bool first) {
    float *const y = x_ + layout_.result, *const z = y + layout_.result;
    const StrassenFactor a11{&even_, 0, 0}, a12{&even_, half_, 0}, a22{&odd_, half_, 0};
    const auto s = [&](int i) { return StrassenFactor{nullptr, 0, s_ + (i - 1) * layout_.s}; };
    Product(0, a11, nullptr, x_);
    Result(1, a12, x_, even_, left_, first ? &odd_ : nullptr);
    if (first) SumSources(even_, odd_, rows_, layout_, s_);
    Product(2, s(2), x_, x_);
    Product(3, s(1), x_, y);
    Result(4, s(4), y, even_, right_);
    Product(5, s(3), x_, z);
    Result(6, a22, z, odd_, left_);
    alignas(64) float block[R * kWidth];
    for (int row = 0; row < rows_; row += R) {
      odd_.Destinations<N>(row, right_.channel, dst_, add_, sum_);
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * kWidth;
      for (int i = 0; i < R * kWidth; i += kLanes)
        Store(block + i, Load(y + at + i) + Load(z + at + i) - Load(x_ + at + i));
      FinishBlock<N>(block, dst_, right_.tail);
    }
  }

 private:
  static constexpr int R = Rows(N), kWidth = N * kLanes;

  StrassenOutputs OutputsAt(int channel) { return {channel, TailAt(conv_.epilogue, channel, add_, sum_)}; }

  // The block's rows, and what to fetch meanwhile: those of the next block or, where `other` is given, of the
  // same block there.
  FRF_INLINE Prefetch Find(const StrassenFactor& from, int row, const StrassenHalf* other) {
    if (from.half)
      from.half->Sources<R>(row, from.channel, source_);
    else
      for (int r = 0; r < R; ++r) source_[r] = from.sums + (row + r) * layout_.s_row;
    if (!from.half) return {R * layout_.s_row, kBlock};
    return {(other ? other->Source(row) : from.half->Source(row + R)) - source_[0], kBlock};
  }

  // The first rows bring the weights in, the others find them.
  auto OnTop(int row) const { return stream_ && row == 0 ? MultiplyOnTop<N, true> : MultiplyOnTop<N, false>; }

  void Product(int index, const StrassenFactor& from, const float* before, float* to) {
    const float* const weights = weights_ + index * static_cast<std::ptrdiff_t>(half_) * kWidth;
    for (int row = 0; row < rows_; row += R, to += R * kWidth) {
      const Prefetch prefetch = Find(from, row, nullptr);
      if (before)
        OnTop(row)(source_, half_, weights, prefetch, before + row * kWidth, to);
      else
        ProductOf(N, R, stream_ && row == 0)(source_, 1, half_, weights, prefetch, to, kWidth);
    }
  }

  void Result(int index, const StrassenFactor& from, const float* before, const StrassenHalf& to,
              const StrassenOutputs& out, const StrassenHalf* other = nullptr) {
    const float* const weights = weights_ + index * static_cast<std::ptrdiff_t>(half_) * kWidth;
    const bool plain = out.tail.plain();
    alignas(64) float block[R * kWidth];
    for (int row = 0; row < rows_; row += R) {
      const Prefetch prefetch = Find(from, row, other);
      to.Destinations<N>(row, out.channel, dst_, add_, sum_);
      if (plain) {
        const auto multiply = stream_ && row == 0 ? MultiplyOnTopTo<N, true> : MultiplyOnTopTo<N, false>;
        multiply(source_, half_, weights, prefetch, before + row * kWidth, dst_, out.tail);
        continue;
      }
      OnTop(row)(source_, half_, weights, prefetch, before + row * kWidth, block);
      FinishBlock<N>(block, dst_, out.tail);
    }
  }

  const DirectConv& conv_;
  const StrassenHalf &even_, &odd_;
  const StrassenLayout layout_;
  const int half_, rows_;
  const bool stream_;
  const float* const weights_;
  const StrassenOutputs left_, right_;
  float *const s_, *const x_;
  float *dst_[R], *sum_[R];
  const float *add_[R], *source_[R];
};

static void RunStrassen(const DirectConv& conv, std::int64_t item, float* scratch) {
  const Panels panels = StrassenPanels(conv.weights.out_blocks);
  const auto [begin, end, first, last] = ItemOf(conv, conv.dst, panels, item);
  float* const results = scratch + StrassenLayout(conv).after;
  const Map result = conv.after ? ResultIn(results, conv.dst, conv.weights.out_blocks, begin) : conv.dst;
  const int group = StrassenGroup(panels), pixels = static_cast<int>(end - begin);
  const int rest = pixels % (2 * group), rows = pixels / (2 * group) * group + (rest < group ? rest : group);
  const StrassenHalf even{conv, result, group, begin, end, scratch},
      odd{conv, result, group, begin + group, end, scratch};
  for (int p = first; p < last; ++p) {
    const int channel = panels.start(p) * kLanes;
    const float* const weights =
        conv.weights.data + static_cast<std::ptrdiff_t>(channel) * (conv.depth / 2) * kStrassenProducts;
    const bool brings = p == first;
    const auto run = [&]<int N>() {
      if constexpr (N <= kMaxVectors)
        StrassenPanel<N>(even, odd, rows, channel, weights, scratch).Run(brings);
    };
    switch (panels.width(p)) {
      case 1:
        run.template operator()<1>();
        break;
      case 2:
        run.template operator()<2>();
        break;
      case 3:
        run.template operator()<3>();
        break;
      case 4:
        run.template operator()<4>();
        break;
      default:
        run.template operator()<5>();
    }
  }
  if (conv.after) RunAfter(conv, begin, end, result, results);
}

}  // namespace frf::kernels::FRF_ISA
