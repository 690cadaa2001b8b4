// A program that leaves TLS to a sidecar: it speaks plain bytes over a local socket.

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <span>

#include "bench/client/connect.hpp"
#include "bench/client/stream_link.hpp"

namespace {

using namespace tlsmux::bench;

class PlainStream {
 public:
  explicit PlainStream(const ClientArguments& arguments) : socket_(connect_to(arguments.target)) {}

  bool write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EINTR) return false;
      if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
  }

  std::size_t read(std::span<std::byte> bytes) {
    for (;;) {
      const auto received = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (received >= 0) return static_cast<std::size_t>(received);
      if (errno != EINTR) return 0;
    }
  }

 private:
  tlsmux::shm::UniqueFd socket_;
};

}  // namespace

int main(int argc, char** argv) { return client_main<StreamLink<PlainStream>>(argc, argv); }
