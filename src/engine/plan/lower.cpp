// SPDX-License-Identifier: Apache-2.0
// Lowering: values, their forms, the order of things; the operators themselves are in lower_*.cpp.
#include "engine/plan/lower.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/plan/lowering.h"
#include "frf/error.h"
#include "graph/output.h"

namespace frf::engine {

Lowered Lower(const PreparedGraph& prepared) {
  Lowered lowered = Lowering(prepared).Run();
  JoinConvolutionsWithPrograms(lowered);
  return lowered;
}

Lowering::Lowering(const PreparedGraph& prepared)
    : graph_(prepared.graph),
      types_(prepared.types),
      index_(graph_),
      quantization_(prepared.quantization),
      done_(graph_.nodes.size(), false) {
  lowered_.opset = graph_.opset;
}

Lowered Lowering::Run() && {
  LowerInput();
  PlanGroups();
  PlanConcats();
  // A plan has room for one output (PlanOutput): with more, each would overwrite the one before.
  const GraphOutput& output = MainOutput(graph_);
  const bool mapped = TryOutput(output);
  std::vector<NamedOperation> ends = std::move(lowered_.ops);  // the picture, then what TryOutput emitted
  lowered_.ops = {ends.front()};
  for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
    if (!done_[n]) LowerNode(n);
    done_[n] = true;
  }
  if (mapped) {
    std::get<OutputOp>(ends.at(1).op).value = FloatMapOf(ends[1].name);
    lowered_.ops.push_back(std::move(ends[1]));
    return std::move(lowered_);
  }
  const Shape& shape = ShapeOf(output.name);
  PlainOutputOp plain{PlainOf(output.name), 1, 1};
  if (!shape.empty()) plain.width = static_cast<int>(shape.back());
  if (shape.size() > 1) plain.height = static_cast<int>(shape[shape.size() - 2]);
  Emit(output.name, plain);
  return std::move(lowered_);
}

// An 8-bit picture's Cast, subtraction of means and division by deviations are a table of what each byte
// becomes.
void Lowering::LowerInput() {
  const GraphInput& input = graph_.inputs.at(0);
  const Shape& shape = ShapeOf(input.name);
  const bool bytes = input.dtype == DType::kUint8 && shape.size() == 4 && shape[0] == 1;
  if (!bytes && !IsMap(input.name)) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: the input is {} {}, an image of 1xCxHxW is wanted",
                                                     graph_.name, Name(input.dtype), ToString(shape)));
  }
  const int id = NewMapLike(input.name, static_cast<int>(shape[1]), static_cast<int>(shape[2]),
                            static_cast<int>(shape[3]));
  lowered_.picture = id;
  Emit(input.name, PictureOp{.dst = id});
  if (!bytes) {
    maps_[input.name] = id;
    // Rounded before anything else: so is the picture.
    const Node* node = OnlyReader(input.name);
    if (node && node->Is("Identity") && CodingOf(node->outputs[0]) &&
        index_.producer.at(node->outputs[0]) >= 0) {
      done_[node - graph_.nodes.data()] = true;
      maps_[node->outputs[0]] = id;
      lowered_.values[id].coding = CodingOf(node->outputs[0]);
    }
    return;
  }
  if (shape[1] != 3) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: an 8-bit input has 3 channels, not {}", graph_.name, shape[1]));
  }
  kernels::PictureTable& table = lowered_.table.emplace();
  for (auto& values : table.values) {
    for (int v = 0; v < 256; ++v) values[v] = static_cast<float>(v);
  }
  table.affine = true;
  const Node* node = OnlyReader(input.name);
  if (!node || !node->Is("Cast") || !IsMap(node->outputs[0])) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: an 8-bit input is cast to float once, before anything else", graph_.name));
  }
  std::string value;
  for (bool subtracted = false, divided = false; node; node = OnlyReader(value)) {
    if (!value.empty()) {
      const bool minus = node->Is("Sub"), over = node->Is("Div"), times = node->Is("Mul");
      const Tensor* by =
          node->inputs.size() == 2 && node->inputs[0] == value ? ConstantOf(node->inputs[1]) : nullptr;
      if (!(minus || over || times) || !by || by->dtype() != DType::kFloat32) break;
      const bool each = by->size() == shape[1] && ShapeOf(node->outputs[0]) == shape;
      if (by->size() != 1 && !each) break;
      if (each && by->size() > 1 && (by->rank() < 3 || by->dim(-3) != shape[1])) break;
      if (times || divided || (minus && subtracted)) table.affine = false;
      (minus ? subtracted : divided) = true;
      for (int c = 0; c < 3; ++c) {
        const float b = by->data<float>()[each && by->size() > 1 ? c : 0];
        if (!times) (minus ? table.minus : table.over)[c] = b;
        for (float& entry : table.values[c]) entry = minus ? entry - b : over ? entry / b : entry * b;
      }
    }
    done_[node - graph_.nodes.data()] = true;
    value = node->outputs[0];
    if (CodingOf(value)) break;
  }
  maps_[value] = id;
  lowered_.values[id].coding = CodingOf(value);
}

