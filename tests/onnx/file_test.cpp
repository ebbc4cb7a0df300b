// SPDX-License-Identifier: Apache-2.0
// Files: written, read and written again they are the same bytes; what is read runs to the same bits; each
// variant (half precision, labels, 8-bit input) holds what it promises; metadata survives; shipped weights
// are found.
#include <algorithm>
#include <cstdlib>

#include "base/files.h"
#include "base/half.h"
#include "graph/builder.h"
#include "graph/passes.h"
#include "graph/shapes.h"
#include "onnx/sample.h"
#include "support/support.h"

namespace frf {
namespace {

using test::InfoFor;
using test::RandomTensor;
using test::RunScores;
using test::SameBits;
using Size = std::pair<int, int>;

Model Sample(const std::string& net = "frfnet-slim", const Json& options = Json::object()) {
  Model model{.graph = test::Net(net, options), .info = InfoFor(5), .stamped = true};
  model.info.unknown = {{"frf.future", "kept"}, {"author", "someone"}};
  return model;
}

Model Read(const std::string& bytes) { return ParseOnnx(bytes, "test.onnx"); }

Tensor RunLabels(const Graph& graph, const Tensor& image) {
  PlainExecutor executor(graph, {.threads = 1});
  return executor.Run({{"image", image}}).at("labels");
}

const Node* OnlyReader(const Graph& graph, const std::string& value) {
  const Node* reader = nullptr;
  for (const Node& node : graph.nodes) {
    for (const std::string& input : node.inputs) {
      if (input == value && reader != nullptr && reader != &node) return nullptr;
      if (input == value) reader = &node;
    }
  }
  return reader;
}

TEST(OnnxFile, RoundTripIsTheSameBytes) {
  const std::vector<WriteOptions> variants = {
      {},
      {.size = Size{64, 96}},
      {.half = true},
      {.size = Size{33, 65}, .half = true, .argmax = true, .uint8_input = true},
      {.argmax = true},
      {.uint8_input = true},
  };
  for (const char* net : {"frfnet-slim", "frfnet-danet"}) {
    const Model model = Sample(net);
    for (std::size_t i = 0; i < variants.size(); ++i) {
      SCOPED_TRACE(std::string(net) + " variant " + std::to_string(i));
      const std::string bytes = SerializeOnnx(model, variants[i]);
      EXPECT_EQ(SerializeOnnx(model, variants[i]), bytes);
      const Model back = Read(bytes);
      EXPECT_TRUE(back.stamped);
      EXPECT_TRUE(SerializeOnnx(back) == bytes) << "the bytes differ";
    }
  }
}

TEST(OnnxFile, WhatIsReadRunsToTheSameBits) {
  const Model model = Sample();
  const Tensor image = RandomTensor({1, 3, 45, 70}, 3);
  const Tensor wanted = RunScores(model.graph.ForInference(), image);
  EXPECT_TRUE(SameBits(RunScores(Read(SerializeOnnx(model, {.size = Size{45, 70}})).graph, image), wanted));
  const Graph lowered = LowerToOnnx(model.graph, std::nullopt);
  EXPECT_TRUE(SameBits(RunScores(Read(SerializeOnnx(model)).graph, image), RunScores(lowered, image)));
}

TEST(OnnxFile, NamesRolesAndOrderOfInitialisersComeBack) {
  const Model model = Sample();
  const Graph graph = Read(SerializeOnnx(model)).graph;
  int parameters = 0, states = 0;
  for (const Initializer& initializer : graph.initializers) {
    const Initializer* source = model.graph.FindInitializer(initializer.name);
    if (source == nullptr) {  // made by the lowering
      EXPECT_EQ(initializer.role, Role::kConstant) << initializer.name;
      continue;
    }
    EXPECT_EQ(initializer.role, source->role) << initializer.name;
    EXPECT_TRUE(SameBits(initializer.value, source->value)) << initializer.name;
    parameters += initializer.role == Role::kParameter;
    states += initializer.role == Role::kState;
  }
  EXPECT_EQ(graph.ParameterCount(), model.graph.ParameterCount());
  EXPECT_GT(parameters, 50);
  EXPECT_GT(states, 50);
  EXPECT_EQ(graph.opset, 17);
}

TEST(OnnxFile, MetadataComesBackAsItWas) {
  Model model = Sample();
  model.info.train = {{"epochs", 3}};
  const Model back = Read(SerializeOnnx(model));
  EXPECT_EQ(back.graph.metadata, ToMetadata(model.info));
  EXPECT_EQ(ToMetadata(back.info), ToMetadata(model.info));
  EXPECT_EQ(back.info.unknown, model.info.unknown);
}

TEST(OnnxFile, HalfFilesHoldEveryWeightInTwoBytesAndKeepBatchNorm) {
  const Model model = Sample();
  const std::string full = SerializeOnnx(model), bytes = SerializeOnnx(model, {.half = true});
  EXPECT_LT(bytes.size(), full.size() * 0.55);
  const Model half = Read(bytes);
  EXPECT_EQ(half.info.weights, "f16");
  const auto nodes_of = [](const Graph& graph, const char* op) {
    return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                         [op](const Node& node) { return node.Is(op); });
  };
  EXPECT_EQ(nodes_of(half.graph, "BatchNormalization"),
            nodes_of(model.graph.ForInference(), "BatchNormalization"));
  int weights = 0;
  for (const Initializer& initializer : half.graph.initializers) {
    if (initializer.role != Role::kParameter) continue;
    if (initializer.value.rank() < 2) {
      EXPECT_EQ(initializer.value.dtype(), DType::kFloat32) << initializer.name;
      continue;
    }
    ++weights;
    EXPECT_EQ(initializer.value.dtype(), DType::kFloat16) << initializer.name;
    const Node* reader = OnlyReader(half.graph, initializer.name);
    ASSERT_NE(reader, nullptr) << initializer.name;
    EXPECT_EQ(reader->op, "Cast");
    EXPECT_EQ(reader->Int("to", 0), 1);
  }
  EXPECT_EQ(weights, nodes_of(half.graph, "Conv"));
  // Arithmetic is float32: the same as rounding the weights by hand.
  Graph rounded = model.graph.ForInference();
  for (Initializer& initializer : rounded.initializers) {
    if (initializer.role == Role::kParameter && initializer.value.rank() >= 2) {
      initializer.value = initializer.value.Cast(DType::kFloat16).Cast(DType::kFloat32);
    }
  }
  const Tensor image = RandomTensor({1, 3, 64, 96}, 5);
  const Model fixed = Read(SerializeOnnx(model, {.size = Size{64, 96}, .half = true}));
  EXPECT_TRUE(SameBits(RunScores(fixed.graph, image), RunScores(rounded, image)));
}

TEST(OnnxFile, HalfRefusesWhatItCannotHold) {
  Model model = Sample();
  for (Initializer& initializer : model.graph.initializers) {
    if (initializer.name == "classifier.weight") initializer.value.data<float>()[0] = 70000.0f;
  }
  EXPECT_FRF_ERROR(SerializeOnnx(model, {.half = true}), ErrorCode::kInvalidArgument,
                   "'classifier.weight' holds 70000");
}

TEST(OnnxFile, LabelsAreTheLowestIdOfTheLargestScore) {
  const Model model = Sample();
  const Tensor image = RandomTensor({1, 3, 40, 56}, 9);
  const Tensor scores = RunScores(Read(SerializeOnnx(model, {.size = Size{40, 56}})).graph, image);
  const Model file = Read(SerializeOnnx(model, {.size = Size{40, 56}, .argmax = true}));
  EXPECT_EQ(file.info.output, "labels");
  EXPECT_EQ(file.graph.outputs[0].dtype, DType::kUint8);
  EXPECT_EQ(file.graph.outputs[0].shape, (Shape{1, 40, 56}));
  const Tensor labels = RunLabels(file.graph, image);
  ASSERT_EQ(labels.shape(), (Shape{1, 40, 56}));
  const std::int64_t plane = 40 * 56;
  for (std::int64_t i = 0; i < plane; ++i) {
    int best = 0;
    for (int c = 1; c < 5; ++c) {
      if (scores.data<float>()[c * plane + i] > scores.data<float>()[best * plane + i]) best = c;
    }
    ASSERT_EQ(labels.data<std::uint8_t>()[i], best) << i;
  }
  EXPECT_TRUE(SerializeOnnx(file, {.argmax = true}) == SerializeOnnx(file))
      << "labels already: nothing to add";
  const Graph free = Read(SerializeOnnx(model, {.argmax = true})).graph;
  EXPECT_EQ(free.outputs[0].dim_names, (std::vector<std::string>{"", "height", "width"}));
}

TEST(OnnxFile, TiesGoToTheLowestId) {
  Builder g("tie");
  const Value x = g.Input("image", 3);
  g.Output(g.Relu(x), "scores", OutputRole::kScores);
  const Model model{.graph = std::move(g).Build(), .info = InfoFor(3), .stamped = true};
  const Graph graph = Read(SerializeOnnx(model, {.argmax = true})).graph;
  const Tensor image = Tensor::Of<float>({1, 3, 1, 4}, {1, 0, 2, -1, 1, 3, 2, -1, 0, 3, 2, -1});
  EXPECT_EQ(RunLabels(graph, image).ToVector<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1, 0, 0}));
}

