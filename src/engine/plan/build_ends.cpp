// SPDX-License-Identifier: Apache-2.0
// The two ends of a plan: the picture on its way in, labels or scores on their way out.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/label_ids.h"
#include "engine/plan/step_builder.h"
#include "frf/error.h"

namespace frf::engine {

using kernels::Map;

namespace {

// As errors call the network's output.
std::string NameOutput(const PlanOptions& options, const std::string& output) {
  return fmt::format("{}: output '{}'", options.file, output);
}

}  // namespace

// The picture keeps its three channels and a border of zeros when one convolution alone reads it: that one's
// rows are then one piece of memory each. A kernel that reaches far beyond the picture (FCN-8s pads by 100)
// goes without: it is computed as any other convolution.
const ConvOp* StepBuilder::BorderedReader() const {
  const int picture = lowered_.picture;
  if (lowered_.values[picture].channels != 3) return nullptr;
  int readers = 0;
  const ConvOp* conv = nullptr;
  for (const NamedOperation& named : lowered_.ops) {
    const std::vector<int> reads = Reads(named.op);
    if (std::find(reads.begin(), reads.end(), picture) == reads.end()) continue;
    ++readers;
    conv = std::get_if<ConvOp>(&named.op);
  }
  if (readers != 1 || !conv || conv->src != picture || conv->groups != 1 || conv->dilation_w != 1 ||
      conv->phase_h != 1 || conv->phase_w != 1) {
    return nullptr;
  }
  const Value& value = lowered_.values[picture];
  const PictureBorder border = BorderFor(*conv);
  const bool fits = border.height <= value.height + kMostBorder && border.width <= value.width + kMostBorder;
  return fits ? conv : nullptr;
}

// The convolution's padding, and one kernel more at the far sides.
StepBuilder::PictureBorder StepBuilder::BorderFor(const ConvOp& conv) const {
  const Value &picture = lowered_.values[conv.src], &out = lowered_.values[conv.dst];
  PictureBorder border{.top = std::max(0, conv.pad_top), .left = std::max(0, conv.pad_left)};
  const int rows = static_cast<int>(conv.weight.dim(2)), columns = static_cast<int>(conv.weight.dim(3));
  border.height = std::max(picture.height + border.top,
                           (out.height - 1) * conv.stride_h + (rows - 1) * conv.dilation_h + 1);
  border.width = std::max(picture.width + border.left, (out.width - 1) * conv.stride_w + columns);
  return border;
}

void StepBuilder::Build(const std::string& name, const PlainOutputOp& op) {
  Step step{.name = name, .kernel = "output", .serial = true};
  plan_.output_height_ = op.height;
  plan_.output_width_ = op.width;
  plan_.gives_labels_ = true;  // unless Run finds floats there and scores are asked for
  step.run = [plan = &plan_, op, name, who = NameOutput(plan_.options_, name)](std::int64_t, float*) {
    const Tensor& tensor = plan->plain_[op.value];
    if (plan->output_.scores) {
      if (tensor.dtype() != DType::kFloat32)
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("{} is {}, not float scores", name, Name(tensor.dtype())));
      std::memcpy(plan->output_.scores, tensor.raw(), tensor.bytes());
      return;
    }
    if (!plan->output_.labels) return;
    const std::int64_t pixels = static_cast<std::int64_t>(op.height) * op.width;
    const Tensor labels = LabelsOf(tensor, pixels, plan->options_.classes, who);
    for (int y = 0; y < op.height; ++y) {
      std::memcpy(plan->output_.labels + y * plan->output_.label_stride,
                  labels.data<std::uint8_t>() + static_cast<std::size_t>(y) * op.width, op.width);
    }
  };
  Add(std::move(step));
}

StepBuilder::PictureBorder StepBuilder::BorderOf(const PictureOp& op) const {
  const Value& picture = lowered_.values[op.dst];
  if (const ConvOp* conv = BorderedReader()) return BorderFor(*conv);
  return {.height = picture.height, .width = picture.width};
}

