// SPDX-License-Identifier: Apache-2.0
// Sessions: sizes, resizing on the way in and out, plans of the last four sizes. Subtle: a network's output
// may have another size than its input (a file without the last upsampling, an argmax at a quarter of it):
// what speaks of the picture is then that share of the output.
#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/system.h"
#include "engine/plan/lower.h"
#include "engine/plan/tune.h"
#include "engine/thread_scope.h"
#include "frf/error.h"
#include "image/out_of_memory.h"

namespace frf {
namespace {

void CheckSide(int height, int width, const char* what) {
  if (height > kMaxSide || width > kMaxSide) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} of {}x{}: a side is at most {}", what, height, width, kMaxSide));
  }
}

constexpr std::size_t kPlans = 4;

// Half-pixel linear taps from `from` to `to` positions, multiplied with the taps by which the `from`
// positions come from another map. `from` may end within a position. False where an output would need more
// than four of that map's.
bool Compose(const std::vector<kernels::WideTap>& inner, double from, int to,
             std::vector<kernels::WideTap>& taps) {
  taps.clear();
  const float ratio = static_cast<float>(from) / static_cast<float>(to);
  const int last = static_cast<int>(std::ceil(from)) - 1;
  for (int o = 0; o < to; ++o) {
    const float position = std::max(0.0f, (static_cast<float>(o) + 0.5f) * ratio - 0.5f);
    const int low = std::min(static_cast<int>(position), last), high = std::min(low + 1, last);
    const float weight = position - static_cast<float>(low);
    kernels::WideTap tap{std::min(inner[low].first, inner[high].first), {0, 0, 0, 0}};
    for (const auto& [source, share] : {std::pair{low, 1.0f - weight}, {high, weight}}) {
      for (int t = 0; t < 4; ++t) {
        const float w = inner[source].weight[t] * share;
        if (w == 0.0f) continue;
        const int at = inner[source].first + t - tap.first;
        if (at > 3) return false;
        tap.weight[at] += w;
      }
    }
    taps.push_back(tap);
  }
  return true;
}

}  // namespace

Precision PrecisionNamed(const std::string& name) {
  for (const Precision known : {Precision::kFloat32, Precision::kBfloat16, Precision::kFloat16}) {
    if (name == NameOf(known)) return known;
  }
  throw Error(ErrorCode::kUsage, fmt::format("precision {}: there are f32, bf16 and f16", name));
}

Session::Session(const std::string& name_or_path, const SessionOptions& options)
    : Session(LoadedModel::Load(name_or_path), options) {}

namespace {

std::unique_ptr<Session::Impl> MakeImpl(std::shared_ptr<LoadedModel> model, const SessionOptions& options) {
  if (!model) throw Error(ErrorCode::kInvalidArgument, "a session without a model");
  if ((options.height > 0) != (options.width > 0) || options.height < 0 || options.width < 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("session options: height {}, width {}; both are wanted above 0, or both 0 for the "
                    "model's own size",
                    options.height, options.width));
  }
  if (options.threads < 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("session options: threads {}; 0 (all cores) or more are wanted", options.threads));
  }
  CheckSide(options.height, options.width, "session options: an input");
  if (options.precision > Precision::kFloat16) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("session options: precision {} is none of "
                                                         "frf::Precision's",
                                                         static_cast<int>(options.precision)));
  }
  const LoadedModel::Impl& loaded = model->impl();
  const InputSpec& input = loaded.info.input;
  if (options.height > 0) {
    CheckInputSize(input, {loaded.fixed_height, loaded.fixed_width}, options.height, options.width,
                   loaded.name);
  }
  (void)kernels::ConvKernelsFor(kernels::BestKernels(), options.precision);  // refused now, not at a frame
  auto impl = std::make_unique<Session::Impl>();
  impl->options = options;
  if (options.threads == 0) impl->options.threads = DefaultThreads();
  impl->options.threads = std::min(impl->options.threads, engine::kMaxThreads);
  impl->table.affine = true;
  for (int c = 0; c < 3; ++c) {
    const float mean = input.mean[c], deviation = input.std[c];
    impl->table.minus[c] = mean, impl->table.over[c] = deviation;
    for (int v = 0; v < 256; ++v) impl->table.values[c][v] = (static_cast<float>(v) - mean) / deviation;
  }
  impl->model = std::move(model);
  return impl;
}

}  // namespace

