// SPDX-License-Identifier: Apache-2.0
// Network cameras on the loopback. One sends JPEG pictures, as browsers take them, and then ends as it was
// told; the other one a file, its first part at once, as what waited for the caller, the rest as time passes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "base/files.h"
#include "image/image_io.h"
#include "support/support.h"
#include "support/video_clip.h"

namespace frf::test {

enum class CameraEnd { kClose, kReset, kSilence };

struct CameraPlay {
  int frames = 0;  // below 0: not even an answer
  CameraEnd end = CameraEnd::kClose;
  int every = 20;  // ms
  std::string type = "image/jpeg";
  std::string head = "Content-Type: multipart/x-mixed-replace;boundary=frame";
};

struct StreamPlay {
  std::string bytes;
  double at_once = 0.5;  // of the bytes
  int ms = 0;            // in which the others follow
};

// What both have: a socket, and a thread that serves callers until it is gone.
class LoopbackCamera {
 public:
  LoopbackCamera() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<struct sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<struct sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~LoopbackCamera() { ::close(listener_); }
  LoopbackCamera(const LoopbackCamera&) = delete;
  LoopbackCamera& operator=(const LoopbackCamera&) = delete;

  // "http://127.0.0.1:4711/x"; `scheme` may also bring a user, "rtsp://admin:secret@".
  std::string Address(const std::string& scheme = "http://") const {
    return scheme + "127.0.0.1:" + std::to_string(port_) + "/x";
  }

 protected:
  void Start(std::function<void(int caller)> serve) {
    server_ = std::thread([this, serve = std::move(serve)] {
      for (;;) {
        const int caller = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (caller < 0) return;
        char request[4096];
        (void)::recv(caller, request, sizeof request, 0);
        serve(caller);
        ::close(caller);
      }
    });
  }
  void Stop() {
    ::shutdown(listener_, SHUT_RDWR);  // wakes accept
    server_.join();
  }
  static bool Send(int caller, const std::string& bytes) {
    return ::send(caller, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
  }

 private:
  int listener_ = -1, port_ = 0;
  std::thread server_;
};

class MjpegCamera : public LoopbackCamera {
 public:
  explicit MjpegCamera(const CameraPlay& play) : play_(play) {
    const TempFolder folder;
    WriteJpeg(folder / "frame.jpg", CodedFrame(5));
    jpeg_ = ReadFile(folder / "frame.jpg");
    Start([this](int caller) { Serve(caller); });
  }
  ~MjpegCamera() { Stop(); }

 private:
  void Serve(int caller) const {
    if (play_.frames >= 0) Send(caller, "HTTP/1.1 200 OK\r\n" + play_.head + "\r\n\r\n");
    for (int i = 0; i < play_.frames; ++i) {
      const bool heard = Send(caller, "--frame\r\nContent-Type: " + play_.type + "\r\nContent-Length: " +
                                          std::to_string(jpeg_.size()) + "\r\n\r\n" + jpeg_ + "\r\n");
      if (!heard) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(play_.every));
    }
    if (play_.end == CameraEnd::kReset) {
      const struct linger now { 1, 0 };
      ::setsockopt(caller, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    char request[4096];
    while (play_.end == CameraEnd::kSilence && ::recv(caller, request, sizeof request, 0) > 0) {
    }
  }

  CameraPlay play_;
  std::string jpeg_;
};

class StreamCamera : public LoopbackCamera {
 public:
  explicit StreamCamera(StreamPlay play) : play_(std::move(play)) {
    Start([this](int caller) { Serve(caller); });
  }
  ~StreamCamera() { Stop(); }

 private:
  void Serve(int caller) const {
    constexpr int kSlices = 100;
    const auto first = static_cast<std::size_t>(play_.at_once * static_cast<double>(play_.bytes.size()));
    Send(caller, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + play_.bytes.substr(0, first));
    const std::size_t slice = (play_.bytes.size() - first) / kSlices + 1;
    for (std::size_t at = first; at < play_.bytes.size(); at += slice) {
      std::this_thread::sleep_for(std::chrono::milliseconds(play_.ms / kSlices));
      if (!Send(caller, play_.bytes.substr(at, slice))) return;
    }
  }

  StreamPlay play_;
};

}  // namespace frf::test
