// SPDX-License-Identifier: Apache-2.0
// Subtle: network options that a recipe asks for (auxiliary heads, dropout) are set only where the network
// has them and the person did not say otherwise.
#include "train/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/version.h"
#include "data/new_sky.h"
#include "frf/error.h"
#include "graph/weights.h"
#include "nets/nets.h"
#include "train/data_checks.h"
#include "train/plan_sizes.h"

namespace frf {
namespace {

bool HasOption(const std::string& net, const std::string& option) {
  for (const NetEntry& entry : ListNets()) {
    if (entry.name != net) continue;
    return std::any_of(entry.options.begin(), entry.options.end(),
                       [&](const NetOption& o) { return o.name == option; });
  }
  return false;
}

Json NetOptions(const TrainOptions& options, int classes) {
  Json wanted = options.net_options;
  if (wanted.contains("classes") && wanted["classes"] != classes) {
    throw Error(ErrorCode::kUsage, fmt::format("--net-options classes={}: the data have {} classes, which "
                                               "decides; leave it out",
                                               wanted["classes"].dump(), classes));
  }
  wanted["classes"] = classes;
  if (options.recipe.auxiliary && HasOption(options.net, "aux") && !wanted.contains("aux"))
    wanted["aux"] = true;
  if (options.recipe.dropout > 0 && HasOption(options.net, "dropout") && !wanted.contains("dropout")) {
    wanted["dropout"] = options.recipe.dropout;
  }
  return CompleteOptions(options.net, wanted);
}

void ResolveStatistics(const Recipe& recipe, const Dataset& train, InputSpec& input) {
  if (recipe.input == InputStatistics::kImageNet) return;
  const InputSpec measured = MeasureMeanStd(train);
  input.mean = measured.mean;
  input.std = recipe.input == InputStatistics::kMeanStd ? measured.std : std::array<float, 3>{1, 1, 1};
}

void ResolveShares(Recipe& recipe, const Dataset& train) {
  const bool weights = recipe.class_weights > 0 && recipe.loss.class_weights.empty();
  const bool rare =
      (recipe.augment.class_crop > 0 || recipe.augment.copy_paste > 0) && recipe.augment.rare_classes.empty();
  if (!weights && !rare) return;
  const std::vector<double> shares = ClassShares(train);
  WarnOfAbsentClasses(train, shares);
  if (weights) recipe.loss.class_weights = ClassWeights(shares, recipe.class_weights);
  if (rare) recipe.augment.rare_classes = RareClasses(shares);
}

// A step takes no more images than there are: what it takes is what the run says of itself.
void ResolveBatch(Recipe& recipe, const Dataset& train) {
  if (recipe.batch <= train.size()) return;
  LogWarning(fmt::format("{}: a batch of {} was asked for, every step takes the {} there {}",
                         train.description(), recipe.batch, Counted(train.size(), "image"),
                         train.size() == 1 ? "is" : "are"));
  recipe.batch = train.size();
}

void ResolveSky(AugmentSpec& augment, const Classes& classes) {
  if (!(augment.sky > 0) || augment.sky_class >= 0) return;
  augment.sky_class = SkyClass(classes);
  if (augment.sky_class < 0) LogInfo("no class is called sky: the recipe's augment.sky does nothing");
}

// What a person's recipe says class by class must be of as many classes.
void CheckClasses(const Recipe& recipe, const Dataset& train) {
  const int count = train.classes().count();
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::kUsage, fmt::format("recipe {}: {}, {} has {} classes", recipe.name, what,
                                               train.description(), count));
  };
  const std::size_t weights = recipe.loss.class_weights.size();
  if (weights != 0 && weights != static_cast<std::size_t>(count))
    refuse(fmt::format("loss.class_weights are {}", weights));
  if (recipe.augment.sky_class >= count)
    refuse(fmt::format("augment.sky_class is {}", recipe.augment.sky_class));
  for (const int rare : recipe.augment.rare_classes) {
    if (rare < 0 || rare >= count) refuse(fmt::format("augment.rare_classes holds {}", rare));
  }
}

