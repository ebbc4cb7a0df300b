// SPDX-License-Identifier: Apache-2.0
// The filters and the row kernel of resample.h.
#include "image/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frf/error.h"

namespace frf {
namespace {

// Normalises the weights gathered for one output position and stores them without zeros at either end.
void Append(AxisWeights& axis, int first, const std::vector<double>& raw) {
  double sum = 0;
  for (const double weight : raw) sum += weight;
  std::size_t begin = 0, end = raw.size();
  while (begin + 1 < end && raw[begin] == 0) ++begin;
  while (end > begin + 1 && raw[end - 1] == 0) --end;
  axis.first.push_back(first + static_cast<int>(begin));
  axis.count.push_back(static_cast<int>(end - begin));
  const std::size_t at = axis.weights.size();
  axis.weights.resize(at + static_cast<std::size_t>(axis.taps), 0.0f);
  for (std::size_t k = begin; k < end; ++k) axis.weights[at + k - begin] = static_cast<float>(raw[k] / sum);
}

// accumulator (+)= weight * row
void Accumulate(const std::uint8_t* row, float weight, bool fresh, std::size_t count, float* accumulator) {
  if (fresh) {
    for (std::size_t i = 0; i < count; ++i) accumulator[i] = weight * static_cast<float>(row[i]);
  } else {
    for (std::size_t i = 0; i < count; ++i) accumulator[i] += weight * static_cast<float>(row[i]);
  }
}

}  // namespace

// The triangle filter, widened by the ratio where an axis shrinks; taps beyond the edge are left out and the
// rest scaled up, which for enlarging equals clamping at the edge.
AxisWeights BilinearWeights(int src, int dst, bool antialias) {
  const double ratio = static_cast<double>(src) / dst;
  const double reach = antialias ? std::max(1.0, ratio) : 1.0;
  AxisWeights axis;
  axis.taps = static_cast<int>(std::ceil(reach)) * 2 + 1;
  std::vector<double> raw;
  for (int i = 0; i < dst; ++i) {
    const double center = (i + 0.5) * ratio;
    const int first = std::max(0, static_cast<int>(std::floor(center - reach + 0.5)));
    const int last = std::min(src, static_cast<int>(std::floor(center + reach + 0.5)));
    raw.clear();
    for (int k = first; k < last; ++k)
      raw.push_back(std::max(0.0, 1.0 - std::abs((k + 0.5 - center) / reach)));
    Append(axis, first, raw);
  }
  return axis;
}

// Output i covers the source from i * src / dst to (i + 1) * src / dst; in whole numbers, so that no sliver
// is lost.
AxisWeights AreaWeights(int src, int dst) {
  AxisWeights axis;
  axis.taps = src / dst + 3;
  std::vector<double> raw;
  for (std::int64_t i = 0; i < dst; ++i) {
    const std::int64_t begin = i * src, end = (i + 1) * src;  // in units of 1 / dst of a source pixel
    const std::int64_t first = begin / dst, last = (end + dst - 1) / dst;
    raw.clear();
    for (std::int64_t k = first; k < last; ++k) {
      raw.push_back(static_cast<double>(std::min(end, (k + 1) * dst) - std::max(begin, k * dst)));
    }
    Append(axis, static_cast<int>(first), raw);
  }
  return axis;
}

void CheckView(const ImageView& src, int height, int width, const char* function) {
  if (src.order != PixelOrder::kRgb && src.order != PixelOrder::kBgr) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the source is neither RGB nor BGR; ThreeChannels makes it so", function));
  }
  if (src.data == nullptr || src.height < 1 || src.width < 1 ||
      src.row_stride < std::ptrdiff_t{3} * src.width) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the source is {}x{} with rows of {} bytes, wanted at least one "
                            "pixel and 3 * width bytes a row",
                            function, src.height, src.width, src.row_stride));
  }
  if (height < 1 || width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: cannot resize to {}x{}", function, height, width));
  }
}

Resampler::Resampler(const ImageView& src, AxisWeights rows, AxisWeights columns)
    : src_(src), rows_(std::move(rows)), columns_(std::move(columns)) {}

void Resampler::Row(int y, float* scratch, std::uint8_t* dst) const {
  const auto at = static_cast<std::size_t>(y);
  const std::size_t count = scratch_floats();
  for (int k = 0; k < rows_.count[at]; ++k) {
    const float weight =
        rows_.weights[at * static_cast<std::size_t>(rows_.taps) + static_cast<std::size_t>(k)];
    Accumulate(src_.data + (rows_.first[at] + k) * src_.row_stride, weight, k == 0, count, scratch);
  }
  const float* weights = columns_.weights.data();
  for (int x = 0; x < columns_.size(); ++x, weights += columns_.taps, dst += 3) {
    const float* src =
        scratch + std::size_t{3} * static_cast<std::size_t>(columns_.first[static_cast<std::size_t>(x)]);
    float red = 0.5f, green = 0.5f, blue = 0.5f;  // rounds to nearest below
    for (int k = 0; k < columns_.count[static_cast<std::size_t>(x)]; ++k, src += 3) {
      red += weights[k] * src[0];
      green += weights[k] * src[1];
      blue += weights[k] * src[2];
    }
    dst[0] = static_cast<std::uint8_t>(std::min(red, 255.0f));
    dst[1] = static_cast<std::uint8_t>(std::min(green, 255.0f));
    dst[2] = static_cast<std::uint8_t>(std::min(blue, 255.0f));
  }
}

}  // namespace frf
