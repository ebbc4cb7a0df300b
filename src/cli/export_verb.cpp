// SPDX-License-Identifier: Apache-2.0
// `frf export RUN|NET|X.onnx -o Y.onnx`: writes the one file that deployment needs, and proves it before it
// reports success: the file is read back and run on a drawn street beside the graph that it was written from.
// Subtle: the graph and the file may take different pixels, normalised floats or bytes; each is fed its own
// form of one picture. The proof compares with what the file means (weights rounded to half where --half), so
// it must hold tightly.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "cli/class_bias.h"
#include "cli/cli.h"
#include "engine/label_ids.h"
#include "engine/plain.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/output.h"
#include "image/transform.h"

namespace frf::cli {
namespace {

struct ExportArguments {
  std::string source, output, keep_output, size, meta, license, options, class_bias;
  std::string classes = "camvid", weights = "ema";
  std::uint64_t seed = 0;
  bool half = false, argmax = false, uint8_input = false, last = false, json = false;
};

// Options of another kind of source are refused, not passed over.
void CheckSource(const ExportArguments& arguments, const CLI::App& app) {
  const bool run = NamesRun(arguments.source), net = !run && IsNet(arguments.source);
  const auto belongs = [&](std::initializer_list<const char*> names, bool fits, const char* to) {
    for (const char* name : names) {
      if (!fits && app.count(name) > 0)
        throw Error(ErrorCode::kUsage,
                    fmt::format("{} belongs to {}, {} is none", name, to, arguments.source));
    }
  };
  belongs({"--net-options", "--classes", "--seed"}, net, "a network's name");
  belongs({"--weights", "--last"}, run, "a run folder");
  belongs({"--meta", "--keep-output"}, !run && !net, "an ONNX file");
}

// PyTorch's transforms normalise what they first brought to 0..1. [0,0,0] and [1,1,1], a network that takes
// bytes as they are, is no slip.
std::string PixelRangeAdvice(const InputSpec& input) {
  for (std::size_t c = 0; c < 3; ++c) {
    if (std::abs(input.mean[c]) > 1 || input.std[c] >= 1) return "";
  }
  return fmt::format(
      "input.mean {} and input.std {} look like those of pixels in 0..1; frf's are of pixels in "
      "0..255, so multiply both by 255",
      fmt::join(input.mean, ", "), fmt::join(input.std, ", "));
}

ModelInfo ReadMeta(const std::string& path) {
  const ModelInfo info = ModelInfoFromJson(ParseJson(ReadFile(path), path), path);
  // Kept, since a later version may know them; but here it is most likely a slip of the pen.
  for (const auto& [key, value] : info.unknown) {
    if (key.starts_with("frf."))
      LogWarning(fmt::format("{}: '{}' is not known here (docs/formats.md); kept in the file, without effect",
                             path, key.substr(4)));
  }
  const std::string advice = PixelRangeAdvice(info.input);
  if (!advice.empty()) LogWarning(fmt::format("{}: {}", path, advice));
  return info;
}

Model LoadSource(const ExportArguments& arguments) {
  if (NamesRun(arguments.source))
    return LoadRun(arguments.source, arguments.weights == "raw", arguments.last);
  if (IsNet(arguments.source))
    return RandomModel({arguments.source, arguments.options, arguments.classes, arguments.seed});
  Model model = ReadOnnx(FindModel(arguments.source, NetNames()), {.require_stamp = arguments.meta.empty()});
  if (!arguments.meta.empty()) model.info = ReadMeta(arguments.meta);
  if (!arguments.keep_output.empty())
    model.graph = WithOutputOnly(model.graph, arguments.keep_output, arguments.source);
  return model;
}

Graph RoundedToHalf(const Graph& graph) {
  Graph rounded = graph.ForInference();
  for (Initializer& initializer : rounded.initializers) {
    if (initializer.role != Role::kParameter || initializer.value.rank() < 2 ||
        initializer.value.dtype() != DType::kFloat32)
      continue;  // as the writer's half files
    initializer.value = initializer.value.Cast(DType::kFloat16).Cast(DType::kFloat32);
  }
  return rounded;
}

// Of scores or labels, integers of any type and rank, at the output's own size; `who` (file and output)
// starts errors.
LabelImage OutputLabels(const Tensor& output, int classes, const std::string& who) {
  if (output.dtype() != DType::kFloat32) {
    const std::int64_t pixels = output.rank() < 2 ? -1 : output.dim(-2) * output.dim(-1);
    const Tensor ids = LabelsOf(output, pixels, classes, who);
    LabelImage labels{static_cast<int>(ids.dim(-2)), static_cast<int>(ids.dim(-1)), {}};
    labels.ids.assign(ids.data<std::uint8_t>(), ids.data<std::uint8_t>() + ids.size());
    return labels;
  }
  if (output.rank() != 4 || output.dim(0) != 1 || output.dim(1) != classes) {
    const bool one = output.rank() == 4 && output.dim(1) == 1;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{} is {}, scores 1x{}xHxW of its classes are wanted{}", who,
                            ToString(output.shape()), classes, one ? kTwoOfASigmoid : ""));
  }
  const int height = static_cast<int>(output.dim(2)), width = static_cast<int>(output.dim(3));
  return LabelsFromScores(output.data<float>(), classes, height, width, 0, 0, height, width);
}

