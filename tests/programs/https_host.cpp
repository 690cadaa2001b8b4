#include "tests/programs/https_host.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "tests/host/host_process.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kPageLines = 1000;

// The next request's head, in small letters, without what `bytes` holds behind it; nothing: the client has gone.
std::optional<std::string> next_head(SSL* ssl, std::string& bytes) {
  std::size_t end = 0;
  while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
    std::array<char, 4096> part{};
    const int got = SSL_read(ssl, part.data(), part.size());
    if (got <= 0) return std::nullopt;
    bytes.append(part.data(), static_cast<std::size_t>(got));
  }
  auto head = bytes.substr(0, end);
  bytes.erase(0, end + 4);
  std::ranges::transform(head, head.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return head;
}

// RFC 9112, section 9.3.
bool keeps_alive(const std::string& head) {
  if (head.contains("connection: close")) return false;
  return head.contains(" http/1.1\r\n") || head.contains("connection: keep-alive");
}

std::string answer_to(const std::string& head) {
  const auto path = head.find(' ') + 1;
  const auto page = HttpsHost::page(std::string_view(head).substr(path, head.find(' ', path) - path));
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(page.size()) +
         "\r\nConnection: " + (keeps_alive(head) ? "keep-alive" : "close") + "\r\n\r\n" + page;
}

}  // namespace

std::string HttpsHost::page(std::string_view path) {
  std::string text;
  for (std::size_t line = 0; line < kPageLines; ++line)
    text.append(path).append(" ").append(std::to_string(line)) += '\n';
  return text;
}

HttpsHost::HttpsHost(int version) : context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX_use_certificate_chain_file(context_.get(), host::certificate_file("server.pem").c_str());
  SSL_CTX_use_PrivateKey_file(context_.get(), host::certificate_file("server.key").c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_min_proto_version(context_.get(), version);
  SSL_CTX_set_max_proto_version(context_.get(), version);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_.get(), 0);
  // The same suite for every client.
  SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  acceptor_ = std::jthread([this] {
    block_sigpipe();
    accept_all();
  });
}

HttpsHost::~HttpsHost() {
  listener_.stop();
  acceptor_.join();
  for (const auto& connection : connections_) ::shutdown(connection.socket.get(), SHUT_RDWR);
}

void HttpsHost::accept_all() {
  while (auto socket = listener_.accept()) {
    auto& connection = connections_.emplace_back(std::move(socket));
    connection.thread = std::jthread([this, &connection] { serve(connection.socket.get()); });
  }
}

void HttpsHost::serve(int socket) {
  send_at_once(socket);
  const SslHandle ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), socket);
  if (SSL_accept(ssl.get()) == 1) {
    ++handshakes_;
    std::string bytes;
    while (const auto head = next_head(ssl.get(), bytes)) {
      const auto answer = answer_to(*head);
      if (SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size())) <= 0) break;
      if (!keeps_alive(*head)) break;
    }
    SSL_shutdown(ssl.get());
  }
  ::shutdown(socket, SHUT_WR);
}

}  // namespace tlsmux::test
