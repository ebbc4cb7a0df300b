// SPDX-License-Identifier: Apache-2.0
// Labels for every frame: a model, loaded once, and sessions that run it.
//
//   frf::Session session("frfnet-camvid", {.threads = 2});
//   frf::LabelImage labels = session.Run(frf::ReadImage("street.png").view());
//
//   // A camera loop without an allocation: BGR rows of a cv::Mat as they are, labels into a buffer of one's own.
//   frf::ImageView frame{mat.data, mat.rows, mat.cols, (std::ptrdiff_t)mat.step, frf::PixelOrder::kBgr};
//   session.Run(frame, {buffer, mat.rows, mat.cols, mat.cols});
//
// The first Run at a size plans: it allocates, packs weights and chooses kernels. After that Run allocates nothing and
// takes no lock, where the image has the network's size; another size is resized first, which does allocate.
// A session is used by one thread at a time; sessions of one model share its packed weights. Errors are frf::Error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frf/error.h"
#include "frf/image.h"

namespace frf {

struct Model;  // of the ONNX reader; most programs never name it

// An ONNX file in memory, ready to be planned for any size.
class LoadedModel {
 public:
  // A file, or the name of shipped weights ("frfnet-camvid"). Throws kNotFound, kCorruptFile, kUnsupported.
  static std::shared_ptr<LoadedModel> Load(const std::string& name_or_path);
  explicit LoadedModel(Model model);
  ~LoadedModel();

  int classes() const;
  const std::string& class_name(int id) const;  // id in [0, classes())
  const std::uint8_t* class_color(int id) const;  // three bytes, RGB

  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

struct SessionOptions {
  // Size of the network's input. 0: as the file says, either a size that every image is brought to (frf.input.fit =
  // resize, or a file with fixed dimensions) or the image's own.
  int height = 0, width = 0;
  int threads = 0;               // 0: all cores this process may use
  std::uint64_t max_memory = 0;  // bytes of maps and scratch; 0: half of RAM. Above: kOutOfMemory, before allocating
};

class Session {
 public:
  explicit Session(const std::string& name_or_path, const SessionOptions& options = {});
  explicit Session(std::shared_ptr<LoadedModel> model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const LoadedModel& model() const;

  // Labels at the size of `labels`, usually the image's. The lowest class wins ties.
  void Run(const ImageView& image, const LabelView& labels);
  LabelImage Run(const ImageView& image);

  // Scores, classes x height x width floats at the network's input size (see InputSize), for the image.
  std::vector<float> Scores(const ImageView& image);

  // Input that is normalised already: channels x height x width floats, (pixel - mean) / deviation as the file says.
  // `labels` or `scores` may be null; scores are classes x height x width of the network's output.
  void RunPlanes(const float* planes, int height, int width, const LabelView* labels, float* scores);

  struct Size {
    int height = 0, width = 0;
  };
  Size InputSize(int image_height, int image_width) const;

  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
