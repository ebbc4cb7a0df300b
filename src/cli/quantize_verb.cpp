// SPDX-License-Identifier: Apache-2.0
// `frf quantize X.onnx --data D -o Q.onnx`: post-training quantisation to 8 bits, with what it costs measured
// before anything is written. Subtle: ranges are measured on one part of the data, settings are chosen on a
// second and the figure that is reported is of a third, each from recordings of its own where there are
// enough: neighbouring frames would hide what rounding breaks.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "cli/quantize_score.h"
#include "engine/quantize/insert.h"
#include "frf/error.h"
#include "graph/image_size.h"

namespace frf::cli {
namespace {

using engine::QuantizeScheme;
using engine::RangeKind;
using engine::RangeMethod;

struct QuantizeArguments {
  std::string model, output, data, split = "train", list, score_data, score_split = "val", score_list,
                                   variant, size, method = "auto";
  std::vector<std::string> keep_float;
  std::uint64_t seed = 0;
  int images = 100, select_images = 40, score_images = 200, threads = 0;
  double percentile = 99.99, max_drop = -1;
  bool sensitivity = false, json = false;
};

// Everything that is measured once and tried in many forms.
class Quantizer {
 public:
  Quantizer(const QuantizeArguments& arguments, Model model)
      : arguments_(arguments), model_(std::move(model)) {
    options_ = {.threads = arguments.threads};
    const SizePair fixed = FixedSides(model_.graph);
    if (!arguments.size.empty()) {
      std::tie(options_.height, options_.width) = ParseSize(arguments.size, "--size");
      CheckKeepsFixedSides(arguments.model, {options_.height, options_.width}, fixed);
    }
    OpenData();
    const Image& first = calibration_.samples.at(0).image;
    const auto [height, width] = WithFixedSides({options_.height, options_.width}, fixed);
    size_ = ChooseNetworkSize(model_.info.input, first.height, first.width, height, width);
  }

  int Run() {
    const engine::ReadyGraph ready =
        engine::ReadyForQuantization(model_.graph, {1, 3, size_.height, size_.width});
    const std::vector<std::string> nodes = engine::QuantizableNodes(ready);
    if (nodes.empty())
      throw Error(ErrorCode::kUnsupported, arguments_.model + " has no convolution that integers could do");
    for (const std::string& name : arguments_.keep_float) {
      if (std::find(nodes.begin(), nodes.end(), name) != nodes.end()) continue;
      throw Error(ErrorCode::kUsage,
                  fmt::format("--keep-float {}: there is no such convolution; frf info {} lists them", name,
                              arguments_.model));
    }
    float_score_ = ScoreNetwork(model_, options_, selection_, "float32");
    if (arguments_.max_drop >= 0 && !float_score_.MeanIou()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--max-drop: no pixel of the {} to choose by is labelled, so there is no mean "
                              "IoU to keep; leave it out, or name labelled images (--split, --list)",
                              Counted(selection_.samples.size(), "image")));
    }
    const Clock::time_point start = Clock::now();
    Candidate best = Choose(ready);
    const double calibrated = Seconds(start);
    if (arguments_.max_drop >= 0 || arguments_.sensitivity) best = KeepWithinBudget(best, nodes);
    Finish(best, nodes, calibrated);
    return 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double Seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }
  std::string HeldOut(const char* words) const { return seen_ > 0 ? "" : words; }

  struct Prepared {
    engine::ReadyGraph ready;
    std::map<std::string, engine::ValueStatistics> statistics;
    int equalized = 0;  // pairs
  };
  struct Candidate {
    std::shared_ptr<const Prepared> prepared;
    QuantizeScheme scheme;
    NetworkScore score;
    double disagreement = 1;
  };

