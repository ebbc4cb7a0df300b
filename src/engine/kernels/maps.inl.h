// SPDX-License-Identifier: Apache-2.0
// The kernels of maps.h. Subtle: labels need no map of full-size scores; an output row's scores lie in L1,
// class by class, at the source's width, and sixteen output columns are compared at a time.
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

// Pixels [x, width) of a row, each channel looked up.
template <typename T>
FRF_INLINE void LookUpPixels(const PictureIn& p, const std::uint8_t* from, const T* table, T* to,
                             std::ptrdiff_t pixel, int x, int width) {
  const T *red = table, *green = table + 256, *blue = table + 512;
  const int r = p.bgr ? 2 : 0, b = p.bgr ? 0 : 2;
  from += std::ptrdiff_t{3} * x, to += x * pixel;
  for (; x < width; ++x, from += 3, to += pixel) {
    to[0] = red[from[r]];
    to[1] = green[from[1]];
    to[2] = blue[from[b]];
  }
}

inline constexpr int kColourPixels = (kLanes - 1) / 3;  // of a vector, the last lane is spare

// The same computed, for rows without gaps, as far as whole vectors reach: gives the first pixel that is
// left. The spare lane is stored where the next pixel will be.
template <typename Put>
FRF_INLINE int ComputePixels(const PictureIn& p, const std::uint8_t* from, int width, const Put& put) {
  float minus[kLanes] = {}, over[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    minus[i] = p.table->minus[i % 3];
    over[i] = p.table->over[i % 3];
  }
  const V m = Load(minus), o = Load(over);
  int x = 0;
  for (; 3 * x + kLanes <= 3 * width; x += kColourPixels)
    put(3 * x, (LoadColours(from + std::ptrdiff_t{3} * x, p.bgr) - m) / o);
  return x;
}

static void RunPictureIn(const PictureIn& p, std::int64_t y) {
  const std::uint8_t* const from = p.pixels + y * p.stride;
  const bool bytes = p.bytes.data != nullptr;
  const int width = bytes ? p.bytes.width : p.dst.width;
  const std::ptrdiff_t pixel = bytes ? p.bytes.pixel : p.dst.pixel;
  const bool compute = p.table->affine && pixel == 3;
  int x = 0;
  if (bytes) {
    std::uint8_t* const to = p.bytes.data + y * p.bytes.row;
    if (compute) {
      const V step = Broadcast(p.bytes.coding.step),
              zero = Broadcast(static_cast<float>(p.bytes.coding.zero));
      x = ComputePixels(p, from, width, [&](int at, V v) {
        StoreBytes(to + at, Clamp(Nearest(v / step) + zero, Zero(), Broadcast(255.0f)));
      });
    }
    LookUpPixels(p, from, p.byte_table, to, pixel, x, width);
  } else {
    float* const to = p.dst.data + y * p.dst.row;
    if (compute) x = ComputePixels(p, from, width, [&](int at, V v) { Store(to + at, v); });
    LookUpPixels(p, from, p.table->values[0], to, pixel, x, width);
  }
}

static void RunPlanesIn(const PlanesIn& p, std::int64_t y) {
  const bool bytes = p.bytes.data != nullptr;
  const Coding& coding = bytes ? p.bytes.coding : p.round;
  const int height = bytes ? p.bytes.height : p.dst.height, width = bytes ? p.bytes.width : p.dst.width;
  const std::ptrdiff_t pixel = bytes ? p.bytes.pixel : p.dst.pixel;
  const int channels = bytes ? p.bytes.channels : p.dst.channels;
  const std::int64_t plane = static_cast<std::int64_t>(height) * width;
  const int padded = pixel < channels ? static_cast<int>(pixel) : channels;
  for (int c0 = 0; c0 < padded; c0 += kBlock) {  // blocks of 16 channels: a cache line a pixel
    const int c1 = c0 + kBlock < padded ? c0 + kBlock : padded;
    for (int x = 0; x < width; ++x) {
      for (int c = c0; c < c1; ++c) {
        float v = c < p.channels ? p.planes[c * plane + y * width + x] : 0.0f;
        if (coding.step > 0) {
          const float zero = static_cast<float>(coding.zero);
          v = __builtin_nearbyintf(v / coding.step) + zero;
          v = v > 0.0f ? (v < 255.0f ? v : 255.0f) : 0.0f;
          if (!bytes) v = (v - zero) * coding.step;
        }
        if (bytes)
          p.bytes.data[y * p.bytes.row + x * pixel + c] = static_cast<std::uint8_t>(v);
        else
          p.dst.data[y * p.dst.row + x * pixel + c] = v;
      }
    }
  }
}