Session::Session(std::shared_ptr<LoadedModel> model, const SessionOptions& options)
    : impl_(OrOutOfMemory([&] { return MakeImpl(std::move(model), options); })) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const LoadedModel& Session::model() const { return *impl_->model; }

engine::Plan& Session::Impl::PlanFor(int height, int width) {
  for (auto it = plans.begin(); it != plans.end(); ++it) {
    if (it->height != height || it->width != width) continue;
    plans.splice(plans.begin(), plans, it);
    return *plans.front().plan;
  }
  LoadedModel::Impl& loaded = model->impl();
  engine::PreparedGraph prepared = engine::Prepare(*loaded.GraphToPlan(), {1, 3, height, width});
  engine::Lowered lowered = engine::Lower(prepared);
  engine::PlanOptions wanted{.threads = options.threads,
                             .precision = options.precision,
                             .max_memory = options.max_memory,
                             .classes = model->classes(),
                             .file = loaded.name};
  const std::string key = engine::TuningKey(lowered, wanted);
  if (!engine::ReadTuning(key, wanted.choices) && options.tune) {
    wanted.choices = engine::Tune(prepared, wanted);
    if (!wanted.choices.empty()) engine::WriteTuning(key, wanted.choices);
  }
  prepared = {};
  if (plans.size() == kPlans) {  // before the new one, so that there are never five
    plans.pop_back();
    resize = {};  // it may speak of the plan that goes
  }
  auto plan = std::make_unique<engine::Plan>(std::move(lowered), loaded.weights, wanted);
  loaded.Planned();
  plans.push_front({height, width, std::move(plan)});
  return *plans.front().plan;
}

NetworkSize Session::Impl::SizeFor(int image_height, int image_width) const {
  const LoadedModel::Impl& loaded = model->impl();
  const int height = loaded.fixed_height ? loaded.fixed_height : options.height;
  const int width = loaded.fixed_width ? loaded.fixed_width : options.width;
  return ChooseNetworkSize(loaded.info.input, image_height, image_width, height, width);
}

Session::Size Session::InputSize(int image_height, int image_width) const {
  if (image_height < 1 || image_width < 1) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("an image of {}x{} has no pixels, a side is at least 1", image_height, image_width));
  }
  CheckSide(image_height, image_width, "an image");
  const NetworkSize size = impl_->SizeFor(image_height, image_width);
  return {size.height, size.width};
}

// Labels of the content's part of the plan's output, at the size of `labels`.
void Session::Impl::RunTo(engine::Plan& plan, const engine::PlanInput& input, const NetworkSize& size,
                          const LabelView& labels) {
  const double content_height = ContentOf(plan.output_height(), size.content_height, size.height),
               content_width = ContentOf(plan.output_width(), size.content_width, size.width);
  const bool same = labels.height == plan.output_height() && labels.width == plan.output_width() &&
                    content_height == labels.height && content_width == labels.width;
  if (same) return plan.Run(input, {.labels = labels.data, .label_stride = labels.row_stride});
  if (plan.gives_labels() ||
      plan.output_rows().empty()) {  // a file that ends in argmax: its labels by nearest
    small.height = plan.output_height(), small.width = plan.output_width();
    small.ids.resize(static_cast<std::size_t>(small.height) * small.width);
    plan.Run(input, {.labels = small.ids.data(), .label_stride = small.width});
    return ResizeNearest(small, content_height, content_width, labels);
  }
  if (resize.plan != &plan || resize.content_height != content_height ||
      resize.content_width != content_width || resize.height != labels.height ||
      resize.width != labels.width) {
    resize = {&plan, content_height, content_width, labels.height, labels.width, false, {}, {}};
    resize.fits = Compose(plan.output_rows(), content_height, labels.height, resize.rows) &&
                  Compose(plan.output_columns(), content_width, labels.width, resize.columns);
  }
  if (resize.fits) {
    return plan.Run(input, {.labels = labels.data,
                            .label_stride = labels.row_stride,
                            .rows = &resize.rows,
                            .columns = &resize.columns});
  }
  scores.resize(static_cast<std::size_t>(plan.classes()) * plan.output_height() * plan.output_width());
  plan.Run(input, {.scores = scores.data()});
  const LabelImage resized =
      LabelsFromScores(scores.data(), plan.classes(), plan.output_height(), plan.output_width(),
                       content_height, content_width, labels.height, labels.width);
  for (int y = 0; y < labels.height; ++y)
    std::memcpy(labels.data + y * labels.row_stride, &resized.ids[static_cast<std::size_t>(y) * labels.width],
                labels.width);
}

