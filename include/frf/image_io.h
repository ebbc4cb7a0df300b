// SPDX-License-Identifier: Apache-2.0
// Picture files in and out, for programs that have no image library of their own. Readers are hardened: a
// file that is cut short, damaged, of a format we do not know or too large is an frf::Error that names it,
// never half a picture.
//
//   frf::Image image = frf::ReadImage("street.jpg");
//   frf::LabelImage labels = session.Run(image.view());
//   frf::WriteLabels("street_mask.png", labels, session.model());
#pragma once

#include <cstddef>
#include <string>

#include "frf/image.h"
#include "frf/session.h"

namespace frf {

// PNG or JPEG by content, not by name. Always three channels, RGB, 8 bits: 16 bits are scaled, alpha is
// dropped, EXIF rotation is applied. Throws kNotFound, kIo, kInvalidArgument (a folder), kCorruptFile,
// kUnsupported, kOutOfMemory (above 100 megapixels).
Image ReadImage(const std::string& path);

// The same of a file's `size` bytes in memory, a compressed message of a camera's for instance; `name` starts
// the errors. Nothing is kept of the bytes. Throws kInvalidArgument (null), kCorruptFile, kUnsupported,
// kOutOfMemory.
Image DecodeImage(const void* bytes, std::size_t size, const std::string& name = "image in memory");

// 1, 3 or 4 channels. A file that was there stays whole until the new one is complete.
void WritePng(const std::string& path, const Image& image);

// A PNG whose stored bytes are the ids, with the model's colours as its palette: what `frf segment` writes as
// a mask, for data sets whose label files hold class ids.
void WriteLabels(const std::string& path, const LabelImage& labels, const LoadedModel& model);

}  // namespace frf
