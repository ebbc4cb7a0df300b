// SPDX-License-Identifier: Apache-2.0
// Files from outside: cut, damaged, absurd or merely foreign. Each is read or refused in one line that starts
// with the file's name; none crashes or asks for memory that the bytes do not justify.
#define ONNX_NAMESPACE onnx
#define ONNX_ML 1
#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <chrono>
#include <functional>

#include "onnx/sample.h"
#include "onnx/wire.h"
#include "support/support.h"

namespace frf {
namespace {

using Change = std::function<void(onnx::ModelProto&)>;

std::string SmallFile() {
  Builder g("small");
  const Value x = g.Input("image", 3);
  const Value y = g.BatchNorm(g.Conv(x, {.name = "conv", .out = 2, .kernel = 3}), "bn");
  g.Output(g.ResizeLike(g.MaxPool(g.Relu(y), {.kernel = 2, .stride = 2}), x), "scores", OutputRole::kScores);
  Model model{.graph = std::move(g).Build(), .info = test::InfoFor(2), .stamped = true};
  test::FillWeights(model.graph, 4);
  return SerializeOnnx(model);
}

std::string Changed(const Change& change) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(SmallFile()));
  change(proto);
  return proto.SerializeAsString();
}

onnx::TensorProto& Weight(onnx::ModelProto& m) { return *m.mutable_graph()->mutable_initializer(0); }

void Refused(const Change& change, ErrorCode code, const std::string& part) {
  SCOPED_TRACE(part);
  const std::string bytes = Changed(change);
  EXPECT_FRF_ERROR(ParseOnnx(bytes, "bad.onnx"), code, "bad.onnx: ");
  EXPECT_FRF_ERROR(ParseOnnx(bytes, "bad.onnx"), code, part);
}

// Reads, and where that succeeds runs: either works or throws an Error of one line.
void ReadAndRun(const std::string& bytes) {
  try {
    const Model model = ParseOnnx(bytes, "odd.onnx");
    if (model.graph.inputs.size() != 1 || model.graph.inputs[0].shape.size() != 4) return;
    PlainExecutor executor(model.graph, {.threads = 1, .max_memory = 64 << 20});
    executor.Run({{model.graph.inputs[0].name, test::RandomTensor({1, 3, 8, 8}, 1)}});
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_LT(std::strlen(error.what()), 2000u);
  }
}

TEST(Hostile, TheSampleItselfIsFine) {
  EXPECT_NO_THROW(ParseOnnx(SmallFile(), "good.onnx"));
  EXPECT_TRUE(Changed([](onnx::ModelProto&) {}) == SmallFile());
}

TEST(Hostile, CutAtEveryThousandthByte) {
  Model model{.graph = test::Net("frfnet-slim"), .info = test::InfoFor(5), .stamped = true};
  const std::string bytes = SerializeOnnx(model, {.half = true});
  int refused = 0, cuts = 0;
  for (std::size_t cut = 0; cut < bytes.size(); cut += cut < 20000 ? 1000 : 100000) {
    ++cuts;
    try {
      ParseOnnx(bytes.substr(0, cut), "cut.onnx");
      ADD_FAILURE() << "cut to " << cut << " bytes it was still read";
    } catch (const Error& error) {
      refused += error.code() == ErrorCode::kCorruptFile;
      EXPECT_EQ(std::string(error.what()).rfind("cut.onnx: ", 0), 0u);
    }
  }
  EXPECT_EQ(refused, cuts);
}

TEST(Hostile, CutAtEveryByteOfASmallFile) {
  const std::string bytes = SmallFile();
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_THROW(ParseOnnx(bytes.substr(0, cut), "cut.onnx"), Error) << cut;
  }
}

TEST(Hostile, FlippedBytesEndInAResultOrOneLine) {
  const std::string good = SmallFile();
  Random random(77);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (std::int64_t flips = 1 + random.Below(3); flips > 0; --flips) {
      bytes[random.Below(static_cast<std::int64_t>(bytes.size()))] = static_cast<char>(random.Below(256));
    }
    ReadAndRun(bytes);
  }
}