namespace {

void CheckImage(const ImageView& image) {
  const int pixel = BytesPerPixel(image.order);
  if (pixel == 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("an image's pixel order {} is none of frf::PixelOrder's", static_cast<int>(image.order)));
  }
  if (image.data == nullptr) throw Error(ErrorCode::kInvalidArgument, "an image without data (null)");
  if (image.height < 1 || image.width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("an image of {}x{}; both sides are wanted above 0", image.height, image.width));
  }
  if (image.row_stride < std::ptrdiff_t{pixel} * image.width) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("an image of {}x{} with {} bytes from row to row, at least {} are wanted ({} a pixel)",
                    image.height, image.width, image.row_stride, std::ptrdiff_t{pixel} * image.width, pixel));
  }
  CheckSide(image.height, image.width, "an image");
}

void CheckLabels(const LabelView& labels) {
  if (labels.data == nullptr || labels.height < 1 || labels.width < 1 || labels.row_stride < labels.width) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("labels of {}x{} with {} bytes a row have no room",
                                                         labels.height, labels.width, labels.row_stride));
  }
  CheckSide(labels.height, labels.width, "labels");
}

void CheckPlanes(const LoadedModel::Impl& loaded, int height, int width) {
  if (height < 1 || width < 1)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("input planes of {}x{} hold nothing", height, width));
  CheckSide(height, width, "input planes");
  CheckInputSize(loaded.info.input, {loaded.fixed_height, loaded.fixed_width}, height, width, loaded.name);
}

bool HasScores(const engine::Plan& plan) { return !plan.gives_labels() && plan.classes() > 0; }

void CheckScores(const engine::Plan& plan) {
  if (!HasScores(plan))
    throw Error(ErrorCode::kUnsupported, "the model's output is labels; it has no scores");
}

std::size_t ScoreCount(const engine::Plan& plan) {
  return static_cast<std::size_t>(plan.classes()) * plan.output_height() * plan.output_width();
}

// A label must be one of the model's classes.
void CheckClasses(const engine::Plan& plan, const LoadedModel::Impl& loaded) {
  const int classes = loaded.info.classes.count();
  if (HasScores(plan) && plan.classes() != classes) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: the network gives {} scores a pixel for {} classes in frf.classes",
                            loaded.name, plan.classes(), classes));
  }
}

