#include "tests/support/fake_engine_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "client/monotonic_clock.hpp"
#include "shm/client_part.hpp"
#include "shm/doorbell.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"

namespace tlsmux::test {
namespace {

// What stands in a test's way is a fault of the test or the machine.
template <typename Value>
Value must(std::expected<Value, shm::SystemError> value) {
  if (!value) std::fprintf(stderr, "fake engine: %s\n", value.error().message.c_str());
  TMX_ASSERT(value.has_value());
  if constexpr (!std::is_void_v<Value>) return std::move(*value);
}

shm::BootId new_boot_id() {
  static std::uint64_t count = 0;
  const std::array<std::uint64_t, 2> words{++count, static_cast<std::uint64_t>(::getpid())};
  return std::bit_cast<shm::BootId>(words);
}

// A client that has gone meanwhile is noticed when its socket is read.
template <typename Message>
void tell(const FakeClient& client, const Message& message, std::span<const int> descriptors = {}) {
  static_cast<void>(shm::send_message(client.socket.get(), message, descriptors));
}

int notify_descriptor() { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void ring(int eventfd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(eventfd, &one, sizeof one);
}

void silence(int eventfd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(eventfd, &count, sizeof count);
}

}  // namespace

FakeEngineLoop::FakeEngineLoop(FakeEngineOptions options)
    : options_(std::move(options)),
      boot_id_(new_boot_id()),
      commands_(notify_descriptor()),
      pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))),
      trace_numbers_{.next = options_.trace_first, .block = options_.trace_block},
      ports_(options_.ports) {
  TMX_ASSERT(pidfd_ && commands_);
  make_group();
  listen();
}

void FakeEngineLoop::make_group() {
  shm::GroupTables tables{.clients = 4, .upstreams = 2, .sessions = 1};
  FakePorts::add_tables(tables);
  group_fd_ = must(shm::create_group_object(options_.group, tables.total_bytes()));
  group_ = must(shm::Mapping::map(group_fd_.get(), tables.total_bytes(), shm::Access::read_write));
  const auto part = shm::GroupPart::format(
      group_.bytes(), tables,
      {.group = options_.group, .boot_id = boot_id_, .engine_pid = static_cast<std::uint32_t>(::getpid())});
  shm::UpstreamRow row{};
  shm::set_text(row.last_error, options_.last_error);
  shm::write_row(part.upstreams()[0], row);
  part.header().state.store(shm::EngineState::running);
  part.header().heartbeat_ns.store(static_cast<std::uint64_t>(client::now_ns()));
  ports_.write_tables(part);
}

