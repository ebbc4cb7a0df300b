// SPDX-License-Identifier: Apache-2.0
// `frf bench MODEL|NET... [--size HxW,...] [--against PEER,...]`: frames per second of one or more networks
// at one or more sizes, beside the machine's own peaks and beside other runtimes. Subtle: peers run in
// processes of their own, which are this program again (--serve-peer) or the Python of a wheel.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/system.h"
#include "cli/bench.h"
#include "cli/bench_convert.h"
#include "cli/bench_peer.h"
#include "cli/cli.h"
#include "data/synth.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/shapes.h"
#include "image/transform.h"

namespace frf::cli {
namespace {

struct BenchArguments {
  std::vector<std::string> models;
  std::string sizes, threads = "0", to = "labels", against, venv, output, options, classes = "cityscapes",
                     serve_peer, library, device, amp, precision = "f32";
  std::uint64_t seed = 0;
  int runs = 0, batch = 0;
  bool tune = false, json = false, step = false;
};

std::vector<std::string> SplitAtCommas(const std::string& text, const std::string& what) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  for (const std::string& part : parts) {
    if (part.empty())
      throw Error(ErrorCode::kUsage, fmt::format("{} '{}': nothing stands between two commas", what, text));
  }
  return parts;
}

// --threads 1,2: distinct counts, in the order given; 0 is all cores.
std::vector<int> ParseThreads(const std::string& text) {
  std::vector<int> counts;
  for (const std::string& part : SplitAtCommas(text, "--threads")) {
    int count = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), count);
    if (error != std::errc() || end != part.data() + part.size() || count < 0 || count > 1024) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--threads '{}': '{}' is not a number from 0 to 1024", text, part));
    }
    if (count == 0) count = DefaultThreads();
    if (std::find(counts.begin(), counts.end(), count) == counts.end()) counts.push_back(count);
  }
  if (counts.empty())
    throw Error(ErrorCode::kUsage, "--threads wants a number, or several with commas between");
  return counts;
}

// --precision f32,bf16: distinct ones, in the order given.
std::vector<Precision> ParsePrecisions(const std::string& text) {
  std::vector<Precision> all;
  for (const std::string& part : SplitAtCommas(text, "--precision")) {
    const Precision precision = PrecisionNamed(part);
    if (std::find(all.begin(), all.end(), precision) == all.end()) all.push_back(precision);
  }
  if (all.empty()) throw Error(ErrorCode::kUsage, "--precision wants f32, bf16 or f16, or several of them");
  return all;
}

// libtorch's part of the verb is frf-train's.
[[noreturn]] void BenchWithTorch(const BenchArguments& arguments, const std::vector<int>& threads) {
  for (const auto& [given, name] : {std::pair(!arguments.against.empty(), "--against"),
                                    {arguments.tune, "--tune"},
                                    {arguments.to != "labels", "--to"},
                                    {arguments.seed != 0, "--seed"},
                                    {!arguments.venv.empty(), "--venv"},
                                    {arguments.precision != "f32", "--precision"},
                                    {!arguments.output.empty(), "-o"}}) {
    if (given)
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} does not go with --device or --step, which libtorch runs", name));
  }
  if (arguments.models.size() != 1)
    throw Error(ErrorCode::kUsage, "--device and --step take one network's name or one run folder");
  std::vector<std::string> words{"bench", arguments.models[0], "--device",
                                 arguments.device.empty() ? "auto" : arguments.device};
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  add("--net-options", arguments.options);
  add("--classes", arguments.classes == "camvid" ? "11" : "19");
  add("--size", arguments.sizes);
  add("--amp", arguments.amp);
  if (arguments.batch > 0) add("--batch", std::to_string(arguments.batch));
  if (threads.size() > 1) throw Error(ErrorCode::kUsage, "--device and --step take one number of --threads");
  if (arguments.threads != "0") add("--threads", std::to_string(threads.front()));
  if (arguments.runs > 0) add("--runs", std::to_string(arguments.runs));
  if (arguments.step) words.emplace_back("--step");
  if (arguments.json) words.emplace_back("--json");
  ExecTrain(words);
}

// --against onnxruntime,openvino: distinct ones, in the order given.
std::vector<std::string> PeersOf(const BenchArguments& arguments) {
  std::vector<std::string> peers;
  for (const std::string& peer : SplitAtCommas(arguments.against, "--against")) {
    const auto& known = PeerNames();
    if (std::find(known.begin(), known.end(), peer) == known.end()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--against '{}': known are {}", peer, fmt::join(known, ", ")));
    }
    if (std::find(peers.begin(), peers.end(), peer) == peers.end()) peers.push_back(peer);
  }
  return peers;
}

