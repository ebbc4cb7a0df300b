// SPDX-License-Identifier: Apache-2.0
// ONNX bytes -> Graph, through our own validation (onnx's checker is not linked). Nothing in a file is
// trusted: sizes are held against the bytes that are there, names, order, types and operators are checked,
// and each error names file and node. Subtle: the graph keeps the file's own opset and form; only `Constant`
// nodes become initialisers, and missing or repeated node names of foreign files are made up.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <climits>
#include <new>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "base/files.h"
#include "base/text.h"
#include "graph/operators.h"
#include "graph/output.h"
#include "onnx/internal.h"
#include "onnx/onnx_file.h"
#include "onnx/proto.h"
#include "onnx/wire.h"

namespace frf {
namespace {

constexpr int kMinOpset = 11, kMaxOpset = 21;
constexpr std::size_t kMaxName = 1024;

class Reader {
 public:
  Reader(const std::string& file, const ReadOptions& options) : file_(file), options_(options) {}

  Model Read(const std::string& bytes) {
    ParseProto(bytes);
    CheckHeader();
    Model model;
    model.file = file_;
    ReadMetadata(model);
    Graph& graph = model.graph;
    graph.name = CheckedName(proto_.graph().name(), "the graph");
    graph.opset = opset_;
    ReadInitializers(graph);
    ReadInputs(graph);
    ReadNodes(graph);
    ReadOutputs(graph);
    DeriveRoles(graph, /*foreign=*/!model.info.net.starts_with("frfnet"));
    try {
      graph.Validate();
    } catch (const Error& error) {
      throw Error(error.code(), file_ + ": " + error.what());
    }
    CheckClasses(model);
    return model;
  }

 private:
  [[noreturn]] void Corrupt(const std::string& message) const {
    throw Error(ErrorCode::kCorruptFile, file_ + ": " + message);
  }
  [[noreturn]] void Unsupported(const std::string& message) const {
    throw Error(ErrorCode::kUnsupported, file_ + ": " + message);
  }

  void ParseProto(const std::string& bytes) {
    if (bytes.empty()) Corrupt("is empty, an ONNX file was wanted");
    if (bytes.size() > static_cast<std::size_t>(INT_MAX))
      Unsupported(fmt::format("{} bytes, at most {} are read", bytes.size(), INT_MAX));
    if (CountOnnxRecords(bytes) > kMaxOnnxRecords)
      Corrupt(fmt::format("more than {} records; no network has so many", kMaxOnnxRecords));
    const google::protobuf::LogSilencer quiet;
    google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                  static_cast<int>(bytes.size()));
    stream.SetTotalBytesLimit(static_cast<int>(bytes.size()));
    if (!proto_.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
      if (bytes.starts_with("FRFCKPT"))
        Corrupt("is a checkpoint of frf; name its run folder, whose config.json belongs to it");
      Corrupt(fmt::format("is no ONNX file, or its {} bytes are damaged or cut short", bytes.size()));
    }
  }

  void CheckHeader() {
    if (!proto_.has_graph() || proto_.opset_import_size() == 0) Corrupt("holds no ONNX graph");
    if (proto_.ir_version() < 3 || proto_.ir_version() > 100)
      Corrupt(fmt::format("has IR version {}", proto_.ir_version()));
    std::unordered_set<std::string> domains;
    for (const onnx::OperatorSetIdProto& set : proto_.opset_import()) {
      const std::string domain = set.domain() == "ai.onnx" ? "" : set.domain();
      if (!domains.insert(domain).second)
        Corrupt(fmt::format("imports operators of '{}' twice", Printable(domain)));
      if (!domain.empty()) continue;
      if (set.version() < kMinOpset || set.version() > kMaxOpset) {
        Unsupported(fmt::format("is of opset {}, {} to {} are read; convert it with onnx.version_converter",
                                set.version(), kMinOpset, kMaxOpset));
      }
      opset_ = static_cast<int>(set.version());
    }
    if (opset_ == 0) Corrupt("does not import ONNX's own operators");
    if (proto_.functions_size() > 0)
      Unsupported("defines functions of its own; inline them (onnx.inliner) and try again");
    if (proto_.graph().sparse_initializer_size() > 0)
      Unsupported("holds sparse initialisers, which frf does not read");
  }

