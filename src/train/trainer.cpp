// SPDX-License-Identifier: Apache-2.0
// The training loop. Order at an epoch's end: log, validate, best.ckpt, last.ckpt; whatever of these a kill
// cuts off is done again, with the same result, by the resumed run.
#include "train/trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "base/files.h"
#include "base/log.h"
#include "base/stop_signal.h"
#include "base/system.h"
#include "base/version.h"
#include "frf/error.h"
#include "train/trainer_impl.h"

namespace frf {
namespace {

constexpr int kScalarEvery = 10;  // steps between TensorBoard points

}  // namespace

RunFolder Trainer::OpenRun(const TrainOptions& options) {
  if (options.run.empty()) throw Error(ErrorCode::kUsage, "no run folder: name one with -o RUN");
  return options.resume ? RunFolder::Open(options.run) : RunFolder::Create(options.run);
}

Plan Trainer::ChoosePlan(const TrainOptions& options, const RunFolder& run,
                         std::shared_ptr<const Dataset>& data) {
  if (options.resume) {
    const std::string file = run / "config.json";
    Plan plan = PlanFromJson(ParseJson(ReadFile(file), file), file);
    if (!options.train.spec.empty()) plan.train.spec = options.train.spec;  // the data may have moved
    if (!options.validation.spec.empty()) plan.validation.spec = options.validation.spec;
    data = OpenDataset(plan.train);
    if (data->classes() != plan.model.classes) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("{}: {} has {} classes, the run was started with {}; resume it with the same data",
                      file, data->description(), data->classes().count(), plan.model.classes.count()));
    }
    return plan;
  }
  data = OpenDataset(options.train);
  return MakePlan(options, *data);
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

Trainer::Trainer(const TrainOptions& options)
    : options_(options),
      device_(ParseDevice(options.device)),
      run_(OpenRun(options)),
      plan_(ChoosePlan(options, run_, data_)),
      precision_(ChoosePrecision()),
      scaler_(precision_) {
  if (device_.is_cpu()) at::globalContext().setDeterministicAlgorithms(true, true);
  if (plan_.validate) {
    validation_ = OpenDataset(plan_.validation);
    if (validation_->classes().names != plan_.model.classes.names) {
      throw Error(ErrorCode::kUsage, fmt::format("validation data {} has other classes than {}",
                                                 validation_->description(), data_->description()));
    }
  }
  // Resumed weights come from last.ckpt: do not ask for --init's file again.
  const bool continues = options.resume && run_.Has("last.ckpt");
  Plan drawn = plan_;
  if (continues) drawn.init.clear();
  module_ = std::make_unique<GraphModule>(MakeGraph(drawn));
  module_->To(device_);
  module_->train(!plan_.quantization);  // batch norm that could not be folded stays as it is
  const Recipe& recipe = plan_.recipe;
  if (recipe.average > 0) average_ = std::make_unique<Average>(*module_, recipe.average);
  optimizer_ = std::make_unique<Optimizer>(*module_, recipe.optimizer);
  loader_ = std::make_unique<Loader>(data_, AugmentOf(recipe, recipe.phases.front()),
                                     LoaderOptions{.batch = recipe.batch,
                                                   .seed = plan_.seed,
                                                   .workers = options.workers,
                                                   .drop_last = data_->size() >= recipe.batch,
                                                   .balance = recipe.balance,
                                                   .input = plan_.model.input});
  schedule_ = ScheduleOf(recipe, loader_->steps_per_epoch());
  Check(schedule_);
  if (continues) Resume();
  if (options.resume) RewindLog();
  About()["device"] = device_.is_cpu() ? ThisMachine().cpu : "CUDA";
  if (!options.resume) WriteConfig();
  if (!continues && !plan_.init.empty()) SaveLast(true);  // from here on --init's file may go away
  events_ = std::make_unique<EventWriter>(run_.path(), state_.step);
}

void Trainer::Resume() {
  const Checkpoint checkpoint = Checkpoint::Load(run_ / "last.ckpt");
  LoadState(checkpoint, state_, Everything());
  scaler_.set_state(state_.loss_scale);
  saved_step_ = state_.step;
}

// Drops log lines that this run will write again.
void Trainer::RewindLog() {
  const bool end_pending = state_.epoch_step >= loader_->steps_per_epoch();
  run_.Rewind([&](const Json& line) {
    const auto step = line.value("step", std::int64_t{0});
    if (!state_.finished && line.value("final", false)) return false;
    return step < state_.step || (step == state_.step && step > 0 && !end_pending);
  });
}

