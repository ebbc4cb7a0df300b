// SPDX-License-Identifier: Apache-2.0
// How a run begins: folder, plan, network, and where the last sitting stopped. Subtle: of several processes
// rank 0 alone touches the folder; what the others need of it, plan and state, they get from rank 0.
#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "frf/error.h"
#include "train/data_checks.h"
#include "train/prune.h"
#include "train/trainer_impl.h"

namespace frf {
namespace {

// Data and lists may have moved since the run began, or lie elsewhere on this process's machine: validation's
// data with those of training, where both were one data set.
void UseOwnPlaces(const TrainOptions& options, Plan& plan) {
  const bool one = plan.validation.spec == plan.train.spec;
  if (!options.train.spec.empty()) plan.train.spec = options.train.spec;
  if (one) plan.validation.spec = plan.train.spec;
  if (!options.validation.spec.empty()) plan.validation.spec = options.validation.spec;
  const auto own_list = [](const std::string& given, const char* option, std::string& planned) {
    if (given.empty()) return;
    if (planned.empty()) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("{} {}: this run has no list; with --resume it says where the run's list is now",
                      option, given));
    }
    planned = given;
  };
  own_list(options.train.list, "--list", plan.train.list);
  own_list(options.validation.list, "--val-list", plan.validation.list);
}

// Where the data's classes are not those of the run, in words.
std::string Difference(const Classes& data, const Classes& run) {
  if (data.count() != run.count())
    return fmt::format("has {} classes, the run was started with {}", data.count(), run.count());
  for (int id = 0; id < run.count(); ++id) {
    if (data.names[id] != run.names[id])
      return fmt::format("calls class {} '{}', the run '{}'", id, data.names[id], run.names[id]);
  }
  return "has other colours or label ids for its classes than the run was started with";
}

// Every rank takes its share of images by their numbers, so all ranks must have the same, in one order. Only
// names are compared: files may lie elsewhere, or in a pack.
void CheckSameImages(const Dataset& data, Distributed& distributed) {
  std::string names;
  for (int i = 0; i < data.size(); ++i) names += data.name(i) + '\n';
  const Json own{{"images", data.size()}, {"names", XxHash64(names)}};
  const Json zeros = ParseJson(distributed.Broadcast(own.dump()), "rank 0's images");
  const bool same = own == zeros;
  if (distributed.Sum(same ? 0.0 : 1.0) == 0) return;
  // Together, before rank 0 writes anything: a rank with other images says so, which ends the others here.
  if (same) distributed.Sum(0.0);
  const int wanted = zeros.at("images").get<int>();
  throw Error(ErrorCode::kUsage,
              fmt::format("rank {} of {}: {}; rank 0 has {}; all ranks want the same data",
                          distributed.rank(), distributed.size(), data.description(),
                          data.size() != wanted ? std::to_string(wanted) : "as many of other names"));
}

// config.json keeps these names, and JSON is UTF-8.
void CheckNames(const TrainOptions& options) {
  std::vector<std::string> names{options.train.spec,      options.train.list, options.validation.spec,
                                 options.validation.list, options.init,       options.qat};
  names.insert(names.end(), options.teachers.begin(), options.teachers.end());
  for (const std::string& name : names) {
    if (IsUtf8(name)) continue;
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{}: the name is not UTF-8, as config.json wants; rename the file or folder, or put a "
                    "link beside it",
                    Printable(name)));
  }
}

