// SPDX-License-Identifier: Apache-2.0
// Graph -> ONNX bytes. Subtle: everything is written in the graph's own order, attributes in the order of
// their names, tensors as raw little-endian bytes, nothing that depends on the day or the machine: the same
// model gives the same file.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <bit>
#include <climits>
#include <unordered_set>

#include "base/files.h"
#include "graph/output.h"
#include "onnx/internal.h"
#include "onnx/onnx_file.h"
#include "onnx/proto.h"

namespace frf {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

// IR 8 goes with opset 17; foreign files of newer opsets need a newer one.
int IrVersion(int opset) { return opset <= 18 ? 8 : opset <= 20 ? 9 : 10; }

void FillTensor(onnx::TensorProto& proto, const Tensor& tensor, const std::string& name) {
  if (!tensor.has_data() && tensor.size() > 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' has no values yet: load or draw the weights first", name));
  }
  for (const std::int64_t dim : tensor.shape()) proto.add_dims(dim);
  proto.set_data_type(OnnxType(tensor.dtype()));
  if (!name.empty()) proto.set_name(name);
  proto.set_raw_data(tensor.raw(), tensor.size() > 0 ? tensor.bytes() : 0);
}

struct AttributeWriter {
  onnx::AttributeProto& proto;
  void operator()(std::int64_t value) const {
    proto.set_type(onnx::AttributeProto_AttributeType_INT);
    proto.set_i(value);
  }
  void operator()(float value) const {
    proto.set_type(onnx::AttributeProto_AttributeType_FLOAT);
    proto.set_f(value);
  }
  void operator()(const std::string& value) const {
    proto.set_type(onnx::AttributeProto_AttributeType_STRING);
    proto.set_s(value);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    proto.set_type(onnx::AttributeProto_AttributeType_INTS);
    for (const std::int64_t value : values) proto.add_ints(value);
  }
  void operator()(const std::vector<float>& values) const {
    proto.set_type(onnx::AttributeProto_AttributeType_FLOATS);
    for (const float value : values) proto.add_floats(value);
  }
  void operator()(const std::vector<std::string>& values) const {
    proto.set_type(onnx::AttributeProto_AttributeType_STRINGS);
    for (const std::string& value : values) proto.add_strings(value);
  }
  void operator()(const Tensor& value) const {
    proto.set_type(onnx::AttributeProto_AttributeType_TENSOR);
    FillTensor(*proto.mutable_t(), value, "");
  }
};

void FillNode(onnx::NodeProto& proto, const Node& node) {
  proto.set_name(node.name);
  proto.set_op_type(node.op);
  for (const std::string& input : node.inputs) proto.add_input(input);
  for (const std::string& output : node.outputs) proto.add_output(output);
  for (const auto& [key, value] : node.attributes) {
    onnx::AttributeProto& attribute = *proto.add_attribute();
    attribute.set_name(key);
    std::visit(AttributeWriter{attribute}, value);
  }
}

template <typename Port>  // GraphInput or GraphOutput
void FillPort(onnx::ValueInfoProto& proto, const Port& port) {
  proto.set_name(port.name);
  onnx::TypeProto_Tensor& type = *proto.mutable_type()->mutable_tensor_type();
  type.set_elem_type(OnnxType(port.dtype));
  if (port.shape.empty()) return;
  onnx::TensorShapeProto& shape = *type.mutable_shape();
  for (std::size_t i = 0; i < port.shape.size(); ++i) {
    onnx::TensorShapeProto_Dimension& dim = *shape.add_dim();
    if (port.shape[i] >= 0) {
      dim.set_dim_value(port.shape[i]);
    } else if (i < port.dim_names.size() && !port.dim_names[i].empty()) {
      dim.set_dim_param(port.dim_names[i]);
    }
  }
}

onnx::ModelProto MakeProto(const Graph& graph, const Metadata& metadata) {
  onnx::ModelProto model;
  model.set_ir_version(IrVersion(graph.opset));
  model.set_producer_name("frf");
  onnx::OperatorSetIdProto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(graph.opset);
  onnx::GraphProto& proto = *model.mutable_graph();
  proto.set_name(graph.name);
  for (const Node& node : graph.nodes) FillNode(*proto.add_node(), node);
  for (const Initializer& initializer : graph.initializers)
    FillTensor(*proto.add_initializer(), initializer.value, initializer.name);
  for (const GraphInput& input : graph.inputs) FillPort(*proto.add_input(), input);
  for (const GraphOutput& output : graph.outputs) FillPort(*proto.add_output(), output);
  for (const auto& [key, value] : metadata) {
    onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return model;
}

std::string Serialize(const onnx::ModelProto& model) {
  const std::size_t size = model.ByteSizeLong();
  if (size > static_cast<std::size_t>(INT_MAX)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the model would take {} bytes, an ONNX file holds at most {}", size, INT_MAX));
  }
  std::string bytes;
  bytes.reserve(size);
  google::protobuf::io::StringOutputStream stream(&bytes);
  bool good = false;
  {
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    good = model.SerializeToCodedStream(&coded) && !coded.HadError();
  }
  if (!good || bytes.size() != size)
    throw Error(ErrorCode::kInternal, "protobuf could not serialise the model");
  return bytes;
}

bool HasSize(const Graph& graph, std::pair<int, int> size) {
  const Shape& shape = ImageInput(graph).shape;
  return shape.size() == 4 && shape[2] == size.first && shape[3] == size.second;
}

bool GivesLabels(const Graph& graph) {
  return graph.outputs.size() == 1 && graph.outputs[0].dtype == DType::kUint8;
}

void CheckClasses(const Graph& graph, const ModelInfo& info, const std::string& file) {
  const auto classes = ScoreClasses(graph);
  if (!classes || *classes == info.classes.count()) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: {} has {} channels, names of {} classes are given{}", file, MainOutputText(graph),
                  *classes, info.classes.count(), *classes == 1 ? kTwoOfASigmoid : ""));
}