// The graph's main output. What stops it is said of the file that `graph` is of, at that size.
Tensor RunAt(PlainExecutor& executor, const Graph& graph, const Tensor& picture, const std::string& file) {
  try {
    return executor.Run({{graph.inputs[0].name, picture}}).at(MainOutput(graph).name);
  } catch (const Error& error) {
    const SizePair fixed = FixedSides(graph);
    const bool size = error.code() != ErrorCode::kOutOfMemory && (fixed.first == 0 || fixed.second == 0);
    throw Error(
        error.code(),
        fmt::format(
            "{}: not written: at {}x{}: {}{}", file, picture.dim(2), picture.dim(3), error.what(),
            size ? "; where only multiples of a length fit, --meta's \"input.multiple\" says so" : ""));
  }
}

struct Proof {
  double equal = 0;    // share of equal labels
  double largest = 0;  // difference of scores over the largest score; -1: the file gives labels only
  std::string sizes;
};

// One picture as `graph` takes it: bytes where normalisation is inside.
Tensor PictureFor(const Graph& graph, const InputSpec& input, int height, int width) {
  if (graph.inputs[0].dtype != DType::kUint8) return StreetInput(input, height, width);
  InputSpec as_stored = input;
  as_stored.mean = {0, 0, 0};
  as_stored.std = {1, 1, 1};
  return StreetInput(as_stored, height, width).Cast(DType::kUint8);
}

// Where a side is free, two sizes: the usual one and an odd one, as far as the network takes odd ones.
std::vector<SizePair> ProofSizes(const InputSpec& input, SizePair fixed) {
  if (fixed.first > 0 && fixed.second > 0) return {fixed};
  const auto rounded = [&](int length) {
    return (length + input.multiple - 1) / input.multiple * input.multiple;
  };
  return {WithFixedSides({rounded(std::max(64, input.height)), rounded(std::max(64, input.width))}, fixed),
          WithFixedSides({rounded(157), rounded(211)}, fixed)};
}

Proof Prove(const Model& model, const std::string& bytes, const ExportArguments& arguments) {
  const Model written = ParseOnnx(bytes, arguments.output);
  PlainExecutor reference(arguments.half ? RoundedToHalf(model.graph) : model.graph);
  PlainExecutor from_file(written.graph);
  Proof proof;
  const std::string &output = MainOutput(model.graph).name, &output_written = MainOutput(written.graph).name;
  std::int64_t equal = 0, all = 0;
  for (const auto& [height, width] : ProofSizes(model.info.input, FixedSides(written.graph))) {
    const Tensor seen = PictureFor(model.graph, model.info.input, height, width),
                 fed = PictureFor(written.graph, model.info.input, height, width);
    const Tensor wanted = RunAt(reference, model.graph, seen, arguments.source);
    const Tensor got = RunAt(from_file, written.graph, fed, arguments.output);
    const int classes = model.info.classes.count();
    const LabelImage a = OutputLabels(wanted, classes, fmt::format("{}: '{}'", arguments.source, output));
    const LabelImage b =
        OutputLabels(got, classes, fmt::format("{}: '{}'", arguments.output, output_written));
    if (a.height != b.height || a.width != b.width) {
      throw Error(ErrorCode::kInternal,
                  fmt::format("{}: not written: read back it gives labels of {}x{}, {}x{} are wanted",
                              arguments.output, b.height, b.width, a.height, a.width));
    }
    for (std::size_t i = 0; i < a.ids.size(); ++i) equal += a.ids[i] == b.ids[i];
    all += static_cast<std::int64_t>(a.ids.size());
    if (got.dtype() == DType::kFloat32) {
      double largest = 0, difference = 0;
      for (std::int64_t i = 0; i < wanted.size(); ++i) {
        if (!std::isfinite(wanted.data<float>()[i]))
          throw Error(
              ErrorCode::kInvalidArgument,
              fmt::format("{}: its scores are no numbers (NaN or infinite): not written; did its training "
                          "diverge?",
                          arguments.source));
        largest = std::max(largest, std::abs(static_cast<double>(wanted.data<float>()[i])));
        difference = std::max(difference,
                              std::abs(static_cast<double>(wanted.data<float>()[i]) - got.data<float>()[i]));
      }
      proof.largest = std::max(proof.largest, largest > 0 ? difference / largest : difference);
    } else {
      proof.largest = -1;
    }
    proof.sizes += fmt::format("{}{}x{}", proof.sizes.empty() ? "" : ", ", height, width);
  }
  proof.equal = static_cast<double>(equal) / static_cast<double>(all);
  if (proof.equal < 0.9995) {
    throw Error(
        ErrorCode::kInternal,
        fmt::format(
            "{}: not written: read back it gives the same label on {:.3f} % of pixels only (99.95 % are "
            "wanted)",
            arguments.output, proof.equal * 100));
  }
  return proof;
}