// The network with its first weights. Pruned ones are fitted on the images that it will be trained on;
// `about`: where the model says so.
Graph FirstGraph(const Plan& plan, const Dataset& data, bool progress, Json& about) {
  if (!plan.prune || plan.init.empty()) return MakeGraph(plan);
  const Teacher larger = ReadTeacher(plan.init, "--init");
  Plan drawn = plan;
  drawn.init.clear();
  Graph graph = MakeGraph(drawn);
  const PruneReport report = Prune(larger.graph, larger.info.input, graph, plan.model.input, data,
                                   {.seed = plan.seed,
                                    .classifier = larger.info.classes.names == plan.model.classes.names,
                                    .progress = progress});
  double mean = 0;
  for (const PrunedLayer& layer : report.fitted)
    mean += layer.unexplained / static_cast<double>(report.fitted.size());
  const auto worst = std::max_element(
      report.fitted.begin(), report.fitted.end(),
      [](const PrunedLayer& a, const PrunedLayer& b) { return a.unexplained < b.unexplained; });
  LogInfo(
      fmt::format("{} ({:.2f} M parameters) pruned to {} ({:.2f} M): {} convolutions fitted on {} images, "
                  "{:.1f} % of the variance unexplained (most in {}: {:.1f} %)",
                  larger.info.net, static_cast<double>(larger.graph.ParameterCount()) * 1e-6, plan.model.net,
                  static_cast<double>(graph.ForInference().ParameterCount()) * 1e-6, report.fitted.size(),
                  report.images, mean * 100, worst->name, worst->unexplained * 100));
  about["pruned_from"] = larger.name;
  if (!report.drawn.empty()) LogInfo(fmt::format("newly drawn: {}", Shortened(report.drawn)));
  return graph;
}

// The images to validate on. A data set of one's own often has none set apart.
std::unique_ptr<Dataset> OpenValidation(const DatasetSpec& spec, bool resumed) {
  try {
    return OpenDataset(spec);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || !spec.list.empty() || resumed) throw;
    throw Error(error.code(), fmt::format("{}; --val-split or --val-list names other images to validate on, "
                                          "--no-val trains without",
                                          error.what()));
  }
}

}  // namespace

RunFolder Trainer::OpenRun(const TrainOptions& options, const Distributed* distributed) {
  if (options.run.empty()) throw Error(ErrorCode::kUsage, "no run folder: name one with -o RUN");
  if (distributed != nullptr && distributed->rank() != 0) return RunFolder::OfAnother(options.run);
  return options.resume ? RunFolder::Open(options.run) : RunFolder::Create(options.run);
}

Plan Trainer::ChoosePlan(const TrainOptions& options, const RunFolder& run,
                         std::shared_ptr<const Dataset>& data) {
  CheckNames(options);
  if (options.resume) {
    const std::string file = run / "config.json";
    Plan plan = PlanFromJson(ParseJson(ReadFile(file), file), file);
    UseOwnPlaces(options, plan);
    data = OpenDataset(plan.train);
    if (data->classes() != plan.model.classes) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: {} {}; resume it with the same data", file, data->description(),
                              Difference(data->classes(), plan.model.classes)));
    }
    return plan;
  }
  data = OpenDataset(options.train);
  return MakePlan(options, *data);
}

// Rank 0 reads, measures and decides; the others only need the data, where their own options say or its.
Plan Trainer::AgreedPlan(const TrainOptions& options, const RunFolder& run, Distributed* distributed,
                         std::shared_ptr<const Dataset>& data) {
  if (distributed == nullptr) return ChoosePlan(options, run, data);
  if (distributed->rank() == 0) {
    Plan plan = ChoosePlan(options, run, data);
    distributed->Broadcast(ToJson(plan).dump());
    CheckSameImages(*data, *distributed);
    return plan;
  }
  const std::string what = "rank 0's plan";
  Plan plan = PlanFromJson(ParseJson(distributed->Broadcast(std::string()), what), what);
  UseOwnPlaces(options, plan);
  plan.init.clear();
  data = OpenDataset(plan.train);
  if (data->classes() != plan.model.classes) {
    throw Error(ErrorCode::kUsage, fmt::format("rank {} of {}: {} {}; all ranks want the same data",
                                               distributed->rank(), distributed->size(), data->description(),
                                               Difference(data->classes(), plan.model.classes)));
  }
  CheckSameImages(*data, *distributed);
  return plan;
}

