// SPDX-License-Identifier: Apache-2.0
// Fuzzes ParseOnnx and what follows it: any bytes give a graph that can be written again, or a frf::Error of
// one line. What is read also runs on the plain executor and, planned, on the engine, both under a small
// memory limit: they may refuse, not crash.
#include <cstdlib>

#include "engine/plain.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "engine/plan/prepare.h"
#include "fuzz/corpus.h"
#include "graph/builder.h"
#include "onnx/onnx_file.h"

namespace {

using namespace frf;

void Check(bool promise) {
  if (!promise) std::abort();
}

void CheckRefusal(const Error& error) {
  const std::string text = error.what();
  Check(text.find('\n') == std::string::npos && error.code() != ErrorCode::kInternal);
}

ModelInfo TwoClasses() {
  ModelInfo info;
  info.net = "fuzz";
  info.classes.names = {"a", "b"};
  info.unknown = {{"author", "someone"}};
  return info;
}

// Small, and with each operator that the lowering makes.
Graph SmallNet() {
  Builder g("fuzz");
  const Value x = g.Input("image", 3);
  const Value y = g.BatchNorm(g.Conv(x, {.name = "conv", .out = 2, .kernel = 3}), "bn");
  const auto [pooled, indices] = g.MaxPoolWithIndices(g.Relu(y), {.kernel = 2, .stride = 2});
  const Value gate = g.Sigmoid(g.SpectralPool(pooled, {0, 0, 0, 1}, {1, 1}, 7.0f));
  const Value wide =
      g.Add(g.Unpool(g.Mul(pooled, gate), indices, y), g.ResizeLike(g.AdaptiveAveragePool(y, 2, 2), x));
  g.Output(g.ResizeLike(g.Clip(wide, -9.0f, 9.0f), x), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 1);
  return graph;
}

void RunPlanned(const Graph& graph, const Shape& shape) {
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), shape);
  engine::WeightStore weights;
  engine::Plan plan(engine::Lower(prepared), weights, {.threads = 1, .max_memory = 16 << 20});
  const std::vector<float> image(3 * 6 * 10, 0.5f);
  const std::size_t pixels = static_cast<std::size_t>(plan.output_height()) * plan.output_width();
  if (pixels > 16 << 20)
    return;  // resized last of all, which takes no map: the caller's memory, not the plan's
  std::vector<std::uint8_t> labels(pixels);
  plan.Run({.planes = image.data()}, {.labels = labels.data(), .label_stride = plan.output_width()});
}

// On both executors; the engine also takes what the plain one refuses, as a Session does.
void Run(const Graph& graph) {
  const GraphInput& input = graph.inputs.at(0);
  if (input.shape.size() != 4) return;
  Shape shape{1, 3, 6, 10};
  for (int i = 0; i < 4; ++i) {
    if (input.shape[i] >= 0 && input.shape[i] != shape[i]) return;
  }
  try {
    PlainExecutor executor(graph, {.threads = 1, .max_memory = 16 << 20});
    executor.Run({{input.name, Tensor::Zeros(input.dtype, shape)}});
  } catch (const Error& error) {
    CheckRefusal(error);
  }
  if (input.dtype == DType::kFloat32) RunPlanned(graph, shape);
}

}  // namespace

std::vector<std::string> frf::test::FuzzCorpus() {
  const Model model{.graph = SmallNet(), .info = TwoClasses(), .stamped = true};
  return {SerializeOnnx(model), SerializeOnnx(model, {.size = std::pair(6, 10)}),
          SerializeOnnx(model, {.half = true, .argmax = true, .uint8_input = true})};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const Model model = ParseOnnx(bytes, "fuzz", {.require_stamp = false});
    const std::string written = SerializeOnnx(model);
    Check(SerializeOnnx(ParseOnnx(written, "fuzz", {.require_stamp = false})) == written);
    Run(model.graph);
  } catch (const Error& error) {
    CheckRefusal(error);
  }
  return 0;
}
