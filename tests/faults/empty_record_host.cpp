#include "tests/faults/empty_record_host.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

#include <doctest/doctest.h>

#include "tests/host/framing.hpp"
#include "tests/host/record.hpp"
#include "tests/tls/mbedtls_end.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

constexpr VersionAndSuite kTls13{engine::tls::kTls13, 0x1301};
constexpr VersionAndSuite kTls12{engine::tls::kTls12, 0xC02B};

class Connection {
 public:
  Connection(shm::UniqueFd socket, std::uint64_t number, const EmptyRecordPlan& plan, host::Record& record)
      : socket_(std::move(socket)),
        number_(number),
        plan_(plan),
        record_(record),
        tls_(engine::tls::Role::server, plan.is_1_3 ? kTls13 : kTls12) {}

  // To its end.
  void serve() {
    Bytes output;
    for (bool done = false; !done;) {
      const auto came = receive();
      if (came.empty()) return;
      done = tls_.handshake(came, output);
      if (!send(std::exchange(output, {}))) return;
    }
    for (auto came = tls_.unread();; came = receive()) {
      const auto read = tls_.read(came);
      input_ += read.text;
      if (read.code != 0 || !take_messages()) return;
      if (came.empty() && !std::exchange(is_first_, false)) return;
    }
  }

 private:
  Bytes receive() {
    Bytes bytes(16 * 1024);
    const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  bool send(const Bytes& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto sent = ::send(socket_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<std::size_t>(sent);
    }
    return true;
  }
  bool send_empty(std::uint32_t records) {
    Bytes bytes;
    for (; records > 0; --records) {
      const auto one = tls_.write_empty();
      bytes.insert(bytes.end(), one.begin(), one.end());
    }
    return send(bytes);
  }

  // False at the end of the connection.
  bool take_messages() {
    while (true) {
      const auto frame = host::first_frame(framing_, input_);
      if (!frame) return false;
      if (!*frame) return true;
      const std::string body((*frame)->body);
      input_.erase(0, (*frame)->bytes_total);
      record_.append(number_, ++messages_, host::hex(body.substr(0, 16)), body);
      if (!record_.flush() || !react(body)) return false;
    }
  }
  bool react(const std::string& body) {
    if (number_ < plan_.answers_from) return messages_ != plan_.messages || send_empty(plan_.records);
    std::string answer;
    host::append_frame(framing_, body, answer);
    return send_empty(plan_.records_before_answer) && send(tls_.write(answer));
  }

  shm::UniqueFd socket_;
  std::uint64_t number_;
  const EmptyRecordPlan& plan_;
  host::Record& record_;
  MbedtlsEnd tls_;
  host::Framing framing_{};
  std::string input_;
  std::uint64_t messages_ = 0;
  bool is_first_ = true;
};

int run(const shm::UniqueFd& listener, const EmptyRecordPlan& plan, const std::string& path) {
  auto record = host::Record::open(path);
  if (!record) return 1;
  for (std::uint64_t number = 1;; ++number) {
    shm::UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return 2;
    Connection(std::move(socket), number, plan, *record).serve();
  }
}

}  // namespace

EmptyRecordHost::EmptyRecordHost(const EmptyRecordPlan& plan, const std::string& record) {
  const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t bytes = sizeof address;
  REQUIRE(::bind(listener.get(), generic, bytes) == 0);
  REQUIRE(::listen(listener.get(), 8) == 0);
  REQUIRE(::getsockname(listener.get(), generic, &bytes) == 0);
  port_ = ntohs(address.sin_port);
  host_identity();  // before there is a second process, which would make another
  process_ = std::make_unique<ChildProcess>([&] { return run(listener, plan, record); });
}

std::string EmptyRecordHost::authority_pem() { return authority().pem(); }

std::string EmptyRecordHost::name() { return std::string(kHostName); }

}  // namespace tlsmux::test
