// Any messages of clients to the control thread, and any ends of them, while a shard answers as shards may, and a world
// has ports: the control thread answers in its protocol, keeps no connection and no port of what has ended, and loses no
// descriptor.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/control/client_registry.hpp"
#include "shm/port_lease.hpp"
#include "shm/segment.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/port_hall.hpp"
#include "tests/fuzz/wrapper_hall.hpp"

using namespace tlsmux;
using namespace tlsmux::engine;

namespace {

constexpr std::uint64_t kGroupBytes = 8192;

control::ControlSettings make_settings() {
  control::ControlSettings settings;
  settings.boot_id = {1, 2, 3};
  settings.engine_pid = static_cast<std::uint32_t>(::getpid());
  settings.engine_pidfd = shm::open_pidfd(::getpid());
  settings.observers = {::geteuid()};
  settings.shard_of = [](std::string_view name) { return name.ends_with("1") ? 1U : 0U; };
  for (const auto* name : {"group", "others"}) {
    auto object = shm::create_client_memory(kGroupBytes);
    fuzz::require(object.has_value(), "no memory for a group");
    settings.groups.push_back(
        {.name = name,
         .membership = {.users = {::geteuid()}, .groups = {}},
         .memory = {.clients_max = 2, .channels_per_client = 2, .slots_per_channel = 8, .slot_bytes = 64},
         .object = std::move(*object),
         .object_bytes = kGroupBytes});
  }
  settings.groups[1].membership = {};
  return settings;
}

template <typename Message>
std::vector<std::byte> bytes_of(Message message) {
  message.header.type = Message::kType;
  message.header.bytes = sizeof message;
  const auto bytes = std::as_bytes(std::span(&message, 1));
  return {bytes.begin(), bytes.end()};
}

template <typename Message>
Message with_group(Message message) {
  shm::set_text(message.group, "group");
  return message;
}
template <typename Message>
Message with_upstream(Message message, bool first) {
  shm::set_text(message.upstream, first ? "acquirer0" : "acquirer1");
  return message;
}

// What a client could send.
std::vector<std::byte> make_message(std::uint8_t kind, fuzz::Choices& choices) {
  switch (kind) {
    case 0: return bytes_of(with_group(shm::AttachRequest{}));
    case 1: return bytes_of(shm::MappedNotice{});
    case 2: return bytes_of(with_upstream(shm::OpenChannelRequest{}, choices.next() % 2 == 0));
    case 3: return bytes_of(shm::CloseChannelRequest{.header = {}, .channel = choices.next() % 3U});
    case 4: return bytes_of(with_group(shm::ObserveRequest{}));
    case 5: return bytes_of(shm::ListGroupsRequest{});
    case 6: return bytes_of(with_upstream(shm::DrainUpstreamRequest{}, true));
    case 7: return bytes_of(shm::RefreshRequest{});
    case 8: return bytes_of(fuzz::PortHall::make_claim(choices));
    case 9: return bytes_of(fuzz::PortHall::make_release(choices));
    case 10: return bytes_of(shm::RefillPortsRequest{});
    case 11: return bytes_of(with_group(with_upstream(shm::OpenStreamRequest{}, true)));
    case 12: return bytes_of(fuzz::WrapperHall::make_match(choices));
    case 13: return bytes_of(fuzz::WrapperHall::make_announcement(choices));
    default: break;
  }
  const auto raw = std::as_bytes(choices.take(choices.next()));
  return {raw.begin(), raw.end()};
}

class Scene {
 public:
  // With neither desk: what is asked for is refused.
  Scene(bool has_desks, fuzz::WrapperHall& wrapper)
      : settings_(make_settings()), poll_(control::EventPoll::create().value()) {
    if (has_desks) {
      wrapper.begin();
      settings_.ports = &ports_.desk();
      settings_.wrapper = &wrapper.desk();
    }
    for (auto& shard : shards_) mailboxes_.push_back({.commands = &shard.commands, .replies = &shard.replies});
    registry_.emplace(settings_, mailboxes_, poll_, log_);
  }