Json ToJson(const DatasetSpec& spec) {
  return {{"spec", spec.spec},     {"split", spec.split}, {"list", spec.list},      {"seed", spec.seed},
          {"height", spec.height}, {"width", spec.width}, {"variant", spec.variant}};
}

DatasetSpec SpecFromJson(const Json& json) {
  return {.spec = json.at("spec"),
          .split = json.at("split"),
          .list = json.at("list"),
          .seed = json.at("seed"),
          .height = json.at("height"),
          .width = json.at("width"),
          .variant = json.at("variant")};
}

// A run folder's best checkpoint, else its last; or the file itself.
std::string InitFile(const std::string& init) {
  if (std::filesystem::is_directory(init)) {
    for (const char* name : {"/best.ckpt", "/last.ckpt"}) {
      if (std::filesystem::exists(init + name)) return init + name;
    }
    throw Error(ErrorCode::kNotFound,
                fmt::format("--init {}: neither best.ckpt nor last.ckpt is there", init));
  }
  if (init.ends_with(".onnx")) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--init {}: frf-train reads checkpoints and run folders; `frf train --init "
                            "{}` converts the file first",
                            init, init));
  }
  return init;
}

// Where no network is named: that of --init, with its options but for those of training, else frfnet.
TrainOptions WithNetOfInit(const TrainOptions& options) {
  TrainOptions chosen = options;
  if (!chosen.net.empty()) return chosen;
  chosen.net = "frfnet";
  if (options.init.empty() || options.prune) return chosen;  // pruned to what is named, or to frfnet
  const std::string file = InitFile(options.init);
  const Checkpoint checkpoint = Checkpoint::Load(file);
  const auto meta = checkpoint.meta().find("model");
  if (meta == checkpoint.meta().end()) return chosen;
  const ModelInfo info = ModelInfoFromJson(*meta, file);
  if (info.net.empty()) return chosen;
  chosen.net = info.net;
  Json theirs = info.net_options.is_object() ? info.net_options : Json::object();
  for (const char* ours : {"classes", "aux", "dropout"}) theirs.erase(ours);
  theirs.update(chosen.net_options);
  chosen.net_options = theirs;
  return chosen;
}

// The network that is rounded, before rounding; its weights are to be loaded.
Graph RoundedNet(const Plan& plan, const std::string& file) {
  const InputSpec& input = plan.model.input;
  return ReadyToTrain(BuildNet(plan.model.net, plan.model.net_options), {input.height, input.width},
                      *plan.quantization, file);
}

// Network, input, classes and codings of the file that is fine-tuned.
void StartFromQuantized(const TrainOptions& options, const Dataset& train, Plan& plan) {
  if (options.qat.ends_with(".onnx")) {
    throw Error(ErrorCode::kUsage, fmt::format("--qat {}: frf-train reads no ONNX; `frf train --qat {}` "
                                               "converts the file first",
                                               options.qat, options.qat));
  }
  const Checkpoint start = Checkpoint::Load(options.qat);
  if (!start.meta().contains("quantization") || !start.meta().contains("model")) {
    throw Error(ErrorCode::kUsage, fmt::format("--qat {}: holds no codings; `frf train --qat Q.onnx` takes "
                                               "what frf quantize wrote",
                                               options.qat));
  }
  plan.model = ModelInfoFromJson(start.meta()["model"], options.qat);
  plan.quantization = QuantizationTableFromJson(start.meta()["quantization"], options.qat);
  plan.init = options.qat;
  if (train.classes().names != plan.model.classes.names) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("--qat: the file knows {} classes ({}, ...), {} has {} ({}, ...): the same ones are "
                    "wanted",
                    plan.model.classes.count(), plan.model.classes.names.front(), train.description(),
                    train.classes().count(), train.classes().names.front()));
  }
  if (plan.recipe.batch_norm_batches > 0) {
    throw Error(ErrorCode::kUsage,
                fmt::format("recipe {}: batch_norm_batches is {}, but --qat trains with "
                            "batch norm folded; --recipe qat, or --set batch_norm_batches=0",
                            plan.recipe.name, plan.recipe.batch_norm_batches));
  }
  plan.model.classes = train.classes();
  plan.model.net_options["classes"] = plan.model.classes.count();
  plan.model.weights = "int8";
  plan.model.eval = Json::array();
}

