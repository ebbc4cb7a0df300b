// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <random>
#include <system_error>

#include "base/hash.h"
#include "base/stop_signal.h"
#include "base/temporaries.h"
#include "frf/error.h"

namespace frf {
namespace {

// Files of other names may well be written.
bool IsNamesFault(int code) {
  return code == ENAMETOOLONG || code == EISDIR || code == ENOTDIR || code == ELOOP || code == EEXIST;
}

[[noreturn]] void ThrowErrno(const std::filesystem::path& path, const char* action, int code) {
  const ErrorCode kind = code == ENOENT       ? ErrorCode::kNotFound
                         : IsNamesFault(code) ? ErrorCode::kInvalidArgument
                                              : ErrorCode::kIo;
  throw Error(kind, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(code)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Close() {
    const int result = ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

bool IsPipe(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

constexpr int kPatience = 500;  // ms: a stop does not cut off a reader or writer that is only slow

// Waits until a pipe's other side is ready. Not inside open, read or write: signal handlers are installed
// with SA_RESTART, so a StopSignal would not end those.
void WaitForPipe(struct pollfd pipe, const std::filesystem::path& path) {
  for (int ready; (ready = ::poll(&pipe, 1, kPatience)) <= 0;) {
    if (ready == 0 && StopSignal::Requested())
      throw Error(ErrorCode::kInterrupted,
                  fmt::format("{}: stopped while waiting for the pipe's other side", path.string()));
  }
}

// Opens a pipe once somebody reads it.
int OpenPipeToWrite(const std::filesystem::path& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 || errno != ENXIO) return fd;
    if (StopSignal::Requested())
      throw Error(ErrorCode::kInterrupted,
                  fmt::format("{}: stopped before anybody read this pipe", path.string()));
    ::usleep(20'000);
  }
}

void WriteAll(int fd, const char* data, std::size_t size, const std::filesystem::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        WaitForPipe({fd, POLLOUT, 0}, path);
        continue;
      }
      ThrowErrno(path, "write", errno);
    }
    data += written;
    size -= static_cast<std::size_t>(written);
  }
}

// What `path` names once symbolic links are followed, which need not exist.
std::filesystem::path BehindLinks(const std::filesystem::path& path) {
  std::filesystem::path found = path;
  std::error_code code;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(found, code)); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(found, code);
    if (code || links == 40) ThrowErrno(path, "follow the link", code ? code.value() : ELOOP);
    found = found.parent_path() / next;  // an absolute `next` stands alone
  }
  return found;
}

// Something that is there and that a rename would not fill but remove. The kernel's own links, such as
// /proc/self/fd/1, may lead to a pipe that has no name, or to a file that was deleted.
bool IsDevice(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  struct stat behind {};
  return !S_ISREG(status.st_mode) || ::lstat(BehindLinks(path).c_str(), &behind) != 0;
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const bool pipe = IsPipe(path);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | (pipe ? O_NONBLOCK : 0)));
  if (file.get() < 0) ThrowErrno(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) ThrowErrno(path, "stat", errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: is a folder, a file is wanted", path.string()));
  }
  if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) > max_bytes) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {} bytes, at most {} are read", path.string(), status.st_size, max_bytes));
  }
  std::string bytes;
  // Pipes and devices have no size: read to the end, never beyond the limit.
  std::size_t used = 0;
  bytes.resize(S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) + 1 : std::size_t{1} << 16);
  for (;;) {
    if (pipe) WaitForPipe({file.get(), POLLIN, 0}, path);  // also for the first writer to come
    const ssize_t got = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      ThrowErrno(path, "read", errno);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) {
      throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: more than {} bytes", path.string(), max_bytes));
    }
    if (used == bytes.size()) bytes.resize(bytes.size() * 2);
  }
  bytes.resize(used);
  return bytes;
}

