// SPDX-License-Identifier: Apache-2.0
// `frf data pack`: a data set in one file, to carry to another machine and to read without thousands of small
// files. Images are stored as PNG (lossless) or JPEG, labels as PNG holding class ids. Read as "pack:FILE".
//
//   8 bytes "FRFPACK1", the files one after another, an index as JSON, then 24 bytes: u64 offset and u64
//   length of the index and its u64 XXH64, little-endian. The index stands last so that packing needs no
//   memory for it beforehand:
//   {"format": 1, "title", "classes": {names, palette, label_ids}, "samples": [{name, split, height, width,
//    image: [offset, bytes, xxh64], labels: [offset, bytes, xxh64]}]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace frf {

struct PackOptions {
  std::vector<std::string> splits;  // empty: all of train, val and test that are there
  int jpeg_quality = 0;             // 1..100: images as JPEG (loses detail); 0: PNG
};

struct PackResult {
  int samples = 0;
  std::uint64_t bytes = 0;            // of the file
  std::vector<std::string> contents;  // "train: 367 images"
};

// Packs `spec` (with its list, if any) into `file`, written atomically. Sample names, splits and label ids
// are kept; a list's samples belong to every split.
PackResult PackData(const DatasetSpec& spec, const std::string& file, const PackOptions& options = {});

}  // namespace frf
