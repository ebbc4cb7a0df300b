// SPDX-License-Identifier: Apache-2.0
// Picture -> labels on the plain executor. Subtle: a file with fixed height and width always resizes; one
// with free sizes follows frf.input.fit.
#include "engine/segmenter.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/session.h"
#include "frf/error.h"
#include "graph/passes.h"

namespace frf {

Segmenter::Segmenter(Model model, const SegmenterOptions& options) : info_(model.info), options_(options) {
  if (!options.plain) {
    auto loaded = std::make_shared<LoadedModel>(std::move(model));
    loaded->impl().one_session = true;
    session_ = std::make_unique<Session>(std::move(loaded), SessionOptions{.height = options.height,
                                                                           .width = options.width,
                                                                           .threads = options.threads,
                                                                           .max_memory = options.max_memory,
                                                                           .precision = options.precision});
    return;
  }
  // Constants first: a half-precision file's weights stand behind Casts.
  Graph graph = FoldBatchNorm(FoldConstants(model.graph.ForInference()));
  if (graph.inputs.size() != 1 || graph.inputs[0].shape.size() != 4 || graph.inputs[0].shape[1] != 3) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: one image input of 1x3xHxW is wanted, {} inputs are declared", graph.name,
                            graph.inputs.size()));
  }
  input_name_ = graph.inputs[0].name;
  input_type_ = graph.inputs[0].dtype;
  output_name_ = graph.outputs.at(0).name;
  fixed_height_ = static_cast<int>(std::max<std::int64_t>(0, graph.inputs[0].shape[2]));
  fixed_width_ = static_cast<int>(std::max<std::int64_t>(0, graph.inputs[0].shape[3]));
  if (fixed_height_ > 0 && options.height > 0 &&
      (fixed_height_ != options.height || fixed_width_ != options.width)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the model's input is fixed at {}x{}, {}x{} was asked for", fixed_height_,
                            fixed_width_, options.height, options.width));
  }
  if (options.height > 0) fixed_height_ = options.height, fixed_width_ = options.width;
  executor_ =
      std::make_unique<PlainExecutor>(std::move(graph), PlainOptions{options.threads, options.max_memory});
}

LabelImage Segmenter::Run(const ImageView& image) {
  return session_ ? session_->Run(image) : RunPlain(image);
}

void Segmenter::Run(const ImageView& image, LabelImage& labels) {
  if (!session_) {
    labels = RunPlain(image);
    return;
  }
  labels.height = image.height, labels.width = image.width;
  labels.ids.resize(static_cast<std::size_t>(image.height) * image.width);
  session_->Run(image, labels.view());
}

LabelImage Segmenter::RunPlain(const ImageView& image) {
  if (image.data == nullptr || image.height < 1 || image.width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("an image of {}x{} has no pixels to label", image.height, image.width));
  }
  const NetworkSize size =
      ChooseNetworkSize(info_.input, image.height, image.width, fixed_height_, fixed_width_);
  const Shape shape{1, 3, size.height, size.width};
  Tensor input;
  if (input_type_ == DType::kUint8) {
    // Normalisation is inside the graph: mean 0 and deviation 1 leave the resized pixel itself.
    InputSpec as_stored = info_.input;
    as_stored.mean = {0, 0, 0};
    as_stored.std = {1, 1, 1};
    Tensor pixels = Tensor::Uninitialized(DType::kFloat32, shape);
    Preprocess(image, as_stored, size, pixels.data<float>());
    input = pixels.Cast(DType::kUint8);
  } else {
    input = Tensor::Uninitialized(DType::kFloat32, shape);
    Preprocess(image, info_.input, size, input.data<float>());
  }
  const Tensor output = executor_->Run({{input_name_, input}}).at(output_name_);
  if (output.dtype() == DType::kUint8) {
    LabelImage labels{size.content_height, size.content_width, {}};
    labels.ids.resize(static_cast<std::size_t>(labels.height) * labels.width);
    for (int y = 0; y < labels.height; ++y) {
      const std::uint8_t* row = output.data<std::uint8_t>() + static_cast<std::size_t>(y) * size.width;
      std::copy(row, row + labels.width, &labels.at(y, 0));
    }
    return labels.height == image.height && labels.width == image.width
               ? labels
               : ResizeNearest(labels, image.height, image.width);
  }
  if (output.rank() != 4 || output.dim(1) != info_.classes.count()) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("the network gives {} for {} classes in frf.classes",
                                                     ToString(output.shape()), info_.classes.count()));
  }
  return LabelsFromScores(output.data<float>(), info_.classes.count(), static_cast<int>(output.dim(2)),
                          static_cast<int>(output.dim(3)), size.content_height, size.content_width,
                          image.height, image.width);
}

}  // namespace frf
