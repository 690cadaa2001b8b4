#include "tests/tls/gnutls.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr int kPatienceMs = 20'000;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Pipe {
  shm::UniqueFd reading;
  shm::UniqueFd writing;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

}  // namespace

bool have_gnutls() {
  const bool found = std::filesystem::exists("/usr/bin/gnutls-serv") && std::filesystem::exists("/usr/bin/gnutls-cli");
  if (!found) skip("gnutls-serv and gnutls-cli are not installed (Debian: gnutls-bin)");
  return found;
}

std::string gnutls_priority(const VersionAndSuite& suite) {
  const auto algorithm = suite_of(suite).aead;
  const char* cipher = algorithm == engine::tls::AeadAlgorithm::aes_128_gcm   ? "AES-128-GCM"
                       : algorithm == engine::tls::AeadAlgorithm::aes_256_gcm ? "AES-256-GCM"
                                                                              : "CHACHA20-POLY1305";
  const char* version = suite.version == engine::tls::kTls13 ? "TLS1.3" : "TLS1.2";
  return std::string("NORMAL:-VERS-ALL:+VERS-") + version + ":-CIPHER-ALL:+" + cipher;
}

Bytes read_some(int descriptor) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  REQUIRE_MESSAGE(::poll(&wanted, 1, kPatienceMs) > 0, "nothing comes from GnuTLS");
  Bytes bytes(65'536);
  const auto count = ::read(descriptor, bytes.data(), bytes.size());
  bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return bytes;
}

void write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(descriptor, bytes.data(), bytes.size());
    REQUIRE(count > 0);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

PipedProgram::PipedProgram(const std::vector<std::string>& command) {
  auto input = make_pipe();
  auto output = make_pipe();
  process_ = std::make_unique<ChildProcess>([&] {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::dup2(input.reading.get(), STDIN_FILENO);
    ::dup2(output.writing.get(), STDOUT_FILENO);
    ::dup2(output.writing.get(), STDERR_FILENO);
    ::execv(arguments[0], arguments.data());
    return 127;
  });
  input_ = std::move(input.writing);
  output_ = std::move(output.reading);
}

void PipedProgram::say(std::string_view text) { write_all(input_.get(), std::as_bytes(std::span(text))); }

void PipedProgram::await(std::string_view text) {
  auto at = unread_.find(text);
  while (at == std::string::npos) {
    const auto more = read_some(output_.get());
    REQUIRE_MESSAGE(!more.empty(), "GnuTLS has ended: ", unread_);
    unread_ += text_of(more);
    at = unread_.find(text);
  }
  unread_.erase(0, at + text.size());
}

Listener listen_on_loopback() {
  Listener listener{.socket = shm::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  REQUIRE(listener.socket);
  auto address = loopback(0);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener.socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.socket.get(), 1) == 0);
  REQUIRE(::getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  listener.port = ntohs(address.sin_port);
  return listener;
}

shm::UniqueFd accept_one(const Listener& listener) {
  pollfd wanted{.fd = listener.socket.get(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&wanted, 1, kPatienceMs) > 0);
  return shm::UniqueFd(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

shm::UniqueFd connect_to_loopback(std::uint16_t port) {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(socket);
  const auto address = loopback(port);
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

bool enter_private_network() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    skip("no network namespace may be made here, and gnutls-serv would listen on every interface");
    return false;
  }
  const shm::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  REQUIRE(::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0);
  request.ifr_flags |= IFF_UP;
  REQUIRE(::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0);
  return true;
}

}  // namespace tlsmux::test
