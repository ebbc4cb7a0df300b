// SPDX-License-Identifier: Apache-2.0
// A tool for scripts/check_onnx.py: writes ONNX files of any network with random weights of sane statistics,
// and runs an ONNX file on the plain executor, leaving its outputs as .npy files.
//
//   frf_onnx_dump list                                 one "NET OPTIONS" a line: every network, every option
//   by itself frf_onnx_dump write NET OPTIONS HxW DIR            fixed.onnx free.onnx half.onnx labels.onnx
//   ("-": no options) frf_onnx_dump run MODEL.onnx INPUT.npy DIR         <output>.npy; t1.npy and t2.npy
//   where FFM's masks are found
//
// Subtle: batch norm is calibrated on a smooth random image, else random weights give maps that are all alike
// and masks that never fire; attention's gammas, which start at 0, get values.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/files.h"
#include "base/random.h"
#include "engine/plain.h"
#include "graph/builder.h"
#include "nets/nets.h"
#include "onnx/onnx_file.h"

namespace frf {
namespace {

std::string NumpyType(DType type) {
  switch (type) {
    case DType::kFloat32:
      return "<f4";
    case DType::kUint8:
      return "|u1";
    case DType::kInt64:
      return "<i8";
    default:
      throw Error(ErrorCode::kUnsupported, std::string("no .npy for ") + Name(type));
  }
}

void WriteNumpy(const Tensor& tensor, const std::string& path) {
  std::string shape;
  for (const std::int64_t dim : tensor.shape()) shape += fmt::format("{},", dim);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   NumpyType(tensor.dtype()), shape);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(static_cast<const char*>(tensor.raw()), tensor.bytes());
  WriteFileAtomically(path, bytes);
}

Tensor ReadNumpy(const std::string& path) {
  const std::string bytes = ReadFile(path);
  if (bytes.size() < 10 || bytes.substr(0, 8) != std::string("\x93NUMPY\x01\x00", 8)) {
    throw Error(ErrorCode::kCorruptFile, path + ": is no .npy file of version 1.0");
  }
  const std::size_t length = static_cast<unsigned char>(bytes[8]) |
                             static_cast<std::size_t>(static_cast<unsigned char>(bytes[9])) << 8;
  const std::string header = bytes.substr(10, length);
  const DType type = header.find("<f4") != std::string::npos ? DType::kFloat32 : DType::kUint8;
  Shape shape;
  std::size_t at = header.find("'shape': (");
  const std::size_t end = header.find(')', at);
  for (at += 10; at < end && at != std::string::npos;
       at = header.find_first_of("0123456789", header.find(',', at))) {
    shape.push_back(std::stoll(header.substr(at)));
    if (header.find(',', at) > end) break;
  }
  Tensor tensor = Tensor::Uninitialized(type, shape);
  if (bytes.size() != 10 + length + tensor.bytes())
    throw Error(ErrorCode::kCorruptFile, path + ": has another size than it says");
  std::memcpy(tensor.raw(), bytes.data() + 10 + length, tensor.bytes());
  return tensor;
}

// Blobs of 1/16 of the size, with noise: neighbours alike, as in an image.
Tensor SmoothImage(int height, int width) {
  Random random(5);
  Tensor image = Tensor::Uninitialized(DType::kFloat32, {1, 3, height, width});
  float* at = image.data<float>();
  for (int c = 0; c < 3; ++c) {
    const double fy = random.Uniform(4, 16) / height, fx = random.Uniform(4, 16) / width;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        *at++ = static_cast<float>(std::sin(6.28 * fy * y + c) * std::cos(6.28 * fx * x) * 1.5 +
                                   random.Normal() * 0.3);
      }
    }
  }
  return image;
}

// Every operator of domain "frf" in each of its forms, so that ONNX Runtime sees all that the lowering makes.
Graph Operators() {
  Builder g("operators");
  const Value image = g.Input("image", 3);
  const Value x = g.BatchNorm(g.Conv(image, {.name = "conv", .out = 6, .kernel = 3, .stride = 2}), "bn");
  const auto [pooled, indices] = g.MaxPoolWithIndices(x, {.kernel = 2, .stride = 2});
  std::vector<Value> maps{g.Unpool(g.Sigmoid(pooled), indices, x)};
  for (const char* mode : {"linear", "nearest"}) {
    for (const char* coordinates : {"half_pixel", "align_corners", "asymmetric"}) {
      if (std::string(mode) == "nearest" && std::string(coordinates) == "align_corners")
        continue;  // ties depend on rounding
      maps.push_back(g.ResizeLike(pooled, x, mode, coordinates));
    }
  }
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 7}, {3, 5}}) {
    maps.push_back(g.ResizeLike(g.AdaptiveAveragePool(x, height, width), x));
  }
  maps.push_back(g.Mul(x, g.Sigmoid(g.SpectralPool(x, {0, 0, 0, 1, 6, 0, 3, 5}, {2, 1, 2, 1}, 7.0f))));
  const Value all = g.DropChannels(g.Concat(maps), 0.1f);
  g.Output(g.ResizeLike(g.Conv(all, {.name = "classifier", .out = 5, .bias = true}), image), "scores",
           OutputRole::kScores);
  return std::move(g).Build();
}