StepBuilder::PictureRows StepBuilder::MakePicture(const PictureOp& op) {
  Map dst = MapOf(op.dst);
  const Value& value = lowered_.values[op.dst];
  const bool bordered = PictureIsBordered();
  const auto border = BorderOf(op);
  const int top = border.top, left = border.left, height = border.height, width = border.width;
  if (bordered) {
    dst.pixel = 3;
    dst.row = static_cast<std::ptrdiff_t>(width) * 3;
    dst.channels = 3;
  }
  plan_.picture_coding_ = RoundingOf(op.dst);
  PictureRows rows{
      .height = height, .row_bytes = dst.row * (IsBytes(op.dst) ? 1 : sizeof(float)), .base = dst.data};
  if (IsBytes(op.dst)) {
    kernels::ByteMap bytes = ByteMapOf(op.dst);
    bytes.pixel = dst.pixel, bytes.row = dst.row, bytes.channels = dst.channels;
    rows.kernel = "image table u8";
    rows.bytes = static_cast<double>(dst.height) * dst.width * (3.0 + static_cast<double>(dst.pixel));
    rows.run = [=, plan = &plan_, k = &kernels_, channels = value.channels](std::int64_t item, void* base) {
      kernels::ByteMap inner = bytes;
      inner.data = static_cast<std::uint8_t*>(base) + top * bytes.row + left * bytes.pixel;
      const int y = static_cast<int>(item) - top;
      if (bordered) {
        std::uint8_t* const row = static_cast<std::uint8_t*>(base) + item * bytes.row;
        if (y < 0 || y >= inner.height) {
          std::memset(row, bytes.coding.zero, bytes.row);
          return;
        }
        std::memset(row, bytes.coding.zero, left * 3);
        std::memset(row + (left + inner.width) * 3, bytes.coding.zero, (width - left - inner.width) * 3);
      }
      const PlanInput& in = plan->input_;
      if (in.pixels)
        k->picture_in({.pixels = in.pixels,
                       .stride = in.row_stride,
                       .bgr = in.bgr,
                       .table = in.table,
                       .byte_table = plan->byte_table_.data(),
                       .bytes = inner},
                      y);
      else
        k->planes_in({.planes = in.planes, .channels = channels, .bytes = inner}, y);
    };
    return rows;
  }
  rows.kernel = "image table";
  rows.bytes = static_cast<double>(dst.height) * dst.width * (3 + 4.0 * static_cast<double>(dst.pixel));
  rows.run = [=, plan = &plan_, k = &kernels_, channels = value.channels](std::int64_t item, void* base) {
    Map inner = dst;
    inner.data = static_cast<float*>(base) + top * dst.row + left * dst.pixel;
    const int y = static_cast<int>(item) - top;
    if (bordered) {
      float* const row = static_cast<float*>(base) + item * dst.row;
      if (y < 0 || y >= inner.height) {
        std::memset(row, 0, dst.row * sizeof(float));
        return;
      }
      std::memset(row, 0, left * 3 * sizeof(float));
      std::memset(row + (left + inner.width) * 3, 0, (width - left - inner.width) * 3 * sizeof(float));
    }
    const PlanInput& in = plan->input_;
    if (in.pixels) {
      const auto* const table = plan->picture_coding_.step > 0 ? &plan->rounded_table_ : in.table;
      k->picture_in(
          {.pixels = in.pixels, .stride = in.row_stride, .bgr = in.bgr, .table = table, .dst = inner}, y);
    } else {
      k->planes_in({.planes = in.planes, .channels = channels, .dst = inner, .round = plan->picture_coding_},
                   y);
    }
  };
  return rows;
}

void StepBuilder::Build(const std::string& name, const PictureOp& op) {
  PictureRows rows = MakePicture(op);
  Step step{.name = name, .kernel = rows.kernel, .items = rows.height, .bytes = rows.bytes};
  step.run = [run = std::move(rows.run), base = rows.base](std::int64_t item, float*) { run(item, base); };
  Add(std::move(step));
}

void StepBuilder::Build(const std::string& name, const OutputOp& op) {
  const Value& value = lowered_.values[op.value];
  auto scores = std::make_shared<kernels::Scores>();
  kernels::Labels& labels = scores->shape;
  labels.src = MapOf(op.value);
  labels.classes = value.channels;
  labels.height = op.height;
  labels.width = op.width;
  plan_.output_rows_ = op.rows;
  plan_.output_columns_ = op.columns;
  plan_.gives_labels_ = op.labels;
  labels.rows = plan_.output_rows_.data();
  labels.columns = plan_.output_columns_.data();
  kernels_.plan_labels(labels, plan_.options_.threads);
  plan_.output_height_ = op.height;
  plan_.output_width_ = op.width;
  plan_.classes_ = value.channels;
  Step step{.name = name,
            .kernel = "upsample+argmax",
            .items = labels.items,
            .scratch = kernels_.labels_scratch(labels)};
  step.bytes = 4.0 * labels.src.height * labels.src.width * labels.src.channels + 1.0 * op.height * op.width;
  step.run = [scores, plan = &plan_, k = &kernels_](std::int64_t item, float* scratch) {
    if (plan->output_.labels) {
      kernels::Labels with = scores->shape;
      with.labels = plan->output_.labels;
      with.stride = plan->output_.label_stride;
      if (plan->output_.rows) {
        with.rows = plan->output_.rows->data();
        with.columns = plan->output_.columns->data();
        with.height = static_cast<int>(plan->output_.rows->size());
        with.width = static_cast<int>(plan->output_.columns->size());
        with.rows_per_item = static_cast<int>((with.height + with.items - 1) / with.items);
      }
      k->labels(with, item, scratch);
    } else {
      kernels::Scores with = *scores;
      with.planes = plan->output_.scores;
      k->scores(with, item, scratch);
    }
  };
  Add(std::move(step));
  const int classes = plan_.options_.classes;
  if (!op.labels || classes == 0 || value.channels <= classes) return;
  // The argmax of more scores than there are classes.
  Step check{.name = name, .kernel = "label check", .serial = true};
  check.run = [plan = &plan_, op, who = NameOutput(plan_.options_, op.output)](std::int64_t, float*) {
    const PlanOutput& out = plan->output_;
    if (out.labels)
      CheckLabelIds({out.labels, op.height, op.width, out.label_stride}, plan->options_.classes, who);
  };
  Add(std::move(check));
}

}  // namespace frf::engine
