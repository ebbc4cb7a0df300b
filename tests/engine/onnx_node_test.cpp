// SPDX-License-Identifier: Apache-2.0
// ONNX's own node tests (Debian's libonnx-testdata) for every operator that the plain executor has: model,
// inputs and outputs as ONNX's reference wrote them. Subtle: nothing is left out silently. A case runs unless
// it needs what the executor does not claim (an operator it lacks, an element type that Tensor lacks) or
// stands in kSkipped with a reason; and a skipped case that has vanished or would pass fails the test.
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "engine/plain.h"
#include "engine/plain_op.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"

namespace frf {
namespace {

const std::filesystem::path kFolder = "/usr/share/libonnx-testdata/data/node";

const std::map<std::string, std::string> kSkipped = {
    {"test_maxunpool_export_with_output_shape",
     "indices count in the inferred 4x4, not in the given 5x5; frf and torch count in the output"},
    {"test_resize_downsample_scales_linear_align_corners",
     "ONNX's old reference divides by the unrounded size 2.4; frf, torch and ONNX Runtime by the size that "
     "comes out"},
    {"test_resize_downsample_scales_cubic_align_corners", "the same"},
    {"test_batchnorm_example_training_mode", "training mode"},
    {"test_batchnorm_epsilon_training_mode", "training mode"},
    {"test_training_dropout", "training mode"},
    {"test_training_dropout_default", "training mode"},
    {"test_training_dropout_default_mask", "training mode"},
    {"test_training_dropout_mask", "training mode"},
    {"test_averagepool_3d_default", "three spatial dimensions"},
    {"test_maxpool_3d_default", "three spatial dimensions"},
    {"test_convtranspose_3d", "three spatial dimensions"},
};

struct Refused {};  // the file needs what frf does not claim

DType TypeOf(int code) {
  switch (code) {
    case onnx::TensorProto::FLOAT:
      return DType::kFloat32;
    case onnx::TensorProto::UINT8:
      return DType::kUint8;
    case onnx::TensorProto::INT8:
      return DType::kInt8;
    case onnx::TensorProto::INT32:
      return DType::kInt32;
    case onnx::TensorProto::INT64:
      return DType::kInt64;
    case onnx::TensorProto::BOOL:
      return DType::kBool;
    case onnx::TensorProto::FLOAT16:
      return DType::kFloat16;
    case onnx::TensorProto::DOUBLE:
      return DType::kFloat64;
    default:
      throw Refused();
  }
}

template <typename T, typename List>
Tensor FromList(const Shape& shape, const List& list) {
  Tensor tensor = Tensor::Uninitialized(kDTypeOf<T>, shape);
  if (list.size() != tensor.size()) throw Refused();
  for (int i = 0; i < list.size(); ++i) tensor.data<T>()[i] = static_cast<T>(list.Get(i));
  return tensor;
}

Tensor ReadTensor(const onnx::TensorProto& proto) {
  const DType type = TypeOf(proto.data_type());
  const Shape shape(proto.dims().begin(), proto.dims().end());
  if (proto.has_raw_data() || NumElements(shape) == 0) {
    Tensor tensor = Tensor::Uninitialized(type, shape);
    if (proto.raw_data().size() != tensor.bytes()) throw Refused();
    std::memcpy(tensor.raw(), proto.raw_data().data(), tensor.bytes());
    return tensor;
  }
  switch (type) {
    case DType::kFloat32:
      return FromList<float>(shape, proto.float_data());
    case DType::kFloat64:
      return FromList<double>(shape, proto.double_data());
    case DType::kInt64:
      return FromList<std::int64_t>(shape, proto.int64_data());
    case DType::kInt32:
      return FromList<std::int32_t>(shape, proto.int32_data());
    case DType::kUint8:
      return FromList<std::uint8_t>(shape, proto.int32_data());
    case DType::kInt8:
      return FromList<std::int8_t>(shape, proto.int32_data());
    case DType::kBool:
      return FromList<bool>(shape, proto.int32_data());
    case DType::kFloat16:
      return FromList<std::uint16_t>(shape, proto.int32_data());
  }
  throw Refused();
}

Attribute ReadAttribute(const onnx::AttributeProto& proto) {
  switch (proto.type()) {
    case onnx::AttributeProto::INT:
      return std::int64_t{proto.i()};
    case onnx::AttributeProto::FLOAT:
      return proto.f();
    case onnx::AttributeProto::STRING:
      return proto.s();
    case onnx::AttributeProto::INTS:
      return std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
    case onnx::AttributeProto::FLOATS:
      return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case onnx::AttributeProto::STRINGS:
      return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case onnx::AttributeProto::TENSOR:
      return ReadTensor(proto.t());
    default:
      throw Refused();
  }
}

template <typename Proto>
Proto Load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  Proto proto;
  if (!proto.ParseFromIstream(&file)) throw Refused();
  return proto;
}

Graph ReadGraph(const onnx::ModelProto& model) {
  Graph graph;
  graph.opset = static_cast<int>(model.opset_import(0).version());
  if (model.opset_import_size() != 1 || graph.opset < 11) throw Refused();
  for (const auto& input : model.graph().input()) {
    if (!input.type().has_tensor_type()) throw Refused();
    graph.inputs.push_back({.name = input.name(), .dtype = TypeOf(input.type().tensor_type().elem_type())});
  }
  for (const auto& output : model.graph().output()) graph.outputs.push_back({.name = output.name()});
  for (const auto& initializer : model.graph().initializer()) {
    graph.initializers.push_back({.name = initializer.name(), .value = ReadTensor(initializer)});
  }
  for (const auto& proto : model.graph().node()) {
    Node node{
        .name = "node" + std::to_string(graph.nodes.size()), .op = proto.op_type(), .domain = proto.domain()};
    node.inputs.assign(proto.input().begin(), proto.input().end());
    node.outputs.assign(proto.output().begin(), proto.output().end());
    if (!plain::IsSupported(node)) throw Refused();
    for (const auto& attribute : proto.attribute())
      node.attributes[attribute.name()] = ReadAttribute(attribute);
    graph.nodes.push_back(std::move(node));
  }
  return graph;
}

// The first difference, or nothing. Floats: 1e-3 relative and 1e-5 absolute, as ONNX's own runner (1e-3,
// 1e-7) but for values next to zero.
std::optional<std::string> Difference(const Tensor& seen, const Tensor& wanted) {
  if (seen.dtype() != wanted.dtype() || seen.shape() != wanted.shape()) {
    return fmt::format("{} {} for {} {}", Name(seen.dtype()), ToString(seen.shape()), Name(wanted.dtype()),
                       ToString(wanted.shape()));
  }
  const std::vector<double> a = seen.ToVector<double>(), b = wanted.ToVector<double>();
  const bool exact =
      seen.dtype() != DType::kFloat32 && seen.dtype() != DType::kFloat64 && seen.dtype() != DType::kFloat16;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (exact || !(std::abs(a[i] - b[i]) <= 1e-5 + 1e-3 * std::abs(b[i])))
      return fmt::format("element {}: {} for {}", i, a[i], b[i]);
  }
  return {};
}

