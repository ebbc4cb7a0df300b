// SPDX-License-Identifier: Apache-2.0
// What a run puts out: validation, checkpoints, config.json, report. Subtle: pictures and scores are of the
// averaged weights, checkpoints hold the trained ones beside the averages; so nothing is saved while the
// averages stand in the module.
#include <fmt/format.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/system.h"
#include "base/version.h"
#include "frf/error.h"
#include "train/trainer_impl.h"

namespace frf {
namespace {

constexpr int kExampleImages = 6;     // in the report
constexpr double kReportEvery = 120;  // seconds at least between reports

// Of epoch 0 nothing was trained yet: a network as it was pruned or quantised, which may stay the best.
const char* Untrained(std::int64_t epoch) { return epoch == 0 ? ", before training" : ""; }

}  // namespace

EvaluateOptions Trainer::Evaluating() const {
  return {.input = plan_.model.input,
          .area = plan_.recipe.validate_area,
          .device = device_,
          .precision = precision_,
          .progress = Writes(),
          .distributed = distributed_};
}

void Trainer::Validate(bool final) {
  auto use = average_ ? std::make_unique<Average::Applied>(*average_) : nullptr;
  std::optional<Evaluation> evaluation;
  try {
    evaluation = Evaluate(*module_, *validation_, Evaluating());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted || (distributed_ != nullptr && distributed_->lost())) throw;
  }
  if (!evaluation) {
    use.reset();  // checkpoints hold the weights as trained beside the averages
    Stop();
  }
  const std::int64_t epoch = final ? TotalEpochs() : state_.step == 0 ? 0 : state_.epoch + 1;
  const bool reports = Writes() && (epoch == TotalEpochs() || reported_ == Clock::time_point{} ||
                                    SecondsSince(reported_) > kReportEvery);
  std::vector<HtmlReport::Row> rows;
  if (reports) {
    AddPictures();
    rows = ExampleRows(*module_, *validation_, Evaluating(), evaluation->scores, kExampleImages);
  }
  use.reset();
  Record(*evaluation, epoch, final);
  if (reports) Report(*evaluation, epoch, std::move(rows));
}

void Trainer::Record(const Evaluation& evaluation, std::int64_t epoch, bool final) {
  const std::optional<double> miou = evaluation.matrix.MeanIou();
  state_.last_miou = miou;
  if (!miou && !std::exchange(unscored_told_, true)) {
    LogWarning(
        validation_->description() +
        ": no pixel is labelled, so nothing can be scored and no weights can be the best; last.ckpt is "
        "the result");
  }
  bool best = miou && (!state_.best_miou || *miou > *state_.best_miou);
  if (best) {
    const auto before = std::pair(state_.best_miou, state_.best_epoch);
    state_.best_miou = *miou;
    state_.best_epoch = epoch;
    best = SaveBest(evaluation);
    // What could not be kept must not keep later, lower scores from being the best.
    if (!best) std::tie(state_.best_miou, state_.best_epoch) = before;
  }
  last_is_best_ = best;
  Json line{{"type", "validation"}, {"epoch", epoch}, {"step", state_.step}, {"final", final}};
  Json scores = ToJson(evaluation.matrix, plan_.model.classes);
  scores.erase("confusion");
  line.update(scores);
  line["best"] = best;
  line["seconds"] = evaluation.seconds;
  run_.Log(line);
  if (final && miou) LogInfo(fmt::format("after re-estimation: mIoU {:.4f}{}", *miou, best ? " (best)" : ""));
  if (!events_ || !miou) return;
  events_->Scalar("val/miou", *miou, state_.step);
  events_->Scalar("val/pixel_accuracy", evaluation.matrix.PixelAccuracy().value_or(0), state_.step);
  const auto iou = evaluation.matrix.Iou();
  for (int i = 0; i < plan_.model.classes.count(); ++i) {
    if (iou[i]) events_->Scalar("val_iou/" + plan_.model.classes.names[i], *iou[i], state_.step);
  }
}

// The same two images every time, so that TensorBoard's slider shows them learn.
void Trainer::AddPictures() {
  for (const int index : {0, validation_->size() / 2}) {
    const Sample sample = validation_->Get(index);
    events_->Picture("val/" + sample.name,
                     SideBySide(sample.image, sample.labels, Predict(*module_, sample.image, Evaluating()),
                                plan_.model.classes),
                     state_.step);
  }
}