TEST(Hostile, NoOnnxAtAll) {
  EXPECT_FRF_ERROR(ParseOnnx("", "x.onnx"), ErrorCode::kCorruptFile, "empty");
  EXPECT_FRF_ERROR(ParseOnnx("\x89PNG\r\n\x1a\n", "x.onnx"), ErrorCode::kCorruptFile, "x.onnx");
  EXPECT_FRF_ERROR(ParseOnnx(std::string(4096, '\0'), "x.onnx"), ErrorCode::kCorruptFile, "x.onnx");
  EXPECT_FRF_ERROR(ParseOnnx(std::string(4096, '\xff'), "x.onnx"), ErrorCode::kCorruptFile, "x.onnx");
}

TEST(Hostile, Headers) {
  Refused([](auto& m) { m.set_ir_version(0); }, ErrorCode::kCorruptFile, "IR version 0");
  Refused([](auto& m) { m.set_ir_version(1 << 30); }, ErrorCode::kCorruptFile, "IR version");
  Refused([](auto& m) { m.mutable_opset_import(0)->set_version(10); }, ErrorCode::kUnsupported,
          "opset 10, 11 to 21");
  Refused([](auto& m) { m.mutable_opset_import(0)->set_version(INT64_MAX); }, ErrorCode::kUnsupported,
          "opset");
  Refused([](auto& m) { m.mutable_opset_import(0)->set_version(-17); }, ErrorCode::kUnsupported, "opset -17");
  Refused([](auto& m) { m.mutable_opset_import(0)->set_domain("com.example"); }, ErrorCode::kCorruptFile,
          "ONNX's own");
  Refused([](auto& m) { *m.add_opset_import() = m.opset_import(0); }, ErrorCode::kCorruptFile, "twice");
  Refused([](auto& m) { m.clear_graph(); }, ErrorCode::kCorruptFile, "no ONNX graph");
  Refused([](auto& m) { m.clear_opset_import(); }, ErrorCode::kCorruptFile, "no ONNX graph");
  Refused([](auto& m) { m.add_functions()->set_name("f"); }, ErrorCode::kUnsupported, "functions");
  Refused([](auto& m) { m.mutable_graph()->add_sparse_initializer(); }, ErrorCode::kUnsupported, "sparse");
}

TEST(Hostile, TensorSizes) {
  const auto dims = [](std::vector<std::int64_t> values) {
    return [values](onnx::ModelProto& m) {
      Weight(m).clear_dims();
      for (const std::int64_t value : values) Weight(m).add_dims(value);
    };
  };
  Refused(dims({1 << 30, 1 << 30, 1 << 30}), ErrorCode::kCorruptFile, "impossible shape");
  Refused(dims({INT64_MAX}), ErrorCode::kCorruptFile, "impossible shape");
  Refused(dims({-2, 27}), ErrorCode::kCorruptFile, "impossible shape");
  Refused(dims({1LL << 40}), ErrorCode::kCorruptFile, "it has 216");
  Refused(dims({2, 3, 3, 4}), ErrorCode::kCorruptFile, "wants 288 bytes, it has 216");
  Refused(dims({0}), ErrorCode::kCorruptFile, "wants 0 bytes, it has 216");
  Refused(dims(std::vector<std::int64_t>(40, 1)), ErrorCode::kCorruptFile, "40 dimensions");
  Refused([](auto& m) { Weight(m).mutable_raw_data()->pop_back(); }, ErrorCode::kCorruptFile, "it has 215");
  Refused(
      [](auto& m) {
        Weight(m).clear_raw_data();
        Weight(m).add_float_data(1.0f);
      },
      ErrorCode::kCorruptFile, "wants 54 values, it has 1");
  Refused([](auto& m) { Weight(m).clear_raw_data(); }, ErrorCode::kCorruptFile, "wants 54 values, it has 0");
}

