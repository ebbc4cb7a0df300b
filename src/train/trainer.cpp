// SPDX-License-Identifier: Apache-2.0
// The training loop. Order at an epoch's end: log, validate, best.ckpt, last.ckpt; whatever of these a kill
// cuts off is done again, with the same result, by the resumed run.
#include "train/trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/stop_signal.h"
#include "base/system.h"
#include "base/version.h"
#include "base/world.h"
#include "frf/error.h"
#include "train/trainer_impl.h"

namespace frf {
namespace {

constexpr int kScalarEvery = 10;  // steps between TensorBoard points

std::string ScoreText(const std::optional<double>& miou) { return miou ? fmt::format("{:.4f}", *miou) : "-"; }

}  // namespace

void Trainer::Announce() {
  std::string machine = fmt::format("{}, {}, {}", device_.is_cpu() ? ThisMachine().cpu : "CUDA",
                                    Counted(torch::get_num_threads(), "thread"), NameOf(precision_));
  if (distributed_ != nullptr) machine += ", " + distributed_->Describe();
  LogInfo(fmt::format("{}: {} on {}, recipe {}, {} of {}, batch {}, seed {}; {}", run_.path(),
                      plan_.model.net, data_->description(), plan_.recipe.name,
                      Counted(TotalEpochs(), "epoch"), Counted(loader_->steps_per_epoch(), "step"),
                      plan_.recipe.batch, plan_.seed, machine));
  LogInfo(fmt::format("crops of {}x{}, the network's input in validation and use: {}",
                      plan_.recipe.crop_height, plan_.recipe.crop_width,
                      plan_.model.input.fit == Fit::kResize
                          ? fmt::format("{}x{}", plan_.model.input.height, plan_.model.input.width)
                          : "every image at its own size"));
  if (const std::int64_t wanted = WarmupWanted(plan_.recipe, loader_->steps_per_epoch());
      wanted > schedule_.warmup_steps) {
    LogInfo(fmt::format("warm-up of {} instead of {}: at most a fifth of the run's {}",
                        Counted(schedule_.warmup_steps, "step"), wanted, Counted(schedule_.steps, "step")));
  }
  if (options_.resume) LogInfo(fmt::format("resumed after epoch {}, step {}", state_.epoch, state_.step));
  run_.Log({{"type", options_.resume ? "resume" : "start"},
            {"epoch", state_.epoch},
            {"step", state_.step},
            {"commit", Commit()},
            {"device", machine},
            {"schedule", ToJson(schedule_)},
            {"workers", options_.workers}});
}

TrainResult Trainer::Run() {
  const StopSignal signals;
  if (!state_.finished) {
    Announce();
    if (Writes()) progress_ = std::make_unique<Progress>("train", StepsLeft());
    // Epoch 0, the rounded or pruned network as it came: training must beat it for best.ckpt.
    if ((plan_.quantization || plan_.prune) && validation_ && state_.step == 0) {
      Validate(false);
      LogInfo(fmt::format("{}: mIoU {} {} before training", run_.path(), ScoreText(state_.last_miou),
                          plan_.prune ? "as pruned," : "under rounding"));
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
          .weights_hash = HashWeights(*module_, average_.get()),
          .rank = distributed_ == nullptr ? 0 : distributed_->rank()};
}

// Where the run stands on its way through the schedule: state_.step, unless images were added or removed
// since earlier steps were counted.
std::int64_t Trainer::ScheduleStep() const {
  const std::int64_t steps = loader_->steps_per_epoch();
  return state_.epoch * steps + std::min(state_.epoch_step, steps);
}

// Of a step: the batch, or all there are.
std::int64_t Trainer::BatchImages() const {
  return std::min<std::int64_t>(plan_.recipe.batch, data_->size());
}

void Trainer::RunEpoch() {
  const std::int64_t steps = loader_->steps_per_epoch();
  if (state_.epoch_step >= steps) return;
  const Phase& phase = PhaseAt(plan_.recipe, state_.epoch);
  LossSpec spec = plan_.recipe.loss;
  if (!phase.loss.empty()) spec.kind = LossKindFromName(phase.loss);
  if (loss_ == nullptr || loss_->spec() != spec) {
    loss_ = std::make_shared<const Loss>(spec, module_->graph(), distributed_);
  }
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
    ++epoch_.steps;
    epoch_.seconds += seconds;
    epoch_.waited += waiting;
    if (StopWanted()) Stop();
    if (SecondsSince(saved_) >= options_.checkpoint_seconds) SaveLast(false);
    start = Clock::now();
  }
}

bool Trainer::StopWanted() const {
  const bool signal = distributed_ == nullptr ? StopSignal::Requested() : stop_together_;
  return signal || (options_.stop_after_steps > 0 && state_.step >= options_.stop_after_steps);
}

// The whole batch's loss; in the same sum the processes agree on whether one of them was asked to stop.
double Trainer::TotalLoss(double own) {
  if (distributed_ == nullptr) return own;
  std::vector<double> sums{own, StopSignal::Requested() ? 1.0 : 0.0};
  distributed_->Sum(sums);
  stop_together_ = sums[1] > 0;
  return sums[0];
}

void Trainer::Step(const Batch& batch, const Phase& phase) {
  if (distributed_ != nullptr) distributed_->SetStep(state_.step);
  Rates rates = RatesAt(schedule_, ScheduleStep());
  rates.rate *= phase.rate_share;
  module_->SetChance(plan_.seed, static_cast<std::uint64_t>(state_.step));
  const torch::Tensor images = ImagesOf(batch, device_);
  const torch::Tensor targets = teachers_ ? teachers_->Probabilities(images, precision_) : torch::Tensor();
  const torch::Tensor labels = LabelsOf(batch, device_);
  const double scale = scaler_.scale();  // of both passes: Update changes it
  const auto pass = [&](const char* advice) {
    const torch::Tensor loss = step_->Forward(images, labels, loss_, targets);
    if (distributed_ != nullptr) distributed_->Settle();
    const double own = loss.item<double>(), total = TotalLoss(own);
    CheckLoss(total, own, batch, advice);
    step_->Backward(scale);
    if (buckets_) buckets_->Finish();
    return total;
  };
  const double value = pass("try a lower --lr or --set optimizer.clip_norm=5");
  const double rho = SharpnessOf(plan_.recipe, phase);
  double rise = 0;
  if (rho > 0 && sharpness_->Climb(rho)) {
    rise = pass("that is uphill, at the weights it is finite: try a lower sharpness") - value;
    sharpness_->Return();
    epoch_.rise += rise;
    ++epoch_.climbed;
  }
  if (precision_ != Precision::kFloat16 || scaler_.Update(optimizer_->GradientNorm())) {
    optimizer_->Step(rates, average_.get(), 1.0 / scale);
  }
  optimizer_->ZeroGrad();
  ++state_.step;
  ++state_.epoch_step;
  state_.loss_sum += value;
  state_.loss_scale = scaler_.state();
  sitting_pixels_ += static_cast<double>(batch.images.size()) * Processes() * PassesOf(phase);
  if (progress_)
    progress_->Advance(1, fmt::format("epoch {}/{}  loss {:.4f}", state_.epoch + 1, TotalEpochs(), value));
  if (events_ && state_.step % kScalarEvery == 0) {
    events_->Scalar("train/loss", value, state_.step);
    events_->Scalar("train/rate", rates.rate, state_.step);
    if (rise != 0) events_->Scalar("train/sharpness", rise, state_.step);
  }
}

void Trainer::CheckLoss(double loss, double own, const Batch& batch, const char* advice) {
  if (std::isfinite(loss)) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: the loss is {} at step {} (epoch {}, batch {}) on {}; {}; {}", run_.path(),
                  std::isnan(loss) ? "not a number" : "infinite", state_.step, state_.epoch + 1,
                  state_.epoch_step,
                  std::isfinite(own) ? "another rank" : fmt::format("{}", fmt::join(batch.names, ", ")),
                  LastGood(), advice));
}

