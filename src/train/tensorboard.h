// SPDX-License-Identifier: Apache-2.0
// TensorBoard event files: scalars and pictures, readable by `tensorboard --logdir RUN`.
//
//   EventWriter events("run");                      // run/events.out.tfevents.SECONDS.HOST.PID
//   events.Scalar("loss", 0.412, step);
//   events.Picture("val/0016E5_07959.png", image, step);
//
// Subtle: a resumed run starts another file whose first event says "restart at this step", upon which
// TensorBoard drops the later points of the earlier files.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include "frf/image.h"

namespace frf {

class EventWriter {
 public:
  // `first_step`: of a resumed run, from which on it writes again.
  explicit EventWriter(const std::string& folder, std::optional<std::int64_t> first_step = {});
  void Scalar(const std::string& tag, double value, std::int64_t step);
  void Picture(const std::string& tag, const Image& image, std::int64_t step);
  // False once writing failed (a full disk): events are lost from there, training is not.
  bool Flush();
  const std::string& path() const { return path_; }

 private:
  void Write(const std::string& event);
  std::string path_;
  std::ofstream file_;
};

// CRC-32C (Castagnoli), as TFRecord wants it.
std::uint32_t Crc32c(const void* data, std::size_t size);

}  // namespace frf
