// SPDX-License-Identifier: Apache-2.0
// Augmentation and the batch loader. Every random choice of a sample comes from (seed, epoch, position of the
// sample in the epoch's order), so batches do not depend on the number of workers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"

namespace frf {

struct AugmentSpec {
  int crop_height = 360, crop_width = 480;
  int base_height = 0, base_width = 0;      // images are first brought to this size; 0: they keep their own
  double base_scale = 1.0;                  // and then scaled by this (0.5: half resolution)
  double scale_min = 1.0, scale_max = 1.0;  // uniform factor on top; bilinear image, nearest labels
  double aspect = 1;                      // width over height changes by a factor between 1/aspect and aspect
  double flip = 0.5;                      // probability of a horizontal mirror
  double color = 0.0;                     // probability of the changes below, up to noise
  double gain_min = 0.6, gain_max = 1.4;  // multiplies all channels
  double shift = 25;                      // adds uniform +- grey levels
  double saturation_min = 0.6, saturation_max = 1.4;
  double gamma_min = 1, gamma_max = 1;  // of the 0..1 value
  double temperature = 0;               // red * (1+t), blue * (1-t), t uniform in +-temperature
  double channel_gain = 0;              // red, green, blue each times 1 + u, u uniform in +-channel_gain
  double blur = 0;                      // Gaussian, standard deviation uniform in 0..blur pixels of the crop
  double noise = 0;                     // Gaussian, standard deviation uniform in 0..noise grey levels
  double class_crop = 0;                // probability that the crop is centred near a pixel of a rare class
  double copy_paste = 0;                // probability of pasting rare-class regions from another image
  double cutmix = 0;   // probability that a rectangle comes from another image, augmented by itself
  double sky = 0;      // probability that the sky is drawn anew, as the scene generator draws it
  int sky_class = -1;  // class id of it; -1: there is none, nothing is drawn
  std::vector<int>
      rare_classes;  // of class_crop and copy_paste; empty: those under 2 % of the sample's labelled pixels
};
Json ToJson(const AugmentSpec& spec);

struct Batch {
  std::int64_t step = 0;  // position within the epoch
  int count = 0, height = 0, width = 0;
  std::vector<float> images;         // count x 3 x height x width, normalised
  std::vector<std::uint8_t> labels;  // count x height x width; 255 void (and padding)
  std::vector<std::string> names;    // of the samples, for error messages
};

struct LoaderOptions {
  int batch = 8;
  std::uint64_t seed = 0;
  int workers = 1;   // decoding and augmenting threads; 0: in the caller's thread
  int prefetch = 4;  // batches held ready at most: bounds memory
  bool shuffle = true;
  bool drop_last = true;  // the last, partial batch
  bool cache = true;      // keep decoded images in memory (up to cache_bytes)
  std::uint64_t cache_bytes = std::uint64_t{2} << 30;
  int shard = 0, shards = 1;  // this process's part of every batch order (distributed)
  // 0: every image once an epoch. Towards 1 recordings (names up to the first '_': a drive, a city) are drawn
  // more and more evenly, however many images each has; an epoch keeps its length, images of small recordings
  // repeat.
  double balance = 0;
  InputSpec input;  // mean and std
};

// Throws kInvalidArgument naming the field that is out of range.
void CheckAugment(const AugmentSpec& spec);

// The size at which random scaling begins: `height` x `width`, or a sample's own where they are 0, times
// `scale`.
struct BaseSize {
  int height = 0, width = 0;
  double scale = 1;
  bool operator==(const BaseSize&) const = default;
};
BaseSize BaseSizeOf(const AugmentSpec& spec);
// The change to that size: area (bilinear when enlarging) for the image, nearest for the labels.
Sample ScaleToBase(Sample sample, const BaseSize& base);

// One sample, augmented: what the loader's workers call and what the tests and the report show. `donor` is
// where copy-paste and CutMix take what they add (nullptr: nothing is added).
Sample Augment(const Sample& sample, const AugmentSpec& spec, const InputSpec& input, std::uint64_t seed,
               std::uint64_t epoch, std::uint64_t position, const Sample* donor = nullptr);
// The same for samples that went through ScaleToBase already, as the loader keeps them.
Sample AugmentScaled(const Sample& sample, const AugmentSpec& spec, const InputSpec& input,
                     std::uint64_t seed, std::uint64_t epoch, std::uint64_t position,
                     const Sample* donor = nullptr);

class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> data, const AugmentSpec& augment, const LoaderOptions& options);
  ~Loader();

  std::int64_t steps_per_epoch() const;
  // Starts `epoch` at batch `first_step`; batches in flight from before are dropped. Must be called before
  // Next.
  void StartEpoch(std::int64_t epoch, std::int64_t first_step = 0);
  // The spec may change by phase; it holds from the next StartEpoch on.
  void SetAugment(const AugmentSpec& augment);
  // The next batch in order, or nullptr at the epoch's end. Rethrows a worker's error (naming the file).
  // The last batch of an epoch is shared out evenly over shards when drop_last is off, so `count` may differ
  // there, 0 included.
  std::unique_ptr<Batch> Next();
  // Optional: gives a batch's memory back for a later one.
  void Recycle(std::unique_ptr<Batch> batch);
  // Seconds that Next() waited since the loader was made: the trainer reports its share of the time.
  double waited_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Pixel shares of every class over the data set, without void (sums to 1), for class weights.
std::vector<double> ClassShares(const Dataset& data);
// Ids of the classes that are present with a share below `below`: for AugmentSpec::rare_classes.
std::vector<int> RareClasses(const std::vector<double>& shares, double below = 0.02);
// Mean and standard deviation of the pixels per channel, 0..255 units.
InputSpec MeasureMeanStd(const Dataset& data);

}  // namespace frf