// The model's facts, then what others wrote into the file that the graph came from.
Metadata StampedMetadata(const ModelInfo& info, const Graph& graph) {
  Metadata metadata = ToMetadata(info);
  std::unordered_set<std::string> keys;
  for (const auto& [key, value] : metadata) keys.insert(key);
  for (const auto& [key, value] : graph.metadata) {
    if (!key.starts_with("frf.") && keys.insert(key).second) metadata.emplace_back(key, value);
  }
  return metadata;
}

}  // namespace

std::optional<std::int64_t> ScoreClasses(const Graph& graph) {
  const GraphOutput& output = MainOutput(graph);
  const bool scores = output.dtype == DType::kFloat32 && output.shape.size() == 4 && output.shape[1] >= 0;
  return scores ? std::optional(output.shape[1]) : std::nullopt;
}

std::string SerializeOnnx(const Model& model, const WriteOptions& options) {
  Graph graph = model.graph;
  ModelInfo info = model.info;
  const bool stamp =
      model.stamped || !info.classes.names.empty();  // classes given to a foreign graph stamp it
  if (!IsLowered(graph) || (options.size && !HasSize(graph, *options.size))) {
    graph = LowerToOnnx(graph, options.size);
  }
  graph.Validate();
  if (stamp) CheckClasses(graph, info, model.file.empty() ? graph.name : model.file);
  if (options.uint8_input) AddUint8Input(graph, info.input);
  if (options.argmax && !GivesLabels(graph)) AddArgMax(graph);
  if (options.argmax) info.output = "labels";
  if (options.half) {
    StoreHalf(graph);
    info.weights = "f16";
  }
  if (model.stamped) return Serialize(MakeProto(graph, ToMetadata(info)));
  return Serialize(MakeProto(graph, stamp ? StampedMetadata(info, graph) : graph.metadata));
}

void WriteOnnx(const Model& model, const std::string& path, const WriteOptions& options) {
  WriteFileAtomically(path, SerializeOnnx(model, options));
}

}  // namespace frf