void Trainer::Announce() {
  const std::string machine = fmt::format("{}, {} threads, {}", device_.is_cpu() ? ThisMachine().cpu : "CUDA",
                                          torch::get_num_threads(), Name(precision_));
  LogInfo(fmt::format("{}: {} on {}, recipe {}, {} epochs of {} steps, batch {}, seed {}; {}", run_.path(),
                      plan_.model.net, data_->description(), plan_.recipe.name, TotalEpochs(),
                      loader_->steps_per_epoch(), plan_.recipe.batch, plan_.seed, machine));
  if (options_.resume) LogInfo(fmt::format("resumed after epoch {}, step {}", state_.epoch, state_.step));
  run_.Log({{"type", options_.resume ? "resume" : "start"},
            {"epoch", state_.epoch},
            {"step", state_.step},
            {"commit", Commit()},
            {"device", machine},
            {"workers", options_.workers}});
}

TrainResult Trainer::Run() {
  const StopSignal signals;
  if (!state_.finished) {
    Announce();
    progress_ = std::make_unique<Progress>("train", schedule_.steps - state_.step);
    // Epoch 0, the rounded network as it came: training must beat it for best.ckpt.
    if (plan_.quantization && validation_ && state_.step == 0) {
      Validate(false);
      LogInfo(fmt::format("{}: mIoU {:.4f} under rounding before training", run_.path(), *state_.last_miou));
    }
    while (state_.epoch < TotalEpochs()) {
      RunEpoch();
      FinishEpoch();
    }
    progress_.reset();
    FinishRun();
  } else {
    LogInfo(fmt::format("{}: finished already, nothing to do", run_.path()));
  }
  return {.run = run_.path(),
          .epochs = TotalEpochs(),
          .steps = state_.step,
          .loss = state_.last_loss,
          .last_miou = state_.last_miou,
          .best_miou = state_.best_miou,
          .best_epoch = state_.best_epoch,
          .seconds = state_.seconds,
          .loader_idle = IdleShare(),
          .weights_hash = HashWeights(*module_, average_.get())};
}

void Trainer::RunEpoch() {
  const std::int64_t steps = loader_->steps_per_epoch();
  if (state_.epoch_step >= steps) return;
  const Phase& phase = PhaseAt(plan_.recipe, state_.epoch);
  LossSpec spec = plan_.recipe.loss;
  if (!phase.loss.empty()) spec.kind = LossKindFromName(phase.loss);
  loss_ = std::make_unique<Loss>(spec, module_->graph());
  loader_->SetAugment(AugmentOf(plan_.recipe, phase));
  loader_->StartEpoch(state_.epoch, state_.epoch_step);
  double waited = loader_->waited_seconds();
  auto start = Clock::now();
  while (auto batch = loader_->Next()) {
    Step(*batch, phase);
    loader_->Recycle(std::move(batch));
    const double seconds = SecondsSince(start), waiting = loader_->waited_seconds() - waited;
    waited += waiting;
    state_.waited += waiting;
    state_.seconds += seconds;
    sitting_seconds_ += seconds;
    epoch_ = {epoch_.steps + 1, epoch_.seconds + seconds, epoch_.waited + waiting};
    const bool stop = StopSignal::Requested() ||
                      (options_.stop_after_steps > 0 && state_.step >= options_.stop_after_steps);
    if (stop) Stop();
    if (SecondsSince(saved_) >= options_.checkpoint_seconds) SaveLast(false);
    start = Clock::now();
  }
}

void Trainer::Step(const Batch& batch, const Phase& phase) {
  Rates rates = RatesAt(schedule_, state_.step);
  rates.rate *= phase.rate_share;
  module_->SetChance(plan_.seed, static_cast<std::uint64_t>(state_.step));
  std::map<std::string, torch::Tensor> outputs;
  {
    const Autocast cast(device_, precision_);
    outputs = module_->ForwardForLoss(ImagesOf(batch, device_));
  }
  for (auto& [name, value] : outputs) value = value.to(torch::kFloat32);
  torch::Tensor loss = (*loss_)(outputs, LabelsOf(batch, device_));
  outputs.clear();
  const double value = loss.item<double>();
  CheckLoss(value, batch);
  (precision_ == Precision::kFloat16 ? loss * scaler_.scale() : loss).backward();
  loss.reset();
  if (precision_ != Precision::kFloat16 || scaler_.Update(optimizer_->GradientNorm())) {
    optimizer_->Step(rates, average_.get(), 1.0 / scaler_.scale());
  }
  optimizer_->ZeroGrad();
  ++state_.step;
  ++state_.epoch_step;
  state_.loss_sum += value;
  state_.loss_scale = scaler_.state();
  sitting_pixels_ += static_cast<double>(batch.images.size());
  progress_->Advance(1, fmt::format("epoch {}/{}  loss {:.4f}", state_.epoch + 1, TotalEpochs(), value));
  if (state_.step % kScalarEvery == 0) {
    events_->Scalar("train/loss", value, state_.step);
    events_->Scalar("train/rate", rates.rate, state_.step);
  }
}