TEST(Hostile, TensorTypes) {
  Refused([](auto& m) { Weight(m).set_data_type(8); }, ErrorCode::kUnsupported, "STRING");
  Refused([](auto& m) { Weight(m).set_data_type(16); }, ErrorCode::kUnsupported, "BFLOAT16");
  Refused([](auto& m) { Weight(m).set_data_type(0); }, ErrorCode::kCorruptFile, "element type 0");
  Refused([](auto& m) { Weight(m).set_data_type(999); }, ErrorCode::kCorruptFile, "element type 999");
  Refused([](auto& m) { Weight(m).set_data_type(7); }, ErrorCode::kCorruptFile, "wants 432 bytes");  // int64
  Refused([](auto& m) { Weight(m).set_data_location(onnx::TensorProto_DataLocation_EXTERNAL); },
          ErrorCode::kUnsupported, "another file");
  Refused(
      [](auto& m) {
        auto* entry = Weight(m).add_external_data();
        entry->set_key("location");
        entry->set_value("../../etc/passwd");
      },
      ErrorCode::kUnsupported, "another file");
  Refused([](auto& m) { Weight(m).mutable_segment()->set_begin(0); }, ErrorCode::kUnsupported, "segments");
}

TEST(Hostile, Names) {
  Refused([](auto& m) { *m.mutable_graph()->add_initializer() = Weight(m); }, ErrorCode::kCorruptFile,
          "two initialisers");
  Refused([](auto& m) { Weight(m).clear_name(); }, ErrorCode::kCorruptFile, "no name");
  Refused([](auto& m) { Weight(m).set_name("a\nb"); }, ErrorCode::kCorruptFile, "'a?b'");
  Refused([](auto& m) { Weight(m).set_name(std::string(5000, 'x')); }, ErrorCode::kCorruptFile, "too long");
  Refused([](auto& m) { Weight(m).set_name("renamed"); }, ErrorCode::kCorruptFile, "conv.weight");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(1)->set_output(0, m.graph().node(0).output(0)); },
          ErrorCode::kCorruptFile, "exists already");
  Refused([](auto& m) { m.mutable_graph()->mutable_output(0)->set_name("nothing"); }, ErrorCode::kCorruptFile,
          "nothing");
  Refused([](auto& m) { *m.mutable_graph()->add_output() = m.graph().output(0); }, ErrorCode::kCorruptFile,
          "two outputs");
  Refused([](auto& m) { *m.mutable_graph()->add_input() = m.graph().input(0); }, ErrorCode::kCorruptFile,
          "name of another value");
}

TEST(Hostile, OrderAndCycles) {
  Refused([](auto& m) { m.mutable_graph()->mutable_node()->SwapElements(0, 1); }, ErrorCode::kCorruptFile,
          "not sorted");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, m.graph().node(2).output(0)); },
          ErrorCode::kCorruptFile, "not sorted");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, m.graph().node(0).output(0)); },
          ErrorCode::kCorruptFile, "not sorted");
  Refused([](auto& m) { m.mutable_graph()->clear_node(); }, ErrorCode::kCorruptFile, "no nodes");
  Refused([](auto& m) { m.mutable_graph()->clear_input(); }, ErrorCode::kCorruptFile, "no input");
  Refused([](auto& m) { m.mutable_graph()->clear_output(); }, ErrorCode::kCorruptFile, "no output");
}