bool Lowering::IsMap(const std::string& name) const {
  const auto found = types_.find(name);
  if (found == types_.end() || found->second.dtype != DType::kFloat32) return false;
  const Shape& shape = found->second.shape;
  return shape.size() == 4 && shape[0] == 1 &&
         std::all_of(shape.begin(), shape.end(), [](auto d) { return d > 0 && d < (1 << 20); });
}

const Tensor* Lowering::ConstantOf(const std::string& name) const {
  const auto found = index_.initializer.find(name);
  return found == index_.initializer.end() ? nullptr : &graph_.initializers[found->second].value;
}

int Lowering::UsesOf(const std::string& name) const {
  const auto found = index_.consumers.find(name);
  int uses = found == index_.consumers.end() ? 0 : static_cast<int>(found->second.size());
  for (const GraphOutput& output : graph_.outputs) uses += output.name == name;
  return uses;
}

int Lowering::NewMapLike(const std::string& name, int channels, int height, int width) {
  Value value{.name = name, .map = true, .channels = channels, .height = height, .width = width};
  lowered_.values.push_back(std::move(value));
  return static_cast<int>(lowered_.values.size()) - 1;
}

int Lowering::NewMap(const std::string& name) {
  if (const auto known = maps_.find(name); known != maps_.end())
    return known->second;  // a planned concatenation
  const Shape& shape = ShapeOf(name);
  const int id =
      NewMapLike(name, static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3]));
  if (const auto slot = slots_.find(name); slot != slots_.end()) {
    lowered_.values[id].parent = slot->second.first;
    lowered_.values[id].offset = slot->second.second;
  }
  lowered_.values[id].coding = CodingOf(name);
  maps_[name] = id;
  return id;
}

std::optional<kernels::Coding> Lowering::CodingOf(const std::string& name) const {
  if (!quantization_) return std::nullopt;
  const auto found = quantization_->codings.find(name);
  return found == quantization_->codings.end() ? std::nullopt : std::optional(found->second);
}

void Lowering::EmitCopy(const std::string& name, int src, int dst) {
  ElementOp copy;
  copy.inputs.push_back({.value = src});
  copy.dst = dst;
  Emit(name, std::move(copy));
}

int Lowering::FloatMapOf(const std::string& name) {
  const int id = DenseMapOf(name);
  const Value value = lowered_.values[id];
  if (!value.coding) return id;
  if (const auto known = floats_.find(id); known != floats_.end()) return known->second;
  const int floats = NewMapLike(name + ".floats", value.channels, value.height, value.width);
  EmitCopy(name + ".floats", id, floats);
  return floats_[id] = floats;
}

int Lowering::FloatResult(const std::string& name) {
  if (!CodingOf(name)) return NewMap(name);
  const Shape& shape = ShapeOf(name);
  return NewMapLike(name + ".floats", static_cast<int>(shape[1]), static_cast<int>(shape[2]),
                    static_cast<int>(shape[3]));
}

void Lowering::RoundResult(const std::string& name, int floats) {
  if (CodingOf(name)) EmitCopy(name, floats, NewMap(name));
}

int Lowering::MapOf(const std::string& name) {
  if (const auto known = maps_.find(name); known != maps_.end()) return known->second;
  if (const Tensor* constant = ConstantOf(name)) {
    const int id = NewMap(name);
    lowered_.values[id].constant = *constant;
    return id;
  }
  const int plain = plains_.at(name);
  const int id = FloatResult(name);
  Emit(name, ToMapOp{plain, id});
  RoundResult(name, id);
  return maps_.at(name);
}

int Lowering::DenseMapOf(const std::string& name) {
  const int id = MapOf(name);
  if (lowered_.values[id].parts.empty()) return id;
  const Value gapped = lowered_.values[id];  // rare: somebody other than a convolution reads it after all
  const int dense = NewMapLike(name + ".dense", gapped.channels, gapped.height, gapped.width);
  lowered_.values[dense].coding = gapped.coding;
  int from = 0, to = 0;
  for (const int part : gapped.parts) {
    Emit(name + ".dense", CopyChannelsOp{id, dense, from, to, part, to + part == gapped.channels});
    from += kernels::PaddedChannels(part);
    to += part;
  }
  return dense;
}