static void RunPlanesOut(const PlanesOut& p, std::int64_t y) {
  const std::int64_t plane = static_cast<std::int64_t>(p.src.height) * p.src.width;
  const float* const row = p.src.data + y * p.src.row;
  for (int c0 = 0; c0 < p.channels; c0 += kBlock) {
    const int c1 = c0 + kBlock < p.channels ? c0 + kBlock : p.channels;
    for (int c = c0; c < c1; ++c) {
      float* const to = p.planes + c * plane + y * p.src.width;
      for (int x = 0; x < p.src.width; ++x) to[x] = row[x * p.src.pixel + c];
    }
  }
}

// Of a class's scores along a row, in a plane of its own.
static inline std::ptrdiff_t LineStride(const Labels& p) { return (p.src.width + 4 + 15) / 16 * 16 + 16; }

inline constexpr int kHeldRows = 4;  // as many as a WideTap reaches

// The vertical half of the resize: output rows as classes x LineStride floats, from source rows that are
// transposed once and held while the output rows that read them pass.
class Lines {
 public:
  static std::size_t Floats(const Labels& p) {
    return static_cast<std::size_t>(kHeldRows + 1) * p.classes * LineStride(p);
  }
  Lines(const Labels& p, float* scratch) : p_(p), size_(p.classes * LineStride(p)), planes_(scratch) {}

  const float* Row(int y) {
    const WideTap& tap = p_.rows[y];
    const float* from[kHeldRows];
    int taps = 1;
    for (int t = 0; t < kHeldRows; ++t) {
      if (t > 0 && tap.weight[t] == 0.0f) continue;
      taps = t + 1;
    }
    for (int t = 0; t < taps; ++t)
      from[t] = Held(tap.first + t < p_.src.height ? tap.first + t : p_.src.height - 1);
    if (taps == 1 && tap.weight[0] == 1.0f) return from[0];
    float* const line = planes_ + kHeldRows * size_;
    for (std::ptrdiff_t i = 0; i < size_; i += kLanes) {
      V v = Load(from[0] + i) * Broadcast(tap.weight[0]);
      for (int t = 1; t < taps; ++t) v = Fma(Load(from[t] + i), Broadcast(tap.weight[t]), v);
      Store(line + i, v);
    }
    return line;
  }

 private:
  const float* Held(int y) {
    float* const plane = planes_ + y % kHeldRows * size_;
    if (held_[y % kHeldRows] == y) return plane;
    held_[y % kHeldRows] = y;
    const std::ptrdiff_t stride = LineStride(p_);
    const float* from = p_.src.data + y * p_.src.row;
    for (int x = 0; x < p_.src.width; ++x, from += p_.src.pixel) {
      for (int c = 0; c < p_.classes; ++c) plane[c * stride + x] = from[c];
    }
    for (int c = 0; c < p_.classes; ++c) {  // carry weight zero, but must be finite
      for (std::ptrdiff_t x = p_.src.width; x < stride; ++x) plane[c * stride + x] = 0.0f;
    }
    return plane;
  }

  const Labels& p_;
  const std::ptrdiff_t size_;
  float* const planes_;
  int held_[kHeldRows] = {-1, -1, -1, -1};
};