  void step(fuzz::Choices& choices) {
    const auto what = choices.next();
    auto& client = clients_[what >> 6];
    const auto kind = static_cast<std::uint8_t>(what & 31);
    if (!client.socket) arrive(client);
    if (kind < 15) return send(client, kind, (what & 32) != 0, choices);
    switch (kind) {
      case 15: return (what & 32) != 0 ? bend_leases(client, choices) : happen(choices);
      case 16:
      case 17:
      case 18:
      case 19: return let_shard_answer(kind % 2, choices.next());
      case 20: return leave(client, (what & 32) != 0);
      case 21: return registry_->on_process_end(client.id);
      case 22: return read_all(client);
      case 23: return registry_->expire(control::ClientRegistry::Clock::now() + std::chrono::hours(1));
      case 24: static_cast<void>(registry_->shed_newest()); return;
      case 25: return registry_->do_chores();
      case 26: return registry_->do_what_has_waited();
      case 27: return answer_refresh(choices.next());
      case 28: return registry_->on_reply(0, ClientOffended{.client = client.id, .rule = "it offended"});
      case 29: return send_descriptor(client);
      case 30: settings_.groups[1].is_removed = true; return registry_->groups_changed();
      default: return registry_->on_memory_fault();
    }
  }

  // All go: nothing is left of them.
  void end() {
    for (auto& client : clients_) {
      if (client.socket) leave(client, false);
    }
    for (int i = 0; i < 3; ++i) {
      for (std::uint8_t shard = 0; shard < 2; ++shard) let_shard_answer(shard, 0);
    }
    fuzz::require(registry_->connection_count() == 0, "a connection is left that has ended");
    ports_.end();
  }

 private:
  struct Shard {
    Mailbox<ShardCommand> commands;
    Mailbox<ShardReply> replies;
  };
  struct Client {
    ClientId id = 0;
    shm::UniqueFd socket;
    std::optional<shm::Mapping> memory;  // once it has attached
    std::uint64_t leases_offset = 0;
  };

  void arrive(Client& client) {
    std::array<int, 2> ends{};
    const int made = ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data());
    fuzz::require(made == 0, "no socket pair");
    client.socket.reset(ends[0]);
    client.id = ++last_id_;
    registry_->arrive(shm::UniqueFd(ends[1]));
  }

  void leave(Client& client, bool says_goodbye) {
    if (says_goodbye) static_cast<void>(shm::send_packet(client.socket.get(), bytes_of(shm::GoodbyeNotice{}), {}));
    client.socket.reset();
    client.memory.reset();
    registry_->on_socket(client.id);
    client.id = 0;
  }

  // In the world around, or to the configuration.
  void happen(fuzz::Choices& choices) {
    switch (choices.next() % 8) {
      case 0: return registry_->change_begins();
      case 1: registry_->change_ends(); return registry_->match_what_waits();
      default: break;
    }
    ports_.step(choices);
    registry_->detach_port_offenders();
  }

  // Takes what is offered, as a client does, or writes something else.
  static void bend_leases(Client& client, fuzz::Choices& choices) {
    if (!client.memory) return;
    auto& leases = *reinterpret_cast<shm::PortLeases*>(client.memory->bytes().data() + client.leases_offset);
    const auto how = choices.next();
    auto& words = (how & 1) != 0 ? leases.udp : leases.tcp;
    if ((how & 6) != 0) {
      static_cast<void>(shm::take_lease(words));
    } else {
      words[choices.next() % words.size()] = choices.next_64();
    }
  }

  void send(Client& client, std::uint8_t kind, bool is_bent, fuzz::Choices& choices) {
    auto message = make_message(kind, choices);
    if (is_bent) choices.bend(message);
    if (message.empty()) return;
    if (!shm::send_packet(client.socket.get(), message)) return read_all(client);
    registry_->on_socket(client.id);
  }

  void send_descriptor(Client& client) {
    const std::array descriptors{client.socket.get()};
    if (!shm::send_packet(client.socket.get(), bytes_of(shm::MappedNotice{}), descriptors)) return read_all(client);
    registry_->on_socket(client.id);
  }