int Lowering::PlainOf(const std::string& name) {
  if (const auto known = plains_.find(name); known != plains_.end()) return known->second;
  Value value{.name = name, .map = false};
  const Tensor* constant = ConstantOf(name);
  if (constant) value.constant = *constant;
  const int map = constant ? -1 : FloatMapOf(name);
  lowered_.values.push_back(std::move(value));
  const int id = static_cast<int>(lowered_.values.size()) - 1;
  plains_[name] = id;
  if (!constant) Emit(name, ToPlainOp{map, id});
  return id;
}

void Lowering::LowerNode(int n) {
  const Node& node = graph_.nodes[n];
  if (node.domain.empty()) {
    if (TryConv(n) || TryConvTranspose(node) || TryElement(n) || TryPool(node) || TryGlobalPool(node) ||
        TryWeightedPool(n) || TryConcat(n) || TrySlice(node)) {
      return;
    }
  }
  LowerPlain(node);
}

void Lowering::LowerPlain(const Node& node) {
  PlainNodeOp op{.node = node};
  for (const std::string& input : node.inputs) op.inputs.push_back(input.empty() ? -1 : PlainOf(input));
  for (const std::string& output : node.outputs) {
    if (output.empty()) {
      op.outputs.push_back(-1);
      continue;
    }
    lowered_.values.push_back(Value{.name = output, .map = false});
    if (const auto type = types_.find(output); type != types_.end())
      lowered_.values.back().type = type->second;
    op.outputs.push_back(static_cast<int>(lowered_.values.size()) - 1);
    plains_[output] = op.outputs.back();
  }
  const std::vector<int> outputs = op.outputs;
  Emit(node.name, std::move(op));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] >= 0 && CodingOf(node.outputs[i])) RoundPlain(node.outputs[i]);
  }
}

// A plain value with a coding: by way of its map where it is one, else to the letter.
void Lowering::RoundPlain(const std::string& name) {
  if (IsMap(name)) {
    MapOf(name);
    plains_.erase(name);  // the numbers before rounding
    return;
  }
  const kernels::Coding coding = *CodingOf(name);
  const auto plain = [&](const std::string& value, Tensor constant) {
    lowered_.values.push_back(Value{.name = value, .map = false, .constant = std::move(constant)});
    return static_cast<int>(lowered_.values.size()) - 1;
  };
  const int scale = plain(name + ".scale", Tensor::Scalar(coding.step));
  const int zero = plain(name + ".zero", Tensor::Scalar(static_cast<std::uint8_t>(coding.zero)));
  const int bytes = plain(name + ".bytes", {}), rounded = plain(name, {});
  Emit(name, PlainNodeOp{Node{.name = name + ".quantize",
                              .op = "QuantizeLinear",
                              .inputs = {"x", "scale", "zero"},
                              .outputs = {"y"}},
                         {plains_.at(name), scale, zero},
                         {bytes}});
  Emit(name, PlainNodeOp{Node{.name = name + ".dequantize",
                              .op = "DequantizeLinear",
                              .inputs = {"x", "scale", "zero"},
                              .outputs = {"y"}},
                         {bytes, scale, zero},
                         {rounded}});
  plains_[name] = rounded;
}