TEST(OnnxFile, EightBitInputIsNormalisedInside) {
  Model model = Sample();
  model.info.input.mean = {100.5f, 0.0f, 3.25f};
  model.info.input.std = {57.3f, 1.0f, 255.0f};
  const Model file = Read(SerializeOnnx(model, {.size = Size{32, 40}, .uint8_input = true}));
  EXPECT_EQ(file.graph.inputs[0].dtype, DType::kUint8);
  Tensor pixels = Tensor::Uninitialized(DType::kUint8, {1, 3, 32, 40}),
         image = RandomTensor({1, 3, 32, 40}, 0);
  Random random(11);
  for (std::int64_t i = 0; i < pixels.size(); ++i) {
    const int channel = static_cast<int>(i / (32 * 40));
    pixels.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(random.Below(256));
    image.data<float>()[i] =
        (static_cast<float>(pixels.data<std::uint8_t>()[i]) - model.info.input.mean[channel]) /
        model.info.input.std[channel];
  }
  const Graph plain = Read(SerializeOnnx(model, {.size = Size{32, 40}})).graph;
  EXPECT_TRUE(SameBits(RunScores(file.graph, pixels), RunScores(plain, image)));
}

TEST(OnnxFile, AFreeFileCanBeFixedLater) {
  const Model free = Read(SerializeOnnx(Sample()));
  const std::string bytes = SerializeOnnx(free, {.size = Size{48, 64}});
  const Model fixed = Read(bytes);
  EXPECT_EQ(fixed.graph.inputs[0].shape, (Shape{1, 3, 48, 64}));
  EXPECT_EQ(fixed.graph.outputs[0].shape, (Shape{1, 5, 48, 64}));
  EXPECT_TRUE(SerializeOnnx(fixed) == bytes);
  const Tensor image = RandomTensor({1, 3, 48, 64}, 2);
  EXPECT_TRUE(SameBits(RunScores(fixed.graph, image), RunScores(free.graph, image)));
  EXPECT_FRF_ERROR(SerializeOnnx(fixed, {.size = Size{64, 64}}), ErrorCode::kInvalidArgument,
                   "fixed at 48x64");
}

