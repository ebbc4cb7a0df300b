// SPDX-License-Identifier: Apache-2.0
// Bilinear upsampling fused with argmax over classes: low-resolution scores in, full-size labels out.
// Full-size scores are never stored. Each source row is widened once; an output row then needs two widened
// rows, blended and compared class by class in pieces that stay in the nearest cache. Half-pixel centres, as
// in training, and in the order of torch's (columns within rows), so labels equal the naive computation's to
// the bit.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "frf/error.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr int kPiece = 512;  // output pixels whose best score and class are kept at hand

struct Taps {  // value i = (1 - weight[i]) * source[low[i]] + weight[i] * source[high[i]]
  std::vector<std::int32_t> low, high;
  std::vector<float> weight;
  std::size_t size() const { return low.size(); }
};

Taps HalfPixelTaps(double src, int dst) {
  Taps taps;
  const int last = static_cast<int>(std::ceil(src)) - 1;
  const float ratio = static_cast<float>(src) / static_cast<float>(dst);
  for (int i = 0; i < dst; ++i) {
    const float position = std::max(0.0f, (static_cast<float>(i) + 0.5f) * ratio - 0.5f);
    const int low = std::min(static_cast<int>(position), last);
    taps.low.push_back(low);
    taps.high.push_back(std::min(low + 1, last));
    taps.weight.push_back(position - static_cast<float>(low));
  }
  return taps;
}

struct Best {  // of one piece
  std::array<float, kPiece> score;
  std::array<std::int32_t, kPiece> id;
};

// Forced inline into one function a CPU level. AVX2 alone brings no fused multiply-add, so both give the same
// bits.
[[gnu::always_inline]] inline void TakeBody(const float* top, const float* bottom, float weight, int id,
                                            int count, Best& best) {
  const float rest = 1.0f - weight;
  float* const score = best.score.data();
  std::int32_t* const ids = best.id.data();
  for (int x = 0; x < count; ++x) {
    const float value = rest * top[x] + weight * bottom[x];
    const bool better = value > score[x];
    score[x] = better ? value : score[x];
    ids[x] = better ? id : ids[x];
  }
}

[[gnu::always_inline]] inline void WidenBody(const float* src, const Taps& taps, float* __restrict dst) {
  const std::int32_t* const low = taps.low.data();
  const std::int32_t* const high = taps.high.data();
  const float* const weight = taps.weight.data();
  const std::size_t width = taps.size();
  for (std::size_t x = 0; x < width; ++x)
    dst[x] = (1.0f - weight[x]) * src[low[x]] + weight[x] * src[high[x]];
}

struct Kernels {
  void (*take)(const float* top, const float* bottom, float weight, int id, int count, Best& best);
  void (*widen)(const float* src, const Taps& taps, float* dst);
};

void TakeBaseline(const float* top, const float* bottom, float weight, int id, int count, Best& best) {
  TakeBody(top, bottom, weight, id, count, best);
}
void WidenBaseline(const float* src, const Taps& taps, float* dst) { WidenBody(src, taps, dst); }

#if defined(__x86_64__)
[[gnu::target("avx2")]] void TakeAvx2(const float* top, const float* bottom, float weight, int id, int count,
                                      Best& best) {
  TakeBody(top, bottom, weight, id, count, best);
}
[[gnu::target("avx2")]] void WidenAvx2(const float* src, const Taps& taps, float* dst) {
  WidenBody(src, taps, dst);
}
#endif

Kernels ChooseKernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return {TakeAvx2, WidenAvx2};
#endif
  return {TakeBaseline, WidenBaseline};
}

void SetBlended(const float* top, const float* bottom, float weight, int count, Best& best) {
  const float rest = 1.0f - weight;
  for (int x = 0; x < count; ++x) {
    best.score[static_cast<std::size_t>(x)] = rest * top[x] + weight * bottom[x];
    best.id[static_cast<std::size_t>(x)] = 0;
  }
}

struct Scores {
  const float* data;
  int classes, h, w;  // planes as stored
  double content_w;   // columns that count
  Taps rows, columns;

