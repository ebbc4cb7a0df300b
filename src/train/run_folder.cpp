// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <regex>
#include <sstream>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "frf/error.h"

namespace frf {

RunFolder::RunFolder(const std::string& path) : path_(path) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      made_(other.made_),
      warned_(other.warned_),
      silent_(other.silent_) {}

RunFolder::~RunFolder() {
  if (lock_ < 0) return;
  if (!Has("config.json") && !Has("last.ckpt")) {  // refused before it began
    std::error_code ignored;
    std::filesystem::remove(path_ + "/lock", ignored);
    std::filesystem::path folder = path_;
    for (std::size_t i = 0; i < made_; ++i, folder = folder.parent_path())
      std::filesystem::remove(folder, ignored);  // where nothing else is in it
  }
  ::close(lock_);
}

bool RunFolder::Has(const std::string& name) const { return std::filesystem::exists(path_ + "/" + name); }

RunFolder RunFolder::Create(const std::string& path) {
  RunFolder run(path);
  run.made_ = MissingFolders(run.path_);
  MakeFolder(run.path_);
  run.Lock();
  if (run.Has("config.json") || run.Has("last.ckpt")) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: holds a run already; add --resume to go on with it, or name another folder",
                            run.path_));
  }
  run.RemoveLeftovers();
  return run;
}

RunFolder RunFolder::Open(const std::string& path) {
  RunFolder run(path);
  if (!run.Has("config.json")) {
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("{}: no run is here (config.json is missing); start one without --resume", run.path_));
  }
  run.Lock();
  run.RemoveLeftovers();
  return run;
}

RunFolder RunFolder::OfAnother(const std::string& path) {
  RunFolder run(path);
  run.silent_ = true;
  return run;
}

void RunFolder::RemoveRefused(const std::string& path, std::size_t made) {
  try {
    RunFolder run = Create(path);  // throws where a run is, or another process is at work
    run.made_ = std::max(run.made_, made);
    static const std::regex kConverted(R"((init|qat|teacher-\d+)\.ckpt)");
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(run.path_, ignored)) {
      if (std::regex_match(entry.path().filename().string(), kConverted))
        std::filesystem::remove(entry.path(), ignored);
    }
  } catch (const Error&) {  // why the run was refused is said
  }
}

void RunFolder::Lock() {
  const std::string name = path_ + "/lock";
  lock_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot create: {}", name, std::strerror(errno)));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(std::exchange(lock_, -1));
    throw Error(ErrorCode::kUsage,
                path_ + ": another frf-train is writing here; wait for it or name another folder");
  }
}

// A killed process leaves its half-written temporary file behind.
void RunFolder::RemoveLeftovers() const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    static const std::regex kOurs(
        R"(((last|best|init|qat|teacher-\d+)\.ckpt|config\.json|log\.jsonl|report\.html)\.tmp\d+)");
    if (std::regex_match(name, kOurs)) std::filesystem::remove(entry.path(), ignored);
  }
}

void RunFolder::Log(const Json& line) {
  if (silent_) return;
  const std::string name = path_ + "/log.jsonl", text = line.dump() + "\n";
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool written =
      file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int code = errno;
  if (file >= 0) ::close(file);
  if (written || warned_) return;
  warned_ = true;
  LogWarning(
      fmt::format("{}: cannot write: {}; training goes on, lines are lost", name, std::strerror(code)));
}

std::vector<Json> RunFolder::ReadLog() const {
  std::vector<Json> lines;
  if (!Has("log.jsonl")) return lines;
  std::istringstream text(ReadFile(path_ + "/log.jsonl"));
  for (std::string line; std::getline(text, line);) {
    Json json = Json::parse(line, nullptr, false);
    if (json.is_object()) lines.push_back(std::move(json));
  }
  return lines;
}

void RunFolder::Rewind(const std::function<bool(const Json&)>& keep) {
  if (!Has("log.jsonl")) return;
  std::string kept;
  for (const Json& line : ReadLog()) {
    if (keep(line)) kept += line.dump() + "\n";
  }
  WriteFileAtomically(path_ + "/log.jsonl", kept);
}

}  // namespace frf
