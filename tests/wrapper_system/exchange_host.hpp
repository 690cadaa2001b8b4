#pragma once

// A TLS host for programs: answers what it is asked, turned round, and notices when a session does not go on where a
// request begins. What is asked can make it misbehave.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "tests/tls/openssl_handles.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {

enum class Protocol : std::uint8_t {
  messages,  // 4 digits of length, and a message: 16 bytes of a key, which come back as they are, and a body
  http,      // requests with a Content-Length, the body in between
  lines,     // each up to its '\n'
};

struct HostCounts {
  std::size_t handshakes = 0;
  std::size_t ended = 0;      // connections
  std::size_t requests = 0;   // whole ones
  std::size_t cut_short = 0;  // connections that ended within a request
  std::size_t nonsense = 0;   // connections that went on with what is no request
  std::size_t bytes = 0;      // received
};

// A message's body, a request's path, or a line may begin with
//   /big         the answer has kBigBytes of 'x' (http) or 9,000 (messages)
//   /notify, /drop, /reset   half an answer; after go() the connection ends so: with a close_notify, without, with a reset
//   /stall       half an answer; after go() the rest
//   /deaf        (http) after the header nothing is read until go()
class ExchangeHost {
 public:
  static constexpr std::size_t kBigBytes = 8'000'000;

  // At `port` of loopback, or at one of the kernel's choice.
  explicit ExchangeHost(Protocol protocol, std::uint16_t port = 0);
  ~ExchangeHost();
  ExchangeHost(const ExchangeHost&) = delete;
  ExchangeHost& operator=(const ExchangeHost&) = delete;

  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  HostCounts counts();
  // Fails the test if it does not come.
  HostCounts await(const std::function<bool(const HostCounts&)>& wanted);
  // One that waits goes on.
  void go();

 private:
  class Conversation;

  void accept_all();
  void serve(shm::UniqueFd& socket);
  void count(std::size_t HostCounts::* what, std::size_t more = 1);
  // False: the host is being stopped.
  bool wait_to_go();

  Protocol protocol_;
  LoopbackListener listener_;
  SslContextHandle context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  HostCounts counts_;
  std::size_t goes_ = 0;
  bool is_stopping_ = false;
  struct Connection {
    shm::UniqueFd socket;
    std::thread thread;
  };
  std::list<Connection> connections_;
  std::thread acceptor_;
};

// What the host makes of a body.
std::string turned(std::string_view body);

}  // namespace tlsmux::test
