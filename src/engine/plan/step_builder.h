// SPDX-License-Identifier: Apache-2.0
// Operations on values -> steps on addresses; included by the parts of Plan's constructor alone.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/band.h"
#include "engine/plan/plan.h"

namespace frf::engine {

class StepBuilder {
 public:
  StepBuilder(Plan& plan, const Lowered& lowered, WeightStore& weights)
      : plan_(plan),
        lowered_(lowered),
        weights_(weights),
        kernels_(*plan.options_.kernels),
        conv_kernels_(kernels::ConvKernelsFor(kernels_, plan.options_.precision)) {}

  void Build();

 private:
  // A map's view; of a slice where it is one.
  kernels::Map MapOf(int value) const;
  kernels::ByteMap ByteMapOf(int value) const;
  // Maps with a coding are bytes where the CPU has a dot product for them.
  bool IsBytes(int value) const { return lowered_.values[value].coding && kernels_.has_dot(); }
  kernels::Coding RoundingOf(int value) const {
    return lowered_.values[value].coding.value_or(kernels::Coding{0, 0});
  }
  std::ptrdiff_t RowOf(int root) const;
  const std::uint8_t* ZeroPoints(int zero, std::size_t bytes);
  int RootOf(int value) const;
  void PlaceValues();
  // build_band.cpp. Operations [begin, end) that run as one step, rows at a time.
  struct Band {
    int begin = 0, end = 0;
    std::vector<BandStage> stages;
    BandSchedule schedule;
  };
  void FindBands();
  bool FitsBand(const NamedOperation& named) const;
  BandStage StageOf(const NamedOperation& named) const;
  std::size_t WindowRowBytes(const NamedOperation& named) const;
  bool Schedule(Band& band) const;                         // false: its windows do not fit L2
  Band LongestBand(int begin) const;                       // empty where there is none
  bool IsInner(int value) const { return inner_[value]; }  // nowhere but in a band
  void Build(const Band& band);
  std::size_t BytesOf(int value) const;  // of a map
  void KeepConstants();
  // Of packed weights in the store, which all sizes of a model share: what is packed is a part of it. A name
  // alone would not do: weights may follow from the picture's size, and fused names may meet others.
  static std::string WeightKey(const std::string& name, const Tensor& weight);
  const float* Keep(const FloatBuffer& buffer);
  const float* Keep(const std::vector<float>& values);
  const float* Zeros(std::size_t floats);
  static constexpr int kMostBorder = 32;  // rows and columns more than the picture has, at most
  // The convolution that alone reads the picture, where its border is so small; else null.
  const ConvOp* BorderedReader() const;
  bool PictureIsBordered() const { return BorderedReader() != nullptr; }

