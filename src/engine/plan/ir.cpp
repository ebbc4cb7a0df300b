// SPDX-License-Identifier: Apache-2.0
#include "engine/plan/ir.h"

namespace frf::engine {
namespace {

template <typename... T>
std::vector<int> Known(T... ids) {
  std::vector<int> known;
  for (const int id : {ids...}) {
    if (id >= 0) known.push_back(id);
  }
  return known;
}

struct Reader {
  std::vector<int> operator()(const ConvOp& op) const { return Known(op.src, op.add); }
  std::vector<int> operator()(const ElementOp& op) const {
    std::vector<int> ids;
    for (const ElementInput& input : op.inputs) ids.push_back(input.value);
    return ids;
  }
  std::vector<int> operator()(const ConvElementOp& op) const {
    std::vector<int> ids = Known(op.conv.src, op.conv.add);
    for (std::size_t i = 0; i < op.element.inputs.size(); ++i) {
      if (static_cast<int>(i) != op.input) ids.push_back(op.element.inputs[i].value);
    }
    return ids;
  }
  std::vector<int> operator()(const PlainNodeOp& op) const {
    std::vector<int> ids;
    for (const int id : op.inputs) {
      if (id >= 0) ids.push_back(id);
    }
    return ids;
  }
  std::vector<int> operator()(const PictureOp&) const { return {}; }
  std::vector<int> operator()(const OutputOp& op) const { return Known(op.value); }
  std::vector<int> operator()(const PlainOutputOp& op) const { return Known(op.value); }
  template <typename Op>
  std::vector<int> operator()(const Op& op) const {
    return Known(op.src);
  }
};

struct Writer {
  std::vector<int> operator()(const ConvOp& op) const { return Known(op.dst, op.sum); }
  std::vector<int> operator()(const ConvElementOp& op) const { return Known(op.element.dst); }
  std::vector<int> operator()(const PlainNodeOp& op) const {
    std::vector<int> ids;
    for (const int id : op.outputs) {
      if (id >= 0) ids.push_back(id);
    }
    return ids;
  }
  std::vector<int> operator()(const OutputOp&) const { return {}; }
  std::vector<int> operator()(const PlainOutputOp&) const { return {}; }
  template <typename Op>
  std::vector<int> operator()(const Op& op) const {
    return Known(op.dst);
  }
};

}  // namespace

std::vector<int> Reads(const Operation& op) { return std::visit(Reader{}, op); }
std::vector<int> Writes(const Operation& op) { return std::visit(Writer{}, op); }

}  // namespace frf::engine
