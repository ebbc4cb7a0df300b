// SPDX-License-Identifier: Apache-2.0
// Whether an output can be written, and takes no input's place, before the work that it is the result of.
// Subtle: WriteFileAtomically writes beside a regular file, so its folder has to take files; a device or pipe
// is written in place.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/text.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"

namespace frf::cli {

namespace fs = std::filesystem;

namespace {

std::optional<std::pair<std::uint64_t, std::uint64_t>> IdOf(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;  // not there yet, or an address
  return std::pair<std::uint64_t, std::uint64_t>{status.st_dev, status.st_ino};
}

}  // namespace

void FileSet::Add(const fs::path& path) {
  if (const auto id = IdOf(path)) ids_.insert(*id);
}

bool FileSet::Has(const fs::path& path) const {
  const auto id = IdOf(path);
  return id && ids_.contains(*id);
}

InputFiles& InputFiles::Add(const fs::path& file) {
  files_.Add(file);
  return *this;
}

InputFiles& InputFiles::AddModel(const std::string& name) {
  if (name.empty() || IsNet(name)) return *this;
  if (!NamesRun(name)) return Add(FindModel(name, NetNames()));
  for (const char* file : {"best.ckpt", "last.ckpt", "config.json", "log.jsonl"}) Add(fs::path(name) / file);
  return *this;
}

InputFiles& InputFiles::AddData(const DatasetSpec& spec, const Dataset* data) {
  const std::size_t colon = spec.spec.find(':');
  const std::string root = colon == std::string::npos ? "" : spec.spec.substr(colon + 1);
  Add(root);  // a pack
  Add(spec.list);
  if (!root.empty()) Add(fs::path(root) / "classes.json");
  if (!root.empty() && !spec.list.empty()) Add(fs::path(root) / spec.list);
  for (int i = 0; data != nullptr && i < data->size(); ++i) Add(data->image_path(i)).Add(data->label_path(i));
  return *this;
}

void InputFiles::Refuse(const fs::path& output, const std::string& option) const {
  if (output.empty() || output.string().starts_with("/dev/") || !files_.Has(output)) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} {}: is one of the inputs, which would be lost; name another",
                                             option, PrintableName(output.string())));
}

void CheckOutputFile(const std::string& file, const std::string& option) {
  std::error_code code;  // what is not there is no error
  if (fs::is_directory(file, code) || !fs::path(file).has_filename())
    throw Error(ErrorCode::kUsage, fmt::format("{} {}: is a folder, a file's name is wanted", option, file));
  const auto check = [&](const fs::path& place, int wanted) {
    if (::access(place.c_str(), wanted) != 0)
      throw Error(ErrorCode::kIo, fmt::format("{}: cannot write: {}", file, std::strerror(errno)));
  };
  if (fs::exists(file, code) && !fs::is_regular_file(file, code)) return check(file, W_OK);
  const fs::path target = fs::weakly_canonical(file, code);  // through a link to the file
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, code)) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot write: the folder {} does not exist; make it, or name another file",
                            file, fs::path(file).parent_path().string()));
  }
  check(folder, W_OK | X_OK);
}

void CheckOutputFile(const std::string& file, const std::string& kind, const InputFiles& inputs) {
  CheckOutputFile(file, "-o");
  if (LooksLikeImageFile(file))
    throw Error(ErrorCode::kUsage, fmt::format("-o {}: {} is written, not a picture; name another file",
                                               PrintableName(file), kind));
  inputs.Refuse(file, "-o");
}

}  // namespace frf::cli