PendingFile::PendingFile(std::filesystem::path path) : path_(std::move(path)), direct_(IsDevice(path_)) {
  target_ = temporary_ = direct_ ? path_ : BehindLinks(path_);
  if (direct_) return;
  // Of a file that is replaced nobody else reads the half of it; Commit gives its mode.
  std::error_code missing;
  const mode_t mode = std::filesystem::exists(target_, missing) ? 0600 : 0666;
  const std::string name = target_.filename().string();
  std::random_device random;
  for (int tries = 0;; ++tries) {
    const std::string ending = fmt::format(".tmp{}{:010}", random(), random());
    // A name may be the longest that there is.
    const bool fits = name.size() + ending.size() <= NAME_MAX;
    temporary_.replace_filename((fits ? name : fmt::format("{:016x}", XxHash64(name))) + ending);
    RememberTemporary(temporary_.string());
    // O_EXCL: the name is nobody else's, no thread's of this process and no process's of another machine or
    // container that shares the folder.
    const Descriptor file(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.get() >= 0) return;
    const int code = errno;
    ForgetTemporary(temporary_.string());
    if (code != EEXIST || tries == 100) ThrowErrno(path_, "create", code);
  }
}

PendingFile::~PendingFile() {
  if (direct_) return;
  if (!committed_) ::unlink(temporary_.c_str());
  ForgetTemporary(temporary_.string());
}

void PendingFile::Commit() {
  if (direct_) return;
  const Descriptor file(::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) ThrowErrno(path_, "create", errno);
  if (::fsync(file.get()) != 0 && errno != EINVAL) ThrowErrno(path_, "sync", errno);
  // Who may read what was there may read what takes its place: the same group, or none.
  struct stat before {};
  if (::stat(target_.c_str(), &before) == 0 && S_ISREG(before.st_mode)) {
    const bool same_group = ::fchown(file.get(), static_cast<uid_t>(-1), before.st_gid) == 0;
    (void)::fchmod(file.get(), before.st_mode & (same_group ? 0777 : 0707));
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) ThrowErrno(path_, "replace", errno);
  committed_ = true;
  // The rename itself is durable once the folder is synced; a file system that cannot is not an error.
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  const Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() >= 0) (void)::fsync(handle.get());
}

void WriteFileAtomically(const std::filesystem::path& path,
                         const std::function<void(const AppendBytes&)>& write) {
  PendingFile pending(path);
  Descriptor file(IsPipe(pending.temporary()) ? OpenPipeToWrite(pending.temporary())
                                              : ::open(pending.temporary().c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) ThrowErrno(path, "open", errno);
  write([&](const void* data, std::size_t size) {
    WriteAll(file.get(), static_cast<const char*>(data), size, path);
  });
  if (file.Close() != 0) ThrowErrno(path, "close", errno);
  pending.Commit();
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  WriteFileAtomically(path, [&](const AppendBytes& append) { append(bytes.data(), bytes.size()); });
}

void MakeFolder(const std::filesystem::path& path) {
  std::error_code code, lost;
  std::filesystem::create_directories(path, code);
  if (std::filesystem::is_directory(path, lost)) return;
  const int number = code ? code.value() : ENOTDIR;
  throw Error(IsNamesFault(number) ? ErrorCode::kInvalidArgument : ErrorCode::kIo,
              fmt::format("{}: cannot create the folder: {}", path.string(),
                          code ? code.message() : "a file of that name is in the way"));
}

std::size_t MissingFolders(const std::filesystem::path& path) {
  // "a/b/" is "a/b".
  std::filesystem::path folder = path.has_filename() ? path : path.parent_path();
  std::size_t missing = 0;
  for (; !folder.empty() && !std::filesystem::exists(folder); folder = folder.parent_path()) ++missing;
  return missing;
}

std::filesystem::path ProgramFolder() {
  std::error_code code;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", code);
  return code ? std::filesystem::path(".") : program.parent_path();
}

}  // namespace frf
