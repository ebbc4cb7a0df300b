// SPDX-License-Identifier: Apache-2.0
// Damaged, odd and hostile images, made by code and always the same: cut files, flipped bytes, absurd
// headers, bombs, folders and devices named .png. Each says what must happen: its right size, or one line
// that names the file.
//
//   for (const HostileImage& image : HostileImages()) Place(image, folder);
#pragma once

#include <string>
#include <vector>

namespace frf::test {

struct HostileImage {
  enum Kind {
    kFile,
    kFolder,
    kLink,
    kPipe,
    kSparse
  };  // kLink: to `bytes`; kSparse: `bytes`, then a hole up to 5 GiB
  enum Outcome { kDecodes, kRefused, kEither };  // kEither: damage that may or may not show

  std::string name;  // file name, ending included
  std::string bytes;
  Outcome outcome = kRefused;
  int height = 0, width = 0;  // where it decodes
  std::string says = {};      // a part of the refusal
  Kind kind = kFile;
};

std::vector<HostileImage> HostileImages();

// Writes it into `folder` and returns its path.
std::string Place(const HostileImage& image, const std::string& folder);

}  // namespace frf::test