// How this run came about: where the file says so.
Json Provenance(const Plan& plan) {
  return {{"data", DataName(plan.train)},
          {"list", SplitName(plan.train)},
          {"recipe", plan.recipe.name},
          {"epochs", Epochs(plan.recipe)},
          {"seed", plan.seed},
          {"commit", Commit()}};
}

void InitFrom(Graph& graph, const Plan& plan) {
  const Checkpoint checkpoint = Checkpoint::Load(InitFile(plan.init));
  const std::string prefix = WeightsPrefix(checkpoint);
  // The person's word for what `frf train` converted.
  const std::string given = checkpoint.meta().value("given", plan.init);
  bool other_classes = false;
  if (const auto model = checkpoint.meta().find("model");
      model != checkpoint.meta().end() && model->contains("classes")) {
    if (model->value("weights", "") == "int8") {
      throw Error(ErrorCode::kUsage, fmt::format("--init {}: was trained under rounding, its batch norm is "
                                                 "folded; start from the float run that it came from",
                                                 given));
    }
    other_classes = (*model)["classes"] != Json(plan.model.classes.names);
  }
  // A bias alone, as every network of these classes has one, is no layer.
  const auto fits = [&](const Initializer& own) {
    const CheckpointTensor* theirs = checkpoint.Find(prefix + own.name);
    return theirs != nullptr && own.role == Role::kParameter && theirs->shape == own.value.shape() &&
           theirs->shape.size() > 1 && !(own.classifier && other_classes);
  };
  if (std::none_of(graph.initializers.begin(), graph.initializers.end(), fits)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--init {}: no layer of {} fits; was it trained with another network or other "
                            "--net-options? A larger one of the family is cut down by --prune",
                            given, plan.model.net));
  }
  const LoadReport report = LoadWeights(graph, checkpoint, prefix, {.redraw_classifier = other_classes});
  LogInfo(fmt::format("{}: {} loaded", given, Counted(report.loaded, "tensor")));
  if (!report.kept.empty()) LogInfo(fmt::format("newly drawn: {}", Shortened(report.kept)));
  if (!report.ignored.empty())
    LogInfo(fmt::format("in the file, not in the network: {}", Shortened(report.ignored)));
}

}  // namespace

void LoadAll(Graph& graph, const Checkpoint& checkpoint, const std::string& net, bool raw) {
  const LoadReport report = LoadWeights(graph, checkpoint, WeightsPrefix(checkpoint, raw), {});
  if (!report.kept.empty()) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: weights do not fit {}: {}", checkpoint.path(), net, Shortened(report.kept)));
  }
}

std::string Shortened(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 12;
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + std::min(kShown, names.size()), ", "));
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

std::string DataName(const DatasetSpec& spec) { return spec.spec.substr(0, spec.spec.find(':')); }

std::string SplitName(const DatasetSpec& spec) { return spec.list.empty() ? spec.split : ListName(spec); }

