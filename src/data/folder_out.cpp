// SPDX-License-Identifier: Apache-2.0
// What `frf data convert` makes of a folder: classes.json and splits, with the ids that its masks store.
#include "data/folder_out.h"

#include <algorithm>

#include "base/files.h"
#include "base/json.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

// What void is shown in: the first colour declared, else black, else the lightest grey that no class has.
Color VoidShown(const FolderClasses& facts) {
  if (!facts.void_colors.empty()) return facts.void_colors.front();
  const std::vector<Color>& palette = facts.classes.palette;
  const auto taken = [&](const Color& c) {
    return std::find(palette.begin(), palette.end(), c) != palette.end();
  };
  Color shown{};
  for (std::uint8_t grey = 255; taken(shown); --grey) shown = {grey, grey, grey};
  return shown;
}

// An id for void where none is declared: the highest that is no class's.
int FreeId(const Classes& classes) {
  int id = kVoidLabel;
  const std::vector<int>& taken = classes.label_ids;
  while (id > 0 && std::find(taken.begin(), taken.end(), id) != taken.end()) --id;
  return id;
}

}  // namespace

FolderOut::FolderOut(std::string out, const FolderClasses& facts) : root_(std::move(out)) {
  const std::string path = (root_ / "classes.json").string();
  const bool there = fs::is_regular_file(path);
  FolderClasses written = there ? ReadFolderClasses(path) : facts;
  if (written.classes.names != facts.classes.names) {
    throw Error(ErrorCode::kUsage, path + ": is there already, for other classes; choose another folder");
  }
  if (!there && !VoidId(written.coding)) written.coding.table[FreeId(written.classes)] = kVoidLabel;
  StoreIds(format_, written);
  format_.classes_file = path;
  shown_.assign(256, Color{});
  for (int id = 0; id < written.classes.count(); ++id) shown_[format_.ids[id]] = written.classes.palette[id];
  if (format_.has_void) shown_[format_.ids[kVoidLabel]] = VoidShown(written);
  if (there) return;
  Json json{{"names", written.classes.names},
            {"palette", written.classes.palette},
            {"void", format_.ids[kVoidLabel]}};
  if (!written.classes.label_ids.empty()) json["label_ids"] = written.classes.label_ids;
  if (!written.void_colors.empty()) json["void_color"] = written.void_colors;
  json_ = json.dump(2) + "\n";
}

void FolderOut::Make(const std::string& split) {
  for (const fs::path& folder : {root_, root_ / "images", root_ / "masks", images(split), masks(split)}) {
    if (fs::is_directory(folder)) continue;
    MakeFolder(folder);
    made_.push_back(folder);
  }
  const fs::path path = root_ / "classes.json";
  if (json_.empty() || fs::is_regular_file(path)) return;
  WriteFileAtomically(path, json_);
  made_.push_back(path);
}

LabelImage FolderOut::Stored(LabelImage labels, const std::string& name) const {
  return StoredLabels(std::move(labels), name, format_);
}

void FolderOut::Unmake() const {
  std::error_code holds_files;
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) fs::remove(*path, holds_files);
}

}  // namespace frf
