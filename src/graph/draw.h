// SPDX-License-Identifier: Apache-2.0
// Between the files that draw a graph: blocks (several nodes seen as one layer), their places, and the lines.
#pragma once

#include <string>
#include <vector>

#include "graph/shapes.h"

namespace frf::draw {

enum class Kind { kInput, kConv, kPool, kResize, kJoin, kGate, kMove, kOutput };

struct Block {
  std::vector<const Node*> nodes;  // a convolution with its batch norm and ReLU; empty for inputs and outputs
  std::vector<std::string> scope;  // {"stage1", "dam"}
  Kind kind = Kind::kMove;
  std::string title, detail;  // detail may be empty: a small block
  std::string size;           // of what it makes: "96 x 128 x 256"
  std::string tip;
  double share = 0.0;                          // of the multiply-accumulates, of the heaviest block
  double x = 0, y = 0, width = 0, height = 0;  // set by Place; x, y: top left
};

struct Edge {
  int from = 0, to = 0;     // blocks
  int port = 0, ports = 1;  // position among the inputs of `to`
};

struct Picture {
  std::vector<Block> blocks;  // in the graph's order
  std::vector<Edge> edges;
};

struct Panel {  // a scope's frame
  std::string name;
  int depth = 0;
  double x = 0, y = 0, width = 0, height = 0;
};

struct Point {
  double x, y;
};

// Nodes become blocks: what works element by element on one value joins the block that makes it.
Picture MakeBlocks(const Graph& graph, const TypeMap& types, const Cost& cost);

// Gives every block its place and returns the frames, outer ones first. `width` and `height`: of the whole.
std::vector<Panel> Place(Picture& picture, double& width, double& height);

// One line with right angles for each edge, around the blocks; lines of one value may share their way.
std::vector<std::vector<Point>> Route(const Picture& picture);

}  // namespace frf::draw