  void OpenData() {
    const auto open = [&](const std::string& spec, const std::string& split, const std::string& list) {
      auto data = OpenDataset({.spec = spec,
                               .split = split,
                               .list = list,
                               .seed = arguments_.seed,
                               .variant = arguments_.variant});
      CheckClasses(model_.info.classes, data->classes(), arguments_.model);
      return data;
    };
    const auto data = open(arguments_.data, arguments_.split, arguments_.list);
    const bool apart = !arguments_.score_data.empty() || !arguments_.score_list.empty();
    std::vector<int> wanted{arguments_.images, arguments_.select_images};
    if (!apart) wanted.push_back(arguments_.score_images);
    const auto parts = SplitByRecording(*data, wanted, arguments_.data.starts_with("synth:"));
    calibration_ = ReadImages(*data, EvenlyOf(parts[0], arguments_.images));
    selection_ = ReadImages(*data, EvenlyOf(parts[1], arguments_.select_images));
    if (!apart) {
      scoring_ = ReadImages(*data, EvenlyOf(parts[2], arguments_.score_images));
      return;
    }
    const auto score = open(arguments_.score_data.empty() ? arguments_.data : arguments_.score_data,
                            arguments_.score_split, arguments_.score_list);
    std::vector<int> all(score->size());
    for (int i = 0; i < score->size(); ++i) all[i] = i;
    scoring_ = ReadImages(*score, EvenlyOf(all, arguments_.score_images));
    seen_ = CountUsed(scoring_, calibration_, selection_);
  }

  std::shared_ptr<const Prepared> Measure(engine::ReadyGraph ready, int equalized) {
    auto prepared = std::make_shared<Prepared>();
    engine::StatisticsCollector collector(ready.graph, engine::MeasuredValues(ready),
                                          {.threads = arguments_.threads});
    Progress progress(equalized > 0 ? "ranges, equalised" : "ranges",
                      static_cast<std::int64_t>(calibration_.samples.size()));
    for (const Sample& sample : calibration_.samples) {
      collector.Add(NetworkInput(sample.image));
      progress.Advance();
    }
    prepared->ready = std::move(ready);
    prepared->statistics = collector.statistics();
    prepared->equalized = equalized;
    return prepared;
  }

  Tensor NetworkInput(const Image& image) const {
    const bool bytes = model_.graph.inputs.at(0).dtype == DType::kUint8;
    InputSpec spec = model_.info.input;
    if (bytes) spec.mean = {0, 0, 0}, spec.std = {1, 1, 1};
    Tensor tensor = Tensor::Uninitialized(DType::kFloat32, {1, 3, size_.height, size_.width});
    const NetworkSize size = ChooseNetworkSize(spec, image.height, image.width, size_.height, size_.width);
    Preprocess(image.view(), spec, size, tensor.data<float>());
    return bytes ? tensor.Cast(DType::kUint8) : tensor;
  }

  Model ModelOf(const Candidate& candidate) const {
    Model model = model_;
    model.graph = engine::InsertQuantization(candidate.prepared->ready, candidate.prepared->statistics,
                                             candidate.scheme);
    return model;
  }

  void Try(Candidate& candidate, const std::string& title = {}) {
    candidate.score = ScoreNetwork(ModelOf(candidate), options_, selection_, title);
    candidate.disagreement = Disagreement(float_score_, candidate.score);
  }

  std::vector<RangeMethod> Methods() const {
    if (arguments_.method == "minmax") return {{RangeKind::kMinMax, 1}};
    if (arguments_.method == "mse") return {{RangeKind::kMse, 1}};
    if (arguments_.method == "percentile") return {{RangeKind::kPercentile, arguments_.percentile / 100}};
    return {{RangeKind::kMinMax, 1},
            {RangeKind::kPercentile, 0.9999},
            {RangeKind::kPercentile, 0.99999},
            {RangeKind::kMse, 1}};
  }