TEST(OnnxFile, WhatWouldNotBeReadableIsNotWritten) {
  Model model = Sample();
  model.info.classes = InfoFor(4).classes;
  EXPECT_FRF_ERROR(SerializeOnnx(model), ErrorCode::kInvalidArgument,
                   "has 5 channels, names of 4 classes are given");
  model = Sample();
  model.graph = BuildNet("frfnet-slim", {{"classes", 5}});
  EXPECT_FRF_ERROR(SerializeOnnx(model), ErrorCode::kInvalidArgument, "load or draw the weights first");
}

TEST(OnnxFile, FilesWithoutAStampAreReadOnlyWhenAskedFor) {
  Model model = Sample();
  model.stamped = false;
  model.info = {};
  model.graph.metadata = {{"author", "someone"}};
  const std::string bytes = SerializeOnnx(model);
  EXPECT_FRF_ERROR(Read(bytes), ErrorCode::kUnsupported, "--meta");
  const Model back = ParseOnnx(bytes, "foreign.onnx", {.require_stamp = false});
  EXPECT_FALSE(back.stamped);
  EXPECT_TRUE(SerializeOnnx(back) == bytes);
  Model stamped = back;
  stamped.info = InfoFor(5);  // what `frf export --meta` does
  EXPECT_EQ(Read(SerializeOnnx(stamped)).info.unknown, back.graph.metadata);
  EXPECT_EQ(Read(SerializeOnnx(stamped)).info.classes,
            ModelInfoFromMetadata(ToMetadata(InfoFor(5)), "").classes);
}

TEST(OnnxFile, ALargerFormatIsRefused) {
  Model model = Sample();
  model.stamped = false;
  model.graph.metadata = ToMetadata(model.info);
  model.graph.metadata[0].second = "2";
  model.info = {};
  EXPECT_FRF_ERROR(Read(SerializeOnnx(model)), ErrorCode::kUnsupported, "'frf.format' is 2");
}

