// SPDX-License-Identifier: Apache-2.0
// Files in memory: what is kept of them between plans, and their classes.
#include <fmt/format.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <climits>
#include <filesystem>
#include <tuple>

#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/plan/prepare.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/output.h"
#include "image/out_of_memory.h"

namespace frf {

namespace {

// Of a 3x3 kernel the forms are 9 (direct), 36 and 64 floats (Winograd) where the file has 9, and channels
// are padded to 16.
constexpr std::size_t kFormsOfAll = 16, kFormsOfSmall = std::size_t{1} << 20;

}  // namespace

std::string ImageInputFault(const Graph& graph) {
  const char* wanted = "one image, float32 or uint8 1x3xHxW, is wanted";
  if (graph.inputs.size() != 1) return fmt::format("has {} inputs; {}", graph.inputs.size(), wanted);
  const GraphInput& input = graph.inputs[0];
  const bool type = input.dtype == DType::kFloat32 || input.dtype == DType::kUint8;
  if (type && input.shape.size() == 4 && input.shape[0] <= 1 && input.shape[1] == 3) return "";
  const bool last = ChannelsComeLast(input) && input.shape[3] == 3;
  return fmt::format("input '{}' is {} {}; {}{}{}", input.name, Name(input.dtype), ToString(input.shape),
                     wanted, last ? "; put a Transpose of perm 0, 2, 3, 1 in front" : "",
                     input.dtype == DType::kFloat16 ? "; put a Cast in front, of a float32 input" : "");
}

void CheckImageInput(const Graph& graph, const std::string& file) {
  const std::string fault = ImageInputFault(graph);
  if (!fault.empty()) throw Error(ErrorCode::kUnsupported, fmt::format("{}: {}", file, fault));
}

void WarnOfOutput(const Classes& classes, const Graph& graph, const std::string& file) {
  if (MainOutput(graph).dtype == DType::kFloat32 && classes.count() == 1) {
    LogWarning(fmt::format("{}: one score a pixel, so every pixel is '{}'{}, and give two names", file,
                           classes.names[0], kTwoOfASigmoid));
  }
  const std::string advice = OutputAdvice(graph);
  if (!advice.empty()) LogWarning(fmt::format("{}: {}", file, advice));
}

namespace {

std::unique_ptr<LoadedModel::Impl> MakeImpl(Model model) {
  auto impl = std::make_unique<LoadedModel::Impl>();
  Graph& graph = model.graph;
  impl->info = std::move(model.info);
  if (impl->info.classes.count() > 0) impl->metadata = ToMetadata(impl->info);
  impl->name = model.file.empty() ? graph.name : model.file;
  CheckImageInput(graph, impl->name);
  std::tie(impl->fixed_height, impl->fixed_width) = FixedSides(graph);
  impl->gives_labels = MainOutput(graph).dtype != DType::kFloat32;
  impl->graph = std::make_shared<const Graph>(engine::PrepareOnce(graph));
  std::size_t weights = 0;
  for (const Initializer& initializer : impl->graph->initializers)
    weights += static_cast<std::size_t>(initializer.value.size());
  impl->weights.SetLimit(kFormsOfAll * weights + kFormsOfSmall);
  return impl;
}

}  // namespace

LoadedModel::LoadedModel(Model model)
    : impl_(OrOutOfMemory([&] { return MakeImpl(std::move(model)); }, std::string(model.file))) {
#if defined(__GLIBC__)
  malloc_trim(0);  // the file's bytes and messages are gone; a robot should not keep their memory
#endif
}

LoadedModel::~LoadedModel() = default;

namespace {

std::shared_ptr<LoadedModel> LoadFile(const std::string& name_or_path) {
  const std::string path = FindModel(name_or_path);
  std::string bytes = ReadFile(path, INT_MAX);  // ParseOnnx takes no more
  const std::uint64_t hash = XxHash64(bytes);
  Model model = ParseOnnx(bytes, path);
  bytes = {};  // before the graph is prepared: memory is at its highest there
  auto loaded = std::make_shared<LoadedModel>(std::move(model));
  loaded->impl().path = std::filesystem::absolute(path);  // the program may leave its folder meanwhile
  loaded->impl().file_hash = hash;
  return loaded;
}

}  // namespace

std::shared_ptr<LoadedModel> LoadedModel::Load(const std::string& name_or_path) {
  return OrOutOfMemory([&] { return LoadFile(name_or_path); }, name_or_path);
}

std::shared_ptr<const Graph> LoadedModel::Impl::GraphToPlan() {
  const std::lock_guard lock(mutex);
  if (graph) return graph;
  if (path.empty()) throw Error(ErrorCode::kInternal, "a model of one session is planned twice");
  const std::string bytes = ReadFile(path);
  if (XxHash64(bytes) != file_hash) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has changed since it was loaded; load it again", path));
  }
  graph = std::make_shared<const Graph>(engine::PrepareOnce(ParseOnnx(bytes, path).graph));
  return graph;
}

void LoadedModel::Impl::Planned() {
  if (fixed_height == 0 || fixed_width == 0) return;  // other sizes will be planned
  if (path.empty() && !one_session) return;
  {
    const std::lock_guard lock(mutex);
    graph.reset();
  }
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

std::shared_ptr<LoadedModel> LoadedModel::LoadBytes(const void* bytes, std::size_t size,
                                                    const std::string& name) {
  if (bytes == nullptr) throw Error(ErrorCode::kInvalidArgument, name + ": there are no bytes to read");
  return OrOutOfMemory(
      [&] {
        return std::make_shared<LoadedModel>(
            ParseOnnx(std::string(static_cast<const char*>(bytes), size), name));
      },
      name);
}

void CheckInputSize(const InputSpec& input, SizePair fixed, int height, int width, const std::string& file) {
  if (WithFixedSides({height, width}, fixed) != SizePair{height, width}) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the model's input is fixed at {}, {}x{} was asked for", file,
                            FixedSidesText(fixed), height, width));
  }
  const bool fits =
      (fixed.first > 0 || height % input.multiple == 0) && (fixed.second > 0 || width % input.multiple == 0);
  if (!fits) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: an input of {}x{} was asked for, multiples of {} are wanted "
                            "(frf.input.multiple)",
                            file, height, width, input.multiple));
  }
}

int LoadedModel::classes() const { return impl_->info.classes.count(); }

namespace {

void CheckClass(int id, int classes) {
  if (id < 0 || id >= classes)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("class {} was asked for, the model has 0 to {}", id, classes - 1));
}

}  // namespace

const std::string& LoadedModel::class_name(int id) const {
  CheckClass(id, classes());
  return impl_->info.classes.names[id];
}

const std::uint8_t* LoadedModel::class_color(int id) const {
  CheckClass(id, classes());
  return impl_->info.classes.palette[id].data();
}

int LoadedModel::label_id(int id) const {
  CheckClass(id, classes());
  const std::vector<int>& ids = impl_->info.classes.label_ids;
  return ids.empty() ? id : ids[id];
}

InputFormat LoadedModel::input() const {
  const InputSpec& input = impl_->info.input;
  return {input.mean, input.std, input.height, input.width, input.multiple};
}

bool LoadedModel::gives_labels() const { return impl_->gives_labels; }

const std::string* LoadedModel::metadata(const std::string& key) const {
  for (const auto& [name, value] : impl_->metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

}  // namespace frf
