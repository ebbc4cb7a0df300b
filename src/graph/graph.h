// SPDX-License-Identifier: Apache-2.0
// A network as a graph, the one definition that every reader (train, plain executor, engine, gpu, onnx, info)
// shares: nodes with ONNX's operator names and attributes, named initialisers, values by name as in ONNX.
//
//   Graph graph = BuildNet("frfnet", {{"classes", 11}});
//   graph.Validate();
//   for (const Node& node : graph.nodes) ...            // in topological order, always
//
// Subtle: spatial sizes are never attributes. A resize names the value whose size it takes (`ResizeLike`), so
// one graph serves every input size. Operators beyond ONNX's live in domain "frf" (see docs/graph.md):
//   AdaptiveAveragePool(x; out=[h,w])
//   ResizeLike(x, ref; mode="linear"|"nearest", coordinates="half_pixel"|"align_corners"|"asymmetric")
//   Unpool(x, indices, ref)           indices: int32 within one plane, from MaxPool's second output
//   SpectralPool(x; frequencies=[u0,v0,u1,v1,...], channels=[n0,n1,...], scale)  -> [N,C,1,1], group g has
//   channels[g]
//                                     channels: (0,0) is the mean; else scale*sqrt2^[u>0]*sqrt2^[v>0]*mean(x
//                                     cos cos)
//   DropChannels(x; p)                Dropout2d: identity for inference
//   FakeQuantize(x; step, zero)       (clamp(round(x / step) + zero, 0, 255) - zero) * step, gradients
//   straight
//                                     through; FakeQuantizeWeight(w): by output channel to [-127, 127] steps
//                                     of max|w| / 127. Training alone has them (graph/quantization.h)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "graph/tensor.h"

namespace frf {

inline constexpr std::string_view kFrfDomain = "frf";

using Attribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>,
                               std::vector<float>, std::vector<std::string>, Tensor>;

struct Node {
  std::string name;                  // unique, "stage1.dam.conv2"; errors and layer tables use it
  std::string op;                    // "Conv"
  std::string domain;                // "" (ONNX) or "frf"
  std::vector<std::string> inputs;   // value names; "" = optional input left out
  std::vector<std::string> outputs;  // "" = optional output left out
  std::map<std::string, Attribute> attributes;

  bool Is(std::string_view wanted) const { return op == wanted; }
  bool Has(const std::string& key) const { return attributes.contains(key); }
  // The value, or `fallback` when the attribute is absent; a wrong type throws kCorruptFile naming node and
  // attribute.
  std::int64_t Int(const std::string& key, std::int64_t fallback) const;
  float Float(const std::string& key, float fallback) const;
  std::string String(const std::string& key, const std::string& fallback) const;
  std::vector<std::int64_t> Ints(const std::string& key, std::vector<std::int64_t> fallback) const;
  std::vector<float> Floats(const std::string& key, std::vector<float> fallback) const;
};

enum class Role : std::uint8_t {
  kParameter,  // trained; decayed unless one-dimensional
  kState,      // batch-norm mean and variance: saved, averaged, not counted
  kConstant,   // bases, tables: neither saved in checkpoints nor counted
};

// How a fresh parameter is drawn.
enum class Init : std::uint8_t {
  kZeros,
  kOnes,
  kKaimingFanOut,  // normal, std = sqrt(2 / (out * kh * kw)): He et al. 2015, fan out, ReLU
  kGiven,          // constants: the tensor has data already
  kQuarter,        // 0.25 everywhere: PReLU's slope
};

struct Initializer {
  std::string name;  // checkpoint key: "stage1.dam.conv2.weight"
  Role role = Role::kParameter;
  Init init = Init::kZeros;
  Tensor value;             // may be without data until weights are drawn or loaded
  bool classifier = false;  // redrawn by --init when the classes differ
};

struct GraphInput {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;                         // -1 = free
  std::vector<std::string> dim_names;  // "", or the symbol of a free dimension: "height"
};

enum class OutputRole : std::uint8_t { kScores, kAuxiliary };

struct GraphOutput {
  std::string name;
  OutputRole role = OutputRole::kScores;
  DType dtype = DType::kFloat32;
  Shape shape;  // may be empty: not declared
  std::vector<std::string> dim_names;
};

class Graph {
 public:
  std::string name = "graph";
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;
  std::vector<Node> nodes;  // topologically sorted
  std::vector<Initializer> initializers;
  std::vector<std::pair<std::string, std::string>> metadata;  // metadata_props, in file order
  int opset =
      17;  // of domain "": decides what a few operators mean (Softmax before 13 flattens); the reader sets it

  const Initializer* FindInitializer(std::string_view key) const;
  Initializer* FindInitializer(std::string_view key);
  const Node* Producer(std::string_view value) const;  // linear search; readers that ask often build Index()

  // Copies share tensor storage; this one does not.
  Graph DeepCopy() const;

  // Everything a reader relies on: unique names, sorted nodes, every input produced, known operators with the
  // right number of inputs and outputs and attributes in range, outputs produced. Throws kCorruptFile naming
  // the node.
  void Validate() const;

  // Prunes what only auxiliary outputs need, removes dropout and identities. Every reader but `train` starts
  // with it.
  Graph ForInference() const;

  std::int64_t ParameterCount() const;  // role kParameter
};

// Value name -> producing node and consuming nodes (positions in graph.nodes).
struct GraphIndex {
  explicit GraphIndex(const Graph& graph);
  std::unordered_map<std::string, int> producer;
  std::unordered_map<std::string, std::vector<int>> consumers;
  std::unordered_map<std::string, int> initializer;  // position in graph.initializers
};

// Draws every initialiser without data by its Init, each from (seed, hash of its name): adding a layer does
// not change the others. States: mean 0, variance 1.
void InitializeWeights(Graph& graph, std::uint64_t seed);
Tensor DrawInitializer(const Initializer& initializer, std::uint64_t seed);

}  // namespace frf