Graph NamedGraph(const std::string& net, const std::string& options) {
  if (net == "operators") return Operators();
  return BuildNet(net, options == "-" ? Json::object() : ParseNetOptions(net, options));
}

void Write(const std::string& net, const std::string& options, std::pair<int, int> size,
           const std::string& folder) {
  Model model;
  model.graph = NamedGraph(net, options);
  InitializeWeights(model.graph, 1);
  Random random(2);
  for (Initializer& initializer : model.graph.initializers) {
    const bool gamma = initializer.init == Init::kZeros && initializer.role == Role::kParameter;
    if (!gamma && initializer.init != Init::kOnes) continue;
    for (std::int64_t i = 0; i < initializer.value.size(); ++i) {
      float& value = initializer.value.data<float>()[i];
      if (gamma) value = static_cast<float>(random.Uniform(-0.3, 0.3));
      if (!gamma && initializer.role == Role::kParameter)
        value = static_cast<float>(random.Uniform(0.7, 1.4));
    }
  }
  CalibrateBatchNorm(model.graph, SmoothImage(size.first, size.second));
  model.info.net = net;
  model.info.classes.names.clear();
  for (const GraphOutput& output : model.graph.outputs) {
    if (output.role != OutputRole::kScores) continue;
    for (std::int64_t c = 0; c < output.shape[1]; ++c)
      model.info.classes.names.push_back(fmt::format("class {}", c));
  }
  MakeFolder(folder);
  WriteOnnx(model, folder + "/fixed.onnx", {.size = size});
  WriteOnnx(model, folder + "/free.onnx");
  WriteOnnx(model, folder + "/half.onnx", {.half = true});
  WriteOnnx(model, folder + "/labels.onnx", {.size = size, .argmax = true, .uint8_input = true});
}

void Run(const std::string& path, const std::string& input, const std::string& folder) {
  const Model model = ReadOnnx(path, {.require_stamp = false});
  std::vector<std::string> wanted;
  for (const GraphOutput& output : model.graph.outputs) wanted.push_back(output.name);
  for (const Node& node : model.graph.nodes) {
    for (const std::string& output : node.outputs) {
      if (output.ends_with("ffm.t1") || output.ends_with("ffm.t2")) wanted.push_back(output);
    }
  }
  PlainExecutor executor(model.graph);
  const TensorMap results = executor.Run({{model.graph.inputs.at(0).name, ReadNumpy(input)}}, wanted);
  MakeFolder(folder);
  for (const auto& [name, value] : results) {
    const bool mask = name.ends_with("ffm.t1") || name.ends_with("ffm.t2");
    WriteNumpy(value, folder + "/" + (mask ? name.substr(name.size() - 2) : name) + ".npy");
  }
}

void List() {
  std::printf("operators -\n");
  for (const NetEntry& net : ListNets()) {
    std::printf("%s -\n", net.name.c_str());
    for (const NetOption& option : net.options) {
      for (const Json& choice : option.choices) {
        if (choice == option.default_value) continue;
        const std::string text = choice.is_string() ? choice.get<std::string>() : choice.dump();
        std::printf("%s %s=%s\n", net.name.c_str(), option.name.c_str(), text.c_str());
      }
      if (option.default_value.is_boolean()) {
        std::printf("%s %s=%s\n", net.name.c_str(), option.name.c_str(),
                    option.default_value.get<bool>() ? "false" : "true");
      }
    }
  }
}

int Main(const std::vector<std::string>& args) {
  if (args.size() == 1 && args[0] == "list") {
    List();
  } else if (args.size() == 5 && args[0] == "write") {
    Write(args[1], args[2], ParseSize(args[3], "size"), args[4]);
  } else if (args.size() == 4 && args[0] == "run") {
    Run(args[1], args[2], args[3]);
  } else {
    std::fprintf(stderr,
                 "usage: frf_onnx_dump list | write NET OPTIONS HxW DIR | run MODEL.onnx INPUT.npy DIR\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace frf

int main(int argc, char** argv) {
  try {
    return frf::Main({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