  // The settings that change fewest labels of the selection images.
  Candidate Choose(const engine::ReadyGraph& ready) {
    const std::set<std::string> kept(arguments_.keep_float.begin(), arguments_.keep_float.end());
    const auto plain = Measure(ready, 0);
    engine::ReadyGraph equal = ready;
    const int pairs = engine::EqualizeLayers(equal);
    const auto equalized = pairs > 0 ? Measure(std::move(equal), pairs) : nullptr;
    std::optional<Candidate> best;
    const auto consider = [&](Candidate candidate) {
      Try(candidate);
      tried_.push_back({{"ranges", candidate.scheme.range.name()},
                        {"bias_correction", candidate.scheme.bias_correction},
                        {"equalized_pairs", candidate.prepared->equalized},
                        {"labels_changed", candidate.disagreement},
                        {"miou", OrNull(candidate.score.MeanIou())}});
      if (!best || candidate.disagreement < best->disagreement) best = std::move(candidate);
    };
    const std::vector<RangeMethod> methods = Methods();
    Progress progress("settings", static_cast<std::int64_t>(methods.size()) + 2);
    for (const RangeMethod& method : methods) {
      consider({plain, {.range = method, .float_nodes = kept, .bias_correction = false}, {}, 1});
      progress.Advance();
    }
    Candidate corrected = *best;
    corrected.scheme.bias_correction = true;
    consider(std::move(corrected));
    progress.Advance();
    if (equalized) {
      Candidate with = *best;
      with.prepared = equalized;
      consider(std::move(with));
    }
    progress.Advance();
    return *best;
  }

  // What each convolution costs when it alone is rounded; where the whole costs more than allowed, the
  // costliest go back to float32, as few as will do.
  Candidate KeepWithinBudget(Candidate whole, const std::vector<std::string>& nodes) {
    std::vector<std::pair<double, std::string>> order;
    {
      Progress progress("sensitivity", static_cast<std::int64_t>(nodes.size()));
      for (const std::string& node : nodes) {
        progress.Advance(1, node);
        if (whole.scheme.float_nodes.contains(node)) continue;
        Candidate alone = whole;
        alone.scheme.float_nodes = {nodes.begin(), nodes.end()};
        alone.scheme.float_nodes.erase(node);
        Try(alone);
        Json row{{"node", node}, {"labels_changed", alone.disagreement}};
        row.update(ToJson(DropOf(float_score_, alone.score)));
        sensitivity_.push_back(row);
        order.emplace_back(alone.disagreement, node);
      }
    }
    std::sort(order.begin(), order.end(), std::greater<>());
    std::sort(sensitivity_.begin(), sensitivity_.end(), [](const Json& a, const Json& b) {
      return a["labels_changed"].get<double>() > b["labels_changed"].get<double>();
    });
    if (arguments_.max_drop < 0) return whole;
    std::size_t kept = 0;
    while (DropOf(float_score_, whole.score)->points > arguments_.max_drop && kept < order.size()) {
      for (std::size_t more = std::max<std::size_t>(1, kept / 2); more > 0 && kept < order.size(); --more)
        whole.scheme.float_nodes.insert(order[kept++].second);
      Try(whole);
    }
    return whole;
  }

