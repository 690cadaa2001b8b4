#include "tests/host/test_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "tests/host/host_process.hpp"

namespace tlsmux::host {
namespace {

constexpr int kPatienceSeconds = 30;
constexpr int kRefusedMs = 300;

[[noreturn]] void fail(const std::string& what) {
  const std::string reason = take_ssl_error();
  throw std::runtime_error(what + ": " + reason);
}

void set_patience(int socket, int seconds) {
  const timeval patience = {.tv_sec = seconds, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

shm::UniqueFd connect_to(std::uint16_t port) {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail("cannot connect");
  }
  return socket;
}

SslContext client_context(const ClientOptions& options) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (options.refuses_renegotiation) SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  if (options.version == TlsVersion::v1_2) SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  if (options.version == TlsVersion::v1_3) SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  if (SSL_CTX_load_verify_file(context.get(), certificate_file("ca.pem").c_str()) != 1) fail("ca.pem");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (!options.certificate_file.empty() &&
      (SSL_CTX_use_certificate_chain_file(context.get(), options.certificate_file.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)) {
    fail("client certificate");
  }
  std::string protocols;
  for (const auto& name : options.alpn) protocols += static_cast<char>(name.size()) + name;
  SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size()));
  if (!options.groups.empty() && SSL_CTX_set1_groups_list(context.get(), options.groups.c_str()) != 1) fail("groups");
  return context;
}

}  // namespace

PlainConnection::PlainConnection(std::uint16_t port) : socket_(connect_to(port)) {}

TestClient::TestClient(std::uint16_t port, const ClientOptions& options)
    : framing_(options.framing), context_(client_context(options)), socket_(connect_to(port)) {
  std::signal(SIGPIPE, SIG_IGN);
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_fd(ssl_.get(), socket_.get());
  SSL_set_tlsext_host_name(ssl_.get(), "localhost");
  SSL_set1_host(ssl_.get(), "localhost");
  if (options.session != nullptr) SSL_set_session(ssl_.get(), options.session);
  set_patience(socket_.get(), options.handshake_seconds);
  if (::send(socket_.get(), options.greeting.data(), options.greeting.size(), MSG_NOSIGNAL) < 0) fail("cannot send");
  if (SSL_connect(ssl_.get()) != 1) fail("the handshake failed");
  set_patience(socket_.get(), kPatienceSeconds);
}

std::string TestClient::framed(std::string_view body) const {
  std::string frame;
  append_frame(framing_, body, frame);
  return frame;
}

void TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t sent = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) != 1) fail("cannot send");
    bytes.remove_prefix(sent);
  }
}

std::size_t TestClient::send_until_refused(std::string_view bytes) {
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
  std::size_t total = 0;
  bool refused = false;
  while (total < bytes.size() && !refused) {
    std::size_t sent = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data() + total, bytes.size() - total, &sent) == 1) {
      total += sent;
      continue;
    }
    if (SSL_get_error(ssl_.get(), 0) != SSL_ERROR_WANT_WRITE) fail("cannot send");
    pollfd writable = {.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    refused = ::poll(&writable, 1, kRefusedMs) == 0;
  }
  ::fcntl(socket_.get(), F_SETFL, flags);
  return total;
}

bool TestClient::receive() {
  if (end_) return false;
  std::array<char, 16384> buffer;
  std::size_t received = 0;
  errno = 0;
  const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &received);
  if (result == 1) {
    input_.append(buffer.data(), received);
    return true;
  }
  end_ = classify_end(result);
  return false;
}

End TestClient::classify_end(int result) {
  const int system_error = errno;
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_ZERO_RETURN) return End::close_notify;
  if (error == SSL_ERROR_SYSCALL && system_error == ECONNRESET) return End::reset;
  if (error == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    return End::cut;
  }
  fail("cannot receive");
}

std::optional<std::string> TestClient::receive_frame() {
  std::string message;
  while (true) {
    const auto frame = first_frame(framing_, input_);
    if (!frame) fail(frame.error());
    if (*frame) {
      message.append((*frame)->body);
      const bool more = (*frame)->more;
      input_.erase(0, (*frame)->bytes_total);
      if (!more) return message;
    } else if (!receive()) {
      return std::nullopt;
    }
  }
}

std::string TestClient::receive_bytes(std::size_t least) {
  while (input_.size() < least && receive()) {
  }
  return std::exchange(input_, {});
}

End TestClient::await_end() {
  while (receive()) input_.clear();
  return *end_;
}

void TestClient::close_notify() { SSL_shutdown(ssl_.get()); }

}  // namespace tlsmux::host
