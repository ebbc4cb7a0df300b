// SPDX-License-Identifier: Apache-2.0
// Checkpoint files, readable without torch: one JSON header (per tensor: name, type, shape, offset, checksum;
// and free entries), then raw little-endian tensors, 64-byte aligned. Written to a temporary file, synced,
// renamed.
//
//   CheckpointWriter writer;
//   writer.meta["step"] = 1200;
//   writer.Add("model/stem.conv1.weight", "float32", {32, 3, 3, 3}, data, bytes);   // borrowed until Save
//   returns writer.Save("last.ckpt"); Checkpoint checkpoint = Checkpoint::Load("last.ckpt");
//
// Names by convention: "model/KEY" are parameters and states as trained, "ema/KEY" their averages,
// "optimizer/..." the optimiser's. meta["model"] is the ModelInfo as JSON. A file with these two alone is a
// "weights checkpoint": what `frf` writes from an ONNX file so that `frf-train --init` (which may not read
// ONNX) can start from it.
//
// Subtle: offsets and sizes are checked against the bytes that are there before anything is allocated, and
// every tensor's checksum (XXH64) is verified on load; a torn or edited file is kCorruptFile naming the
// tensor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace frf {

struct CheckpointTensor {
  std::string name, dtype;  // dtype: float32, float16, float64, int64, int32, uint8, bool
  std::vector<std::int64_t> shape;
  const void* data = nullptr;  // into the loaded file, or borrowed by the writer
  std::size_t bytes = 0;
};

inline constexpr char kModelPrefix[] = "model/";
inline constexpr char kAveragePrefix[] = "ema/";

class CheckpointWriter {
 public:
  Json meta = Json::object();
  void Add(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
           const void* data, std::size_t bytes);
  void Save(const std::string& path) const;

 private:
  std::vector<CheckpointTensor> tensors_;
};

class Checkpoint {
 public:
  static Checkpoint Load(const std::string& path);
  Checkpoint(Checkpoint&&) = default;
  Checkpoint& operator=(Checkpoint&&) = default;
  Checkpoint(const Checkpoint&) = delete;  // tensors point into this object's bytes
  Checkpoint& operator=(const Checkpoint&) = delete;

  const Json& meta() const { return meta_; }
  const std::vector<CheckpointTensor>& tensors() const { return tensors_; }  // in file order
  const CheckpointTensor* Find(const std::string& name) const;               // nullptr when absent
  const CheckpointTensor& At(const std::string& name) const;                 // throws kCorruptFile
  const std::string& path() const { return path_; }

 private:
  Checkpoint() = default;
  std::string path_;
  std::string bytes_;  // the whole file; tensors point into it
  Json meta_;
  std::vector<CheckpointTensor> tensors_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace frf