  void ReadMetadata(Model& model) {
    bool stamped = false;
    for (const onnx::StringStringEntryProto& entry : proto_.metadata_props()) {
      model.graph.metadata.emplace_back(entry.key(), entry.value());
      stamped = stamped || entry.key().starts_with("frf.");
    }
    model.stamped = stamped || options_.require_stamp;
    if (!model.stamped) return;
    // Metadata stand last in a file, and protobuf takes a file that ends between two entries for a whole one.
    const bool complete = std::any_of(model.graph.metadata.begin(), model.graph.metadata.end(),
                                      [](const auto& entry) { return entry.first == "frf.weights"; });
    if (stamped && !complete && proto_.producer_name() == "frf") {
      Corrupt("ends before 'frf.weights'; was the copy cut short?");
    }
    model.info = ModelInfoFromMetadata(model.graph.metadata, file_);
  }

  std::string CheckedName(const std::string& name, const std::string& what) const {
    const bool plain =
        std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 32 || c == 127; });
    if (name.size() <= kMaxName && plain) return name;
    Corrupt(fmt::format("{} has the name '{}', too long or with control characters", what, Printable(name)));
  }

  void ReadInitializers(Graph& graph) {
    for (onnx::TensorProto& tensor : *proto_.mutable_graph()->mutable_initializer()) {
      const std::string name = CheckedName(tensor.name(), "an initialiser");
      if (name.empty()) Corrupt("an initialiser has no name");
      if (!initializers_.insert(name).second)
        Corrupt(fmt::format("two initialisers are named '{}'", Printable(name)));
      graph.initializers.push_back(
          {name, Role::kConstant, Init::kGiven, TakeTensor(tensor, file_ + ": '" + name + "'"), false});
    }
  }

  template <typename Port>
  void ReadType(const onnx::ValueInfoProto& proto, const char* kind, Port& port) const {
    port.name = CheckedName(proto.name(), kind);
    if (!proto.has_type() || !proto.type().has_tensor_type()) {
      if (std::is_same_v<Port, GraphOutput> && !proto.has_type()) return;
      Unsupported(fmt::format("{} '{}' is no tensor", kind, port.name));
    }
    const onnx::TypeProto_Tensor& type = proto.type().tensor_type();
    port.dtype = TypeFromOnnx(type.elem_type(), fmt::format("{}: {} '{}'", file_, kind, port.name));
    if (type.shape().dim_size() > kMaxRank)
      Corrupt(fmt::format("{} '{}' has {} dimensions", kind, port.name, type.shape().dim_size()));
    for (const onnx::TensorShapeProto_Dimension& dim : type.shape().dim()) {
      const bool fixed =
          dim.has_dim_value() && dim.dim_value() > 0;  // some exporters write 0 or -1 for a free dimension
      if (fixed && dim.dim_value() > INT32_MAX)
        Corrupt(fmt::format("{} '{}' has a dimension of {}", kind, port.name, dim.dim_value()));
      port.shape.push_back(fixed ? dim.dim_value() : -1);
      port.dim_names.push_back(dim.has_dim_param() ? CheckedName(dim.dim_param(), "a dimension") : "");
    }
  }

  void ReadInputs(Graph& graph) {
    for (const onnx::ValueInfoProto& proto : proto_.graph().input()) {
      if (initializers_.contains(proto.name())) continue;  // its default: older files list both
      GraphInput input;
      ReadType(proto, "input", input);
      graph.inputs.push_back(std::move(input));
    }
    if (graph.inputs.empty()) Corrupt("the graph has no input");
  }

  void ReadOutputs(Graph& graph) const {
    std::unordered_set<std::string> names;
    for (const onnx::ValueInfoProto& proto : proto_.graph().output()) {
      GraphOutput output;
      ReadType(proto, "output", output);
      if (!names.insert(output.name).second) Corrupt(fmt::format("two outputs are named '{}'", output.name));
      graph.outputs.push_back(std::move(output));
    }
    if (graph.outputs.empty()) Corrupt("the graph has no output");
  }

  Attribute ReadAttribute(onnx::AttributeProto& proto, const std::string& what) const {
    switch (proto.type()) {
      case onnx::AttributeProto_AttributeType_INT:
        return std::int64_t{proto.i()};
      case onnx::AttributeProto_AttributeType_FLOAT:
        return proto.f();
      case onnx::AttributeProto_AttributeType_STRING:
        return proto.s();
      case onnx::AttributeProto_AttributeType_INTS:
        return std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
      case onnx::AttributeProto_AttributeType_FLOATS:
        return std::vector<float>(proto.floats().begin(), proto.floats().end());
      case onnx::AttributeProto_AttributeType_STRINGS:
        return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
      case onnx::AttributeProto_AttributeType_TENSOR:
        return TakeTensor(*proto.mutable_t(), file_ + ": " + what);
      default:
        break;
    }
    Unsupported(fmt::format("{} is of a kind that frf does not read (type {})", what,
                            static_cast<int>(proto.type())));
  }

  void ReadNodes(Graph& graph) {
    std::unordered_set<std::string> names;
    for (const onnx::NodeProto& proto : proto_.graph().node()) {
      if (!proto.name().empty()) names.insert(proto.name());
    }
    std::unordered_set<std::string> used;
    // By stem: searched from 2 each time, many nodes of one name would cost their square.
    std::unordered_map<std::string, int> next_suffix;
    for (onnx::NodeProto& proto : *proto_.mutable_graph()->mutable_node()) {
      Node node;
      node.op = CheckedName(proto.op_type(), "an operator");
      node.name = CheckedName(proto.name(), "a node (" + node.op + ")");
      const std::string stem =
          node.name.empty() ? fmt::format("{}_{}", node.op, graph.nodes.size()) : node.name;
      if (node.name.empty() || used.contains(node.name)) {
        node.name = stem;
        int& suffix = next_suffix.try_emplace(stem, 2).first->second;
        while (names.contains(node.name) || used.contains(node.name))
          node.name = fmt::format("{}_{}", stem, suffix++);
      }
      used.insert(node.name);
      ReadNode(proto, node);
      if (node.Is("Constant")) {
        AddConstant(graph, node);
      } else {
        graph.nodes.push_back(std::move(node));
      }
    }
    if (graph.nodes.empty()) Corrupt("the graph has no nodes");
  }

  void ReadNode(onnx::NodeProto& proto, Node& node) const {
    node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
    if (!node.domain.empty() || FindOperator(node.op, "") == nullptr) {
      Unsupported(fmt::format("node '{}' is a '{}{}{}', which frf does not run", node.name,
                              Printable(node.domain), node.domain.empty() ? "" : ".", Printable(node.op)));
    }
    for (const std::string& input : proto.input())
      node.inputs.push_back(CheckedName(input, "an input of '" + node.name + "'"));
    for (const std::string& output : proto.output())
      node.outputs.push_back(CheckedName(output, "an output of '" + node.name + "'"));
    for (onnx::AttributeProto& attribute : *proto.mutable_attribute()) {
      const std::string key = CheckedName(attribute.name(), "an attribute of '" + node.name + "'");
      const std::string what = fmt::format("attribute '{}' of node '{}' ({})", key, node.name, node.op);
      if (!attribute.ref_attr_name().empty()) Unsupported(what + " refers to a function's attribute");
      if (!node.attributes.emplace(key, ReadAttribute(attribute, what)).second)
        Corrupt(what + " stands twice");
    }
  }

  void AddConstant(Graph& graph, const Node& node) {
    if (node.outputs.size() != 1 || node.outputs[0].empty() || node.attributes.size() != 1) {
      Corrupt(fmt::format("node '{}' (Constant) wants one output and one attribute", node.name));
    }
    const auto& [key, attribute] = *node.attributes.begin();
    Tensor value;
    if (const Tensor* tensor = std::get_if<Tensor>(&attribute)) {
      value = *tensor;
    } else if (const auto* number = std::get_if<float>(&attribute)) {
      value = Tensor::Scalar(*number);
    } else if (const auto* whole = std::get_if<std::int64_t>(&attribute)) {
      value = Tensor::Scalar(*whole);
    } else if (const auto* floats = std::get_if<std::vector<float>>(&attribute)) {
      value = Tensor::Of({static_cast<std::int64_t>(floats->size())}, *floats);
    } else if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&attribute)) {
      value = Tensor::Of({static_cast<std::int64_t>(ints->size())}, *ints);
    } else {
      Unsupported(fmt::format("node '{}' (Constant) holds text", node.name));
    }
    if (!initializers_.insert(node.outputs[0]).second)
      Corrupt(fmt::format("'{}' is made twice", node.outputs[0]));
    graph.initializers.push_back({node.outputs[0], Role::kConstant, Init::kGiven, std::move(value), false});
  }

  // What a tensor is follows from who reads it: a file does not say. `product`: it counts as
  // weights where a MatMul reads it.
  static Role RoleOf(const Graph& graph, const GraphIndex& index, const std::string& value, bool product,
                     int depth) {
    const auto consumers = index.consumers.find(value);
    if (consumers == index.consumers.end()) return Role::kConstant;
    for (const int position : consumers->second) {
      const Node& node = graph.nodes[position];
      const std::size_t slot = std::find(node.inputs.begin(), node.inputs.end(), value) - node.inputs.begin();
      if (node.Is("BatchNormalization") && slot >= 1) return slot >= 3 ? Role::kState : Role::kParameter;
      const bool layer = node.Is("Conv") || node.Is("ConvTranspose") || node.Is("Gemm") || node.Is("PRelu") ||
                         node.Is("InstanceNormalization") || node.Is("GroupNormalization") ||
                         node.Is("LayerNormalization");
      if (layer && slot >= 1) return Role::kParameter;
      if (product && node.Is("MatMul")) return Role::kParameter;
      const bool passes =
          (node.Is("Cast") || node.Is("DequantizeLinear")) && slot == 0 && !node.outputs.empty();
      if (passes && depth < 4) {
        const Role role = RoleOf(graph, index, node.outputs[0], product, depth + 1);
        if (role != Role::kConstant) return role;
      }
    }
    return Role::kConstant;
  }

  // `foreign`: of a network that frf does not know, whose MatMul multiply by weights; frf's own by tables.
  static void DeriveRoles(Graph& graph, bool foreign) {
    const GraphIndex index(graph);
    for (Initializer& initializer : graph.initializers) {
      const DType type = initializer.value.dtype();
      if (type == DType::kInt64 || type == DType::kBool) continue;
      initializer.role =
          RoleOf(graph, index, initializer.name, foreign && initializer.value.shape().size() >= 2, 0);
    }
  }

  void CheckClasses(const Model& model) const {
    if (!model.stamped || model.info.output != "scores") return;
    const auto classes = ScoreClasses(model.graph);
    if (classes && *classes != model.info.classes.count()) {
      Corrupt(fmt::format("{} has {} channels, 'frf.classes' names {}{}", MainOutputText(model.graph),
                          *classes, model.info.classes.count(), *classes == 1 ? kTwoOfASigmoid : ""));
    }
  }

  const std::string file_;
  const ReadOptions options_;
  onnx::ModelProto proto_;
  int opset_ = 0;
  std::unordered_set<std::string> initializers_;
};

}  // namespace

Model ParseOnnx(const std::string& bytes, const std::string& file, const ReadOptions& options) {
  try {
    return Reader(file, options).Read(bytes);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, file + ": there is not enough memory to read it");
  } catch (const std::length_error&) {
    throw Error(ErrorCode::kCorruptFile, file + ": a size in it is impossible");
  }
}

Model ReadOnnx(const std::string& path, const ReadOptions& options) {
  return ParseOnnx(ReadFile(path, static_cast<std::uint64_t>(INT_MAX)), path, options);
}

}  // namespace frf
