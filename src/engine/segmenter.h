// SPDX-License-Identifier: Apache-2.0
// From a picture to labels with one model, on the engine or, for comparison, on the plain executor. What
// segment, eval and demo run.
//
//   Segmenter segmenter(ReadOnnx(FindModel("frfnet-camvid")), {.threads = 2});
//   LabelImage labels = segmenter.Run(ReadImage("street.png").view());
//
// Subtle: both follow one rule (contract: sizes): labels are the argmax of the scores at the network's input
// size, resized once more, bilinear, when the picture's size differs; a file whose output is `labels` can
// only be resized by nearest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/plain.h"
#include "frf/image.h"
#include "frf/session.h"
#include "image/transform.h"
#include "onnx/onnx_file.h"

namespace frf {

struct SegmenterOptions {
  int threads = 0;                            // 0: DefaultThreads()
  std::uint64_t max_memory = 0;               // 0: DefaultMaxMemory()
  int height = 0, width = 0;                  // network input size, 0: as the model's metadata say
  bool plain = false;                         // the plain executor instead of the engine
  Precision precision = Precision::kFloat32;  // of the engine's convolutions
};

class Segmenter {
 public:
  Segmenter(Model model, const SegmenterOptions& options = {});

  const ModelInfo& info() const { return info_; }
  // Labels (class ids) at the image's size. Refuses above max_memory before allocating.
  LabelImage Run(const ImageView& image);
  void Run(const ImageView& image, LabelImage& labels);  // its buffer is used again

 private:
  LabelImage RunPlain(const ImageView& given);
  ModelInfo info_;
  SegmenterOptions options_;
  std::unique_ptr<Session> session_;  // the engine, or
  std::string file_, input_name_, output_name_;
  DType input_type_ = DType::kFloat32;
  int fixed_height_ = 0, fixed_width_ = 0;
  std::unique_ptr<PlainExecutor> executor_;
};

}  // namespace frf