// --size; else the one that it was trained at; else 512x1024. A side that the file fixes is the file's.
std::vector<SizePair> SizesOf(const std::vector<SizePair>& sizes, const Model& model, const std::string& name,
                              bool network) {
  const SizePair fixed = FixedSides(model.graph);
  for (const SizePair& size : sizes) CheckKeepsFixedSides(name, size, fixed);
  if (!sizes.empty()) return sizes;
  const InputSpec& input = model.info.input;
  if (network || input.height <= 0 || input.width <= 0) return {WithFixedSides({512, 1024}, fixed)};
  const NetworkSize padded = ChooseNetworkSize(input, input.height, input.width);
  return {WithFixedSides({padded.height, padded.width}, fixed)};
}

// The street of the demo, at sizes that no scene is drawn at brought there.
Image PictureOf(int height, int width) {
  const int drawn_height = std::clamp(height, 32, 8192), drawn_width = std::clamp(width, 32, 8192);
  const Image scene = DrawScene(kSynthTestSeed + 7, {.height = drawn_height, .width = drawn_width}).image;
  return drawn_height == height && drawn_width == width ? scene : ResizeBilinear(scene.view(), height, width);
}

std::vector<BenchCase> CasesOf(const BenchArguments& arguments, const std::vector<SizePair>& sizes,
                               const std::string& name, const std::string& shown, int threads) {
  const bool network = IsNet(name);
  if (!network && !arguments.options.empty())
    throw Error(ErrorCode::kUsage, "--net-options belongs to a network's name, not to a file");
  const Model model =
      network ? RandomModel({name, arguments.options, arguments.classes, arguments.seed}) : LoadForeign(name);
  const auto loaded = std::make_shared<LoadedModel>(model);
  const Graph counted = GraphAsDefined(model).ForInference();
  std::vector<BenchCase> cases;
  for (const auto& [height, width] : SizesOf(sizes, model, name, network)) {
    BenchCase made;
    made.name = shown;
    made.model = model;
    made.loaded = loaded;
    made.height = height, made.width = width;
    made.threads = threads;
    made.to_labels = arguments.to == "labels";
    made.tune = arguments.tune;
    if (!made.to_labels && (made.bytes_in() || made.gives_labels())) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: --to scores wants a model with float input and scores as output", name));
    }
    made.macs = static_cast<double>(CountCost(counted, InferShapes(counted, height, width)).macs_all);
    made.picture = PictureOf(height, width);
    made.planes.resize(std::size_t{3} * height * width);
    PlanarFloats(made.picture.view(), model.info.input, made.planes.data(), made.threads);
    cases.push_back(std::move(made));
  }
  return cases;
}

BenchRow FailedRow(const BenchCase& bench_case, const std::string& engine, const std::string& error) {
  BenchRow row;
  row.name = bench_case.name, row.size = bench_case.size(), row.engine = engine, row.error = error;
  row.to_labels = bench_case.to_labels, row.threads = bench_case.threads, row.macs = bench_case.macs;
  return row;
}

// Sets the speed-up of every row beside its engine's row with the fewest threads.
void CompareThreads(std::vector<BenchRow>& rows) {
  for (BenchRow& row : rows) {
    const BenchRow* fewest = &row;
    for (const BenchRow& other : rows) {
      if (other.engine == row.engine && other.error.empty() && other.threads < fewest->threads)
        fewest = &other;
    }
    if (fewest != &row && row.error.empty()) row.speedup = fewest->ms.median / row.ms.median;
  }
}

