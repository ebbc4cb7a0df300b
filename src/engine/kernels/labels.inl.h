// SPDX-License-Identifier: Apache-2.0
// Scores to labels, or to larger scores (maps.h). Subtle: labels need no map of full-size scores; an output
// row's scores lie in L1, class by class, at the source's width, and sixteen output columns are compared at a
// time.
#pragma once

#include "engine/kernels/bytes.inl.h"
#include "engine/kernels/maps.h"

namespace frf::kernels::FRF_ISA {

// Of a class's scores along a row, in a plane of its own.
static inline std::ptrdiff_t LineStride(const Labels& p) { return (p.src.width + 4 + 15) / 16 * 16 + 16; }

// Of a WideTap's four positions, the first that are read.
FRF_INLINE int TapsOf(const WideTap& tap) {
  int taps = 1;
  for (int t = 1; t < 4; ++t) {
    if (tap.weight[t] != 0.0f) taps = t + 1;
  }
  return taps;
}

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
    const int taps = TapsOf(tap);
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
    for (int t = 0; t < 4; ++t) group.weight[t][i] = tap.weight[t];
    group.taps = TapsOf(tap) > group.taps ? TapsOf(tap) : group.taps;
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
    V best = _mm512_max_ps(at(line), _mm512_set1_ps(-__builtin_inff()));  // the latter where it is no number
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