// The same case on the engine, where its first input is a picture (float, 1xCxHxW) and its only output is
// float: the other inputs become constants, as weights are. Nothing when it agrees; counts those that ran.
std::optional<std::string> RunOnEngine(Graph graph, const TensorMap& feeds, const Tensor& wanted, int& ran) {
  const auto& first = feeds.at(graph.inputs.at(0).name);
  const bool picture =
      first.dtype() == DType::kFloat32 && first.rank() == 4 && first.dim(0) == 1 && first.size() > 0;
  if (!picture || graph.outputs.size() != 1 || wanted.dtype() != DType::kFloat32) return {};
  for (std::size_t i = 1; i < graph.inputs.size(); ++i) {
    graph.initializers.push_back(
        {.name = graph.inputs[i].name, .role = Role::kConstant, .value = feeds.at(graph.inputs[i].name)});
  }
  graph.inputs.resize(1);
  graph.outputs[0].dtype = DType::kFloat32;
  try {
    const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), first.shape());
    engine::WeightStore weights;
    engine::Plan plan(engine::Lower(prepared), weights, {.threads = 2});
    Tensor scores = Tensor::Zeros(DType::kFloat32, wanted.shape());
    plan.Run({.planes = first.data<float>()}, {.scores = scores.data<float>()});
    ++ran;
    return Difference(scores, wanted);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUnsupported) return {};  // shapes that depend on values
    return fmt::format("on the engine: {}", error.what());
  }
}

// Nothing when every data set of the case comes out right; `on_engine` counts those that ran on the engine
// too.
std::optional<std::string> RunCase(const std::filesystem::path& folder, int& on_engine) {
  const Graph graph = ReadGraph(Load<onnx::ModelProto>(folder / "model.onnx"));
  PlainExecutor executor(graph, {.threads = 2});
  for (int set = 0; std::filesystem::exists(folder / fmt::format("test_data_set_{}", set)); ++set) {
    const std::filesystem::path data = folder / fmt::format("test_data_set_{}", set);
    TensorMap feeds;
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      feeds[graph.inputs[i].name] = ReadTensor(Load<onnx::TensorProto>(data / fmt::format("input_{}.pb", i)));
    }
    std::vector<Tensor> wanted;
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      wanted.push_back(ReadTensor(Load<onnx::TensorProto>(data / fmt::format("output_{}.pb", i))));
    }
    try {
      const TensorMap results = executor.Run(feeds);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (auto difference = Difference(results.at(graph.outputs[i].name), wanted[i]))
          return graph.outputs[i].name + ": " + *difference;
      }
      if (graph.inputs.empty()) continue;
      if (auto difference = RunOnEngine(graph, feeds, wanted.at(0), on_engine))
        return "engine: " + *difference;
    } catch (const Error& error) {
      return error.what();
    }
  }
  return {};
}

TEST(OnnxNodes, AgreeWithOnnxsOwnTests) {
  if (!std::filesystem::exists(kFolder))
    GTEST_SKIP() << kFolder << " is not there (libonnx-testdata): this test is skipped";
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    names.insert(entry.path().filename());
  int passed = 0, refused = 0, on_engine = 0;
  for (const std::string& name : names) {
    std::optional<std::string> difference;
    try {
      difference = RunCase(kFolder / name, on_engine);
    } catch (const Refused&) {
      ++refused;
      EXPECT_FALSE(kSkipped.contains(name)) << name << " is refused anyway: take it off the list";
      continue;
    }
    if (kSkipped.contains(name)) {
      EXPECT_TRUE(difference.has_value()) << name << " passes: take it off the list";
      continue;
    }
    EXPECT_FALSE(difference.has_value()) << name << ": " << difference.value_or("");
    passed += !difference.has_value();
  }
  for (const auto& [name, reason] : kSkipped)
    EXPECT_TRUE(names.contains(name)) << name << " is not there (" << reason << ")";
  RecordProperty("passed", passed);
  RecordProperty("refused", refused);
  EXPECT_GT(passed, 400) << refused << " were refused";
  EXPECT_GT(on_engine, 60);
  std::printf(
      "%d cases agree, %d of them on the engine too, %d need operators or types that frf does not claim\n",
      passed, on_engine, refused);
}

}  // namespace
}  // namespace frf