// A graph output that is a map, or a map resized linearly, or the argmax of either over the classes: one
// operation makes labels or scores of it at any size. Emits it with its value's name; Run fills in the value.
bool Lowering::TryOutput(const GraphOutput& output) {
  std::vector<int> taken;
  std::string name = output.name;
  bool labels = false;
  const auto producer = [&](const std::string& value) -> const Node* {
    const auto found = index_.producer.find(value);
    if (found == index_.producer.end() || UsesOf(value) != 1 || !graph_.nodes[found->second].domain.empty())
      return nullptr;
    return &graph_.nodes[found->second];
  };
  const auto take = [&](const Node* node) {
    taken.push_back(static_cast<int>(node - graph_.nodes.data()));
    name = node->inputs[0];
  };
  const Node* node = producer(name);
  if (!IsMap(name)) {  // [Squeeze or Cast] <- ArgMax
    for (int i = 0; i < 2 && node && (node->Is("Cast") || node->Is("Squeeze")); ++i) {
      if (types_.at(node->outputs[0]).dtype == DType::kBool) return false;  // every id above 0 becomes 1
      take(node), node = producer(name);
    }
    if (!node || !node->Is("ArgMax") || node->Int("axis", 0) != 1 || node->Int("select_last_index", 0) != 0)
      return false;
    if (!IsMap(node->inputs[0]) || ShapeOf(node->inputs[0])[1] > 255) return false;
    if (types_.at(output.name).dtype != DType::kUint8) return false;
    take(node);
    labels = true;
    node = producer(name);
  }
  OutputOp op{.output = output.name, .labels = labels};
  const Shape& shape = ShapeOf(name);
  op.height = static_cast<int>(shape[2]);
  op.width = static_cast<int>(shape[3]);
  // A resize whose result is rounded to 8 bits has to be computed.
  if (node && node->Is("Resize") && IsMap(node->inputs[0]) && !CodingOf(name)) {
    std::vector<Tensor> constants;
    for (const std::string& input : node->inputs) {
      const Tensor* constant = ConstantOf(input);
      constants.push_back(constant ? *constant : Tensor());
    }
    const Shape& src = ShapeOf(node->inputs[0]);
    const auto tables = TablesOf(*node, src, shape, graph_.opset, constants);
    // Enlarging: a row needs two rows that follow each other.
    if (tables && src[2] <= shape[2] && src[3] <= shape[3]) {
      const auto widen = [](const std::vector<kernels::Tap>& taps, std::vector<kernels::WideTap>& wide) {
        for (const kernels::Tap& tap : taps) {
          kernels::WideTap w{tap.first, {tap.first_weight, 0, 0, 0}};
          w.weight[std::clamp(tap.second - tap.first, 0, 3)] += tap.second_weight;
          wide.push_back(w);
        }
      };
      widen(tables->rows, op.rows);
      widen(tables->columns, op.columns);
      take(node);
    }
  }
  if (op.rows.empty()) {
    for (int i = 0; i < op.height; ++i) op.rows.push_back({i, {1, 0, 0, 0}});
    for (int i = 0; i < op.width; ++i) op.columns.push_back({i, {1, 0, 0, 0}});
  }
  for (const int n : taken) done_[n] = true;
  Emit(name, std::move(op));
  return true;
}

// Decides before anything is emitted which values are written straight into a concatenation.
void Lowering::PlanConcats() {
  for (const Node& node : graph_.nodes) {
    if (!node.domain.empty() || !node.Is("Concat") || node.inputs.size() < 2 || !IsMap(node.outputs[0]))
      continue;
    const std::int64_t axis = node.Int("axis", 0);
    if (axis != 1 && axis != -3) continue;
    if (!std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](const std::string& input) { return IsMap(input); }))
      continue;
    std::vector<int> parts;
    bool gaps = false;
    for (const std::string& input : node.inputs) {
      gaps = gaps || (!parts.empty() && parts.back() % kernels::kBlock != 0);
      parts.push_back(static_cast<int>(ShapeOf(input)[1]));
    }
    if (gaps) {  // only an ungrouped convolution can read around them
      const auto readers = index_.consumers.find(node.outputs[0]);
      const bool fine = readers != index_.consumers.end() &&
                        UsesOf(node.outputs[0]) == static_cast<int>(readers->second.size()) &&
                        std::all_of(readers->second.begin(), readers->second.end(), [&](int n) {
                          const Node& reader = graph_.nodes[n];
                          return reader.domain.empty() && reader.Is("Conv") && reader.Int("group", 1) == 1 &&
                                 reader.inputs[0] == node.outputs[0] &&
                                 ConstantOf(reader.inputs[1]) != nullptr;
                        });
      if (!fine) continue;
    }
    const int id = NewMap(node.outputs[0]);
    if (gaps) lowered_.values[id].parts = parts;
    int offset = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string& input = node.inputs[i];
      const bool own = ConstantOf(input) == nullptr && input != graph_.inputs[0].name &&
                       !maps_.contains(input) && CodingOf(input) == CodingOf(node.outputs[0]);
      if (own) slots_.emplace(input, std::pair{id, offset});  // the first concatenation wins
      // A concatenation inside this one was planned before: it moves in as a whole, unless it moved
      // elsewhere.
      const auto inner = maps_.find(input);
      if (!own && inner != maps_.end() && lowered_.values[inner->second].parent < 0 &&
          inner->second != lowered_.picture && lowered_.values[inner->second].parts.empty() &&
          CodingOf(input) == CodingOf(node.outputs[0])) {
        lowered_.values[inner->second].parent = id;
        lowered_.values[inner->second].offset = offset;
      }
      offset += kernels::PaddedChannels(parts[i]);
    }
  }
}

}  // namespace frf::engine