// Sixteen output columns: where each takes from. The same for all rows, so an item lays them out once.
struct ColumnGroup {
  std::int32_t first[16];
  float weight[4][16];
  std::int32_t taps, near,
      unused[14];  // of four; near: two taps, from at most sixteen source columns. A multiple of 64 bytes
};

static inline std::size_t GroupFloats(const Labels& p) {
  return (p.planned_width + 15) / 16 * sizeof(ColumnGroup) / sizeof(float);
}

static std::size_t LabelsScratch(const Labels& p) { return Lines::Floats(p) + GroupFloats(p); }

static void LayOutColumns(const Labels& p, int x, ColumnGroup& group) {
  group.taps = 1;
  for (int i = 0; i < 16; ++i) {
    const WideTap& tap = p.columns[x + i < p.width ? x + i : p.width - 1];
    group.first[i] = tap.first;
    for (int t = 0; t < 4; ++t) {
      group.weight[t][i] = tap.weight[t];
      if (tap.weight[t] != 0.0f && t >= group.taps) group.taps = t + 1;
    }
  }
  int low = group.first[0], high = low;
  for (const std::int32_t first : group.first)
    low = first < low ? first : low, high = first > high ? first : high;
  group.near = group.taps <= 2 && low == group.first[0] && high - low < 16 && low + 17 <= LineStride(p);
}

#if defined(FRF_ISA_AVX512)

// Sixteen output columns of one class: four gathers at most, from a line that lies in L1.
FRF_INLINE V Horizontal(const float* line, __m512i first, const V (&weights)[4], int taps) {
  V v = _mm512_i32gather_ps(first, line, 4) * weights[0];
  for (int t = 1; t < taps; ++t) v = Fma(_mm512_i32gather_ps(first, line + t, 4), weights[t], v);
  return v;
}

// Where sixteen outputs take from at most sixteen source columns (any enlargement), two permutes replace the
// gathers.
FRF_INLINE V HorizontalNear(const float* line, int base, __m512i index, const V& w0, const V& w1) {
  const V a = Load(line + base), b = Load(line + base + 1);
  return Fma(_mm512_permutexvar_ps(index, b), w1, _mm512_permutexvar_ps(index, a) * w0);
}

// A group's scores of one class whose line is given.
struct GroupScores {
  explicit GroupScores(const ColumnGroup& group)
      : w{Load(group.weight[0]), Load(group.weight[1]), Load(group.weight[2]), Load(group.weight[3])},
        where(_mm512_loadu_si512(group.first)),
        base(group.first[0]),
        taps(group.taps),
        index(_mm512_sub_epi32(where, _mm512_set1_epi32(base))) {}
  V Near(const float* line) const { return HorizontalNear(line, base, index, w[0], w[1]); }
  V Any(const float* line) const { return Horizontal(line, where, w, taps); }
  V w[4];
  __m512i where;
  int base, taps;
  __m512i index;
};

FRF_INLINE __mmask16 FirstLanes(int count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << count) - 1);
}

static void LabelGroup(const Labels& p, const ColumnGroup& group, const float* line, std::uint8_t* out,
                       int count) {
  const GroupScores scores(group);
  const std::ptrdiff_t stride = LineStride(p);
  __m512i label = _mm512_setzero_si512();
  const auto compare = [&](const auto& at) {
    V best = at(line);
    for (int c = 1; c < p.classes; ++c) {
      const V v = at(line + c * stride);
      const __mmask16 better = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ);
      best = _mm512_mask_mov_ps(best, better, v);
      label = _mm512_mask_mov_epi32(label, better, _mm512_set1_epi32(c));
    }
  };
  if (group.near)
    compare([&](const float* from) { return scores.Near(from); });
  else
    compare([&](const float* from) { return scores.Any(from); });
  _mm512_mask_cvtepi32_storeu_epi8(out, FirstLanes(count), label);
}