// The steps of 8 bits must be exact, and bf16 has no more bits than they.
Precision Trainer::ChoosePrecision() const {
  const Precision wanted =
      ResolvePrecision(plan_.quantization && options_.amp == "auto" ? "off" : options_.amp, device_);
  if (plan_.quantization && wanted != Precision::kFloat32) {
    throw Error(ErrorCode::kUsage, fmt::format("--amp {} does not go with --qat: rounding to 8 bits is "
                                               "simulated in float32; leave it out",
                                               options_.amp));
  }
  return wanted;
}

Trainer::Trainer(const TrainOptions& options, torch::Device device, Distributed* distributed)
    : options_(options),
      device_(device),
      distributed_(distributed),
      run_(OpenRun(options, distributed)),
      plan_(AgreedPlan(options, run_, distributed, data_)),
      precision_(ChoosePrecision()),
      scaler_(precision_) {
  if (device_.is_cpu()) at::globalContext().setDeterministicAlgorithms(true, true);
  if (plan_.validate) {
    validation_ = OpenValidation(plan_.validation, options.resume);
    if (validation_->classes().names != plan_.model.classes.names) {
      throw Error(ErrorCode::kUsage, fmt::format("validation data {} has other classes than {}",
                                                 validation_->description(), data_->description()));
    }
    if (distributed_ != nullptr) CheckSameImages(*validation_, *distributed_);
    trained_on_ = CountShared(*validation_, *data_);
    if (trained_on_ > 0) {
      LogWarning(
          fmt::format("{} of the {} validation images are trained on: scores will be too good, and say "
                      "little of other images; --val-split or --val-list names others",
                      trained_on_, validation_->size()));
    }
  }
  // Resumed weights come from last.ckpt: do not ask for --init's file again.
  const bool continues = options.resume && Writes() && run_.Has("last.ckpt");
  Plan drawn = plan_;
  if (continues) drawn.init.clear();
  module_ = std::make_unique<GraphModule>(FirstGraph(drawn, *data_, Writes(), About()));
  module_->To(device_);
  module_->train(!plan_.quantization);  // batch norm that could not be folded stays as it is
  const Recipe& recipe = plan_.recipe;
  if (recipe.average > 0) average_ = std::make_unique<Average>(*module_, recipe.average);
  optimizer_ = std::make_unique<Optimizer>(*module_, recipe.optimizer);
  sharpness_ = std::make_unique<SharpnessStep>(*module_);
  step_ = std::make_unique<TrainStep>(*module_, device_, precision_,
                                      options.cuda_graph && distributed_ == nullptr);
  loader_ = std::make_unique<Loader>(data_, AugmentOf(recipe, recipe.phases.front()), Loading());
  schedule_ = ScheduleOf(recipe, loader_->steps_per_epoch());
  Check(schedule_);
  if (continues) Resume();
  state_.images = data_->size();
  if (!plan_.teachers.empty()) TakeTeachers();
  About()["device"] = device_.is_cpu() ? ThisMachine().cpu : "CUDA";
  if (Writes()) {
    if (options.resume) RewindLog();
    if (!options.resume) WriteConfig();
    if (!continues && !plan_.init.empty()) SaveLast(true);  // from here on --init's file may go away
    if (!state_.finished)
      events_ = std::make_unique<EventWriter>(run_.path(),
                                              options.resume ? std::optional(FirstNewStep()) : std::nullopt);
  }
  if (distributed_ == nullptr) return;
  ShareState(*distributed_, state_, Everything());
  scaler_.set_state(state_.loss_scale);  // rank 0's: gradients of all are summed before they are scaled back
  module_->SetDistributed(distributed_, BatchImages() * distributed_->rank() / distributed_->size());
  buckets_ = std::make_unique<GradientBuckets>(*module_, *distributed_);
}

