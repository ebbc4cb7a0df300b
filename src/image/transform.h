// SPDX-License-Identifier: Apache-2.0
// Resizing, pre-processing and drawing. This is the only copy of pre-processing in frf: train, eval, segment
// and serve all call Preprocess. Labels are only ever resized by nearest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/model_info.h"
#include "frf/image.h"

namespace frf {

// The picture as RGB or BGR, what all below takes: itself where it is, else a copy in `room`, whose memory is
// used again.
ImageView ThreeChannels(const ImageView& src, std::vector<std::uint8_t>& room);

// Bilinear, half-pixel centres, edges clamped; with `antialias` a shrinking axis uses the triangle filter
// widened by the ratio (as PIL and torch's antialias=True). Rounds to nearest.
Image ResizeBilinear(const ImageView& src, int height, int width, bool antialias = true);
// Box average for integer and fractional ratios (OpenCV's INTER_AREA when shrinking).
Image ResizeArea(const ImageView& src, int height, int width);
// Nearest at half-pixel centres: src = floor((dst + 0.5) * ratio).
LabelImage ResizeNearest(const LabelImage& src, int height, int width);
// The same of the top left part of `src`, which may end within a label, into `dst`.
void ResizeNearest(const LabelImage& src, double content_h, double content_w, const LabelView& dst);

// The next multiple, or the value itself where it is one.
inline int RoundUp(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// The size at which the network sees an image: input.height x input.width for Fit::kResize (when recorded),
// else the image's own; rounded up to input.multiple by padding. `fixed` (height, width; 0 = none) always
// resizes.
struct NetworkSize {
  int height, width;                  // of the network's input, padding included
  int content_height, content_width;  // of the resized image inside it (top left)
};
NetworkSize ChooseNetworkSize(const InputSpec& input, int image_height, int image_width, int fixed_height = 0,
                              int fixed_width = 0);

// How many rows of a network's output of `rows` rows speak of the content: `content` of `size` rows of its
// input. The same of columns. Whole where the output has the input's size, and where there is no padding.
inline double ContentOf(int rows, int content, int size) {
  return static_cast<double>(rows) * content / size;
}

// 8-bit RGB or BGR -> float32 planes 3 x height x width (RGB), value = (pixel - mean) / std; padding is the
// mean (0). `dst` holds 3 * size.height * size.width floats.
void Preprocess(const ImageView& src, const InputSpec& input, const NetworkSize& size, float* dst);

// Full-size labels from scores (classes x h x w planes, float32) at height x width: bilinear half-pixel
// resize, argmax, lowest id wins ties. `content` crops right and bottom padding first (0 = none) and may end
// within a pixel.
LabelImage LabelsFromScores(const float* scores, int classes, int h, int w, double content_h,
                            double content_w, int height, int width);

// The picture as it is meant to be seen, by EXIF orientation 1..8; the buffer of `dst` is used again.
void ApplyOrientation(const Image& src, int orientation, Image& dst);

// Palettes and overlays.
std::vector<Color> DefaultPalette(int classes);  // distinct colours for data without a palette
Image Colorize(const LabelImage& labels, const std::vector<Color>& palette);  // void: black
void Colorize(const LabelImage& labels, const std::vector<Color>& palette,
              Image& dst);  // its buffer is used again
struct OverlayOptions {
  double opacity = 0.55;  // of the class colour over the image
  bool legend = true;     // a strip below with names of the classes present and their shares
  bool outlines = true;   // class borders drawn darker
};
Image Overlay(const Image& image, const LabelImage& labels, const Classes& classes,
              const OverlayOptions& options = {});

// For videos, whose size must not change from frame to frame: drawn in `image` itself, with a legend inside
// it, at the bottom. Every class has its fixed place there and is faint while it is not to be seen. A picture
// too low for the legend goes without.
void OverlayInPlace(Image& image, const LabelImage& labels, const Classes& classes,
                    const OverlayOptions& options = {});

// Any picture with that strip below it: classes of `labels`, largest first, with their shares.
Image WithLegend(const Image& picture, const LabelImage& labels, const Classes& classes);

// A small built-in bitmap font (ASCII 32..126), for legends, grids and captions; (x, y) is the top left
// corner. Text is UTF-8: Latin letters are drawn without their marks ("Strasse"), others as question marks.
void DrawText(Image& image, int x, int y, const std::string& text, const Color& color, int scale = 1);
int TextWidth(const std::string& text, int scale = 1);
inline constexpr int kTextHeight = 8;  // pixels at scale 1

}  // namespace frf