  int height() const { return static_cast<int>(rows.size()); }
  int width() const { return static_cast<int>(columns.size()); }
  bool same_width() const { return width() == content_w; }
  const float* row(int c, int y) const { return data + (static_cast<std::size_t>(c) * h + y) * w; }
};

// Makes rows of labels one after the other; keeps the two source rows that it widened last.
class Band {
 public:
  Band(const Scores& scores, float* memory) : scores_(scores), memory_(memory) {}

  static std::size_t Floats(const Scores& scores) {
    return scores.same_width() ? 0 : 2 * static_cast<std::size_t>(scores.classes) * scores.columns.size();
  }

  void Row(int y, std::uint8_t* dst) {
    const auto at_row = static_cast<std::size_t>(y);
    const float weight = scores_.rows.weight[at_row];
    const float* top = Source(scores_.rows.low[at_row]);
    const float* bottom = Source(scores_.rows.high[at_row]);
    const std::size_t stride =
        scores_.same_width() ? static_cast<std::size_t>(scores_.h) * scores_.w : scores_.columns.size();
    Best best;
    for (int x = 0; x < scores_.width(); x += kPiece) {
      const int count = std::min(kPiece, scores_.width() - x);
      SetBlended(top + x, bottom + x, weight, count, best);
      for (int c = 1; c < scores_.classes; ++c) {
        const std::size_t at = static_cast<std::size_t>(c) * stride + static_cast<std::size_t>(x);
        kernels_.take(top + at, bottom + at, weight, c, count, best);
      }
      for (int i = 0; i < count; ++i)
        dst[x + i] = static_cast<std::uint8_t>(best.id[static_cast<std::size_t>(i)]);
    }
  }

 private:
  // Source row `y` of all classes at the target's width. Slots go by parity: neighbouring rows never evict
  // each other.
  const float* Source(int y) {
    if (scores_.same_width()) return scores_.row(0, y);
    const auto slot = static_cast<std::size_t>(y & 1);
    const std::size_t width = scores_.columns.size();
    float* const out = memory_ + slot * static_cast<std::size_t>(scores_.classes) * width;
    if (held_[slot] == y) return out;
    held_[slot] = y;
    for (int c = 0; c < scores_.classes; ++c) {
      kernels_.widen(scores_.row(c, y), scores_.columns, out + static_cast<std::size_t>(c) * width);
    }
    return out;
  }

  inline static const Kernels kernels_ = ChooseKernels();
  const Scores& scores_;
  float* memory_;
  std::array<int, 2> held_{-1, -1};
};

}  // namespace

LabelImage LabelsFromScores(const float* scores, int classes, int h, int w, double content_h,
                            double content_w, int height, int width) {
  const double rows = content_h > 0 ? content_h : h, columns = content_w > 0 ? content_w : w;
  if (scores == nullptr || classes < 1 || classes > kMaxClasses || h < 1 || w < 1 || rows > h ||
      columns > w || height < 1 || width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("LabelsFromScores: cannot make {}x{} labels from {}x{} of {} classes at {}x{}",
                            height, width, rows, columns, classes, h, w));
  }
  const Scores source{
      scores, classes, h, w, columns, HalfPixelTaps(rows, height), HalfPixelTaps(columns, width)};
  LabelImage labels{.height = height, .width = width};
  labels.ids.resize(static_cast<std::size_t>(height) * width);
  const bool small = std::int64_t{height} * width * classes < (1 << 17);
  const int threads = small ? 1 : std::max(1, std::min(omp_get_max_threads(), height));
  const std::size_t floats = Band::Floats(source);
  std::vector<float> memory(floats * static_cast<std::size_t>(threads));
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const int me = omp_get_thread_num(), team = omp_get_num_threads();
    Band band(source, memory.data() + floats * static_cast<std::size_t>(me));
    const int end = static_cast<int>(std::int64_t{height} * (me + 1) / team);
    for (int y = static_cast<int>(std::int64_t{height} * me / team); y < end; ++y) {
      band.Row(y, &labels.ids[static_cast<std::size_t>(y) * width]);
    }
  }
  return labels;
}

}  // namespace frf
