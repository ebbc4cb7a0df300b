// SPDX-License-Identifier: Apache-2.0
// The one exception type that frf throws. It is caught once at each edge (main, the C API).
//
//   try {
//     frf::Image image = frf::ReadImage("street.png");
//   } catch (const frf::Error& error) {
//     // "street.png: PNG ends after 812 bytes; was the copy cut short?"
//     std::fprintf(stderr, "%s\n", error.what());
//   }
#pragma once

#include <stdexcept>
#include <string>

namespace frf {

enum class ErrorCode {
  kUsage,            // the command line or an option is wrong: exit code 2
  kInvalidArgument,  // a value handed to the library is out of its documented range
  kNotFound,         // a file, folder, network or operator of that name does not exist
  kCorruptFile,      // outside data is cut short, malformed or contradicts itself
  kUnsupported,      // well-formed, but not something this program can do
  kOutOfMemory,      // refused before allocating: above --max-memory, or the allocation failed
  kIo,               // the operating system refused to read or write
  kInterrupted,      // Ctrl-C or a peer's loss; state was saved
  kInternal,         // a broken promise of our own; please report
};

// Messages are one line and say what was wanted, what was seen, what to do; they start with the file's name
// if a file is at fault.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace frf