std::string Trainer::LastGood() const {
  if (saved_step_ < 0) return "no checkpoint was written yet";
  return fmt::format("the last good checkpoint is {} of step {}", run_ / "last.ckpt", saved_step_);
}

// A loss may be finite where the step that follows from it is not.
void Trainer::CheckWeights() const {
  if (AllFinite(*module_)) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a weight is not finite after step {}; {}",
                                                       run_.path(), state_.step, LastGood()));
}

// Pixels of input still to be trained on, twice where each is seen twice: what the time left is estimated
// from, since phases differ in size.
double Trainer::PixelsLeft() const {
  double pixels = 0;
  for (std::int64_t epoch = state_.epoch; epoch < TotalEpochs(); ++epoch) {
    const Phase& phase = PhaseAt(plan_.recipe, epoch);
    const AugmentSpec augment = AugmentOf(plan_.recipe, phase);
    pixels += PassesOf(phase) * 3.0 * augment.crop_height * augment.crop_width *
              static_cast<double>(BatchImages() * loader_->steps_per_epoch());
  }
  return pixels;
}

void Trainer::LogEpoch() {
  const Phase& phase = PhaseAt(plan_.recipe, state_.epoch);
  Json line{
      {"type", "epoch"},          {"epoch", state_.epoch + 1},
      {"step", state_.step},      {"phase", phase.name},
      {"loss", state_.last_loss}, {"rate", RatesAt(schedule_, ScheduleStep() - 1).rate * phase.rate_share}};
  if (epoch_.steps > 0) {
    line["seconds"] = epoch_.seconds;
    line["images_per_second"] = static_cast<double>(epoch_.steps * BatchImages()) / epoch_.seconds;
    line["loader_idle"] = epoch_.waited / epoch_.seconds;
    if (epoch_.climbed > 0) line["sharpness"] = epoch_.rise / static_cast<double>(epoch_.climbed);
  }
  run_.Log(line);
  epoch_ = {};
}