TEST(OnnxFile, WritingReplacesTheFileOrLeavesIt) {
  const test::TempFolder folder;
  const Model model = Sample();
  WriteOnnx(model, folder / "a.onnx");
  const std::string before = ReadFile(folder / "a.onnx");
  EXPECT_EQ(before, SerializeOnnx(ReadOnnx(folder / "a.onnx")));
  Model broken = model;
  broken.info.classes.names.clear();
  EXPECT_FRF_ERROR(WriteOnnx(broken, folder / "a.onnx"), ErrorCode::kInvalidArgument, "class");
  EXPECT_EQ(ReadFile(folder / "a.onnx"), before);
  EXPECT_FRF_ERROR(ReadOnnx(folder / "none.onnx"), ErrorCode::kNotFound, "none.onnx");
}

TEST(FindModel, ByPathByNameAndByWhatThereIs) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "frfnet-test.onnx", "x");
  ASSERT_EQ(::setenv("FRF_WEIGHTS", folder.path().c_str(), 1), 0);
  EXPECT_EQ(FindModel("frfnet-test"), folder / "frfnet-test.onnx");
  EXPECT_EQ(FindModel("frfnet-test.onnx"), folder / "frfnet-test.onnx");
  EXPECT_EQ(FindModel(folder / "frfnet-test.onnx"), folder / "frfnet-test.onnx");
  EXPECT_FRF_ERROR(FindModel("frfnet-tset"), ErrorCode::kNotFound, "did you mean frfnet-test? there are ");
  EXPECT_FRF_ERROR(FindModel("some/frfnet-test"), ErrorCode::kNotFound, "some/frfnet-test");
  EXPECT_FRF_ERROR(FindModel(folder.path().string()), ErrorCode::kNotFound, "is a folder");
  EXPECT_FRF_ERROR(FindModel(""), ErrorCode::kNotFound, "no such file");
  std::filesystem::create_symlink("round.onnx", folder / "round.onnx");
  EXPECT_FRF_ERROR(FindModel(folder / "round.onnx"), ErrorCode::kIo,
                   "round.onnx: cannot open: Too many levels");
  EXPECT_FRF_ERROR(FindModel("street"), ErrorCode::kNotFound, "frfnet-test, round");
  EXPECT_FRF_ERROR(FindModel("/dev/null"), ErrorCode::kIo, "/dev/null: is a pipe or a device");
  ::unsetenv("FRF_WEIGHTS");
}

// A foreign network's products are by weights; of frf's own networks, by tables.
TEST(OnnxFile, WeightsOfProductsAreParametersInForeignFiles) {
  Builder g("mixer");
  const Value x = g.Input("image", 3);
  g.Output(g.Named(g.MatMul(x, g.Constant("mix", test::RandomTensor({32, 32}, 2)), 3), "mixed"), "scores",
           OutputRole::kScores);
  Model model{.graph = std::move(g).Build(), .info = InfoFor(3), .stamped = true};
  model.info.net = "frfnet";
  EXPECT_EQ(Read(SerializeOnnx(model)).graph.FindInitializer("mix")->role, Role::kConstant);
  model.info.net.clear();
  const Graph foreign = Read(SerializeOnnx(model)).graph;
  EXPECT_EQ(foreign.FindInitializer("mix")->role, Role::kParameter);
  const Cost cost = CountCost(foreign, InferShapes(foreign, 16, 32));
  EXPECT_EQ(cost.params, 32 * 32);
  EXPECT_EQ(cost.macs, 3 * 16 * 32 * 32);
  EXPECT_LT(
      SerializeOnnx({.graph = foreign, .info = model.info, .stamped = true}, {.half = true}).size() + 1900,
      SerializeOnnx({.graph = foreign, .info = model.info, .stamped = true}).size());
}

TEST(OnnxFile, LabelsFindTheirNameTakenByAnInitializer) {
  Model model = Sample();
  const std::string taken = "head.conv.weight";
  for (Initializer& initializer : model.graph.initializers)
    if (initializer.name == taken) initializer.name = "labels";
  for (Node& node : model.graph.nodes)
    std::replace(node.inputs.begin(), node.inputs.end(), taken, std::string("labels"));
  const Tensor image = RandomTensor({1, 3, 40, 56}, 3);
  EXPECT_TRUE(SameBits(RunLabels(Read(SerializeOnnx(model, {.argmax = true})).graph, image),
                       RunLabels(Read(SerializeOnnx(Sample(), {.argmax = true})).graph, image)));
}

}  // namespace
}  // namespace frf
