// SPDX-License-Identifier: Apache-2.0
// The pools of maps.h, of floats and of bytes.
#pragma once

#include "engine/kernels/maps.h"
#include "engine/kernels/program.inl.h"

namespace frf::kernels::FRF_ISA {

// What lies inside the source of the window whose first tap is at (top, left), tap by tap.
template <typename View, typename Each>
FRF_INLINE void VisitWindow(const Pool& p, const View& src, int top, int left, const Each& each) {
  for (int i = 0; i < p.kernel_h; ++i) {
    const int sy = top + i * p.dilation_h;
    if (sy < 0 || sy >= src.height) continue;
    for (int j = 0; j < p.kernel_w; ++j) {
      const int sx = left + j * p.dilation_w;
      if (sx >= 0 && sx < src.width) each(src.data + sy * src.row + sx * src.pixel);
    }
  }
}

inline constexpr int kMaxPoolTaps = 64;  // whose addresses are kept; larger windows are visited once more

// The largest of each of kBytes channels.
template <int kBytes, typename Visit>
FRF_INLINE void LargestBytes(const Visit& visit, int channel, std::uint8_t* to) {
  typedef std::uint8_t Bytes __attribute__((vector_size(kBytes)));
  Bytes most{};
  visit([&](const std::uint8_t* tap) {
    Bytes v;
    __builtin_memcpy(&v, tap + channel, sizeof v);
    most = v > most ? v : most;
  });
  __builtin_memcpy(to + channel, &most, sizeof most);
}

// The largest byte of each window.
static void RunBytePool(const Pool& p, int begin, int end) {
  constexpr int kWide = kLanes * 4;  // bytes of a register
  const ByteMap &src = p.src_bytes, &dst = p.dst_bytes;
  const bool small = p.kernel_h * p.kernel_w <= kMaxPoolTaps;
  for (int y = begin; y < end; ++y) {
    const int top = y * p.stride_h - p.pad_top;
    for (int x = 0; x < dst.width; ++x) {
      std::uint8_t* const to = dst.data + y * dst.row + x * dst.pixel;
      const auto all = [&](const auto& visit) {
        int c = 0;
        for (; c + kWide <= dst.channels; c += kWide) LargestBytes<kWide>(visit, c, to);
        for (; c < dst.channels; c += kBlock) LargestBytes<kBlock>(visit, c, to);
      };
      const auto window = [&](const auto& each) {
        VisitWindow(p, src, top, x * p.stride_w - p.pad_left, each);
      };
      if (!small) {
        all(window);
        continue;
      }
      int count = 0;
      const std::uint8_t* taps[kMaxPoolTaps];
      window([&](const std::uint8_t* tap) { taps[count++] = tap; });
      all([&](const auto& each) {
        for (int t = 0; t < count; ++t) each(taps[t]);
      });
    }
  }
}

// Outputs [begin, end) of row y, whose windows may lie partly outside the source.
static void PoolBorder(const Pool& p, int y, int begin, int end) {
  const int top = y * p.stride_h - p.pad_top;
  for (int x = begin; x < end; ++x) {
    const int left = x * p.stride_w - p.pad_left;
    const auto visit = [&](const auto& each) { VisitWindow(p, p.src, top, left, each); };
    int divisor = 0;
    visit([&](const float*) { ++divisor; });
    if (p.count_padding) {  // the window inside the padded source
      const int bottom = top + (p.kernel_h - 1) * p.dilation_h + 1,
                right = left + (p.kernel_w - 1) * p.dilation_w + 1;
      const int limit_y = p.src.height + p.pad_bottom, limit_x = p.src.width + p.pad_right;
      int high = p.kernel_h, wide = p.kernel_w;
      if (bottom > limit_y) high -= (bottom - limit_y + p.dilation_h - 1) / p.dilation_h;
      if (right > limit_x) wide -= (right - limit_x + p.dilation_w - 1) / p.dilation_w;
      divisor = high * wide;
    }
    float* const dst = p.dst.data + y * p.dst.row + x * p.dst.pixel;
    const V scale = Broadcast(divisor > 0 ? 1.0f / static_cast<float>(divisor) : 0.0f);
    for (int c = 0; c < p.dst.channels; c += kLanes) {
      V v = p.average ? Zero() : Broadcast(-__builtin_inff());
      visit([&](const float* tap) { v = p.average ? v + Load(tap + c) : Max(v, Load(tap + c)); });
      Store(dst + c, p.average ? v * scale : v);
    }
  }
}

// Floats ahead of a pool that are fetched: rows come side by side, which hardware prefetchers follow at half
// of what memory gives.
inline constexpr std::ptrdiff_t kPoolAhead = 768;

// Outputs [begin, end) of row y, whose windows lie inside the source: no questions asked. kTaps: of the
// window, where that is known; 0: any number up to kMaxPoolTaps.
template <int kTaps>
static void PoolInside(const Pool& p, int y, int begin, int end) {
  const int taps = kTaps > 0 ? kTaps : p.kernel_h * p.kernel_w;
  std::ptrdiff_t offset[kTaps > 0 ? kTaps : kMaxPoolTaps], fetch[kTaps > 0 ? kTaps : kMaxPoolTaps];
  int fetches = 0;  // taps that the next windows do not meet again in this row
  for (int t = 0; t < taps; ++t) {
    const int row = t / p.kernel_w, column = t % p.kernel_w;
    offset[t] = row * p.dilation_h * p.src.row + column * p.dilation_w * p.src.pixel;
    if (column < p.stride_w) fetch[fetches++] = offset[t] + kPoolAhead;
  }
  const std::ptrdiff_t step = p.stride_w * p.src.pixel;
  const float* from =
      p.src.data + (y * p.stride_h - p.pad_top) * p.src.row - p.pad_left * p.src.pixel + begin * step;
  float* to = p.dst.data + y * p.dst.row + begin * p.dst.pixel;
  const V scale = Broadcast(1.0f / static_cast<float>(taps));
  for (int x = begin; x < end; ++x, from += step, to += p.dst.pixel) {
    for (int c = 0; c < p.dst.channels; c += kLanes) {
      for (int t = 0; t < fetches; ++t) __builtin_prefetch(from + fetch[t] + c);
      V v = Load(from + offset[0] + c);
      if (p.average) {
#pragma GCC unroll 4
        for (int t = 1; t < taps; ++t) v = v + Load(from + offset[t] + c);
        v = v * scale;
      } else {
#pragma GCC unroll 4
        for (int t = 1; t < taps; ++t) v = Max(v, Load(from + offset[t] + c));
      }
      Store(to + c, v);
    }
  }
}

static void RunPool(const Pool& p, std::int64_t item) {
  const int begin = static_cast<int>(item) * p.rows_per_item;
  const int height = p.dst_bytes.data ? p.dst_bytes.height : p.dst.height;
  const int end = begin + p.rows_per_item < height ? begin + p.rows_per_item : height;
  if (p.src_bytes.data) return RunBytePool(p, begin, end);
  const int taps = p.kernel_h * p.kernel_w, width = p.dst.width;
  // Columns whose windows lie inside: [first, last).
  int first = (p.pad_left + p.stride_w - 1) / p.stride_w;
  const int room = p.src.width - 1 - (p.kernel_w - 1) * p.dilation_w + p.pad_left;
  int last = room < 0 ? 0 : room / p.stride_w + 1;
  last = last < width ? last : width;
  first = first < last ? first : last;
  for (int y = begin; y < end; ++y) {
    const int top = y * p.stride_h - p.pad_top;
    const bool inside =
        top >= 0 && top + (p.kernel_h - 1) * p.dilation_h < p.src.height && taps <= kMaxPoolTaps;
    if (!inside) {
      PoolBorder(p, y, 0, width);
      continue;
    }
    PoolBorder(p, y, 0, first);
    if (taps == 4)
      PoolInside<4>(p, y, first, last);
    else
      PoolInside<0>(p, y, first, last);
    PoolBorder(p, y, last, width);
  }
}

template <typename Source>
static void WeightedPoolPart(const WeightedPool& p, const Source& load, std::int64_t part) {
  const int begin = static_cast<int>(part * p.src.height / p.parts);
  const int end = static_cast<int>((part + 1) * p.src.height / p.parts);
  float* const to = p.partial + part * p.src.channels;
  const std::ptrdiff_t pixel = load.map.pixel;
  for (int c = 0; c < p.src.channels; c += kLanes) {
    V total = Zero();
    for (int y = begin; y < end; ++y) {
      const auto* from = load.map.data + y * load.map.row + c;
      V sum = Zero(), other = Zero();
      int x = 0;
      if (p.columns) {
        const float* weight = p.columns + c;
        for (; x + 1 < p.src.width; x += 2, from += 2 * pixel, weight += 2 * p.src.channels) {
          sum = Fma(load(from), Load(weight), sum);
          other = Fma(load(from + pixel), Load(weight + p.src.channels), other);
        }
        if (x < p.src.width) sum = Fma(load(from), Load(weight), sum);
      } else {
        for (; x + 1 < p.src.width; x += 2, from += 2 * pixel) {
          sum = sum + load(from);
          other = other + load(from + pixel);
        }
        if (x < p.src.width) sum = sum + load(from);
      }
      sum = sum + other;
      total = p.rows ? Fma(sum, Load(p.rows + static_cast<std::ptrdiff_t>(y) * p.src.channels + c), total)
                     : total + sum;
    }
    Store(to + c, total);
  }
}

static void RunWeightedPool(const WeightedPool& p, std::int64_t part) {
  if (p.bytes.data)
    WeightedPoolPart(p, ByteSource(p.bytes), part);
  else
    WeightedPoolPart(p, FloatSource{p.src}, part);
}

static void FinishWeightedPool(const WeightedPool& p) {
  for (int c = 0; c < p.src.channels; c += kLanes) {
    V total = Zero();
    for (int part = 0; part < p.parts; ++part)
      total = total + Load(p.partial + static_cast<std::ptrdiff_t>(part) * p.src.channels + c);
    Store(p.dst.data + c, total * Broadcast(p.scale));
  }
}

}  // namespace frf::kernels::FRF_ISA