// One model at one size, all thread counts and engines in turns. For every count frf's row, then the peers'
// in the order in which they were named.
void RunCase(const BenchArguments& arguments, const BenchCase& bench_case, const std::vector<int>& counts,
             const std::vector<Precision>& precisions, const std::vector<std::string>& peers,
             const std::filesystem::path& venv, std::vector<BenchRow>& rows) {
  std::vector<BenchCase> variants, own;  // contestants keep references
  for (const int threads : counts) {
    variants.push_back(bench_case);
    variants.back().threads = threads;
    for (const Precision precision : precisions) {
      own.push_back(variants.back());
      own.back().precision = precision;
    }
  }
  std::vector<std::unique_ptr<Contestant>> contestants;
  for (const BenchCase& variant : own) contestants.push_back(MakeOurs(variant));
  std::vector<BenchRow> failed;
  {
    Progress progress(fmt::format("bench {} {}: setting up", bench_case.name, bench_case.size()),
                      static_cast<std::int64_t>(peers.size() * variants.size()));
    for (const BenchCase& variant : variants) {
      for (const std::string& peer : peers) {
        progress.Advance(0, peer);
        try {
          contestants.push_back(MakePeer(variant, {peer, venv}));
        } catch (const Error& error) {
          failed.push_back(FailedRow(variant, peer, error.what()));
        }
        progress.Advance(1, peer);
      }
    }
  }
  std::vector<BenchRow> measured = Measure(
      bench_case, contestants,
      {.runs = arguments.runs, .title = fmt::format("bench {} {}", bench_case.name, bench_case.size())});
  for (const BenchRow& row : measured) {
    if (IsOurs(row.engine) && !row.error.empty()) throw Error(ErrorCode::kInternal, row.error);
  }
  measured.insert(measured.end(), failed.begin(), failed.end());
  CompareThreads(measured);
  std::vector<std::string> engines;
  for (const Precision precision : precisions) engines.push_back(OurName(precision));
  engines.insert(engines.end(), peers.begin(), peers.end());
  for (const BenchCase& variant : variants) {
    for (const std::string& engine : engines) {
      const auto row = std::find_if(measured.begin(), measured.end(), [&](const BenchRow& one) {
        return one.engine == engine && one.threads == variant.threads;
      });
      rows.push_back(*row);
    }
  }
}

void Warn(const BenchReport& report) {
  for (const BenchRow& row : report.rows) {
    if (row.wide_spread()) {
      LogWarning(
          fmt::format("{} {} on {}: times spread by {:.0f} % of their median; something else uses the "
                      "machine, compare with care",
                      row.name, row.size, row.engine, 100 * row.ms.mad / row.ms.median));
    }
    if (row.agreement >= 0 && row.agreement < 0.99) {
      LogWarning(fmt::format("{} {} on {}: {:.2f} % of labels equal only; its time is of other work",
                             row.name, row.size, row.engine, 100 * row.agreement));
    }
  }
}

int RunBench(const BenchArguments& arguments) {
  if (!arguments.serve_peer.empty()) return ServePeer(arguments.serve_peer, arguments.library);
  const std::vector<int> threads = ParseThreads(arguments.threads);
  if (!arguments.device.empty() || arguments.step) BenchWithTorch(arguments, threads);
  if (arguments.batch > 0 || !arguments.amp.empty())
    throw Error(
        ErrorCode::kUsage,
        "--batch goes with --step, --amp with --device or --step; the engine takes one frame after another");
  if (arguments.models.empty())
    throw Error(ErrorCode::kUsage,
                "frf bench wants a model file or a network's name; frf info --list shows the networks");
  const std::vector<Precision> precisions = ParsePrecisions(arguments.precision);
  std::vector<SizePair> sizes;
  for (const std::string& size : SplitAtCommas(arguments.sizes, "--size"))
    sizes.push_back(ParseSize(size, "--size"));
  const std::vector<std::string> peers = PeersOf(arguments);
  const std::filesystem::path venv = peers.empty() ? "" : FindPeersVenv(arguments.venv);
  if (!peers.empty() && venv.empty()) {
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("--against {}: there is no virtual environment with it: make peers makes one, --venv or "
                    "FRF_PEERS_VENV names another",
                    fmt::join(peers, ",")));
  }
  if (!arguments.output.empty()) MakeFolder(arguments.output);
  BenchReport report;
  report.to_labels = arguments.to == "labels";
  report.compared = !peers.empty();
  for (const int count : threads) report.peaks.push_back(MeasurePeaks(count));
  const std::vector<std::string> names = CaseNames(arguments.models);
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (const BenchCase& bench_case :
         CasesOf(arguments, sizes, arguments.models[i], names[i], threads.front()))
      RunCase(arguments, bench_case, threads, precisions, peers, venv, report.rows);
  }
  ClearProgressLine();
  Warn(report);
  // The times first: a full disk must not cost them.
  if (arguments.json)
    PrintJson(ToJson(report));
  else
    PrintTable(report);
  std::fflush(stdout);
  // A comparison that was asked for and is not there is no success.
  const bool alone =
      !peers.empty() && std::none_of(report.rows.begin(), report.rows.end(), [](const BenchRow& row) {
        return !IsOurs(row.engine) && row.error.empty();
      });
  if (alone) LogError(fmt::format("no peer gave a result: {}", fmt::join(peers, ", ")));
  if (!arguments.output.empty()) {
    const std::filesystem::path folder = arguments.output;
    WriteFileAtomically(folder / "bench.md", Markdown(report));
    WriteFileAtomically(folder / "bench.svg", PlotSvg(report));
    if (!arguments.json) fmt::print("written: {0}/bench.md and {0}/bench.svg\n", arguments.output);
  }
  return alone ? 1 : 0;
}