// Machines of one kind end every step in the same bits; others round differently, and small differences grow.
void Trainer::KeepTogether() {
  if (distributed_ == nullptr) return;
  const std::string own = HashWeights(*module_, average_.get());
  const bool same = distributed_->Broadcast(own) == own;
  if (distributed_->Sum(same ? 0.0 : 1.0) == 0) return;
  ShareState(*distributed_, state_, Everything());
  if (std::exchange(drift_told_, true)) return;
  LogWarning(
      "the processes' weights drifted apart, as they do between different CPUs; all go on with rank 0's, "
      "now and after every epoch");
}

void Trainer::FinishEpoch() {
  KeepTogether();
  CheckWeights();  // before they are scored and kept as the best
  state_.last_loss = state_.loss_sum / static_cast<double>(state_.epoch_step);
  const std::int64_t done = state_.epoch + 1;
  LogEpoch();
  if (events_) events_->Scalar("train/epoch_loss", state_.last_loss, state_.step);
  std::string scores;
  if (validation_ && (done % plan_.recipe.validate_every == 0 || done == TotalEpochs())) {
    Validate(false);
    scores = ", mIoU " + ScoreText(state_.last_miou);
    if (state_.best_miou)
      scores += fmt::format(" (best {:.4f} of epoch {})", *state_.best_miou, state_.best_epoch);
  }
  state_.epoch = done;
  state_.epoch_step = 0;
  state_.loss_sum = 0;
  const double left = sitting_pixels_ > 0 ? PixelsLeft() * sitting_seconds_ / sitting_pixels_ : -1;
  LogInfo(fmt::format("epoch {}/{}: loss {:.4f}{}, loader idle {:.1f} %, {} left", done, TotalEpochs(),
                      state_.last_loss, scores, IdleShare() * 100, FormatDuration(left)));
  if (events_ && !events_->Flush() && !events_lost_) {
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
  if (validation_ && distributed_ == nullptr && !last_is_best_ && run_.Has("best.ckpt")) ReportBest();
  if (!validation_ && Writes()) WriteReport({.title = plan_.model.net + " on " + data_->description()});
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

namespace {

// Processes of one machine share its cores and take its GPUs in order.
torch::Device DeviceFor(const TrainOptions& options, const World& world) {
  const bool one_of_many =
      options.device == "cuda" || (options.device == "auto" && torch::cuda::is_available());
  return ParseDevice(world.size > 1 && one_of_many ? fmt::format("cuda:{}", world.local_rank)
                                                   : options.device);
}

}  // namespace

TrainResult Train(const TrainOptions& options) {
  const World world = options.dist == "off" ? World{} : WorldFromEnvironment();
  ConfigureCpu(options.threads > 0 ? options.threads : std::max(1, DefaultThreads() / world.local_size));
  const torch::Device device = DeviceFor(options, world);
  const auto distributed = Distributed::Join(
      world, {.backend = options.dist, .timeout_seconds = options.dist_timeout, .device = device});
  if (distributed == nullptr) return Trainer(options, device, nullptr).Run();
  if (distributed->rank() != 0) SetLogLevel(LogLevel::kError);  // rank 0 tells what goes on
  try {
    TrainResult result = Trainer(options, device, distributed.get()).Run();
    distributed->Leave("");
    return result;
  } catch (const std::exception& error) {
    distributed->Leave(error.what());
    throw;
  }
}

}  // namespace frf
