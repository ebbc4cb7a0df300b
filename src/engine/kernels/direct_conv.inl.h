// SPDX-License-Identifier: Apache-2.0
// Any ungrouped convolution without transforms: products of rows that lie where the source lies.
#pragma once

#include "engine/kernels/pixel_items.inl.h"

namespace frf::kernels::FRF_ISA {

static std::size_t DirectPackedSize(int out, std::int64_t taps, int depth) {
  return static_cast<std::size_t>(PaddedChannels(out)) * taps * depth / kPerWord;
}

// Weights out x in x kh x kw to panels; channels in [in, depth) and outputs above `out` are zero.
static void PackDirect(const float* weights, int out, int in, int kh, int kw, int depth, float* packed) {
  const Panels panels = PanelsOf(PaddedChannels(out) / kBlock);
  const std::int64_t taps = static_cast<std::int64_t>(kh) * kw;
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes;
    for (std::int64_t tap = 0; tap < taps;
         ++tap, packed += static_cast<std::ptrdiff_t>(width) * (depth / kPerWord)) {
      for (int c = 0; c < depth; ++c) {
        const int real = c >= in ? 0 : out - first < width ? out - first : width;
        const float* const from = weights + (static_cast<std::int64_t>(first) * in + c) * taps + tap;
        float row[kMaxVectors * kLanes] = {};
        for (int k = 0; k < real; ++k) row[k] = from[k * in * taps];
        PutWeights(row, width, c, packed);
      }
    }
  }
}

// Words of one output pixel's operands, where they are laid out anew.
static inline std::ptrdiff_t OperandWords(const DirectConv& conv) {
  return kPerWord == 1 ? 0
                       : static_cast<std::ptrdiff_t>(conv.kernel_h) * conv.kernel_w * conv.depth / kPerWord;
}

static void PlanDirect(DirectConv& conv, int threads, std::size_t l2_bytes) {
  const std::int64_t floats =
      static_cast<std::int64_t>(conv.depth) * (conv.stride_w > 1 ? conv.stride_w : 1) +
      conv.weights.out_blocks * kBlock + OperandWords(conv) / conv.kernel_h;
  PlanPixels(conv, static_cast<std::int64_t>(conv.dst.height) * conv.dst.width,
             PanelsOf(conv.weights.out_blocks), 4 * floats, threads, l2_bytes);
}

// What rows beyond the last pixel are written to, the item's operands, its result and its program's
// registers.
static std::size_t DirectScratch(const DirectConv& conv) {
  return kSpareFloats + conv.pixels_per_item * OperandWords(conv) +
         AfterScratch(conv, conv.weights.out_blocks);
}

// Where output pixel (y, x) reads: one pointer a tap, `block` apart in `rows`. For floats and for bytes.
template <typename Conv, typename Source, typename T>
FRF_INLINE void GatherTaps(const Conv& conv, const Source& src, int y, int x, int block, const T** rows) {
  for (int ky = 0; ky < conv.kernel_h; ++ky) {
    const int sy = y * conv.stride_h + ky * conv.dilation_h - conv.pad_top;
    const bool inside = sy >= 0 && sy < src.height;
    const T* row = src.data + sy * src.row;
    for (int kx = 0; kx < conv.kernel_w; ++kx) {
      const int sx = x * conv.stride_w + kx * conv.dilation_w - conv.pad_left;
      rows[(ky * conv.kernel_w + kx) * block] =
          inside && sx >= 0 && sx < src.width ? row + sx * src.pixel : conv.zeros;
    }
  }
}

// The same for `block` neighbours of one row, whose kernels lie inside the source: no questions asked. False
// where they do not.
template <typename Conv, typename Source, typename T>
FRF_INLINE bool GatherRow(const Conv& conv, const Source& src, int y, int x, int block, int width,
                          const T** rows) {
  const int top = y * conv.stride_h - conv.pad_top, left = x * conv.stride_w - conv.pad_left;
  const int last = left + (block - 1) * conv.stride_w + (conv.kernel_w - 1) * conv.dilation_w;
  if (x + block > width || top < 0 || left < 0 || last >= src.width ||
      top + (conv.kernel_h - 1) * conv.dilation_h >= src.height)
    return false;
  const std::ptrdiff_t step = conv.stride_w * src.pixel;
  const T* row = src.data + top * src.row + left * src.pixel;
  for (int ky = 0; ky < conv.kernel_h; ++ky, row += conv.dilation_h * src.row) {
    const T* tap = row;
    for (int kx = 0; kx < conv.kernel_w; ++kx, tap += conv.dilation_w * src.pixel, rows += block) {
      const T* at = tap;
      for (int r = 0; r < block; ++r, at += step) rows[r] = at;
    }
  }
  return true;
}