  void Finish(const Candidate& best, const std::vector<std::string>& nodes, double calibrated) {
    Model quantized = ModelOf(best);
    const NetworkScore wanted = ScoreNetwork(model_, options_, scoring_, "float32" + HeldOut(", held out"));
    const NetworkScore got = ScoreNetwork(quantized, options_, scoring_, "int8" + HeldOut(", held out"));
    const std::optional<Drop> drop = DropOf(wanted, got);
    const double changed = Disagreement(wanted, got);
    const bool integers = nodes.size() > best.scheme.float_nodes.size();
    quantized.info.weights = integers ? "int8" : "f32";
    quantized.info.eval = Json::array();  // scores of the float network
    Json quant{
        {"method", best.scheme.range.name()},
        {"bias_correction", best.scheme.bias_correction},
        {"equalized_pairs", best.prepared->equalized},
        {"float_nodes", Json::array()},
        {"data", arguments_.data.substr(0, arguments_.data.find(':'))},
        {"calibration",
         {{"images", calibration_.samples.size()}, {"recordings", Some(calibration_.recordings)}}},
        {"selection", {{"images", selection_.samples.size()}, {"recordings", Some(selection_.recordings)}}},
        {"scoring",
         {{"images", scoring_.samples.size()},
          {"used_before", seen_},
          {"recordings", Some(scoring_.recordings)},
          {"miou_float", OrNull(wanted.MeanIou())},
          {"miou", OrNull(got.MeanIou())},
          {"labels_changed", changed}}}};
    quant["scoring"].update(ToJson(drop));
    for (const std::string& node : best.scheme.float_nodes) quant["float_nodes"].push_back(node);
    if (!sensitivity_.empty()) quant["sensitivity"] = sensitivity_;
    quantized.info.quant = quant;
    WriteOptions options;
    if (const SizePair fixed = FixedSides(model_.graph); fixed.first > 0 && fixed.second > 0)
      options.size = fixed;
    const std::string bytes = SerializeOnnx(quantized, options);
    ParseOnnx(bytes, arguments_.output);  // what we would refuse ourselves is not written
    // The scores first: a full disk must not cost them.
    if (arguments_.json) {
      quant["tried"] = tried_;
      quant["output"] = arguments_.output;
      quant["bytes"] = bytes.size();
      quant["calibration_seconds"] = calibrated;
      quant["iou"] = ToJson(got.Sum(), model_.info.classes)["iou"];
      quant["iou_float"] = ToJson(wanted.Sum(), model_.info.classes)["iou"];
      PrintJson(quant);
    } else {
      Print(best, calibrated, wanted, got, drop, changed);
    }
    std::fflush(stdout);
    if (!drop) {
      LogWarning(fmt::format("no pixel of the {} is labelled: what int8 costs in mean IoU is not known",
                             Counted(scoring_.samples.size(), HeldOut("held-out ") + "image")));
    } else if (arguments_.max_drop >= 0 && drop->points > arguments_.max_drop) {
      LogWarning(fmt::format(
          "the {}images lose {:.2f} points, more than --max-drop {:g}, which is kept on the {} "
          "images of the selection; choose by more of them (--select-images) or ask for a smaller drop",
          HeldOut("held-out "), drop->points, arguments_.max_drop, selection_.samples.size()));
    }
    if (model_.graph.opset < 13) {
      LogWarning(
          fmt::format("{}: is of opset {}, as the file that it was made of; other runtimes want 13 or "
                      "later for weights rounded by channel (onnx.version_converter)",
                      arguments_.output, model_.graph.opset));
    }
    if (!integers)
      LogWarning(arguments_.output + ": all convolutions stay float32, nothing is rounded to 8 bits");
    WriteFileAtomically(arguments_.output, bytes);
    if (arguments_.json) return;
    fmt::print("{}: {:.1f} MB, {} of {} convolutions in int8\n", arguments_.output,
               static_cast<double>(bytes.size()) * 1e-6, nodes.size() - best.scheme.float_nodes.size(),
               nodes.size());
  }

  void Print(const Candidate& best, double calibrated, const NetworkScore& wanted, const NetworkScore& got,
             const std::optional<Drop>& drop, double changed) const {
    PrintTried(tried_);
    fmt::print("chosen: {}{}{}, on {} of {}; ranges of {} of {}, {:.0f} s\n\n", best.scheme.range.name(),
               best.scheme.bias_correction ? ", bias corrected" : "",
               best.prepared->equalized > 0 ? ", equalised" : "", Counted(selection_.samples.size(), "image"),
               Some(selection_.recordings), Counted(calibration_.samples.size(), "image"),
               Some(calibration_.recordings), calibrated);
    if (!sensitivity_.empty()) PrintSensitivity(sensitivity_);
    PrintScores(model_.info.classes, wanted, got, drop);
    fmt::print("{}{:.2f} % of labels changed; {} of {}\n", drop ? ToText(*drop) + "; " : "", changed * 100,
               Counted(scoring_.samples.size(), HeldOut("held-out ") + "image"), Some(scoring_.recordings));
    fmt::print("float32 {:.1f} ms, int8 {:.1f} ms an image\n", wanted.ms, got.ms);
  }

  const QuantizeArguments& arguments_;
  Model model_;
  SegmenterOptions options_;
  NetworkSize size_{};
  ScoredImages calibration_, selection_, scoring_;
  int seen_ = 0;  // of scoring_, in one of the others too
  NetworkScore float_score_;
  Json tried_ = Json::array(), sensitivity_ = Json::array();
};

