// SPDX-License-Identifier: Apache-2.0
// Labels for every frame: a model, loaded once, and sessions that run it.
//
//   frf::Session session("frfnet-camvid", {.threads = 2});
//   frf::LabelImage labels = session.Run(frf::ReadImage("street.png").view());
//
//   // A camera loop without an allocation: BGR rows of a cv::Mat, labels into a buffer of one's own.
//   frf::ImageView frame{mat.data, mat.rows, mat.cols, (std::ptrdiff_t)mat.step, frf::PixelOrder::kBgr};
//   session.Run(frame, {buffer, mat.rows, mat.cols, mat.cols});
//
// The first Run at a size plans: it allocates, packs weights and chooses kernels. After that Run allocates
// nothing and takes no lock, where the image has the network's size; another size is resized first, which
// does allocate. A session is used by one thread at a time; sessions of one model share its packed weights.
// Errors are frf::Error; memory that cannot be had is kOutOfMemory and no std::bad_alloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frf/error.h"
#include "frf/image.h"
#include "frf/precision.h"

namespace frf {

struct Model;  // of the ONNX reader; most programs never name it

// What the network wants of an image; only RunPlanes' callers see to it themselves.
struct InputFormat {
  // R, G, B, in units of 8-bit pixels (0 to 255): a plane's value is (pixel - mean) / deviation.
  std::array<float, 3> mean{}, deviation{};  // deviation above 0
  int height = 0, width = 0;                 // of the images that it was trained at; 0: not recorded
  int multiple = 1;  // height and width of its input are multiples of this, where the file does not fix them
};

// An ONNX file in memory, ready to be planned for any size.
class LoadedModel {
 public:
  // A file, or the name of shipped weights ("frfnet-camvid"). Throws kNotFound, kCorruptFile, kUnsupported,
  // kIo, kOutOfMemory.
  static std::shared_ptr<LoadedModel> Load(const std::string& name_or_path);
  // The same from the bytes of a file, which are copied; `name` starts the errors.
  static std::shared_ptr<LoadedModel> LoadBytes(const void* bytes, std::size_t size,
                                                const std::string& name = "model in memory");
  explicit LoadedModel(Model model);
  ~LoadedModel();

  int classes() const;
  const std::string& class_name(int id) const;    // id in [0, classes()), else kInvalidArgument
  const std::uint8_t* class_color(int id) const;  // three bytes, RGB
  // What label files of its data set call the class, 0 to 255: the id itself where the file names no other.
  int label_id(int id) const;

  InputFormat input() const;
  // Whether the file itself ends in labels: then there are no scores to ask for.
  bool gives_labels() const;
  // Text of a key of the file's metadata, "frf.license" or "frf.train" (JSON), as docs/formats.md lists them.
  // Of frf's own keys that the file lacks, the default that is used. Null where there is no such key; lives
  // as long as the model.
  const std::string* metadata(const std::string& key) const;

  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

struct SessionOptions {
  // Size of the network's input. 0: as the file says, either a size that every image is brought to
  // (frf.input.fit = resize, or a file with fixed dimensions) or the image's own. Each a multiple of
  // InputFormat::multiple.
  int height = 0, width = 0;
  int threads = 0;  // of one Run, its resizing too; 0: all cores this process may use
  std::uint64_t max_memory =
      0;  // bytes of maps, scratch and plain values; 0: half of RAM. Above: kOutOfMemory, before allocating
  // Measure which kernels are fastest when a size is first planned (about two seconds) and keep the result in
  // FRF_CACHE, XDG_CACHE_HOME/frf or ~/.cache/frf. What is kept there is used without this too; else a rule
  // decides. Where a third of max_memory is too little for one way, nothing is measured.
  bool tune = false;
  // Of convolutions' products. In 16 bits a frame takes less time, and few labels change (docs/deploy.md).
  // Where the CPU lacks the instructions the constructor throws kUnsupported.
  Precision precision = Precision::kFloat32;
};

// A model made ready to run. It keeps plans and buffers for the last four input sizes. Packed weights stay
// with the LoadedModel, at most 16 times the file's and 4 MB (a size may want a form of its own; five times
// the first size's were met); what is beyond that each plan keeps for itself. Scores are taken to be finite:
// what label a pixel gets whose scores are not is not said.
class Session {
 public:
  explicit Session(const std::string& name_or_path, const SessionOptions& options = {});
  explicit Session(std::shared_ptr<LoadedModel> model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const LoadedModel& model() const;

  // Labels at the size of `labels`, usually the image's. The lowest class wins ties. Where the network itself
  // gives labels, an id that is no class (nor 255, void) is kCorruptFile.
  void Run(const ImageView& image, const LabelView& labels);
  LabelImage Run(const ImageView& image);

  // Scores before any softmax, classes x height x width floats (CHW) at the size of the network's output,
  // usually its input's, for the image. The second form writes them into room for `count` floats; fewer than
  // ScoresShape says is kInvalidArgument.
  std::vector<float> Scores(const ImageView& image);
  void Scores(const ImageView& image, float* scores, std::size_t count);

  // Input that is normalised already: 3 x height x width floats (CHW: all red, all green, all blue), each
  // (pixel - mean) / deviation as LoadedModel::input says; height and width as InputSize gives them, or other
  // multiples of InputFormat::multiple where the file fixes none. `labels` or `scores` may be null, not both
  // (kInvalidArgument); scores have the shape that ScoresShape gives for this height and width. Both cost two
  // passes through the network.
  void RunPlanes(const float* planes, int height, int width, const LabelView* labels, float* scores);

  struct Size {
    int height = 0, width = 0;
  };
  // The size at which the network sees an image of that size.
  Size InputSize(int image_height, int image_width) const;

  struct Shape {
    int classes = 0, height = 0, width = 0;
    std::size_t count() const { return static_cast<std::size_t>(classes) * height * width; }
  };
  // Of the scores for an input of that size; plans for it. kUnsupported where the network's output is labels.
  Shape ScoresShape(int input_height, int input_width);

  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