void Trainer::Report(const Evaluation& evaluation, std::int64_t epoch, std::vector<HtmlReport::Row> rows) {
  reported_ = Clock::now();
  TrainReport report{
      .title = plan_.model.net + " on " + data_->description(),
      .facts = {},
      .matrix = &evaluation.matrix,
      .scored = fmt::format("{} of epoch {}{}", last_is_best_ ? "the best weights," : "the last weights,",
                            epoch, Untrained(epoch)),
      .rows = std::move(rows)};
  report.facts = {{"recipe", plan_.recipe.name + ": " + plan_.recipe.summary},
                  {"validation", validation_->description()},
                  {"epoch", fmt::format("{} of {}{}", epoch, TotalEpochs(), Untrained(epoch))},
                  {"mean IoU", Percent(evaluation.matrix.MeanIou(), 2)},
                  {"best", state_.best_miou ? fmt::format("{:.2f} % (epoch {}{})", *state_.best_miou * 100,
                                                          state_.best_epoch, Untrained(state_.best_epoch))
                                            : std::string("none could be kept")},
                  {"training time", FormatDuration(state_.seconds)},
                  {"waiting for data", fmt::format("{:.1f} % of it", IdleShare() * 100)},
                  {"machine", fmt::format("{}, {} threads", ThisMachine().cpu, torch::get_num_threads())},
                  {"seed, commit", fmt::format("{}, {}", plan_.seed, Commit())}};
  WriteReport(report);
}

// What eval and export take of the run is best.ckpt, so the finished run's report shows that.
void Trainer::ReportBest() {
  ModelInfo info;
  GraphModule best(LoadRunGraph(run_.path(), /*raw=*/false, /*last=*/false, info));
  best.To(device_);
  best.eval();
  try {
    const Evaluation evaluation = Evaluate(best, *validation_, Evaluating());
    auto rows = ExampleRows(best, *validation_, Evaluating(), evaluation.scores, kExampleImages);
    last_is_best_ = true;
    Report(evaluation, state_.best_epoch, std::move(rows));
  } catch (const Error& error) {  // the run is done and saved
    if (error.code() != ErrorCode::kInterrupted) throw;
  }
}

void Trainer::WriteReport(const TrainReport& report) {
  try {
    WriteTrainReport(run_, plan_, report);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    LogWarning(std::string(error.what()) + "; training goes on without the report");
  }
}

// A checkpoint that cannot be written costs nothing but safety, unless it is the run's result (`must`).
void Trainer::SaveLast(bool must) {
  if (!Writes()) return;
  saved_ = Clock::now();
  CheckWeights();
  try {
    SaveState(run_ / "last.ckpt", state_, ToJson(plan_.model), Everything());
    saved_step_ = state_.step;
  } catch (const Error& error) {
    if (must || error.code() != ErrorCode::kIo) throw;
    LogWarning(fmt::format("{}; {}, training goes on", error.what(), LastGood()));
  }
}

// False where best.ckpt could not be written: then it and what config.json says of it are as they were.
bool Trainer::SaveBest(const Evaluation& evaluation) {
  if (!Writes()) return true;
  Json scores = ToJson(evaluation.matrix, plan_.model.classes);
  scores.erase("confusion");
  Json entry{{"data", DataName(plan_.validation)},
             {plan_.validation.list.empty() ? "split" : "list", SplitName(plan_.validation)},
             {"size", plan_.model.input.fit == Fit::kNative
                          ? std::string("native")
                          : fmt::format("{}x{}", plan_.model.input.height, plan_.model.input.width)}};
  if (trained_on_ > 0) entry["trained_on"] = trained_on_;
  entry.update(scores);
  const ModelInfo before = plan_.model;
  plan_.model.eval = Json::array({entry});
  if (plan_.quantization) About()["eval"] = entry;
  About()["hours"] = std::round(state_.seconds / 36) / 100;
  try {
    SaveState(run_ / "best.ckpt", state_, ToJson(plan_.model), {*module_, nullptr, average_.get()});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    LogWarning(fmt::format("{}; the best weights of this epoch are lost, training goes on", error.what()));
    plan_.model = before;
    return false;
  }
  try {
    WriteConfig();
  } catch (const Error& error) {  // written again at the end; best.ckpt holds its own score
    if (error.code() != ErrorCode::kIo) throw;
    LogWarning(fmt::format("{}; best.ckpt is written, training goes on", error.what()));
  }
  return true;
}

void Trainer::WriteConfig() {
  if (Writes()) WriteFileAtomically(run_ / "config.json", ToJson(plan_).dump(2) + "\n");
}

void Trainer::Stop() {
  SaveLast(true);
  if (events_) events_->Flush();
  throw Error(ErrorCode::kInterrupted,
              fmt::format("{}: stopped after step {} of {}; saved, go on with --resume", run_.path(),
                          state_.step, state_.step + StepsLeft()));
}

}  // namespace frf