  void read_all(Client& client) {
    while (true) {
      const auto packet = shm::receive_packet(client.socket.get());
      if (!packet && packet.error().code == EAGAIN) return;
      if (!packet || packet->bytes.empty()) {
        client.socket.reset();
        return;
      }
      shm::ControlHeader header;
      fuzz::require(shm::control_header(*packet, header) != nullptr, "what was sent is no message");
      if (header.type == shm::AttachReply::kType) look_at_memory(client, *packet);
    }
  }

  static void look_at_memory(Client& client, const shm::Packet& packet) {
    shm::AttachReply reply;
    fuzz::require(packet.bytes.size() == sizeof reply && !packet.descriptors.empty(), "half an answer");
    std::memcpy(&reply, packet.bytes.data(), sizeof reply);
    for (const auto& descriptor : packet.descriptors) {
      struct stat status{};
      if (::fstat(descriptor.get(), &status) != 0 || std::cmp_not_equal(status.st_size, reply.client_bytes)) continue;
      auto mapping = shm::Mapping::map(descriptor.get(), reply.client_bytes, shm::Access::read_write);
      if (!mapping) continue;  // the group's tables
      client.memory = std::move(*mapping);
      const shm::ClientGeometry geometry{
          .channels = reply.channels, .slots_per_channel = reply.slots_per_channel, .slot_bytes = reply.slot_bytes};
      client.leases_offset = geometry.leases_offset();
    }
  }

  void answer_refresh(std::uint8_t chance) {
    for (const auto& order : registry_->take_refresh_orders()) {
      if (chance % 2 == 0) {
        registry_->refreshed(order.asker, {}, "a plan");
      } else {
        registry_->refresh_failed(order.asker, {.error = EAGAIN, .text = "later"});
      }
    }
  }

  void let_shard_answer(std::uint8_t shard, std::uint8_t chance) {
    for (auto& command : shards_[shard].commands.take()) {
      const auto reply = answer(command, (chance & 1) == 0 ? 0 : ENOENT);
      if (reply && (chance & 2) == 0) registry_->on_reply(shard, *reply);
      if (const auto* dismissed = std::get_if<DismissClient>(&command); dismissed != nullptr) {
        registry_->on_reply(shard, ClientReleased{.client = dismissed->client});
      }
    }
  }

  static std::optional<ShardReply> answer(const ShardCommand& command, int error) {
    if (const auto* open = std::get_if<OpenChannel>(&command)) {
      if (open->is_told) return std::nullopt;
      return ChannelOpened{.client = open->client, .error = error, .channel = open->channel};
    }
    if (const auto* close = std::get_if<CloseChannel>(&command)) {
      return ChannelClosed{.client = close->client, .error = error};
    }
    if (const auto* drain = std::get_if<DrainUpstream>(&command)) {
      return UpstreamDrained{.asker = drain->asker, .error = error};
    }
    if (const auto* resume = std::get_if<ResumeUpstream>(&command)) {
      return UpstreamDrained{.asker = resume->asker, .error = error};
    }
    if (const auto* stream = std::get_if<OpenStream>(&command)) {
      return StreamOpened{.asker = stream->asker, .error = error, .number = stream->number};
    }
    return std::nullopt;
  }

  control::ControlSettings settings_;
  control::EventPoll poll_;
  Log log_{config::LogLevel::debug, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)), Log::Mode::synchronous};
  fuzz::PortHall ports_{log_};
  std::array<Shard, 2> shards_;
  std::vector<control::ShardMailboxes> mailboxes_;
  std::optional<control::ClientRegistry> registry_;
  std::array<Client, 4> clients_;
  ClientId last_id_ = 0;
};

int lowest_free_descriptor() {
  const shm::UniqueFd copy(::fcntl(0, F_DUPFD_CLOEXEC, 0));
  return copy.get();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::WrapperHall wrapper;
  const auto before = lowest_free_descriptor();
  {
    fuzz::Choices choices({data, size});
    Scene scene(choices.next() % 8 != 0, wrapper);
    for (int count = 0; count < 64 && !choices.empty(); ++count) scene.step(choices);
    scene.end();
  }
  fuzz::require(lowest_free_descriptor() == before, "a descriptor was lost");
  return 0;
}
