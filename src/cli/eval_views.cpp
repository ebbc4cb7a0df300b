// SPDX-License-Identifier: Apache-2.0
#include "cli/eval_views.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/plural.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "image/transform.h"

namespace frf::cli {
namespace {

// Where a position of the picture lies between two of a map, half-pixel centres; `content` of the map's
// positions speak of the picture, the rest is padding.
struct Tap {
  int low, high;
  float weight;  // of high
};

std::vector<Tap> TapsTo(int size, double content) {
  std::vector<Tap> taps;
  const int last = static_cast<int>(std::ceil(content)) - 1;
  for (int i = 0; i < size; ++i) {
    const double position = std::max(0.0, (i + 0.5) * content / size - 0.5);
    const int low = std::min(static_cast<int>(position), last);
    taps.push_back({low, std::min(low + 1, last), static_cast<float>(position - low)});
  }
  return taps;
}

Image Mirrored(const ImageView& image) {
  Image mirrored{.height = image.height, .width = image.width, .channels = 3, .pixels = {}};
  mirrored.pixels.resize(mirrored.bytes());
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* pixel = image.data + y * image.row_stride + x * std::ptrdiff_t{3};
      std::copy(pixel, pixel + 3, mirrored.at(y, image.width - 1 - x));
    }
  }
  return mirrored;
}

// Scores of one pixel become probabilities.
void Softmax(std::vector<float>& scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  float all = 0;
  for (float& score : scores) all += score = std::exp(score - largest);
  for (float& score : scores) score /= all;
}

}  // namespace

std::string ToText(const Views& views) {
  std::vector<std::string> scales;
  for (const double scale : views.scales) scales.push_back(fmt::format("{:g}", scale));
  return fmt::format("mean of {}: {} {}{}", Counted(views.scales.size() * (views.flip ? 2 : 1), "view"),
                     scales.size() == 1 ? "scale" : "scales", fmt::join(scales, ", "),
                     views.flip ? ", each also mirrored" : "");
}

Predictor::Predictor(Model model, const SegmenterOptions& options, const Views& views)
    : info_(model.info), flip_(views.flip) {
  if (views.one()) {
    segmenter_.emplace(std::move(model), options);
    return;
  }
  const std::string& file = model.file;
  if (info_.output != "scores")
    throw Error(ErrorCode::kInvalidArgument,
                file + ": gives labels; --flip and --scales average probabilities, which want scores");
  const SizePair fixed = FixedSides(model.graph);
  SizePair base = WithFixedSides({options.height, options.width}, fixed);
  if (base.first == 0 && info_.input.fit == Fit::kResize) base = {info_.input.height, info_.input.width};
  const auto loaded = std::make_shared<LoadedModel>(std::move(model));
  for (const double scale : views.scales) {
    if (base.first == 0 && scale != 1)
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("--scales {:g}: the network takes each image at its own size; name one with --size",
                      scale));
    const auto scaled = [scale](int side, int fixed_side, int multiple) {
      const int rounded = std::max(1, static_cast<int>(std::lround(side * scale)));
      return side == 0 || fixed_side > 0 ? side : RoundUp(rounded, multiple);
    };
    const SessionOptions session{.height = scaled(base.first, fixed.first, info_.input.multiple),
                                 .width = scaled(base.second, fixed.second, info_.input.multiple),
                                 .threads = options.threads,
                                 .max_memory = options.max_memory,
                                 .precision = options.precision};
    views_.push_back({session.height, session.width, Session(loaded, session)});
  }
}

LabelImage Predictor::Run(const ImageView& image) {
  if (segmenter_) return segmenter_->Run(image);
  const int classes = info_.classes.count();
  const std::size_t pixels = static_cast<std::size_t>(image.height) * image.width;
  std::vector<float> sum(classes * pixels, 0.0f);
  for (View& view : views_) {
    Add(view, image, /*mirrored=*/false, sum);
    if (flip_) Add(view, Mirrored(image).view(), /*mirrored=*/true, sum);
  }
  LabelImage labels{.height = image.height, .width = image.width, .ids = {}};
  labels.ids.resize(pixels);
  for (std::size_t i = 0; i < pixels; ++i) {
    int best = 0;
    for (int c = 1; c < classes; ++c)
      if (sum[c * pixels + i] > sum[best * pixels + i]) best = c;
    labels.ids[i] = static_cast<std::uint8_t>(best);
  }
  return labels;
}

void Predictor::Add(View& view, const ImageView& image, bool mirrored, std::vector<float>& sum) const {
  const NetworkSize size = ChooseNetworkSize(info_.input, image.height, image.width, view.height, view.width);
  const Session::Shape shape = view.session.ScoresShape(size.height, size.width);
  const int classes = info_.classes.count();
  if (shape.classes != classes) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the network gives {} scores a pixel for {} classes in frf.classes",
                            shape.classes, classes));
  }
  const std::vector<float> scores = view.session.Scores(image);
  const auto rows = TapsTo(image.height, ContentOf(shape.height, size.content_height, size.height)),
             columns = TapsTo(image.width, ContentOf(shape.width, size.content_width, size.width));
  const std::size_t plane = static_cast<std::size_t>(shape.height) * shape.width,
                    pixels = static_cast<std::size_t>(image.height) * image.width;
  std::vector<float> pixel(classes);
  for (int y = 0; y < image.height; ++y) {
    const Tap& row = rows[y];
    for (int x = 0; x < image.width; ++x) {
      const Tap& column = columns[x];
      for (int c = 0; c < classes; ++c) {
        const float* const top = &scores[c * plane + static_cast<std::size_t>(row.low) * shape.width];
        const float* const bottom = &scores[c * plane + static_cast<std::size_t>(row.high) * shape.width];
        const float above = top[column.low] + (top[column.high] - top[column.low]) * column.weight;
        const float below = bottom[column.low] + (bottom[column.high] - bottom[column.low]) * column.weight;
        pixel[c] = above + (below - above) * row.weight;
      }
      Softmax(pixel);
      const std::size_t at = static_cast<std::size_t>(y) * image.width + (mirrored ? image.width - 1 - x : x);
      for (int c = 0; c < classes; ++c) sum[c * pixels + at] += pixel[c];
    }
  }
}

}  // namespace frf::cli
