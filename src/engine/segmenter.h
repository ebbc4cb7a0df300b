// SPDX-License-Identifier: Apache-2.0
// From a picture to labels with one model: pre-processing, network, labels at the picture's own size. What segment, eval and
// demo run.
//
//   Segmenter segmenter(ReadOnnx(FindModel("frfnet-camvid")), {.threads = 2});
//   LabelImage labels = segmenter.Run(ReadImage("street.png").view());
//
// Subtle: labels are the argmax of the scores at the network's input size, resized once more, bilinear, when the picture's
// size differs (contract: sizes); a file whose output is `labels` can only be resized by nearest.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/plain.h"
#include "frf/image.h"
#include "image/transform.h"
#include "onnx/onnx_file.h"

namespace frf {

struct SegmenterOptions {
  int threads = 0;               // 0: DefaultThreads()
  std::uint64_t max_memory = 0;  // 0: DefaultMaxMemory()
  int height = 0, width = 0;     // network input size, 0: as the model's metadata say
};

class Segmenter {
 public:
  Segmenter(Model model, const SegmenterOptions& options = {});

  const ModelInfo& info() const { return info_; }
  // Labels (class ids) at the image's size. Refuses above max_memory before allocating.
  LabelImage Run(const ImageView& image);
  // Float scores 1 x classes x height x width at the network's input size.
  Tensor Scores(const ImageView& image);

 private:
  Tensor Execute(const ImageView& image, const NetworkSize& size);
  NetworkSize SizeFor(const ImageView& image) const;
  ModelInfo info_;
  SegmenterOptions options_;
  std::string input_name_, output_name_;
  DType input_type_ = DType::kFloat32;
  int fixed_height_ = 0, fixed_width_ = 0;
  std::unique_ptr<PlainExecutor> executor_;
};

}  // namespace frf
