#include "ports/diagnosis/socket_diagnosis.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "ports/book/port_filter.hpp"
#include "ports/diagnosis/sock_diag_socket.hpp"

namespace tlsmux::ports {
namespace {

// More than the 32 KiB that the kernel fills at a time.
constexpr std::size_t kAnswerBytes = 64UL * 1024;
constexpr int kTriesMax = 8;
constexpr int kTcpNewSynReceived = 12;
constexpr int kTcpBoundInactive = 13;  // Linux 6.8; older kernels have no socket in it

// All but those of connections that are being made, which are their listener's.
constexpr std::uint32_t kStates =
    ((1U << (kTcpBoundInactive + 1)) - 1) & ~((1U << TCP_SYN_RECV) | (1U << kTcpNewSynReceived));

// The older of the two requests there are is for TCP only, but for all families at once: half as long, since the kernel
// looks at every TCP socket for each request.
constexpr std::array kTcpFamilies{AF_UNSPEC};
constexpr std::array kUdpFamilies{AF_INET, AF_INET6};

template <typename Struct>
void append(std::vector<std::byte>& bytes, const Struct& value) {
  static_assert(sizeof value % NLMSG_ALIGNTO == 0);
  const auto from = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), from.begin(), from.end());
}

std::vector<std::byte> make_request(Protocol protocol, int family, const PortSet& ports, std::uint32_t sequence) {
  std::vector<std::byte> body;
  if (protocol == Protocol::tcp) {
    inet_diag_req request{};
    request.idiag_family = static_cast<std::uint8_t>(family);
    request.idiag_states = kStates;
    append(body, request);
  } else {
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(family);
    request.sdiag_protocol = IPPROTO_UDP;
    request.idiag_states = kStates;
    append(body, request);
  }
  const auto program = make_port_filter(ports);
  const auto filter_bytes = sizeof(nlattr) + program.size() * sizeof program[0];
  append(body, nlattr{.nla_len = static_cast<std::uint16_t>(filter_bytes), .nla_type = INET_DIAG_REQ_BYTECODE});
  const auto operations = std::as_bytes(std::span(program));
  body.insert(body.end(), operations.begin(), operations.end());

  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = protocol == Protocol::tcp ? TCPDIAG_GETSOCK : SOCK_DIAG_BY_FAMILY;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header.nlmsg_seq = sequence;
  std::vector<std::byte> message;
  append(message, header);
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

template <typename Struct>
std::optional<Struct> read_struct(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Struct)) return std::nullopt;
  Struct value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// A closed socket whose connection the kernel still ends.
bool is_lingering(int state) {
  return state == TCP_TIME_WAIT || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
         state == TCP_LAST_ACK;
}

std::optional<SocketFact> fact_of(const inet_diag_msg& message, Protocol protocol) {
  const bool has_owner = message.idiag_inode != 0;
  const bool lingers = protocol == Protocol::tcp && !has_owner && is_lingering(message.idiag_state);
  if (!has_owner && !lingers) return std::nullopt;
  return SocketFact{
      .port = {.protocol = protocol, .number = ntohs(message.id.idiag_sport)},
      .is_ipv6 = message.idiag_family == AF_INET6,
      .is_listening = protocol == Protocol::tcp && message.idiag_state == TCP_LISTEN,
      .is_time_wait = lingers,
      .uid = lingers ? 0 : message.idiag_uid,
      .inode = message.idiag_inode,
  };
}

shm::SystemError error_of(int code) {
  std::string message = std::string("asking the kernel for sockets (sock_diag): ") + std::strerror(code);
  if (code == ENOENT) message += "; its modules tcp_diag and udp_diag are missing";
  return {.code = code, .message = std::move(message)};
}

shm::SystemError bad_answer() {
  return {.code = EBADMSG, .message = "the kernel's answer about sockets (sock_diag) is malformed"};
}

}  // namespace

std::expected<SocketDiagnosis, shm::SystemError> SocketDiagnosis::open() {
  auto socket = open_sock_diag();
  if (!socket) return std::unexpected(socket.error());
  SocketDiagnosis diagnosis(std::move(*socket));
  const auto sees_bound = diagnosis.sees_own_bound_socket();
  if (!sees_bound) return std::unexpected(sees_bound.error());
  diagnosis.sees_bound_sockets_ = *sees_bound;
  return diagnosis;
}

std::expected<bool, shm::SystemError> SocketDiagnosis::sees_own_bound_socket() {
  const shm::UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (!probe || ::bind(probe.get(), generic, size) != 0 || ::getsockname(probe.get(), generic, &size) != 0) {
    return std::unexpected(shm::last_error("binding a socket, to see whether sock_diag tells of it"));
  }
  PortSet ports;
  ports.add(ntohs(address.sin_port));
  const auto facts = sockets(Protocol::tcp, ports);
  if (!facts) return std::unexpected(facts.error());
  return !facts->empty();
}

std::expected<std::vector<SocketFact>, shm::SystemError> SocketDiagnosis::sockets(Protocol protocol,
                                                                                  const PortSet& ports) {
  std::vector<SocketFact> facts;
  if (ports.empty()) return facts;
  const auto families = protocol == Protocol::tcp ? std::span<const int>(kTcpFamilies) : kUdpFamilies;
  for (const int family : families) {
    const auto before = facts.size();
    for (int tries = 1;; ++tries) {
      if (const auto sent = send(make_request(protocol, family, ports, ++sequence_)); !sent) {
        return std::unexpected(sent.error());
      }
      const auto is_whole = receive(protocol, ports, facts);
      if (!is_whole) return std::unexpected(is_whole.error());
      if (*is_whole) break;
      if (tries == kTriesMax) return std::unexpected(error_of(EAGAIN));
      facts.resize(before);
    }
  }
  return facts;
}

std::expected<void, shm::SystemError> SocketDiagnosis::send(std::span<const std::byte> request) {
  while (::send(socket_.get(), request.data(), request.size(), 0) < 0) {
    if (errno != EINTR) return std::unexpected(error_of(errno));
  }
  return {};
}

std::expected<bool, shm::SystemError> SocketDiagnosis::receive(Protocol protocol, const PortSet& ports,
                                                               std::vector<SocketFact>& facts) {
  answer_.resize(kAnswerBytes);
  bool is_whole = true;
  while (true) {
    const auto size = ::recv(socket_.get(), answer_.data(), answer_.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(error_of(errno));
    if (static_cast<std::size_t>(size) > answer_.size()) return std::unexpected(bad_answer());
    std::span<const std::byte> left(answer_.data(), static_cast<std::size_t>(size));
    while (!left.empty()) {
      const auto header = read_struct<nlmsghdr>(left);
      if (!header || header->nlmsg_len < sizeof *header || header->nlmsg_len > left.size()) {
        return std::unexpected(bad_answer());
      }
      const auto body = left.subspan(sizeof *header, header->nlmsg_len - sizeof *header);
      left = left.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), left.size()));
      if (header->nlmsg_seq != sequence_) continue;  // of a request that was given up
      if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_whole = false;
      if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
        const int code = read_struct<int>(body).value_or(0);
        if (code < 0) return std::unexpected(error_of(-code));
        return is_whole;
      }
      const auto message = read_struct<inet_diag_msg>(body);
      if (!message) return std::unexpected(bad_answer());
      const auto fact = fact_of(*message, protocol);
      if (fact && ports.contains(fact->port.number)) facts.push_back(*fact);
    }
  }
}

}  // namespace tlsmux::ports