constexpr const char* kExamples = R"(
What is measured: batch 1, one frame after another, the median of 100 after warm-up (fewer where a row would take over
20 s; --runs N is exact). Every frame's labels are compared. A MAD above 5 % of the median is marked with ! and warned of.
With --against, engines take turns call by call; each peer gets a file of fixed size, all its optimisations, float32, the same
threads, and the faster of its two files (plain, or 8-bit picture in and labels out). docs/bench.md says it all.

Examples:
  frf bench frfnet                                          random weights, 512x1024
  frf bench frfnet frfnet-slim --size 360x480,512x1024      several networks and sizes in one table
  frf bench my.onnx --against onnxruntime,openvino -o out   your own export beside other runtimes; out/bench.md, bench.svg
  frf bench frfnet --threads 1,2                            what a second core is worth: frames in turns, and the speed-up
  frf bench frfnet --precision f32,bf16                     what 16 bits are worth, and the labels they change
  frf bench frfnet --to scores --threads 1 --json
  frf bench frfnet --step --size 360x480 --batch 4          a training step, with libtorch
make peers installs onnxruntime, openvino and ncnn in .venv-peers.)";

}  // namespace

void AddBench(CLI::App& root, Action& action) {
  auto a = std::make_shared<BenchArguments>();
  CLI::App* app =
      root.add_subcommand("bench", "frames per second, beside the machine's peaks and beside other runtimes");
  app->add_option("models", a->models,
                  "ONNX files, run folders, shipped weights, or network names (random weights)")
      ->option_text("MODEL|NET ...");
  app->add_option(
      "--size", a->sizes,
      "input sizes HEIGHTxWIDTH, with commas between (default: as trained; networks by name: 512x1024)");
  app->add_option(
         "--to", a->to,
         "labels: 8-bit RGB in, 8-bit labels out; scores: float planes in, full-size float scores out")
      ->check(CLI::IsMember({"labels", "scores"}));
  app->add_option("--threads", a->threads,
                  "CPU threads, with commas between for several in turns; 0: all cores");
  app->add_option(
         "--runs", a->runs,
         "timed frames a row; 0: 100, fewer where they would take over 20 s (20 with --device or --step)")
      ->check(CLI::Range(0, 1'000'000));
  app->add_option("--precision", a->precision,
                  "of frf's convolutions: f32, bf16, f16, or several with commas between");
  app->add_option("--against", a->against,
                  "peers, with commas between: onnxruntime, openvino, openvino-bf16, ncnn");
  app->add_option("--venv", a->venv,
                  "virtual environment with the peers (default: FRF_PEERS_VENV, or .venv-peers here or "
                  "beside the program)");
  app->add_flag("--tune", a->tune,
                "measure first which kernels are fastest at this size, and keep the result");
  app->add_option("--net-options", a->options, "of a network by name: name=value,name=value");
  app->add_option("--classes", a->classes, "of a network by name: whose classes")
      ->check(CLI::IsMember({"camvid", "cityscapes"}));
  app->add_option("--seed", a->seed, "of a network's random weights")->check(AtLeastZero());
  app->add_option("--device", a->device,
                  "with libtorch instead (frf-train), one network by name or run folder: cpu, cuda, cuda:N");
  app->add_flag("--step", a->step, "a training step (frf-train): forward, loss, backward, AdamW, average");
  app->add_option("--batch", a->batch, "images a step, with --step")->check(CLI::Range(1, 1024));
  app->add_option("--amp", a->amp, "number format, with --device or --step: off, bf16, f16, auto");
  app->add_option("-o,--output", a->output, "folder for bench.md, a table, and bench.svg, a plot");
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->add_option("--serve-peer", a->serve_peer)
      ->group("")
      ->check(CLI::IsMember({"onnxruntime", "openvino", "openvino-bf16"}));
  app->add_option("--library", a->library)->group("");
  app->footer(kExamples);
  app->callback([a, &action] { action = [a] { return RunBench(*a); }; });
}

}  // namespace frf::cli