TEST(Hostile, OperatorsAndAttributes) {
  Refused([](auto& m) { m.mutable_graph()->mutable_node(2)->set_op_type("Loop"); }, ErrorCode::kUnsupported,
          "'Loop'");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(2)->set_op_type("Loop"); }, ErrorCode::kUnsupported,
          "'relu'");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(2)->set_domain("com.example"); },
          ErrorCode::kUnsupported, "com.example.Relu");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(2)->set_domain("frf"); }, ErrorCode::kUnsupported,
          "frf.Relu");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(2)->add_input("image"); }, ErrorCode::kCorruptFile,
          "2 inputs");
  Refused(
      [](auto& m) { *m.mutable_graph()->mutable_node(0)->add_attribute() = m.graph().node(0).attribute(0); },
      ErrorCode::kCorruptFile, "twice");
  Refused(
      [](auto& m) {
        auto* attribute = m.mutable_graph()->mutable_node(0)->mutable_attribute(0);
        attribute->set_type(onnx::AttributeProto_AttributeType_GRAPH);
      },
      ErrorCode::kUnsupported, "of node 'conv'");
  Refused([](auto& m) { m.mutable_graph()->mutable_node(0)->mutable_attribute(0)->set_ref_attr_name("x"); },
          ErrorCode::kUnsupported, "function's attribute");
  Refused([](auto& m) { m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_sequence_type(); },
          ErrorCode::kUnsupported, "no tensor");
}

TEST(Hostile, ClassesThatDoNotFitTheScores) {
  Refused(
      [](auto& m) {
        for (auto& entry : *m.mutable_metadata_props()) {
          if (entry.key() == "frf.classes") entry.set_value(R"(["a","b","c"])");
          if (entry.key() == "frf.palette") entry.set_value("[[0,0,0],[1,1,1],[2,2,2]]");
        }
      },
      ErrorCode::kCorruptFile, "2 channels, 'frf.classes' names 3");
}

TEST(Hostile, RecordsAreCountedBeforeTheyAreBuilt) {
  const std::string small = SmallFile();
  EXPECT_GT(CountOnnxRecords(small), 40);
  EXPECT_LT(CountOnnxRecords(small), 400);
  // A graph of three million empty nodes: 6 MB that would take hundreds in memory.
  std::string nodes;
  for (int i = 0; i < 3'000'000; ++i) nodes += std::string("\x0a\x00", 2);
  onnx::ModelProto proto;
  proto.set_ir_version(8);
  std::string bytes = proto.SerializeAsString();
  bytes += '\x3a';
  for (std::size_t size = nodes.size(); size > 0; size >>= 7) {
    bytes += static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
  }
  bytes += nodes;
  EXPECT_FRF_ERROR(ParseOnnx(bytes, "bomb.onnx"), ErrorCode::kCorruptFile, "records");
}

// `count` nodes in a row, all of that name, from the image to the scores.
std::string SameNames(int count, const std::string& name, const std::string& second = "") {
  return Changed([&](onnx::ModelProto& m) {
    onnx::GraphProto& graph = *m.mutable_graph();
    graph.clear_node();
    for (int i = 0; i < count; ++i) {
      onnx::NodeProto& node = *graph.add_node();
      node.set_op_type("Relu");
      node.set_name(i == 1 && !second.empty() ? second : name);
      node.add_input(i == 0 ? "image" : fmt::format("v{}", i - 1));
      node.add_output(i + 1 == count ? "scores" : fmt::format("v{}", i));
    }
    graph.mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  });
}

TEST(Foreign, RepeatedNamesGetTheNextFreeNumber) {
  const Model model = ParseOnnx(SameNames(5, "a", "a_3"), "x.onnx");
  std::vector<std::string> names;
  for (const Node& node : model.graph.nodes) names.push_back(node.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "a_3", "a_2", "a_4", "a_5"}));
}

TEST(Hostile, ManyNodesOfOneNameCostNoMoreThanOthers) {
  const std::string bytes = SameNames(40'000, "a");
  const auto start = std::chrono::steady_clock::now();
  const Model model = ParseOnnx(bytes, "x.onnx");
  EXPECT_EQ(model.graph.nodes.back().name, "a_40000");
  // Searched from 2 each time these are 800 million names: a minute.
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 15);
}

