#include "tests/wrapper_system/exchange_host.hpp"

#include <doctest/doctest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "tests/host/host_process.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kBigMessageBytes = 9000;

std::string with_length(const std::string& message) {
  auto digits = std::to_string(message.size());
  return std::string(4 - digits.size(), '0') + digits + message;
}

}  // namespace

std::string turned(std::string_view body) {
  std::string text(body.rbegin(), body.rend());
  for (auto& letter : text) letter = static_cast<char>(letter ^ 1);
  return text;
}

// One connection: its bytes, cut into requests.
class ExchangeHost::Conversation {
 public:
  Conversation(ExchangeHost& host, SSL* ssl, shm::UniqueFd& socket) : host_(host), ssl_(ssl), socket_(socket) {}

  void converse() {
    while (answer_next()) {
    }
    if (is_nonsense_) return host_.count(&HostCounts::nonsense);
    if (!bytes_.empty()) host_.count(&HostCounts::cut_short);
  }

 private:
  // Until there are so many, or forever.
  bool need(std::size_t count) {
    while (bytes_.size() < count) {
      if (!receive()) return false;
    }
    return true;
  }

  bool receive() {
    std::array<char, 16384> part{};
    const int got = SSL_read(ssl_, part.data(), static_cast<int>(part.size()));
    if (got <= 0) return false;
    bytes_.append(part.data(), static_cast<std::size_t>(got));
    host_.count(&HostCounts::bytes, static_cast<std::size_t>(got));
    return true;
  }

  std::string take(std::size_t count) {
    auto taken = bytes_.substr(0, count);
    bytes_.erase(0, count);
    return taken;
  }

  bool send(std::string_view data) {
    return data.empty() || SSL_write(ssl_, data.data(), static_cast<int>(data.size())) > 0;
  }

  bool nonsense() {
    is_nonsense_ = true;
    return false;
  }

  bool answer_next() {
    switch (host_.protocol_) {
      case Protocol::messages: return answer_message();
      case Protocol::http: return answer_http();
      case Protocol::lines: return answer_line();
    }
    return false;
  }

  bool answer_message() {
    if (!need(4)) return false;
    const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
    if (!std::ranges::all_of(bytes_.substr(0, 4), is_digit)) return nonsense();
    const auto length = static_cast<std::size_t>(std::atoi(bytes_.substr(0, 4).c_str()));
    if (length < kKeyBytes) return nonsense();
    if (!need(4 + length)) return false;
    const auto message = take(4 + length).substr(4);
    host_.count(&HostCounts::requests);
    const auto key = message.substr(0, kKeyBytes);
    const auto body = message.substr(kKeyBytes);
    if (body.starts_with("/big")) return send(with_length(key + std::string(kBigMessageBytes, 'x')));
    return give(body, with_length(key + turned(body)));
  }

  bool answer_http() {
    constexpr std::string_view kStart = "POST /";
    constexpr std::string_view kLength = "Content-Length: ";
    std::size_t end = 0;
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos) {
      if (!bytes_.starts_with(kStart.substr(0, bytes_.size()))) return nonsense();
      if (!receive()) return false;
    }
    const auto header = bytes_.substr(0, end + 4);
    const auto length_at = header.find(kLength);
    if (!header.starts_with(kStart) || length_at == std::string::npos) return nonsense();
    const auto path = header.substr(kStart.size() - 1, header.find(' ', kStart.size()) - kStart.size() + 1);
    if (path == "/deaf" && !host_.wait_to_go()) return false;
    const auto length = static_cast<std::size_t>(std::atoi(header.c_str() + length_at + kLength.size()));
    if (!need(header.size() + length)) return false;
    const auto request = take(header.size() + length);
    host_.count(&HostCounts::requests);
    const auto body = path == "/big" ? std::string(kBigBytes, 'x') : turned(request.substr(header.size()));
    return give(path, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  bool answer_line() {
    std::size_t end = 0;
    while ((end = bytes_.find('\n')) == std::string::npos) {
      if (!receive()) return false;
    }
    const auto line = take(end + 1);
    host_.count(&HostCounts::requests);
    return give(line, turned(line.substr(0, end)) + "\n");
  }

  bool give(std::string_view wish, const std::string& answer) {
    const bool stalls = wish.starts_with("/stall");
    const bool notifies = wish.starts_with("/notify");
    const bool drops = wish.starts_with("/drop");
    const bool resets = wish.starts_with("/reset");
    if (!stalls && !notifies && !drops && !resets) return send(answer);
    const auto half = answer.size() / 2;
    if (!send(std::string_view(answer).substr(0, half)) || !host_.wait_to_go()) return false;
    if (stalls) return send(std::string_view(answer).substr(half));
    if (notifies) SSL_shutdown(ssl_);
    if (resets) reset_on_close(socket_.get());
    return false;
  }

  ExchangeHost& host_;
  SSL* ssl_;
  shm::UniqueFd& socket_;
  std::string bytes_;
  bool is_nonsense_ = false;
};

ExchangeHost::ExchangeHost(Protocol protocol, std::uint16_t port)
    : protocol_(protocol), listener_(AF_INET, port), context_(SSL_CTX_new(TLS_server_method())) {
  REQUIRE(SSL_CTX_use_certificate_chain_file(context_.get(), host::certificate_file("server.pem").c_str()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey_file(context_.get(), host::certificate_file("server.key").c_str(), SSL_FILETYPE_PEM) ==
          1);
  // Tickets make a socket readable on which there is nothing to read.
  SSL_CTX_set_num_tickets(context_.get(), 0);
  acceptor_ = std::thread([this] {
    block_sigpipe();
    accept_all();
  });
}

ExchangeHost::~ExchangeHost() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    for (const auto& connection : connections_) {
      if (connection.socket) ::shutdown(connection.socket.get(), SHUT_RDWR);
    }
  }
  changed_.notify_all();
  listener_.stop();
  acceptor_.join();
  for (auto& connection : connections_) connection.thread.join();
}

void ExchangeHost::accept_all() {
  while (auto socket = listener_.accept()) {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    auto& connection = connections_.emplace_back();
    connection.socket = std::move(socket);
    connection.thread = std::thread([this, &connection] { serve(connection.socket); });
  }
}

void ExchangeHost::serve(shm::UniqueFd& socket) {
  send_at_once(socket.get());
  const SslHandle ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), socket.get());
  if (SSL_accept(ssl.get()) > 0) {
    count(&HostCounts::handshakes);
    Conversation(*this, ssl.get(), socket).converse();
    if ((SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0) SSL_shutdown(ssl.get());
    count(&HostCounts::ended);
  }
  const std::lock_guard lock(mutex_);
  socket.reset();
}

void ExchangeHost::count(std::size_t HostCounts::* what, std::size_t more) {
  {
    const std::lock_guard lock(mutex_);
    counts_.*what += more;
  }
  changed_.notify_all();
}

HostCounts ExchangeHost::counts() {
  const std::lock_guard lock(mutex_);
  return counts_;
}

HostCounts ExchangeHost::await(const std::function<bool(const HostCounts&)>& wanted) {
  std::unique_lock lock(mutex_);
  CHECK(changed_.wait_for(lock, kPatience, [&] { return wanted(counts_); }));
  return counts_;
}

void ExchangeHost::go() {
  {
    const std::lock_guard lock(mutex_);
    ++goes_;
  }
  changed_.notify_all();
}

bool ExchangeHost::wait_to_go() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_stopping_ || goes_ > 0; });
  if (is_stopping_) return false;
  --goes_;
  return true;
}

}  // namespace tlsmux::test