inline constexpr int kMaxTaps = 128;

// What output pixels [begin, end) read, rounded to pairs: taps x depth / 2 words a pixel.
static void LayOutOperands(const DirectConv& conv, std::int64_t begin, std::int64_t end, float* words) {
  const float* taps[kMaxTaps];
  int y = static_cast<int>(begin / conv.dst.width), x = static_cast<int>(begin % conv.dst.width);
  for (std::int64_t pixel = begin; pixel < end; ++pixel) {
    GatherTaps(conv, conv.src, y, x, 1, taps);
    for (int tap = 0; tap < conv.kernel_h * conv.kernel_w; ++tap) {
      for (int c = 0; c < conv.depth; c += kLanes, words += kLanes / kPerWord)
        StoreOperands(words, Load(taps[tap] + c));
    }
    if (++x == conv.dst.width) x = 0, ++y;
  }
}

static void RunDirect(const DirectConv& conv, std::int64_t item, float* scratch) {
  const Panels panels = PanelsOf(conv.weights.out_blocks);
  const auto [begin, end, first, last] = ItemOf(conv, conv.dst, panels, item);
  const int taps = conv.kernel_h * conv.kernel_w;
  const Epilogue& epilogue = conv.epilogue;
  float* const operands = scratch + kSpareFloats;
  float* const results = operands + conv.pixels_per_item * OperandWords(conv);
  if constexpr (kPerWord > 1) LayOutOperands(conv, begin, end, operands);
  const Map result = conv.after ? ResultIn(results, conv.dst, conv.weights.out_blocks, begin) : conv.dst;
  const float* rows[kMaxTaps * kMaxRows];
  float *dst[kMaxRows], *sum[kMaxRows];
  const float* add[kMaxRows];
  for (int p = first; p < last; ++p) {
    const int vectors = panels.width(p), channel = panels.start(p) * kLanes, block = Rows(vectors);
    const std::ptrdiff_t words = conv.depth / kPerWord;
    const float* panel = conv.weights.data + static_cast<std::int64_t>(channel) * taps * words;
    const TailFunction run = TailOf(vectors);
    const Tail tail = TailAt(epilogue, channel, add, sum);
    // The first panel brings the rows in, the others find them.
    const Prefetch prefetch =
        p == first && kPerWord == 1 ? Prefetch{block * conv.stride_w * conv.src.pixel, 16} : Prefetch{};
    int y = static_cast<int>(begin / conv.dst.width), x = static_cast<int>(begin % conv.dst.width);
    for (std::int64_t pixel = begin; pixel < end; pixel += block) {
      const bool plain = kPerWord == 1 && pixel + block <= end &&
                         GatherRow(conv, conv.src, y, x, block, conv.dst.width, rows);
      for (int r = 0; r < block; ++r) {
        if (pixel + r >= end) {  // repeat the row before, throw the result away
          for (int tap = 0; tap < taps; ++tap) rows[tap * block + r] = rows[tap * block + r - 1];
          dst[r] = sum[r] = scratch;
          add[r] = scratch + kMaxVectors * kLanes;
          continue;
        }
        if constexpr (kPerWord > 1) {
          const float* const pixel_words = operands + (pixel + r - begin) * taps * words;
          for (int tap = 0; tap < taps; ++tap) rows[tap * block + r] = pixel_words + tap * words;
        } else if (!plain) {
          GatherTaps(conv, conv.src, y, x, block, rows + r);
        }
        dst[r] = result.data + y * result.row + x * result.pixel + channel;
        if (epilogue.add.data) {
          add[r] = epilogue.add.data + y * epilogue.add.row + x * epilogue.add.pixel + channel;
        }
        if (epilogue.sum.data) {
          sum[r] = epilogue.sum.data + y * epilogue.sum.row + x * epilogue.sum.pixel + channel;
        }
        if (++x == conv.dst.width) x = 0, ++y;
      }
      if (!conv.after) FetchBlock(dst[0] + block * result.pixel, result.pixel, block, vectors);
      run(rows, taps, words, panel, dst, tail, prefetch);
    }
  }
  if (conv.after) RunAfter(conv, begin, end, result, results);
}

}  // namespace frf::kernels::FRF_ISA