static void ScoreGroup(const Labels& p, const ColumnGroup& group, const float* line, float* out,
                       std::ptrdiff_t plane, int count) {
  const GroupScores scores(group);
  const std::ptrdiff_t stride = LineStride(p);
  for (int c = 0; c < p.classes; ++c, line += stride, out += plane)
    _mm512_mask_storeu_ps(out, FirstLanes(count), group.near ? scores.Near(line) : scores.Any(line));
}

#else

FRF_INLINE void GroupScores(const ColumnGroup& group, const float* line, float (&v)[16]) {
  for (int i = 0; i < 16; ++i) v[i] = line[group.first[i]] * group.weight[0][i];
  for (int t = 1; t < group.taps; ++t) {
    for (int i = 0; i < 16; ++i) v[i] += line[group.first[i] + t] * group.weight[t][i];
  }
}

static void LabelGroup(const Labels& p, const ColumnGroup& group, const float* line, std::uint8_t* out,
                       int count) {
  float best[16], v[16];
  int label[16];
  for (int i = 0; i < 16; ++i) label[i] = 0, best[i] = -__builtin_inff();
  for (int c = 0; c < p.classes; ++c) {
    GroupScores(group, line + c * LineStride(p), v);
    for (int i = 0; i < 16; ++i) {
      const bool better = v[i] > best[i];
      best[i] = better ? v[i] : best[i];
      label[i] = better ? c : label[i];
    }
  }
  for (int i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(label[i]);
}

static void ScoreGroup(const Labels& p, const ColumnGroup& group, const float* line, float* out,
                       std::ptrdiff_t plane, int count) {
  for (int c = 0; c < p.classes; ++c, out += plane) {
    float v[16];
    GroupScores(group, line + c * LineStride(p), v);
    for (int i = 0; i < count; ++i) out[i] = v[i];
  }
}

#endif

static void PlanLabels(Labels& p, int threads) {
  const int wanted = 8 * threads;
  p.planned_width = p.width;
  p.rows_per_item = (p.height + wanted - 1) / wanted;
  p.items = (p.height + p.rows_per_item - 1) / p.rows_per_item;
}

// put(y, x, count, group, line) for every sixteen columns of an item's rows.
template <typename Put>
FRF_INLINE void VisitGroups(const Labels& p, std::int64_t item, float* scratch, const Put& put) {
  const int begin = static_cast<int>(item) * p.rows_per_item;
  const int end = begin + p.rows_per_item < p.height ? begin + p.rows_per_item : p.height;
  auto* const room = reinterpret_cast<ColumnGroup*>(scratch);
  Lines lines(p, scratch + GroupFloats(p));
  const bool fits = p.width <= p.planned_width && end - begin > 1;
  for (int x = 0; fits && x < p.width; x += 16) LayOutColumns(p, x, room[x / 16]);
  ColumnGroup own;
  for (int y = begin; y < end; ++y) {
    const float* const line = lines.Row(y);
    for (int x = 0; x < p.width; x += 16) {
      if (!fits) LayOutColumns(p, x, own);
      put(y, x, p.width - x < 16 ? p.width - x : 16, fits ? room[x / 16] : own, line);
    }
  }
}

static void RunLabels(const Labels& p, std::int64_t item, float* scratch) {
  VisitGroups(p, item, scratch, [&](int y, int x, int count, const ColumnGroup& group, const float* line) {
    LabelGroup(p, group, line, p.labels + y * p.stride + x, count);
  });
}

static void RunScores(const Scores& s, std::int64_t item, float* scratch) {
  const Labels& p = s.shape;
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(p.height) * p.width;
  VisitGroups(p, item, scratch, [&](int y, int x, int count, const ColumnGroup& group, const float* line) {
    ScoreGroup(p, group, line, s.planes + static_cast<std::ptrdiff_t>(y) * p.width + x, plane, count);
  });
}

}  // namespace frf::kernels::FRF_ISA