// Options that would change nothing, or mean nothing, are refused, not passed over.
void CheckGiven(const QuantizeArguments& arguments, const CLI::App& app) {
  const auto refuse = [](const std::string& why) { throw Error(ErrorCode::kUsage, why); };
  const bool drawn = arguments.data.starts_with("synth:") || arguments.score_data.starts_with("synth:");
  CheckVariant(arguments.variant, {arguments.data, arguments.score_data});
  if (app.count("--percentile") > 0 && arguments.method != "percentile")
    refuse("--percentile goes with --method percentile, the method is " + arguments.method);
  if (app.count("--max-drop") > 0 && !(arguments.max_drop >= 0))
    refuse(fmt::format("--max-drop {:g}: points of mean IoU are wanted, 0 or more", arguments.max_drop));
  if (app.count("--seed") > 0 && !drawn) refuse("--seed is of drawn scenes (--data synth:COUNT)");
  if (app.count("--score-split") > 0 && arguments.score_data.empty() && arguments.score_list.empty())
    refuse("--score-split goes with --score-data or --score-list; without them the figure is of --data");
}

}  // namespace

void AddQuantize(CLI::App& root, Action& action) {
  auto a = std::make_shared<QuantizeArguments>();
  CLI::App* app =
      root.add_subcommand("quantize", "8-bit integers in place of floats, and what that costs in mean IoU");
  app->add_option("model", a->model, "ONNX file, run folder, or name of shipped weights")->required();
  app->add_option("--data", a->data, "camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE or synth:COUNT")
      ->required();
  app->add_option("-o,--output", a->output,
                  "the ONNX file: QuantizeLinear and DequantizeLinear, which other runtimes know too")
      ->required();
  app->add_option("--split", a->split, "train, val, test or trainval");
  app->add_option("--list", a->list, "file that names the images to use");
  app->add_option(
      "--score-data", a->score_data,
      "data to report mean IoU on (default: recordings of --data that nothing else is done with)");
  app->add_option("--score-split", a->score_split, "its split");
  app->add_option("--score-list", a->score_list, "file that names its images");
  app->add_option("--images", a->images, "images that ranges are measured on")->check(CLI::Range(1, 100000));
  app->add_option("--select-images", a->select_images, "images that settings are chosen by")
      ->check(CLI::Range(1, 100000));
  app->add_option("--score-images", a->score_images, "images that mean IoU is reported of")
      ->check(CLI::Range(1, 1000000));
  app->add_option("--method", a->method,
                  "ranges: minmax, percentile, mse; auto measures which changes fewest labels")
      ->check(CLI::IsMember({"auto", "minmax", "percentile", "mse"}));
  app->add_option("--percentile", a->percentile,
                  "with --method percentile: share of the numbers inside the range, in per cent")
      ->check(Between(50.0, 100.0));
  app->add_option("--max-drop", a->max_drop,
                  "points of mean IoU that may be lost; convolutions that hurt most stay float32");
  app->add_flag("--sensitivity", a->sensitivity, "measure each convolution alone, as --max-drop does");
  app->add_option("--keep-float", a->keep_float, "convolutions that stay float32, by name")->delimiter(',');
  app->add_option("--size", a->size, "network input size HEIGHTxWIDTH (default: as the model was trained)");
  app->add_option("--variant", a->variant,
                  "cityscapes: labelIds or trainIds files; synth: camvid or cityscapes classes");
  app->add_option("--seed", a->seed, "synth: the first scene's seed")->check(AtLeastZero());
  app->add_option("--threads", a->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer(
      R"(Images are split by recording (a file's name up to the first '_'): the largest for ranges (one, or as many as give
--images), the next to choose by, the others for the figure that is reported.

Examples:
  frf quantize frfnet-camvid --data camvid:DIR -o street-int8.onnx
  frf quantize runs/first --data camvid:DIR --list dev-train.txt --score-list dev-test.txt --max-drop 0.3 -o q.onnx
  frf bench street-int8.onnx --against onnxruntime,openvino)");
  app->callback([a, app, &action] {
    CheckGiven(*a, *app);
    action = [a] {
      const DatasetSpec data{.spec = a->data, .list = a->list},
          score{.spec = a->score_data, .list = a->score_list};
      CheckOutputFile(a->output, "a model", InputFiles().AddModel(a->model).AddData(data).AddData(score));
      return Quantizer(*a, LoadModel(a->model)).Run();
    };
  });
}

}  // namespace frf::cli
