// What a member can do with the control socket, with streams, and with the listener for redirected connections.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/wrapper/addresses.hpp"
#include "shm/stream_record.hpp"
#include "tests/hostile/chaos_client.hpp"
#include "tests/redirect/redirect_rig.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kCrowd = 40;
constexpr std::uint16_t kTypesEnd = 30;  // ControlType

// Does not wait for the engine: what does not fit is not sent.
void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// A message with a good header and anything in it.
std::vector<std::byte> message_at_random(Chaos& chaos) {
  constexpr std::size_t kBodies[] = {0, 8, 16, 64, 80, 96, 128, 400, 8000};
  std::vector<std::byte> bytes(sizeof(shm::ControlHeader) + kBodies[chaos.below(std::size(kBodies))]);
  chaos.fill(bytes);
  shm::ControlHeader header;
  header.type = static_cast<shm::ControlType>(chaos.below(kTypesEnd));
  header.bytes = static_cast<std::uint32_t>(chaos.below(8) == 0 ? chaos.odd(bytes.size()) : bytes.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

template <typename Message>
Message with_odd_body(Chaos& chaos) {
  Message message;
  chaos.fill({reinterpret_cast<std::byte*>(&message) + sizeof message.header, sizeof message - sizeof message.header});
  return message;
}

// Messages of every kind, each on a connection of its own, since most end it.
bool messages_of_every_kind(Chaos& chaos) {
  bool has_sent = false;
  for (std::uint16_t i = 0; i < kTypesEnd; ++i) {
    ControlClient client(chaos.config.engine.control_socket);
    if (chaos.below(2) == 0) client.begin_attach(chaos.config.groups[0].name);
    set_nonblocking(client.socket());
    for (int j = 0; j < 4; ++j) has_sent |= client.send_raw(message_at_random(chaos));
  }
  return has_sent;
}

// As a client in good standing, of the right length, with anything in it.
bool requests_with_odd_bodies(Chaos& chaos) {
  for (int i = 0; i < 4; ++i) {
    auto channel = chaos.open();
    if (!channel) return i > 0;
    auto& control = channel->control();
    set_nonblocking(control.socket());
    for (int j = 0; j < 6; ++j) {
      switch (chaos.below(8)) {
        case 0: control.send(with_odd_body<shm::OpenChannelRequest>(chaos)); break;
        case 1: control.send(with_odd_body<shm::CloseChannelRequest>(chaos)); break;
        case 2: control.send(with_odd_body<shm::ClaimPortRequest>(chaos)); break;
        case 3: control.send(with_odd_body<shm::ReleasePortRequest>(chaos)); break;
        case 4: control.send(with_odd_body<shm::OpenStreamRequest>(chaos)); break;
        case 5: control.send(with_odd_body<shm::MatchPeerRequest>(chaos)); break;
        case 6: control.send(with_odd_body<shm::AnnounceStreamRequest>(chaos)); break;
        default: control.send(with_odd_body<shm::AttachRequest>(chaos)); break;
      }
    }
  }
  return true;
}

// Asks and asks and reads no answer.
bool flood_without_reading(Chaos& chaos) {
  ControlClient client(chaos.config.engine.control_socket);
  set_nonblocking(client.socket());
  bool has_sent = false;
  for (int i = 0; i < 3000; ++i) has_sent |= client.send(shm::ListGroupsRequest{});
  return has_sent;
}

bool descriptors_with_messages(Chaos& chaos) {
  bool is_connected = false;
  for (int i = 0; i < 4; ++i) {
    ControlClient client(chaos.config.engine.control_socket);
    const std::vector<int> descriptors(1 + chaos.below(4), client.socket());
    client.send(shm::ListGroupsRequest{}, descriptors);  // the kernel may refuse it
    is_connected |= client.connected();
  }
  return is_connected;
}

// Leaves at each step of attaching.
bool connection_storm(Chaos& chaos) {
  std::vector<std::unique_ptr<ControlClient>> crowd;
  std::vector<Attachment> kept;
  for (std::size_t i = 0; i < kCrowd; ++i) {
    auto client = std::make_unique<ControlClient>(chaos.config.engine.control_socket);
    const auto step = chaos.below(5);
    if (step >= 1)
      client->send_attach(chaos.config.groups[chaos.below(2)].name, static_cast<std::uint32_t>(chaos.odd(2)));
    if (step >= 2) {
      if (auto offer = client->receive_attachment()) kept.push_back(std::move(*offer));
    }
    if (step >= 3) client->send(shm::MappedNotice{});
    if (step >= 4) client->send_open_channel("acquirer");
    if (chaos.below(2) == 0) crowd.push_back(std::move(client));
  }
  return !kept.empty();
}

bool punch_before_it_is_served(Chaos& chaos) {
  ControlClient client(chaos.config.engine.control_socket);
  const auto offer = client.begin_attach(chaos.config.groups[0].name);
  if (!offer) return false;
  const auto bytes = static_cast<off_t>(offer->reply.client_bytes);
  ::fallocate(offer->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes);
  const bool is_mapped = client.send(shm::MappedNotice{});
  client.send_open_channel("acquirer");
  ::fallocate(offer->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes);
  return is_mapped;
}

bool rubbish_on_streams(Chaos& chaos) {
  std::vector<shm::UniqueFd> streams;
  for (int i = 0; i < 3; ++i) {
    ControlClient client(chaos.config.engine.control_socket);
    shm::OpenStreamRequest request;
    shm::set_text(request.upstream, kUpstreamOfChaos);
    request.wait_ms = static_cast<std::uint32_t>(1 + chaos.below(50));
    if (!client.send(request)) continue;
    auto packet = client.receive();
    if (!packet || packet->descriptors.empty()) continue;
    auto stream = std::move(packet->descriptors[0]);
    std::vector<std::byte> bytes(1 + chaos.below(100'000));
    chaos.fill(bytes);
    ::send(stream.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (chaos.below(2) == 0) ::shutdown(stream.get(), SHUT_WR);
    streams.push_back(std::move(stream));
  }
  return !streams.empty();
}

// Names of hosts, near the limits of such, and what is none.
std::string odd_name(Chaos& chaos) {
  std::string name(1 + chaos.below(chaos.below(2) == 0 ? 8 : 250), 'x');
  for (auto& letter : name) letter = static_cast<char>('a' + chaos.below(26));
  if (chaos.below(4) == 0) name[chaos.below(name.size())] = static_cast<char>(chaos.random());
  if (chaos.below(4) == 0) name.insert(chaos.below(name.size()), ".");
  return name + kDomainOfChaos + (chaos.below(4) == 0 ? "." : "");
}

std::optional<shm::MatchPeerReply> match(const Chaos& chaos, ControlClient& client, std::string_view name = {}) {
  shm::MatchPeerRequest request;
  name = name.substr(0, request.server_name.size());  // without an end, if it is as long
  std::ranges::copy(name, request.server_name.begin());
  request.peer = engine::wrapper::loopback(AF_INET, chaos.redirected_port);
  if (!client.send(request)) return std::nullopt;
  const auto reply = client.receive_as<shm::MatchPeerReply>();
  if (!reply || reply->is_shared != 1) return std::nullopt;
  return reply;
}

// Has upstreams made for names, as many as it may and more, and connects to them.
bool odd_names(Chaos& chaos) try {
  bool has_sent = false;
  for (int i = 0; i < 6; ++i) {
    const auto name = odd_name(chaos);
    ControlClient client(chaos.config.engine.control_socket);
    const auto matched = match(chaos, client, name);
    ProgramSocket socket;
    if (!matched || !socket.connect(matched->listener_port)) continue;
    shm::AnnounceStreamRequest announce;
    announce.local = socket.local();
    announce.original = engine::wrapper::loopback(AF_INET, chaos.redirected_port);
    announce.socket_inode = socket.inode();
    announce.upstream = matched->upstream;
    if (!client.send(announce)) continue;
    const auto told = client.receive_as<shm::AnnounceStreamReply>();
    if (!told) continue;
    shm::StreamStart start;
    start.ticket = told->ticket;
    std::ranges::copy(std::string_view(name).substr(0, start.server_name.size()), start.server_name.begin());
    if (chaos.below(2) == 0) chaos.fill(std::as_writable_bytes(std::span(start.alpn)));
    socket.send(start);
    socket.send(std::string(1 + chaos.below(1000), 'x'));
    has_sent = true;
  }
  return has_sent;
} catch (const std::runtime_error&) {
  return false;  // no socket could be bound
}

// Sockets that were never announced, or as others, or that say something else than the ticket.
bool lie_to_the_listener(Chaos& chaos) try {
  ControlClient client(chaos.config.engine.control_socket);
  const auto matched = match(chaos, client);
  if (!matched) return false;
  std::vector<ProgramSocket> sockets(6);
  for (auto& socket : sockets) {
    if (chaos.below(2) == 0 && !socket.connect(matched->listener_port)) continue;
    shm::AnnounceStreamRequest announce;
    announce.local = socket.local();
    announce.original = engine::wrapper::loopback(AF_INET, chaos.redirected_port);
    announce.socket_inode = chaos.below(2) == 0 ? socket.inode() : chaos.random();
    announce.upstream = matched->upstream;
    if (chaos.below(4) == 0) announce.local.port = static_cast<std::uint16_t>(chaos.random());
    if (chaos.below(4) == 0) announce.original.port = static_cast<std::uint16_t>(chaos.random());
    shm::StreamStart start;
    chaos.fill(std::as_writable_bytes(std::span(&start, 1)));
    if (chaos.below(4) != 0 && client.send(announce)) {
      if (const auto told = client.receive_as<shm::AnnounceStreamReply>()) start.ticket = told->ticket;
    }
    const auto bytes = std::string_view(reinterpret_cast<const char*>(&start), sizeof start);
    ::send(socket.get(), bytes.data(), chaos.below(3) == 0 ? chaos.below(bytes.size()) : bytes.size(),
           MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  return true;
} catch (const std::runtime_error&) {
  return false;  // no socket could be bound
}

constexpr Act kActs[] = {
    {"messages of every kind", messages_of_every_kind},
    {"requests with odd bodies", requests_with_odd_bodies},
    {"flood without reading", flood_without_reading},
    {"descriptors with messages", descriptors_with_messages},
    {"connection storm", connection_storm},
    {"punch before it is served", punch_before_it_is_served},
    {"rubbish on streams", rubbish_on_streams},
    {"lie to the listener", lie_to_the_listener},
    {"odd names", odd_names},
};

}  // namespace

std::span<const Act> control_acts() { return kActs; }

}  // namespace tlsmux::test