void Trainer::CheckLoss(double loss, const Batch& batch) {
  if (std::isfinite(loss)) return;
  const std::string good = saved_step_ < 0 ? "no checkpoint was written yet"
                                           : fmt::format("the last good checkpoint is {} of step {}",
                                                         run_ / "last.ckpt", saved_step_);
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: the loss is {} at step {} (epoch {}, batch {}) on {}; {}; try a lower --lr or "
                          "--set optimizer.clip_norm=5",
                          run_.path(), std::isnan(loss) ? "not a number" : "infinite", state_.step,
                          state_.epoch + 1, state_.epoch_step, fmt::join(batch.names, ", "), good));
}

// Pixels of input still to be trained on: what the time left is estimated from, since phases differ in size.
double Trainer::PixelsLeft() const {
  double pixels = 0;
  for (std::int64_t epoch = state_.epoch; epoch < TotalEpochs(); ++epoch) {
    const AugmentSpec augment = AugmentOf(plan_.recipe, PhaseAt(plan_.recipe, epoch));
    pixels += 3.0 * augment.crop_height * augment.crop_width * plan_.recipe.batch *
              static_cast<double>(loader_->steps_per_epoch());
  }
  return pixels;
}

void Trainer::LogEpoch() {
  const Phase& phase = PhaseAt(plan_.recipe, state_.epoch);
  Json line{
      {"type", "epoch"},          {"epoch", state_.epoch + 1},
      {"step", state_.step},      {"phase", phase.name},
      {"loss", state_.last_loss}, {"rate", RatesAt(schedule_, state_.step - 1).rate * phase.rate_share}};
  if (epoch_.steps > 0) {
    line["seconds"] = epoch_.seconds;
    line["images_per_second"] = static_cast<double>(epoch_.steps * plan_.recipe.batch) / epoch_.seconds;
    line["loader_idle"] = epoch_.waited / epoch_.seconds;
  }
  run_.Log(line);
  epoch_ = {};
}

void Trainer::FinishEpoch() {
  state_.last_loss = state_.loss_sum / static_cast<double>(loader_->steps_per_epoch());
  const std::int64_t done = state_.epoch + 1;
  LogEpoch();
  events_->Scalar("train/epoch_loss", state_.last_loss, state_.step);
  std::string scores;
  if (validation_ && (done % plan_.recipe.validate_every == 0 || done == TotalEpochs())) {
    Validate(false);
    scores = fmt::format(", mIoU {:.4f} (best {:.4f} of epoch {})", *state_.last_miou, *state_.best_miou,
                         state_.best_epoch);
  }
  state_.epoch = done;
  state_.epoch_step = 0;
  state_.loss_sum = 0;
  const double left = sitting_pixels_ > 0 ? PixelsLeft() * sitting_seconds_ / sitting_pixels_ : -1;
  LogInfo(fmt::format("epoch {}/{}: loss {:.4f}{}, loader idle {:.1f} %, {} left", done, TotalEpochs(),
                      state_.last_loss, scores, IdleShare() * 100, FormatDuration(left)));
  if (!events_->Flush() && !events_lost_) {
    events_lost_ = true;
    LogWarning(events_->path() + ": cannot write; training goes on, events are lost");
  }
  SaveLast(false);
}

// Statistics of batch norm for the averaged weights, then the last validation and the report.
void Trainer::FinishRun() {
  const Recipe& recipe = plan_.recipe;
  if (recipe.batch_norm_batches > 0) {
    // A run that was stopped after its last step comes here without having trained in the last phase.
    loader_->SetAugment(AugmentOf(recipe, recipe.phases.back()));
    loader_->StartEpoch(TotalEpochs(), 0);
    module_->SetChance(plan_.seed, static_cast<std::uint64_t>(state_.step));
    int used = 0;
    if (average_) {
      const Average::Applied use(*average_);
      used = ReestimateBatchNorm(*module_, *loader_, recipe.batch_norm_batches, device_);
    } else {
      used = ReestimateBatchNorm(*module_, *loader_, recipe.batch_norm_batches, device_);
    }
    LogInfo(fmt::format("batch norm: statistics re-estimated over {} batches", used));
    if (validation_) Validate(true);
  }
  state_.finished = true;
  About()["hours"] = std::round(state_.seconds / 36) / 100;
  WriteConfig();
  SaveLast(true);
  if (!validation_) WriteTrainReport(run_, plan_, {.title = plan_.model.net + " on " + data_->description()});
  LogInfo(fmt::format("{}: done in {}; the loader kept training waiting {:.1f} % of the time", run_.path(),
                      FormatDuration(state_.seconds), IdleShare() * 100));
}

Json ToJson(const TrainResult& r) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  return {{"run", r.run},
          {"epochs", r.epochs},
          {"steps", r.steps},
          {"loss", r.loss},
          {"miou", optional(r.last_miou)},
          {"best_miou", optional(r.best_miou)},
          {"best_epoch", r.best_epoch},
          {"hours", r.seconds / 3600},
          {"loader_idle", r.loader_idle},
          {"weights_hash", r.weights_hash}};
}

TrainResult Train(const TrainOptions& options) {
  ConfigureCpu(options.threads);
  return Trainer(options).Run();
}

}  // namespace frf
