// SPDX-License-Identifier: Apache-2.0
// Where shipped weights are looked for. Subtle: a path that exists always wins, so a file named like shipped
// weights can be given as ./frfnet-camvid. An installed tree may be moved: nothing but the places of the
// program and of libfrf.so counts.
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/nearest.h"
#include "base/text.h"
#include "onnx/onnx_file.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

// Folder of the shared library that this code is part of; empty where it is part of the program itself.
fs::path LibraryFolder() {
  Dl_info info;
  void* extra = nullptr;
  if (::dladdr1(reinterpret_cast<const void*>(&LibraryFolder), &info, &extra, RTLD_DL_LINKMAP) == 0)
    return {};
  const auto* library = static_cast<const link_map*>(extra);
  if (library == nullptr || library->l_name == nullptr || *library->l_name == '\0') return {};
  std::error_code code;
  return fs::canonical(library->l_name, code).parent_path();
}

std::vector<fs::path> WeightFolders() {
  std::vector<fs::path> folders;
  if (const char* given = std::getenv("FRF_WEIGHTS"); given != nullptr && *given != '\0')
    folders.emplace_back(given);
  if (const fs::path library = LibraryFolder();
      !library.empty()) {  // PREFIX/lib, or PREFIX/lib/x86_64-linux-gnu
    folders.push_back(library / ".." / "share" / "frf" / "weights");
    folders.push_back(library / ".." / ".." / "share" / "frf" / "weights");
  }
  const fs::path program = ProgramFolder();
  folders.push_back(program / "weights");
  folders.push_back(program / ".." / "share" / "frf" / "weights");
  folders.push_back(program / ".." / "share" / "frf");
  folders.push_back(program / ".." / "weights");  // a build folder: CMake links the source tree's there
  return folders;
}

std::vector<std::string> NamesIn(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  for (const fs::path& folder : folders) {
    std::error_code code;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, code)) {
      if (entry.path().extension() == ".onnx") names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Shipped weights whose file says that they are of the network `net`.
std::vector<std::string> WeightsOf(const std::string& net, const std::vector<fs::path>& folders,
                                   const std::vector<std::string>& names) {
  std::vector<std::string> found;
  if (net.empty() || net.find_first_of("./") != std::string::npos) return found;  // a path: nothing is read
  for (const std::string& name : names) {
    for (const fs::path& folder : folders) {
      std::error_code code;
      const fs::path file = folder / (name + ".onnx");
      if (!fs::is_regular_file(file, code)) continue;
      try {
        if (ReadOnnx(file.string()).info.net == net) found.push_back(name);
      } catch (const Error&) {  // a damaged file beside them is not what was asked for
      }
      break;
    }
  }
  return found;
}

[[noreturn]] void ThrowUnknown(const std::string& given, const std::vector<fs::path>& folders,
                               const std::vector<std::string>& networks) {
  const std::string printed = PrintableName(given);
  const std::vector<std::string> names = NamesIn(folders);
  // A network's name where trained weights are wanted: easily taken for one another. Who gives `networks` has
  // looked among them.
  const auto own = networks.empty() ? WeightsOf(given, folders, names) : std::vector<std::string>{};
  if (!own.empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: is a network, which has no weights by itself; weights of it are {}", printed,
                            fmt::join(own, ", ")));
  }
  std::vector<std::string> known = names;
  known.insert(known.end(), networks.begin(), networks.end());
  const std::string there = names.empty() ? "no weights are installed (set FRF_WEIGHTS to their folder)"
                                          : fmt::format("there are {}", fmt::join(names, ", "));
  throw Error(ErrorCode::kNotFound,
              fmt::format("{}: no such file, nor weights{} of that name; {}{}{}", printed,
                          networks.empty() ? "" : " or a network", DidYouMean(given, known), there,
                          networks.empty() ? "" : fmt::format("; networks: {}", fmt::join(networks, ", "))));
}

}  // namespace

std::string FindModel(const std::string& name_or_path, const std::vector<std::string>& networks) {
  std::error_code code;
  const fs::file_status status = fs::status(name_or_path, code);
  if (fs::is_regular_file(status)) return name_or_path;
  const bool refused =
      code == std::errc::permission_denied || code == std::errc::too_many_symbolic_link_levels;
  const std::string why = code.message();
  const std::vector<fs::path> folders = WeightFolders();
  if (!name_or_path.empty() && name_or_path.find('/') == std::string::npos) {
    for (const fs::path& folder : folders) {
      for (const std::string& name : {name_or_path + ".onnx", name_or_path}) {
        if (fs::is_regular_file(folder / name, code)) return (folder / name).lexically_normal().string();
      }
    }
  }
  if (fs::is_directory(status)) {
    throw Error(ErrorCode::kNotFound,
                name_or_path + ": is a folder, an ONNX file was wanted; `frf export` makes one of a run");
  }
  if (fs::exists(status))
    throw Error(ErrorCode::kIo, name_or_path + ": is a pipe or a device, an ONNX file was wanted");
  if (refused)
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot open: {}", PrintableName(name_or_path), why));
  ThrowUnknown(name_or_path, folders, networks);
}

}  // namespace frf
