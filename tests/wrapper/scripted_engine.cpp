#include "tests/wrapper/scripted_engine.hpp"

#include <netinet/in.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <stdexcept>

#include "shm/outcome.hpp"
#include "tests/wrapper/peer_script.hpp"

namespace tlsmux::test {
namespace {

using shm::StreamRecordType;

void send_all(int socket, std::string_view data) {
  while (!data.empty()) {
    const auto sent = ::send(socket, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    data.remove_prefix(static_cast<std::size_t>(sent));
  }
}

template <typename Value>
std::string bytes_of_value(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

void send_record(int socket, StreamRecordType type, std::string_view content, bool trickles = false) {
  const auto header = shm::stream_record(type, static_cast<std::uint32_t>(content.size()));
  const auto all = bytes_of_value(header) + std::string(content);
  if (!trickles) return send_all(socket, all);
  for (std::size_t i = 0; i < all.size(); ++i) send_all(socket, std::string_view(all).substr(i, 1));
}

std::string lost_content(shm::Reason reason) {
  shm::StreamLost lost;
  lost.reason = static_cast<std::uint32_t>(reason);
  shm::set_text(lost.text, "the host cannot be reached");
  return bytes_of_value(lost);
}

class StreamEnd final : public PeerEnd {
 public:
  StreamEnd(shm::UniqueFd& socket, bool trickles) : socket_(socket), trickles_(trickles) {}

  void send(std::string_view data) override {
    while (!data.empty()) {
      const auto part = data.substr(0, shm::kStreamDataBytesMax);
      send_record(socket_.get(), StreamRecordType::data, part, trickles_);
      data.remove_prefix(part.size());
    }
  }
  std::size_t receive(char* into, std::size_t bytes) override {
    const auto got = ::recv(socket_.get(), into, bytes, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  void send_close_notify() override { send_record(socket_.get(), StreamRecordType::closed, {}, trickles_); }
  void drop() override {
    send_record(socket_.get(), StreamRecordType::lost, lost_content(shm::Reason::host_closed));
    socket_.reset();
  }
  void reset() override {
    send_record(socket_.get(), StreamRecordType::lost, lost_content(shm::Reason::connection_lost));
    reset_on_close(socket_.get());
    socket_.reset();
  }
  void vanish() override { socket_.reset(); }

 private:
  shm::UniqueFd& socket_;
  bool trickles_;
};

std::string der_of(const Identity& identity) {
  unsigned char* der = nullptr;
  const int length = i2d_X509(identity.certificate.get(), &der);
  if (length < 0) throw std::runtime_error("cannot write a certificate");
  std::string all(reinterpret_cast<const char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return all;
}

std::string opened_content(const EngineScript& script) {
  shm::StreamOpened opened;
  opened.tls_version = script.tls_version;
  opened.cipher_suite = script.cipher_suite;
  opened.certificates = static_cast<std::uint32_t>(script.certificates.size());
  shm::set_text(opened.alpn, script.alpn);
  auto content = bytes_of_value(opened);
  for (const auto* const identity : script.certificates) {
    const auto der = der_of(*identity);
    content += bytes_of_value(static_cast<std::uint32_t>(der.size())) + der;
  }
  return content;
}

shm::UniqueFd connect_to_port(std::uint16_t port) {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) socket.reset();
  return socket;
}

// Until both have ended.
void relay(int one, int other) {
  std::array<int, 2> from{one, other};
  std::array<pollfd, 2> wanted{
      {{.fd = one, .events = POLLIN, .revents = 0}, {.fd = other, .events = POLLIN, .revents = 0}}};
  std::array<char, 16384> data{};
  while (wanted[0].fd >= 0 || wanted[1].fd >= 0) {
    ::poll(wanted.data(), wanted.size(), -1);
    for (std::size_t i = 0; i < 2; ++i) {
      if (wanted[i].fd < 0 || wanted[i].revents == 0) continue;
      const auto got = ::recv(from[i], data.data(), data.size(), 0);
      if (got > 0) {
        send_all(from[1 - i], {data.data(), static_cast<std::size_t>(got)});
      } else {
        wanted[i].fd = -1;
        ::shutdown(from[1 - i], SHUT_WR);
      }
    }
  }
}

template <typename Refused>
void refuse(int socket, int error, Refused words) {
  shm::Refusal refusal;
  refusal.error = error;
  shm::set_text(refusal.text, words);
  static_cast<void>(shm::send_message(socket, refusal));
}

}  // namespace

ScriptedEngine::ScriptedEngine(EngineScript script, int gate)
    : script_(std::move(script)),
      gate_(gate),
      control_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)),
      listener_6_(AF_INET6, listener_.port()) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  control_socket().copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(control_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(control_.get(), 64) != 0) {
    throw std::runtime_error("cannot listen for the wrapper");
  }
  control_thread_ = std::thread([this] { answer_all(); });
  stream_thread_ = std::thread([this] { serve_all(listener_); });
  stream_thread_6_ = std::thread([this] { serve_all(listener_6_); });
}

ScriptedEngine::~ScriptedEngine() {
  ::shutdown(control_.get(), SHUT_RDWR);
  listener_.stop();
  listener_6_.stop();
  control_thread_.join();
  stream_thread_.join();
  stream_thread_6_.join();
}

shm::StreamStart ScriptedEngine::last_start() const {
  const std::lock_guard lock(mutex_);
  return last_start_;
}

// One conversation after the other: each is short.
void ScriptedEngine::answer_all() {
  while (true) {
    const shm::UniqueFd socket(::accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    answer(socket.get());
  }
}

void ScriptedEngine::answer(int socket) {
  while (true) {
    const auto packet = shm::receive_packet(socket);
    if (!packet || packet->bytes.empty()) return;
    ++questions_;
    if (script_.is_silent) continue;
    shm::MatchPeerRequest match;
    shm::AnnounceStreamRequest announcement;
    if (shm::read_message(*packet, match)) {
      answer_match(socket, match);
    } else if (shm::read_message(*packet, announcement)) {
      answer_announcement(socket, announcement);
    }
  }
}

void ScriptedEngine::answer_match(int socket, const shm::MatchPeerRequest& request) {
  if (script_.refuses_questions) return refuse(socket, EACCES, "you are no member of any group");
  const auto name = shm::text_of(request.server_name);
  shm::MatchPeerReply reply;
  const bool by_address = script_.shared_port != 0 && request.peer.port == script_.shared_port;
  const bool by_name = !script_.shared_name.empty() && name == script_.shared_name;
  reply.is_shared = by_address || by_name ? 1 : 0;
  reply.any_identity = script_.any_identity ? 1 : 0;
  reply.listener_port = listener_.port();
  if (script_.is_elsewhere) reply.network_namespace = ~std::uint64_t{0};
  shm::set_text(reply.upstream, "HOST");
  static_cast<void>(shm::send_message(socket, reply));
}

void ScriptedEngine::answer_announcement(int socket, const shm::AnnounceStreamRequest& request) {
  if (script_.refuses_announcements || shm::text_of(request.upstream) != "HOST") {
    return refuse(socket, EAGAIN, "there are as many streams as there may be");
  }
  shm::AnnounceStreamReply reply;
  {
    const std::lock_guard lock(mutex_);
    reply.ticket.fill(++tickets_);
    announced_.insert_or_assign(request.local.port, Announced{.request = request, .ticket = reply.ticket});
  }
  static_cast<void>(shm::send_message(socket, reply));
}

void ScriptedEngine::serve_all(const LoopbackListener& listener) {
  std::vector<std::thread> streams;
  while (auto socket = listener.accept()) {
    streams.emplace_back([this, taken = std::move(socket)]() mutable { serve(std::move(taken)); });
  }
  for (auto& stream : streams) stream.join();
}

void ScriptedEngine::serve(shm::UniqueFd socket) {
  std::array<std::uint8_t, shm::kStreamTicketBytes> first{};
  // It is announced before the program writes its first byte.
  const auto got = ::recv(socket.get(), first.data(), first.size(), MSG_PEEK | MSG_WAITALL);
  if (got <= 0) return;
  Announced announced;
  {
    const std::lock_guard lock(mutex_);
    const auto found = announced_.find(remote_port(socket.get()));
    if (found == announced_.end()) {
      ++strangers_;
      return;
    }
    announced = found->second;
  }
  if (first == announced.ticket) return serve_stream(socket);
  ++relayed_;
  const auto host = connect_to_port(announced.request.original.port);
  if (host) relay(socket.get(), host.get());
}

void ScriptedEngine::serve_stream(shm::UniqueFd& socket) {
  shm::StreamStart start;
  if (::recv(socket.get(), &start, sizeof start, MSG_WAITALL) != static_cast<ssize_t>(sizeof start)) return;
  ++streams_;
  {
    const std::lock_guard lock(mutex_);
    last_start_ = start;
  }
  if (script_.refuses_streams)
    return send_record(socket.get(), StreamRecordType::refused, lost_content(shm::Reason::no_session));
  if (script_.dies_early) return;
  if (script_.waits) wait_at(gate_);
  if (script_.trickles) send_at_once(socket.get());
  send_record(socket.get(), StreamRecordType::opened, opened_content(script_), script_.trickles);
  StreamEnd end(socket, script_.trickles);
  play(end, script_.stream, gate_);
}

}  // namespace tlsmux::test
