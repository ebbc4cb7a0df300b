// SPDX-License-Identifier: Apache-2.0
// The trainer's inside, shared by trainer_setup.cpp, trainer.cpp (the loop) and trainer_output.cpp
// (validation, checkpoints, report).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "train/batch_norm.h"
#include "train/device.h"
#include "train/distributed.h"
#include "train/evaluate.h"
#include "train/gradient_buckets.h"
#include "train/losses.h"
#include "train/run_folder.h"
#include "train/sharpness.h"
#include "train/teachers.h"
#include "train/tensorboard.h"
#include "train/train_report.h"
#include "train/train_state.h"
#include "train/train_step.h"
#include "train/trainer.h"

namespace frf {

class Trainer {
 public:
  using Clock = std::chrono::steady_clock;
  static double SecondsSince(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  Trainer(const TrainOptions& options, torch::Device device, Distributed* distributed);
  TrainResult Run();

 private:
  static RunFolder OpenRun(const TrainOptions& options, const Distributed* distributed);
  static Plan AgreedPlan(const TrainOptions& options, const RunFolder& run, Distributed* distributed,
                         std::shared_ptr<const Dataset>& data);
  static Plan ChoosePlan(const TrainOptions& options, const RunFolder& run,
                         std::shared_ptr<const Dataset>& data);
  std::string OwnTeacher(std::size_t i) const;  // where the run keeps its copy
  void TakeTeachers();
  LoaderOptions Loading() const;
  void Resume();
  bool EndPending() const;
  std::int64_t FirstNewStep() const;
  void RewindLog();
  std::int64_t ScheduleStep() const;
  std::int64_t StepsLeft() const { return schedule_.steps - ScheduleStep(); }
  std::int64_t BatchImages() const;
  void CheckWeights() const;
  void Announce();
  void RunEpoch();
  void Step(const Batch& batch, const Phase& phase);
  double TotalLoss(double own);
  void CheckLoss(double loss, double own, const Batch& batch, const char* advice);
  std::string LastGood() const;
  bool StopWanted() const;
  void KeepTogether();
  void LogEpoch();
  void FinishEpoch();
  void FinishRun();
  void Validate(bool final);
  void Record(const Evaluation& evaluation, std::int64_t epoch, bool final);
  void AddPictures();
  void Report(const Evaluation& evaluation, std::int64_t epoch, std::vector<HtmlReport::Row> rows);
  void ReportBest();
  void SaveLast(bool must);
  bool SaveBest(const Evaluation& evaluation);
  void WriteReport(const TrainReport& report);
  void WriteConfig();
  Precision ChoosePrecision() const;
  // Where the model says how it was trained: under rounding, beside how the file that it came from was.
  Json& About() { return plan_.quantization ? plan_.model.quant["qat"] : plan_.model.train; }
  [[noreturn]] void Stop();
  EvaluateOptions Evaluating() const;
  std::int64_t TotalEpochs() const { return Epochs(plan_.recipe); }
  // How often a step of the phase goes through the network.
  double PassesOf(const Phase& phase) const { return SharpnessOf(plan_.recipe, phase) > 0 ? 2 : 1; }
  double PixelsLeft() const;
  double IdleShare() const { return state_.seconds > 0 ? state_.waited / state_.seconds : 0; }
  Trained Everything() { return {*module_, optimizer_.get(), average_.get()}; }

  bool Writes() const { return distributed_ == nullptr || distributed_->rank() == 0; }
  int Processes() const { return distributed_ == nullptr ? 1 : distributed_->size(); }

  const TrainOptions& options_;
  const torch::Device device_;
  Distributed* const distributed_;  // null: alone
  RunFolder run_;
  std::shared_ptr<const Dataset> data_;
  Plan plan_;
  const Precision precision_;
  std::unique_ptr<Dataset> validation_;
  int trained_on_ = 0;  // validation images that are training images too
  std::unique_ptr<GraphModule> module_;
  std::unique_ptr<Teachers> teachers_;  // null: labels alone
  std::unique_ptr<Average> average_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientBuckets> buckets_;  // null: alone
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<EventWriter> events_;  // where this process writes
  std::shared_ptr<const Loss> loss_;     // of the phase
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<SharpnessStep> sharpness_;
  std::unique_ptr<Progress> progress_;
  LossScaler scaler_;
  ScheduleSpec schedule_;
  TrainState state_;
  std::int64_t saved_step_ = -1;
  Clock::time_point saved_ = Clock::now(), reported_{};
  struct EpochTime {
    std::int64_t steps = 0, climbed = 0;
    double seconds = 0, waited = 0, rise = 0;
  } epoch_;                                          // what this process did of the epoch
  double sitting_seconds_ = 0, sitting_pixels_ = 0;  // this process's share, for the time left
  bool events_lost_ = false, stop_together_ = false, drift_told_ = false, last_is_best_ = false,
       unscored_told_ = false;
};

}  // namespace frf
