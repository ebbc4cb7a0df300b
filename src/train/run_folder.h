// SPDX-License-Identifier: Apache-2.0
// A run folder: config.json, last.ckpt, best.ckpt, log.jsonl, TensorBoard events, report.html.
//
//   RunFolder run = RunFolder::Create("runs/a");       // refuses a folder that holds a run already
//   run.Log({{"type", "epoch"}, {"epoch", 3}, {"step", 135}, {"loss", 0.41}});
//
// Subtle: a killed run may have logged more than its last checkpoint knows; Rewind drops those lines, since a
// resumed run writes them again. One process at a time: the folder is locked while a RunFolder lives. A run
// that is refused before its config.json is written leaves no folder that was not there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace frf {

class RunFolder {
 public:
  static RunFolder Create(const std::string& path);
  static RunFolder Open(const std::string& path);  // kNotFound where there is no config.json
  // For a process that is not the one which writes: nothing is locked, made or logged.
  static RunFolder OfAnother(const std::string& path);
  // Of a run that was refused before its config.json: the files that `frf train` converted for it, and the
  // innermost `made` folders, which it made, where nothing else is in them.
  static void RemoveRefused(const std::string& path, std::size_t made);
  ~RunFolder();
  RunFolder(RunFolder&& other) noexcept;
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool Has(const std::string& name) const;

  // Appends one line to log.jsonl. A full disk costs the line and one warning, not the run.
  void Log(const Json& line);
  // All whole lines; a torn last one is left out.
  std::vector<Json> ReadLog() const;
  void Rewind(const std::function<bool(const Json& line)>& keep);

 private:
  explicit RunFolder(const std::string& path);
  void Lock();
  void RemoveLeftovers() const;
  std::string path_;
  int lock_ = -1;
  std::size_t made_ = 0;  // how many folders, it and those around it, this call made for this run
  bool warned_ = false, silent_ = false;
};

}  // namespace frf
