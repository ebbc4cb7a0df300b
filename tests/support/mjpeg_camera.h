// SPDX-License-Identifier: Apache-2.0
// A network camera on the loopback: for one caller it sends JPEG pictures, as browsers take them, and then
// ends as it was told.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

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
};

class MjpegCamera {
 public:
  explicit MjpegCamera(const CameraPlay& play) : play_(play) {
    const TempFolder folder;
    WriteJpeg(folder / "frame.jpg", CodedFrame(5));
    jpeg_ = ReadFile(folder / "frame.jpg");
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<struct sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<struct sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    server_ = std::thread([this] { Serve(); });
  }
  ~MjpegCamera() {
    ::shutdown(listener_, SHUT_RDWR);  // wakes accept
    server_.join();
    ::close(listener_);
  }
  MjpegCamera(const MjpegCamera&) = delete;
  MjpegCamera& operator=(const MjpegCamera&) = delete;

  // "http://127.0.0.1:4711/x"; `scheme` may also bring a user, "rtsp://admin:secret@".
  std::string Address(const std::string& scheme = "http://") const {
    return scheme + "127.0.0.1:" + std::to_string(port_) + "/x";
  }

 private:
  void Serve() const {
    const int caller = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller < 0) return;
    char request[4096];
    const auto send = [&](const std::string& bytes) {
      return ::send(caller, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
    };
    (void)::recv(caller, request, sizeof request, 0);
    if (play_.frames >= 0)
      send("HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n");
    for (int i = 0; i < play_.frames; ++i) {
      const bool heard =
          send("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(jpeg_.size()) +
               "\r\n\r\n" + jpeg_ + "\r\n");
      if (!heard) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(play_.every));
    }
    if (play_.end == CameraEnd::kReset) {
      const struct linger now { 1, 0 };
      ::setsockopt(caller, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    while (play_.end == CameraEnd::kSilence && ::recv(caller, request, sizeof request, 0) > 0) {
    }
    ::close(caller);
  }

  CameraPlay play_;
  std::string jpeg_;
  int listener_ = -1, port_ = 0;
  std::thread server_;
};

}  // namespace frf::test