void FakeEngineLoop::listen() {
  listener_ = shm::UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TMX_ASSERT(options_.control_socket.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, options_.control_socket.data(), options_.control_socket.size());
  ::unlink(options_.control_socket.c_str());
  TMX_ASSERT(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  TMX_ASSERT(::listen(listener_.get(), 64) == 0);
}

void FakeEngineLoop::run() {
  while (!stopped_) {
    for (auto& client : clients_) {
      if (client.has_memory()) client.words().ready.store(0);
      for (auto& channel : client.channels) {
        if (!channel.open) continue;
        channel.serve();
        channel.return_ended();
        channel.grant(trace_numbers_);
      }
    }
    wait();
  }
}

// True: there is something to do, do not sleep.
bool FakeEngineLoop::arm_all() {
  for (auto& client : clients_) {
    if (client.has_memory()) {
      shm::arm(client.words().engine_armed);
      if (client.words().ready.load() != 0) return true;
    }
    for (auto& channel : client.channels) {
      if (channel.has_requests()) return true;
    }
  }
  return false;
}

void FakeEngineLoop::wait() {
  std::vector<pollfd> wanted;
  const auto want = [&](int fd) { wanted.push_back({.fd = fd, .events = POLLIN, .revents = 0}); };
  want(commands_.get());
  want(listener_.get());
  bool holding = false;
  for (auto& client : clients_) {
    want(client.socket.get());
    if (client.doorbell) want(client.doorbell.get());
    for (auto& channel : client.channels) holding = holding || !channel.held.empty();
  }
  // Clients do not ring when they end a request: look every millisecond while one is held.
  ::poll(wanted.data(), wanted.size(), arm_all() ? 0 : holding ? 1 : -1);
  for (auto& client : clients_) {
    if (client.has_memory()) shm::disarm(client.words().engine_armed);
    silence(client.doorbell.get());
  }
  std::erase_if(clients_, [&](FakeClient& client) { return !read_control(client); });
  accept_client();

  const std::lock_guard lock(mutex_);
  silence(commands_.get());
  if (action_ != nullptr) (*action_)();
  action_ = nullptr;
  done_.notify_all();
}

void FakeEngineLoop::in_loop(const std::function<void()>& action) {
  std::unique_lock lock(mutex_);
  action_ = &action;
  ring(commands_.get());
  done_.wait(lock, [&] { return action_ == nullptr; });
}

void FakeEngineLoop::stop() {
  in_loop([&] { stopped_ = true; });
}

void FakeEngineLoop::accept_client() {
  shm::UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  auto& client = clients_.emplace_back();
  client.socket = std::move(socket);
}

// False: the client has gone.
bool FakeEngineLoop::read_control(FakeClient& client) {
  auto packet = shm::receive_packet(client.socket.get());
  if (!packet) return packet.error().code == EAGAIN;
  shm::AttachRequest attach_request;
  shm::MappedNotice mapped;
  shm::OpenChannelRequest open_request;
  shm::CloseChannelRequest close_request;
  if (options_.flaw == Flaw::silent && !packet->bytes.empty()) return true;
  if (shm::read_message(*packet, attach_request)) {
    attach(client, attach_request);
    return options_.flaw != Flaw::closes;
  }
  if (shm::read_message(*packet, mapped)) {
    must(shm::seal_client_memory(client.memory_fd.get()));
    return true;
  }
  if (shm::read_message(*packet, open_request)) {
    open_channel(client, open_request);
    return true;
  }
  if (shm::read_message(*packet, close_request)) {
    close_channel(client, close_request);
    return true;
  }
  return read_order(client, *packet) || read_port_message(client, *packet);
}

// What operators ask. False: it is none.
bool FakeEngineLoop::read_order(const FakeClient& client, const shm::Packet& packet) {
  shm::ListGroupsRequest list;
  shm::ObserveRequest observe;
  shm::DrainUpstreamRequest drain;
  shm::RefreshRequest refresh;
  if (shm::read_message(packet, list)) {
    shm::ListGroupsReply reply;
    shm::set_text(reply.names[reply.count++], options_.group);
    tell(client, reply);
  } else if (shm::read_message(packet, observe)) {
    if (shm::text_of(observe.group) != options_.group) {
      refuse(client, ENOENT, "no such group");
    } else {
      tell(client, shm::ObserveReply{.header = {}, .group_bytes = group_.bytes().size()}, std::array{group_fd_.get()});
    }
  } else {
    return shm::read_message(packet, drain) || shm::read_message(packet, refresh);
  }
  return true;
}

// False: it is none.
bool FakeEngineLoop::read_port_message(FakeClient& client, const shm::Packet& packet) {
  shm::ClaimPortRequest claim;
  shm::ReleasePortRequest release;
  shm::RefillPortsRequest refill;
  if (!client.has_memory()) return false;
  auto& leases = *reinterpret_cast<shm::PortLeases*>(client.memory.bytes().data() + options_.geometry.leases_offset());
  if (shm::read_message(packet, claim)) {
    shm::ClaimPortReply reply;
    const int error = ports_.claim(claim, leases, reply);
    if (error == 0) tell(client, reply);
    if (error > 0) refuse(client, error, "the fake engine refuses\tthis port");
  } else if (shm::read_message(packet, release)) {
    ports_.release(release);
  } else if (shm::read_message(packet, refill)) {
    ports_.refill(leases);
  } else {
    return false;
  }
  return true;
}

void FakeEngineLoop::attach(FakeClient& client, const shm::AttachRequest& request) {
  if (options_.flaw == Flaw::closes) return;
  if (options_.refusal != 0) return refuse(client, options_.refusal, "the fake engine refuses\tthis process");
  if (shm::text_of(request.group) != options_.group) return refuse(client, ENOENT, "no such group");
  const auto& geometry = options_.geometry;
  const auto bytes = geometry.total_bytes();
  client.memory_fd = must(shm::create_client_memory(bytes));
  if (options_.flaw == Flaw::unsealed) {
    client.memory_fd = shm::UniqueFd(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    TMX_ASSERT(::ftruncate(client.memory_fd.get(), static_cast<off_t>(bytes)) == 0);
  }
  client.memory = must(shm::Mapping::map(client.memory_fd.get(), bytes, shm::Access::read_write));
  auto boot_id = boot_id_;
  if (options_.flaw == Flaw::wrong_boot_id) boot_id[0] ^= 0xff;
  shm::format_client(client.memory.bytes(), geometry, boot_id, ++last_client_id_);
  client.doorbell = shm::UniqueFd(notify_descriptor());
  client.channels.resize(geometry.channels);

  shm::AttachReply reply;
  reply.client_id = last_client_id_;
  reply.boot_id = boot_id_;
  reply.group_bytes = group_.bytes().size();
  reply.client_bytes = bytes;
  reply.channels = geometry.channels;
  reply.slots_per_channel = geometry.slots_per_channel + (options_.flaw == Flaw::wrong_size ? 2 : 0);
  reply.slot_bytes = geometry.slot_bytes;
  reply.engine_pid = static_cast<std::uint32_t>(::getpid());
  const int engine = options_.flaw == Flaw::no_pidfd ? commands_.get() : pidfd_.get();
  const std::array descriptors{group_fd_.get(), client.memory_fd.get(), client.doorbell.get(), engine};
  tell(client, reply, descriptors);
}

void FakeEngineLoop::open_channel(FakeClient& client, const shm::OpenChannelRequest& request) {
  const auto upstream = shm::text_of(request.upstream);
  if (upstream == "FORBIDDEN") return refuse(client, EACCES, "the group may not use this upstream");
  if (upstream != "HOST" && upstream != "HOST2") return refuse(client, ENOENT, "no such upstream");
  if (upstream == "HOST2" && (request.flags & shm::kSubscribeUnsolicited) != 0) {
    return refuse(client, EACCES, "the group is not the upstream's subscriber_group");
  }
  const auto free = std::ranges::find(client.channels, false, &FakeChannel::open);
  if (free == client.channels.end()) return refuse(client, EAGAIN, "all channels are in use");

  const auto& geometry = options_.geometry;
  const auto number = static_cast<std::uint32_t>(free - client.channels.begin());
  const auto memory = client.memory.bytes().subspan(geometry.channel_offset(number), geometry.channel_stride());
  auto& channel = *free;
  const auto at = [&]<typename Entry>(std::uint64_t offset, std::uint32_t count, Entry*) {
    return std::span(reinterpret_cast<Entry*>(memory.data() + offset), count);
  };
  channel.header = reinterpret_cast<shm::ChannelHeader*>(memory.data());
  // A channel number that was used before: its rings begin anew.
  std::construct_at(channel.header);
  channel.requests = {&channel.header->requests,
                      at(geometry.requests_offset(), geometry.ring_entries(), (shm::RequestDescriptor*)nullptr)};
  channel.completions = {&channel.header->completions, at(geometry.completions_offset(), geometry.ring_entries(),
                                                          (shm::CompletionDescriptor*)nullptr)};
  channel.controls = at(geometry.slot_controls_offset(), geometry.slots_per_channel, (shm::SlotControl*)nullptr);
  channel.payload = memory.subspan(geometry.slots_offset());
  channel.stride = geometry.slot_stride();
  channel.slot_bytes = geometry.slot_bytes;
  channel.wake = shm::UniqueFd(notify_descriptor());
  channel.open = true;
  channel.flags = request.flags;
  for (const auto& notice : options_.notices) {
    if (request.flags != 0) channel.notify(4711, notice);
  }
  channel.trace_lease = shm::TraceLeaseProducer(&channel.header->trace_numbers);

  shm::OpenChannelReply reply;
  reply.channel = number;
  reply.shard = kFakeShard;
  reply.upstream = upstream == "HOST" ? 0 : 1;
  reply.message_bytes_max = options_.message_bytes_max;
  reply.timeout_ms = options_.timeout_ms;
  tell(client, reply, std::array{channel.wake.get()});
}

void FakeEngineLoop::close_channel(FakeClient& client, const shm::CloseChannelRequest& request) {
  if (request.channel >= client.channels.size() || !client.channels[request.channel].open) {
    return refuse(client, EINVAL, "no such channel");
  }
  auto& channel = client.channels[request.channel];
  if (!channel.held.empty() || !channel.withheld.empty()) return refuse(client, EBUSY, "requests are in flight");
  channel = {};
  tell(client, shm::CloseChannelReply{});
}

void FakeEngineLoop::refuse(const FakeClient& client, int error, std::string_view text) {
  shm::Refusal refusal;
  refusal.error = error;
  shm::set_text(refusal.text, text);
  tell(client, refusal);
}

}  // namespace tlsmux::test