TEST(Foreign, ClassesAreCountedInTheMainOutputAndInScoresOnly) {
  const Model small = ParseOnnx(SmallFile(), "x.onnx");
  // Labels of 1x1xHxW, as ArgMax with keepdims gives them, have no channel a class.
  Model labels = small;
  labels.graph.nodes.push_back({.name = "best", .op = "ArgMax", .inputs = {"scores"}, .outputs = {"ids"}});
  labels.graph.nodes.back().attributes["axis"] = std::int64_t{1};
  labels.graph.outputs = {{.name = "ids", .dtype = DType::kInt64, .shape = {-1, 1, -1, -1}}};
  for (const char* said : {"scores", "labels"}) {
    labels.info.output = said;
    EXPECT_EQ(ParseOnnx(SerializeOnnx(labels), "x.onnx").graph.outputs[0].dtype, DType::kInt64);
  }
  // Features of any number of channels may stand before the scores.
  Model features = small;
  GraphOutput first = small.graph.outputs[0];
  first.name = small.graph.nodes[0].outputs[0];
  first.shape = {-1, 64, -1, -1};
  features.graph.outputs.insert(features.graph.outputs.begin(), first);
  EXPECT_EQ(ParseOnnx(SerializeOnnx(features), "x.onnx").graph.outputs.size(), 2u);
  features.graph.outputs[1].shape = {-1, 64, -1, -1};
  EXPECT_FRF_ERROR(SerializeOnnx(features), ErrorCode::kInvalidArgument,
                   "has 64 channels, names of 2 classes");
}

TEST(Foreign, TypedFieldsConstantsAndMissingNamesAreRead) {
  const std::string bytes = Changed([](onnx::ModelProto& m) {
    // float_data in place of raw_data, a weight that is also listed as input, a Constant node, no node names.
    onnx::TensorProto& weight = Weight(m);
    const std::string raw = weight.raw_data();
    weight.clear_raw_data();
    for (std::size_t i = 0; i < raw.size(); i += 4) {
      float value;
      std::memcpy(&value, &raw[i], 4);
      weight.add_float_data(value);
    }
    m.mutable_graph()->add_input()->set_name(weight.name());
    for (auto& node : *m.mutable_graph()->mutable_node()) node.clear_name();
    onnx::GraphProto& graph = *m.mutable_graph();
    for (int i = 0; i < graph.initializer_size(); ++i) {
      if (graph.initializer(i).name() != "conv.weight" && graph.initializer(i).data_type() == 7) {
        onnx::NodeProto* constant = graph.add_node();
        constant->set_op_type("Constant");
        constant->add_output(graph.initializer(i).name());
        auto* attribute = constant->add_attribute();
        attribute->set_name("value");
        attribute->set_type(onnx::AttributeProto_AttributeType_TENSOR);
        *attribute->mutable_t() = graph.initializer(i);
        graph.mutable_initializer()->DeleteSubrange(i--, 1);
      }
    }
    auto* nodes = graph.mutable_node();  // constants first
    for (int i = 0; i < nodes->size(); ++i) {
      for (int j = i;
           j > 0 && nodes->Get(j).op_type() == "Constant" && nodes->Get(j - 1).op_type() != "Constant"; --j) {
        nodes->SwapElements(j, j - 1);
      }
    }
    m.mutable_opset_import(0)->set_domain("ai.onnx");
  });
  const Model model = ParseOnnx(bytes, "foreign.onnx"), wanted = ParseOnnx(SmallFile(), "good.onnx");
  EXPECT_EQ(model.graph.inputs.size(), 1u);
  EXPECT_EQ(model.graph.nodes.size(), wanted.graph.nodes.size());
  const Tensor image = test::RandomTensor({1, 3, 9, 14}, 1);
  EXPECT_TRUE(test::SameBits(test::RunScores(model.graph, image), test::RunScores(wanted.graph, image)));
}

TEST(Foreign, FreeDimensionsOfOtherExporters) {
  const std::string bytes = Changed([](onnx::ModelProto& m) {
    auto* shape = m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
    shape->mutable_dim(0)->set_dim_value(0);
    shape->mutable_dim(2)->set_dim_value(-1);
    shape->mutable_dim(3)->Clear();
  });
  EXPECT_EQ(ParseOnnx(bytes, "x.onnx").graph.inputs[0].shape, (Shape{-1, 3, -1, -1}));
}

}  // namespace
}  // namespace frf
