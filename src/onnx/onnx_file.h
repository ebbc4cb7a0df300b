// SPDX-License-Identifier: Apache-2.0
// Graph <-> ONNX file (opset 17, IR 8). The writer lowers the operators of domain "frf" to standard ONNX, for
// one fixed size or for free ones; the reader takes opset 11 to 21 through our own validation, never onnx's
// asserts. Subtle: `write(read(file))` equals the file byte for byte for files that frf wrote: node,
// initialiser and metadata order, names and attribute order are kept, no date is stored, and protobuf is
// serialised deterministically.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/model_info.h"
#include "graph/graph.h"

namespace frf {

struct Model {
  Graph graph;          // from a file: lowered, as it stands there; from a network: with frf operators
  ModelInfo info;       // from graph.metadata; on writing it replaces graph.metadata
  bool stamped = true;  // false: a foreign file without frf.* keys; info holds nothing but defaults
  std::string file;     // as ParseOnnx was told, for errors later on; empty: it was not read
};

struct WriteOptions {
  std::optional<std::pair<int, int>> size;  // fixed height and width; none: free
  // Weights of rank 2 and more FLOAT16, each followed by Cast; vectors and batch norm stay float32, unfolded:
  // such a file can be trained further (--init), as a float32 one can.
  bool half = false;
  bool argmax = false;       // output `labels` (uint8 1xHxW) in place of `scores`
  bool uint8_input = false;  // input `image` uint8 1x3xHxW; normalisation inside the graph
};

// Lowers (if frf operators are left) and serialises. A model that is not stamped but whose info names classes
// gets the stamp; what else stood in its graph's metadata is kept.
std::string SerializeOnnx(const Model& model, const WriteOptions& options = {});
void WriteOnnx(const Model& model, const std::string& path, const WriteOptions& options = {});

struct ReadOptions {
  bool require_stamp = true;  // refuse files without frf.* keys, with the hint about --meta
};

// `file` starts every error. Nothing is allocated beyond what the bytes left can hold.
Model ParseOnnx(const std::string& bytes, const std::string& file, const ReadOptions& options = {});
Model ReadOnnx(const std::string& path, const ReadOptions& options = {});

// ForInference() and the lowering alone: standard ONNX operators only. Fixed size: constants; free: Shape
// arithmetic.
Graph LowerToOnnx(const Graph& graph, std::optional<std::pair<int, int>> size);

// Finds a model by file name or by the name of shipped weights ("frfnet-camvid"): FRF_WEIGHTS, weights/
// beside the program or in share/frf. Throws kNotFound with the nearest names and a list of what there is,
// kIo for what may not be read. `networks`: names that the caller would have taken too, for that error.
std::string FindModel(const std::string& name_or_path, const std::vector<std::string>& networks = {});

}  // namespace frf
