// SPDX-License-Identifier: Apache-2.0
// Picture -> labels on the plain executor. Subtle: a file with fixed height and width always resizes; one
// with free sizes follows frf.input.fit.
#include "engine/segmenter.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/system.h"
#include "engine/label_ids.h"
#include "engine/session.h"
#include "engine/thread_scope.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/output.h"
#include "graph/passes.h"

namespace frf {

Segmenter::Segmenter(Model model, const SegmenterOptions& options) : info_(model.info), options_(options) {
  WarnOfOutput(info_.classes, model.graph, model.file);
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
  Graph graph = FoldBatchNorm(FoldConstants(WithMainOutputOnly(model.graph)));
  file_ = model.file.empty() ? graph.name : model.file;
  CheckImageInput(graph, file_);
  input_name_ = graph.inputs[0].name;
  input_type_ = graph.inputs[0].dtype;
  output_name_ = graph.outputs.at(0).name;
  std::tie(fixed_height_, fixed_width_) = FixedSides(graph);
  if (options.height > 0)
    CheckInputSize(info_.input, {fixed_height_, fixed_width_}, options.height, options.width, file_);
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

LabelImage Segmenter::RunPlain(const ImageView& given) {
  if (given.data == nullptr || given.height < 1 || given.width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("an image of {}x{} has no pixels to label", given.height, given.width));
  }
  std::vector<std::uint8_t> rgb;
  const ImageView image = ThreeChannels(given, rgb);
  const NetworkSize size =
      ChooseNetworkSize(info_.input, image.height, image.width, fixed_height_, fixed_width_);
  const ThreadScope threads(options_.threads > 0 ? options_.threads : DefaultThreads());
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
  // By its type and not its rank: ArgMax with keepdims gives labels of 1x1xHxW.
  if (output.dtype() != DType::kFloat32) {
    const std::string who = fmt::format("{}: output '{}'", file_, output_name_);
    const std::int64_t pixels = output.rank() < 2 ? -1 : output.dim(-2) * output.dim(-1);
    const Tensor ids = LabelsOf(output, pixels, info_.classes.count(), who);
    LabelImage labels{static_cast<int>(ids.dim(-2)), static_cast<int>(ids.dim(-1)), {}};
    labels.ids.assign(ids.data<std::uint8_t>(), ids.data<std::uint8_t>() + ids.size());
    LabelImage resized{image.height, image.width, {}};
    resized.ids.resize(static_cast<std::size_t>(image.height) * image.width);
    ResizeNearest(labels, ContentOf(labels.height, size.content_height, size.height),
                  ContentOf(labels.width, size.content_width, size.width), resized.view());
    return resized;
  }
  if (output.rank() != 4 || output.dim(1) != info_.classes.count()) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: output '{}' is {} for {} classes in frf.classes", file_, output_name_,
                            ToString(output.shape()), info_.classes.count()));
  }
  const int height = static_cast<int>(output.dim(2)), width = static_cast<int>(output.dim(3));
  return LabelsFromScores(output.data<float>(), info_.classes.count(), height, width,
                          ContentOf(height, size.content_height, size.height),
                          ContentOf(width, size.content_width, size.width), image.height, image.width);
}

}  // namespace frf