std::string Trainer::OwnTeacher(std::size_t i) const { return run_ / fmt::format("teacher-{}.ckpt", i + 1); }

// A run keeps its teachers, so that it can go on where their files are gone.
void Trainer::TakeTeachers() {
  std::vector<Teacher> teachers;
  for (std::size_t i = 0; Writes() && i < plan_.teachers.size(); ++i) {
    teachers.push_back(ReadTeacher(options_.resume ? OwnTeacher(i) : options_.teachers[i]));
    if (!options_.resume) CheckClasses(teachers.back(), plan_.model);  // all, before anything is written
  }
  for (std::size_t i = 0; i < teachers.size() && !options_.resume; ++i) {
    const std::string own = OwnTeacher(i);
    // `frf train` has put it there already where it was an ONNX file.
    if (options_.teachers[i] != own) SaveTeacher(own, teachers[i]);
    plan_.teachers[i] = teachers[i].name;
    LogInfo(fmt::format("teacher {}: {}", teachers[i].name, teachers[i].info.net));
  }
  About()["teachers"] = plan_.teachers;
  teachers_ = std::make_unique<Teachers>(std::move(teachers), plan_.model, device_, distributed_);
}

// The recipe's batch is that of the whole run, so that steps, rates and checkpoints do not depend on how many
// processes share it.
LoaderOptions Trainer::Loading() const {
  const Recipe& recipe = plan_.recipe;
  const int processes = Processes();
  if (data_->size() < processes) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: {} processes want an image each; start fewer or add images",
                            data_->description(), processes));
  }
  // A batch of all images is shared as evenly as it goes, where there are too few for the one asked for.
  const bool all = recipe.batch >= data_->size();
  if (!all && recipe.batch % processes != 0) {
    throw Error(ErrorCode::kUsage,
                fmt::format("a batch of {} cannot be shared by {} processes evenly; the batch is the whole "
                            "run's: take a multiple of {}",
                            recipe.batch, processes, processes));
  }
  return {.batch = (recipe.batch + processes - 1) / processes,
          .seed = plan_.seed,
          .workers = options_.workers,
          .prefetch = std::max(LoaderOptions{}.prefetch, options_.workers + 2),  // work for every one of them
          .drop_last = !all,
          .shard = distributed_ == nullptr ? 0 : distributed_->rank(),
          .shards = processes,
          .balance = recipe.balance,
          .input = plan_.model.input};
}

void Trainer::Resume() {
  const Checkpoint checkpoint = Checkpoint::Load(run_ / "last.ckpt");
  LoadState(checkpoint, state_, Everything());
  scaler_.set_state(state_.loss_scale);
  saved_step_ = state_.step;
  if (!state_.finished && state_.images != 0 && state_.images != data_->size()) {
    LogWarning(
        fmt::format("{}: {}, where the run had {}: images were added or removed; epochs of {} steps from "
                    "here on, and rates follow their length",
                    run_.path(), data_->description(), state_.images, loader_->steps_per_epoch()));
  }
}

// Whether the run was stopped after an epoch's last step, before what ends an epoch: that is done again.
bool Trainer::EndPending() const { return state_.epoch_step >= loader_->steps_per_epoch(); }

// From which step on TensorBoard forgets what the earlier sittings wrote: a sitting that ended with an epoch
// has written this step's scores, which nobody writes again.
std::int64_t Trainer::FirstNewStep() const {
  return state_.step > 0 && !EndPending() ? state_.step + 1 : state_.step;
}

// Drops log lines that this run will write again.
void Trainer::RewindLog() {
  const bool end_pending = EndPending();
  run_.Rewind([&](const Json& line) {
    const auto step = line.value("step", std::int64_t{0});
    if (!state_.finished && line.value("final", false)) return false;
    return step < state_.step || (step == state_.step && step > 0 && !end_pending);
  });
}

}  // namespace frf