int RunExport(const ExportArguments& arguments) {
  CheckOutputFile(arguments.output, "a model", InputFiles().AddModel(arguments.source).Add(arguments.meta));
  Model model = LoadSource(arguments);
  CheckImageInput(model.graph, arguments.source);
  if (!arguments.class_bias.empty())
    AddClassBias(model, ParseClassBias(arguments.class_bias, model.info.classes));
  WriteOptions options{
      .half = arguments.half, .argmax = arguments.argmax, .uint8_input = arguments.uint8_input};
  const SizePair fixed = FixedSides(model.graph);
  if (fixed.first > 0 && fixed.second > 0) options.size = fixed;
  if (!arguments.size.empty()) {
    options.size = ParseSize(arguments.size, "--size");
    if (WithFixedSides(*options.size, fixed) != *options.size) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format(
              "{}: its input is fixed at {}, --size {} cannot change that; export what it was made of",
              arguments.source, FixedSidesText(fixed), arguments.size));
    }
    CheckInputSize(model.info.input, fixed, options.size->first, options.size->second, arguments.source);
  }
  const bool scores = MainOutput(model.graph).dtype == DType::kFloat32;
  WarnOfOutput(model.info.classes, model.graph, arguments.source);
  if (arguments.argmax && !scores)
    throw Error(ErrorCode::kUsage, arguments.source + ": it ends in labels already; leave --argmax out");
  if (arguments.argmax) model.graph = WithMainOutputOnly(model.graph);
  if (arguments.half && model.info.weights == "int8") {
    throw Error(ErrorCode::kUsage,
                arguments.source + ": its weights are 8-bit integers already; leave --half out");
  }
  if (!arguments.license.empty()) model.info.license = arguments.license;
  model.info.weights = arguments.half ? "f16" : model.info.weights;
  // What --meta says of a foreign file, or leaves out, does not make scores of integers.
  if (arguments.argmax || !scores) model.info.output = "labels";
  const std::string bytes = SerializeOnnx(model, options);
  const Proof proof = Prove(model, bytes, arguments);
  WriteFileAtomically(arguments.output, bytes);
  if (arguments.json) {
    PrintJson({{"output", arguments.output},
               {"bytes", bytes.size()},
               {"labels_equal", proof.equal},
               {"scores_difference", proof.largest < 0 ? Json(nullptr) : Json(proof.largest)},
               {"sizes", proof.sizes}});
  } else {
    fmt::print("{}: {:.1f} MB, proved at {}: {:.3f} % of labels equal{}\n", arguments.output,
               static_cast<double>(bytes.size()) * 1e-6, proof.sizes, proof.equal * 100,
               proof.largest < 0 ? "" : fmt::format(", scores within {:.1e} of the largest", proof.largest));
  }
  return 0;
}

}  // namespace

void AddExport(CLI::App& root, Action& action) {
  auto a = std::make_shared<ExportArguments>();
  CLI::App* app = root.add_subcommand("export", "write a standard ONNX file and prove it against the graph");
  app->add_option("source", a->source,
                  "run folder, network name (random weights), ONNX file or name of shipped weights")
      ->required();
  app->add_option("-o,--output", a->output, "the ONNX file")->required();
  app->add_option("--size", a->size, "fix the input at HEIGHTxWIDTH; default: height and width stay free");
  app->add_flag("--half", a->half, "half-precision weights (arithmetic stays float32)");
  app->add_flag("--argmax", a->argmax, "output labels (uint8) in place of scores");
  app->add_flag("--uint8-input", a->uint8_input, "input 8-bit RGB planes; normalisation inside the file");
  app->add_option("--meta", a->meta,
                  "JSON that stamps a foreign ONNX file: {\"classes\": [\"road\", ...], \"input.mean\": "
                  "[123.675, 116.28, 103.53], \"input.std\": [58.395, 57.12, 57.375]}, of pixels in 0..255; "
                  "also palette, label_ids, input.height ... (docs/formats.md)");
  app->add_option("--keep-output", a->keep_output,
                  "ONNX file of several outputs: the one that holds scores or labels; the others go");
  app->add_option(
      "--class-bias", a->class_bias,
      "NAME=NUMBER,...: added to these classes' scores; above 0 they are named more often (fewer are "
      "missed, more are mistaken), below 0 less");
  app->add_option("--license", a->license, "terms of the weights, kept in the file");
  app->add_option("--weights", a->weights,
                  "run folder: which weights: ema, their running average, or raw, as the last step left them")
      ->check(CLI::IsMember({"ema", "raw"}));
  app->add_flag("--last", a->last, "run folder: the last checkpoint instead of the best");
  app->add_option("--net-options", a->options, "network name: name=value,name=value");
  app->add_option("--classes", a->classes, "network name: whose classes")
      ->check(CLI::IsMember({"camvid", "cityscapes"}));
  app->add_option("--seed", a->seed, "network name: of the random weights")->check(AtLeastZero());
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer("Example: frf export runs/first -o street.onnx --half");
  app->callback([a, app, &action] {
    action = [a, app] {
      CheckSource(*a, *app);
      return RunExport(*a);
    };
  });
}

}  // namespace frf::cli