  // Every second step goes from its last item to its first: maps are larger than the caches, and what was
  // written last is still there.
  bool NextGoesBackwards() const;
  void Add(Step step);
  void Build(const std::string& name, const ConvOp& op);
  // A kernel's parameters, all but what planning fills in and how the work is cut into items. Unpacked:
  // without weights and depth too.
  std::shared_ptr<kernels::DirectConv> MakeUnpacked(const ConvOp& op, const kernels::Epilogue& epilogue,
                                                    const kernels::Program* after, int after_input);
  std::shared_ptr<kernels::DirectConv> MakeDirect(const std::string& name, const ConvOp& op,
                                                  const kernels::ConvKernels& conv_kernels,
                                                  const kernels::Epilogue& epilogue, int group = 0,
                                                  std::shared_ptr<kernels::Program> after = nullptr,
                                                  int after_input = 0);
  std::shared_ptr<kernels::ByteConv> MakeByteConv(const std::string& name, const ConvOp& op,
                                                  std::shared_ptr<kernels::Program> after = nullptr,
                                                  int after_input = 0, bool pack = true);
  bool FitsByteWinograd(const std::string& name, const ConvOp& op) const;
  void BuildByteWinograd(const std::string& name, const ConvOp& op);
  Tensor SpreadIntegers(const Tensor& weight, const Value& src) const;
  std::shared_ptr<kernels::DepthwiseConv> MakeDepthwise(const ConvOp& op, const kernels::Epilogue& epilogue);
  std::shared_ptr<kernels::Pool> MakePool(const PoolOp& op);
  struct PictureRows {
    int height = 0;  // the border's rows with them
    std::size_t row_bytes = 0;
    void* base = nullptr;  // where the map lies
    std::string kernel;
    double bytes = 0;
    std::function<void(std::int64_t row, void* base)> run;  // `base`: of row 0
  };
  struct PictureBorder {
    int top = 0, left = 0, height = 0, width = 0;  // rows above, columns beside; of all of it
  };
  PictureBorder BorderFor(const ConvOp& conv) const;
  PictureBorder BorderOf(const PictureOp& op) const;
  PictureRows MakePicture(const PictureOp& op);
  double MacsOf(const ConvOp& op) const;
  void BuildDirect(const std::string& name, const ConvOp& op, const kernels::Epilogue& epilogue,
                   int group = 0, std::shared_ptr<kernels::Program> after = nullptr, int after_input = 0);
  Step DirectStep(const std::string& name, const std::string& kernel, const ConvOp& op,
                  const kernels::DirectConv& conv, std::size_t weights) const;
  bool IsRounded(const ConvOp& op) const;
  bool FitsStrassen(const ConvOp& op) const;
  void BuildStrassen(const std::string& name, const ConvOp& op, const kernels::Epilogue& epilogue,
                     std::shared_ptr<kernels::Program> after = nullptr, int after_input = 0);
  kernels::Epilogue EpilogueOf(const ConvOp& op);
  std::shared_ptr<kernels::Program> ProgramOf(const std::string& name, const ElementOp& op, int skipped,
                                              double& bytes);
  void Build(const std::string& name, const ConvElementOp& op);
  void BuildByteConv(const std::string& name, const ConvOp& op,
                     std::shared_ptr<kernels::Program> after = nullptr, int after_input = 0);
  void BuildWinograd(const std::string& name, const ConvOp& op, const kernels::Epilogue& epilogue, int tile);
  float* SharedTiles(std::size_t floats);
  void BuildDepthwise(const std::string& name, const ConvOp& op, const kernels::Epilogue& epilogue);
  bool LeavesCaches(const kernels::Map& map) const;
  ConvChoice ChoiceOf(const std::string& name, const ConvOp& op) const;
  // In the plan's precision or, where that does not fit, in float32.
  const kernels::ConvKernels& KernelsFor(const ConvOp& op) const;
  // Weights with zero input channels where the source has gaps.
  Tensor SpreadOver(const Tensor& weight, const Value& src) const;
  void Build(const std::string& name, const ElementOp& op);
  void Build(const std::string& name, const PoolOp& op);
  void Build(const std::string& name, const WeightedPoolOp& op);
  void Build(const std::string& name, const CopyChannelsOp& op);
  void Build(const std::string& name, const ToMapOp& op);
  void Build(const std::string& name, const ToPlainOp& op);
  void Build(const std::string& name, const PlainNodeOp& op);
  void Build(const std::string& name, const PictureOp& op);
  void Build(const std::string& name, const OutputOp& op);
  void Build(const std::string& name, const PlainOutputOp& op);

  Plan& plan_;
  const Lowered& lowered_;
  WeightStore& weights_;
  const kernels::Kernels& kernels_;
  const kernels::ConvKernels& conv_kernels_;  // in the precision that was asked for
  std::vector<float*> address_;               // of root values
  std::vector<Band> bands_;
  std::vector<bool> inner_;  // by value
  const float* zeros_ = nullptr;
  FloatBuffer shared_;
  int current_ = 0;               // the operation that is built
  std::vector<int> last_reader_;  // of each root value: the last operation that touches it
};

}  // namespace frf::engine