Plan MakePlan(const TrainOptions& options, const Dataset& train) {
  if (train.size() == 0)
    throw Error(ErrorCode::kInvalidArgument, train.description() + ": no images to train on");
  Plan plan;
  plan.seed = options.seed;
  plan.train = options.train;
  plan.validation = options.validation;
  DatasetSpec& validation = plan.validation;
  if (validation.spec.empty()) validation.spec = plan.train.spec;
  if (DataName(validation) == DataName(plan.train)) {  // read alike, but for what was said of validation
    if (validation.variant.empty()) validation.variant = plan.train.variant;
    if (validation.height == 0)
      std::tie(validation.height, validation.width) = {plan.train.height, plan.train.width};
  }
  plan.validate = options.validate;
  plan.init = options.init;
  plan.prune = options.prune;
  if (plan.prune && (plan.init.empty() || !options.qat.empty())) {
    throw Error(
        ErrorCode::kUsage,
        "--prune wants --init, the larger trained network that is pruned, and does not go with --qat");
  }
  plan.teachers = options.teachers;
  plan.recipe = options.recipe;
  if (!options.qat.empty()) StartFromQuantized(options, train, plan);
  ResolveSizes(options, LookAtSizes(train), plan);
  ResolveShares(plan.recipe, train);
  ResolveBatch(plan.recipe, train);
  ResolveSky(plan.recipe.augment, train.classes());
  CheckClasses(plan.recipe, train);
  Check(plan.recipe);

  ModelInfo& model = plan.model;
  model.weights_from = plan.recipe.average > 0 ? "ema" : "raw";
  if (plan.quantization) {
    if (!model.quant.is_object()) model.quant = Json::object();
    model.quant["qat"] = Provenance(plan);
    return plan;
  }
  model.classes = train.classes();
  const TrainOptions chosen = WithNetOfInit(options);
  model.net = chosen.net;
  model.net_options = NetOptions(chosen, model.classes.count());
  for (const NetEntry& entry : ListNets()) {
    if (entry.name == model.net) model.source = entry.source;
  }
  ResolveStatistics(plan.recipe, train, model.input);
  model.train = Provenance(plan);
  return plan;
}

Json ToJson(const Plan& plan) {
  Json json{{"model", ToJson(plan.model)}, {"recipe", ToJson(plan.recipe)},
            {"seed", plan.seed},           {"commit", Commit()},
            {"version", Version()},        {"train", ToJson(plan.train)},
            {"validate", plan.validate},   {"validation", ToJson(plan.validation)},
            {"init", plan.init},           {"prune", plan.prune},
            {"teachers", plan.teachers},   {"measured", plan.measured}};
  if (plan.quantization) json["quantization"] = ToJson(*plan.quantization);
  return json;
}

Plan PlanFromJson(const Json& json, const std::string& file) {
  try {
    Plan plan;
    plan.model = ModelInfoFromJson(json.at("model"), file);
    plan.recipe = RecipeFromJson(json.at("recipe"), file);
    plan.seed = json.at("seed").get<std::uint64_t>();
    plan.train = SpecFromJson(json.at("train"));
    plan.validation = SpecFromJson(json.at("validation"));
    plan.validate = json.at("validate").get<bool>();
    plan.init = json.at("init").get<std::string>();
    plan.prune = json.value("prune", false);
    plan.teachers = json.value("teachers", plan.teachers);
    plan.measured = json.value("measured", plan.measured);
    if (json.contains("quantization")) {
      plan.quantization = QuantizationTableFromJson(json["quantization"], file);
    }
    return plan;
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: not a run's configuration: {}", file, JsonReason(error)));
  }
}

Graph MakeGraph(const Plan& plan) {
  if (plan.quantization) {
    Graph graph = RoundedNet(plan, plan.init.empty() ? "config.json" : plan.init);
    if (!plan.init.empty()) {
      const Checkpoint checkpoint = Checkpoint::Load(plan.init);
      LoadAll(graph, checkpoint, plan.model.net);
    }
    return InsertFakeQuantization(graph, *plan.quantization);
  }
  Graph graph = BuildNet(plan.model.net, plan.model.net_options);
  InitializeWeights(graph, plan.seed);
  if (!plan.init.empty()) InitFrom(graph, plan);
  return graph;
}

Graph LoadRunGraph(const std::string& run, bool raw, bool last, ModelInfo& info) {
  const std::string file = run + "/config.json";
  const Plan plan = PlanFromJson(ParseJson(ReadFile(file), file), file);
  info = plan.model;
  const std::string taken = CheckpointOfRun(run, last);
  const Checkpoint checkpoint = Checkpoint::Load(fmt::format("{}/{}.ckpt", run, taken));
  DescribeWeights(info, checkpoint.meta(), taken == "best", raw);
  Graph graph =
      plan.quantization ? RoundedNet(plan, file) : BuildNet(info.net, info.net_options).ForInference();
  LoadAll(graph, checkpoint, plan.model.net, raw);
  return plan.quantization ? InsertFakeQuantization(graph, *plan.quantization) : graph;
}

}  // namespace frf