// Calls run(plan, input, size) with the image at the network's input size.
template <typename Run>
void WithInput(Session::Impl& session, const ImageView& given, const Run& run) {
  CheckImage(given);
  const ThreadScope threads(session.options.threads);  // resizing asks OpenMP
  const ImageView image = ThreeChannels(given, session.rgb);
  const LoadedModel::Impl& loaded = session.model->impl();
  const NetworkSize size = session.SizeFor(image.height, image.width);
  engine::Plan& plan = session.PlanFor(size.height, size.width);
  const kernels::PictureTable* const table = plan.table() ? plan.table() : &session.table;
  if (size.height == image.height && size.width == image.width) {
    return run(plan,
               engine::PlanInput{.pixels = image.data,
                                 .row_stride = image.row_stride,
                                 .bgr = image.order == PixelOrder::kBgr,
                                 .table = table},
               size);
  }
  if (size.content_height == size.height && size.content_width == size.width) {
    const Image resized = ResizeBilinear(image, size.height, size.width);
    return run(
        plan,
        engine::PlanInput{
            .pixels = resized.pixels.data(), .row_stride = std::ptrdiff_t{3} * size.width, .table = table},
        size);
  }
  if (plan.table())
    throw Error(ErrorCode::kUnsupported,
                "a model with 8-bit input and frf.input.multiple above 1 cannot be padded with the mean");
  session.planes.resize(std::size_t{3} * size.height * size.width);
  Preprocess(image, loaded.info.input, size, session.planes.data());
  run(plan, engine::PlanInput{.planes = session.planes.data()}, size);
}

}  // namespace

void Session::Run(const ImageView& image, const LabelView& labels) {
  OrOutOfMemory([&] {
    CheckLabels(labels);
    WithInput(*impl_, image,
              [&](engine::Plan& plan, const engine::PlanInput& input, const NetworkSize& size) {
                CheckClasses(plan, model().impl());
                impl_->RunTo(plan, input, size, labels);
              });
  });
}

LabelImage Session::Run(const ImageView& image) {
  return OrOutOfMemory([&] {
    CheckImage(image);
    LabelImage labels{image.height, image.width, {}};
    labels.ids.resize(static_cast<std::size_t>(image.height) * image.width);
    Run(image, labels.view());
    return labels;
  });
}

std::vector<float> Session::Scores(const ImageView& image) {
  return OrOutOfMemory([&] {
    std::vector<float> scores;
    WithInput(*impl_, image, [&](engine::Plan& plan, const engine::PlanInput& input, const NetworkSize&) {
      CheckScores(plan);
      scores.resize(ScoreCount(plan));
      plan.Run(input, {.scores = scores.data()});
    });
    return scores;
  });
}

void Session::Scores(const ImageView& image, float* scores, std::size_t count) {
  if (scores == nullptr) throw Error(ErrorCode::kInvalidArgument, "there is no room for scores");
  OrOutOfMemory([&] {
    WithInput(*impl_, image, [&](engine::Plan& plan, const engine::PlanInput& input, const NetworkSize&) {
      CheckScores(plan);
      if (count < ScoreCount(plan)) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("there is room for {} scores, {}x{}x{} are to be written", count,
                                plan.classes(), plan.output_height(), plan.output_width()));
      }
      plan.Run(input, {.scores = scores});
    });
  });
}

Session::Shape Session::ScoresShape(int input_height, int input_width) {
  return OrOutOfMemory([&]() -> Shape {
    CheckPlanes(model().impl(), input_height, input_width);
    const ThreadScope threads(impl_->options.threads);
    const engine::Plan& plan = impl_->PlanFor(input_height, input_width);
    CheckScores(plan);
    return {plan.classes(), plan.output_height(), plan.output_width()};
  });
}

void Session::RunPlanes(const float* planes, int height, int width, const LabelView* labels, float* scores) {
  if (planes == nullptr) throw Error(ErrorCode::kInvalidArgument, "there are no input planes");
  if (labels == nullptr && scores == nullptr)
    throw Error(ErrorCode::kInvalidArgument, "neither labels nor scores were asked for");
  OrOutOfMemory([&] {
    CheckPlanes(model().impl(), height, width);
    if (labels) CheckLabels(*labels);
    const ThreadScope threads(impl_->options.threads);
    engine::Plan& plan = impl_->PlanFor(height, width);
    if (labels) CheckClasses(plan, model().impl());
    const engine::PlanInput input{.planes = planes};
    if (scores) {
      CheckScores(plan);
      plan.Run(input, {.scores = scores});
    }
    if (labels) impl_->RunTo(plan, input, {height, width, height, width}, *labels);
  });
}

}  // namespace frf
