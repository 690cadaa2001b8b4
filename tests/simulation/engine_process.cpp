#include "tests/simulation/engine_process.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "shm/client_part.hpp"
#include "tests/simulation/real_session.hpp"
#include "tests/simulation/tls.hpp"

namespace tlsmux::simulation {
namespace {

shm::UniqueFd must_be(int fd, const char* what) {
  if (fd < 0) throw std::runtime_error(shm::last_error(what).message);
  return shm::UniqueFd(fd);
}

}  // namespace

shm::UniqueFd make_eventfd() { return must_be(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "making an eventfd"); }

namespace {

// What must not fail on a machine that can run tests at all.
template <typename Value, typename Error>
Value must(std::expected<Value, Error> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

shm::UniqueFd duplicate(const shm::UniqueFd& fd) {
  return must_be(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0), "duplicating a descriptor");
}

// Stands for the engine's: this process lives at least as long.
shm::UniqueFd open_pidfd() {
  return must_be(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)), "opening a pidfd");
}

std::vector<std::unique_ptr<engine::tls::TlsClient>> make_tls_clients(Context& context) {
  std::vector<std::unique_ptr<engine::tls::TlsClient>> clients;
  for (std::size_t i = 0; i < context.config.upstreams.size(); ++i) {
    if (context.real_hosts != nullptr) {
      clients.push_back(make_real_client(context));
    } else {
      clients.push_back(std::make_unique<TlsClient>(context));
    }
  }
  return clients;
}

}  // namespace

EngineProcess::EngineProcess(Context& context, Network& network)
    : context_(context),
      number_(++context.last_engine),
      network_(context, network),
      workers_(context),
      bells_(context),
      stream_sockets_(context),
      events_(context),
      ordered_(context.config),
      clients_of_group_(context.config.groups.size()) {
  for (auto& byte : boot_id_) byte = static_cast<std::uint8_t>(context.random.next());
  context.trace("an engine starts");
  shard_ = std::make_unique<engine::Shard>(context.config,
                                           engine::ShardSeams{network_, workers_, events_, bells_, stream_sockets_},
                                           make_tls_clients(context), make_board(), context.random.next());
  context.present_settings = [this](std::uint32_t upstream) -> const config::UpstreamSettings& {
    return *shard_->multiplexer().upstreams()[upstream]->settings;
  };
}

void EngineProcess::start() {
  shard_->set_time(context_.now_ns);
  context_.engine_acts([&] { shard_->start(); });
}

engine::StatusBoard EngineProcess::make_board() {
  std::vector<shm::GroupPart> parts;
  for (std::size_t i = 0; i < context_.config.groups.size(); ++i) {
    parts.push_back(format(i, make_group_memory(i).mapping.bytes()));
  }
  return {context_.config, std::move(parts), 0};
}

EngineProcess::GroupMemory& EngineProcess::make_group_memory(std::size_t group) {
  const auto bytes = engine::group_tables(context_.config, group).total_bytes();
  auto& memory = groups_.emplace_back();
  memory.object = must(shm::create_client_memory(bytes));
  memory.mapping = must(shm::Mapping::map(memory.object.get(), bytes, shm::Access::read_write));
  return memory;
}

shm::GroupPart EngineProcess::format(std::size_t group, std::span<std::byte> memory) const {
  return shm::GroupPart::format(
      memory, engine::group_tables(context_.config, group),
      {.group = context_.config.groups[group].name, .boot_id = boot_id_, .engine_pid = 1, .engine_started_s = 0});
}

engine::ApplyConfig::Group EngineProcess::make_group() {
  const auto group = clients_of_group_.size();
  const auto& memory = make_group_memory(group);
  clients_of_group_.push_back(0);
  // The shard's own mapping goes with the group; ours stays to look at.
  auto mapping = std::make_shared<const shm::Mapping>(
      must(shm::Mapping::map(memory.object.get(), memory.mapping.bytes().size(), shm::Access::read_write)));
  const auto part = format(group, mapping->bytes());
  return {.part = part, .memory = std::move(mapping)};
}

void EngineProcess::Silence::event(const engine::mux::Event& event) {
  const auto memory = context.engine_calls_world();
  using engine::mux::EventKind;
  switch (event.kind) {
    case EventKind::session_ready: context.note(Seen::session_ready); break;
    case EventKind::session_failed: context.note(Seen::session_failed); break;
    case EventKind::session_lost: context.note(Seen::session_lost); break;
    case EventKind::session_closed: context.note(Seen::session_closed); break;
    default: break;
  }
  context.trace("session " + std::to_string(event.session) + " of " + std::string(event.upstream) + ": event " +
                std::to_string(static_cast<int>(event.kind)) + ", " + std::string(event.words));
}

// ---- The control thread ----

std::optional<Attached> EngineProcess::attach(std::uint32_t client, std::uint32_t group, std::uint32_t epoch,
                                              ControlListener& listener) {
  const auto& settings = context_.config.groups[group].memory;
  if (draining_ || is_group_removed(group) || clients_of_group_[group] == settings.clients_max) return std::nullopt;
  const shm::ClientGeometry geometry{.channels = settings.channels_per_client,
                                     .slots_per_channel = settings.slots_per_channel,
                                     .slot_bytes = settings.slot_bytes};
  const auto id = ++last_id_;
  auto memfd = must(shm::create_client_memory(geometry.total_bytes()));
  auto mapping = must(shm::Mapping::map(memfd.get(), geometry.total_bytes(), shm::Access::read_write));
  shm::format_client(mapping.bytes(), geometry, boot_id_, id);
  auto doorbell = make_eventfd();

  const auto group_bytes = groups_[group].mapping.bytes().size();
  const shm::AttachReply reply{.header = {},
                               .client_id = id,
                               .boot_id = boot_id_,
                               .group_bytes = group_bytes,
                               .client_bytes = geometry.total_bytes(),
                               .channels = geometry.channels,
                               .slots_per_channel = geometry.slots_per_channel,
                               .slot_bytes = geometry.slot_bytes};
  client::AttachDescriptors descriptors{.group = duplicate(groups_[group].object),
                                        .client_memory = std::move(memfd),
                                        .doorbell = duplicate(doorbell),
                                        .engine = open_pidfd()};
  auto attachment = must(client::Attachment::accept(reply, descriptors, epoch, nullptr));
  clients_[id] = {.group = group,
                  .listener = &listener,
                  .wake = {},
                  .channels = std::vector<bool>(geometry.channels),
                  .channel = 0,
                  .geometry = geometry,
                  .memory = std::make_shared<shm::Mapping>(std::move(mapping)),
                  .wish = {}};
  ++clients_of_group_[group];
  context_.note(Seen::client_admitted);
  commands_.emplace_back(engine::AdmitClient{.id = id,
                                             .group = group,
                                             .pid = client,
                                             .uid = 0,
                                             .program = "simulated",
                                             .geometry = geometry,
                                             .memory = clients_[id].memory,
                                             .doorbell = std::move(doorbell)});
  return Attached{.id = id, .attachment = std::move(attachment)};
}

void EngineProcess::open_channel(engine::ClientId client, const std::string& upstream, std::uint32_t flags) {
  auto& asker = clients_.at(client);
  const auto free = std::ranges::find(asker.channels, false);
  if (free == asker.channels.end()) return asker.listener->channel_refused(EAGAIN);
  *free = true;
  asker.channel = static_cast<std::uint32_t>(free - asker.channels.begin());
  asker.wake = make_eventfd();
  asker.wish = {.group = asker.group, .upstream = upstream, .flags = flags};
  // The real control thread answers an offender no more: let the shard speak.
  const auto* const known = asker.has_offended ? nullptr : openings_.find(asker.wish, asker.geometry.slot_bytes);
  if (known != nullptr) shm::reset_channel(asker.memory->bytes(), asker.geometry, asker.channel);
  commands_.emplace_back(engine::OpenChannel{.client = client,
                                             .channel = asker.channel,
                                             .upstream = upstream,
                                             .flags = flags,
                                             .wake = duplicate(asker.wake),
                                             .is_told = known != nullptr});
  if (known == nullptr) return;
  auto opened = *known;
  context_.note(Seen::channel_opened_at_once);
  opened.client = client;
  opened.channel = asker.channel;
  take(opened);
}

void EngineProcess::close_channel(engine::ClientId client, std::uint32_t channel) {
  clients_.at(client).channel = channel;
  commands_.emplace_back(engine::CloseChannel{.client = client, .channel = channel});
}

void EngineProcess::dismiss(engine::ClientId client, bool died) {
  clients_.at(client).listener = nullptr;
  commands_.emplace_back(engine::DismissClient{.client = client, .died = died});
}

void EngineProcess::take_replies() {
  for (const auto& reply : shard_->take_replies()) {
    std::visit([this](const auto& one) { take(one); }, reply);
  }
}

void EngineProcess::take(const engine::ChannelOpened& reply) {
  const auto found = clients_.find(reply.client);
  if (found == clients_.end() || found->second.listener == nullptr) return;
  context_.note(reply.error != 0 ? Seen::channel_refused : Seen::channel_opened_by_shard);
  if (reply.error != 0) {
    found->second.channels[found->second.channel] = false;
    return found->second.listener->channel_refused(reply.error);
  }
  openings_.remember(found->second.wish, reply);
  shm::OpenChannelReply opened;
  opened.channel = reply.channel;
  opened.upstream = reply.upstream_row;
  opened.message_bytes_max = reply.message_bytes_max;
  opened.timeout_ms = reply.timeout_ms;
  found->second.listener->channel_opened(opened, std::move(found->second.wake));
}

void EngineProcess::take(const engine::ChannelClosed& reply) {
  const auto found = clients_.find(reply.client);
  if (found == clients_.end() || found->second.listener == nullptr) return;
  if (reply.error == 0) {
    found->second.channels[found->second.channel] = false;
    context_.note(Seen::channel_closed);
  }
  found->second.listener->channel_closed(reply.error);
}

void EngineProcess::take(const engine::ClientOffended& reply) {
  const auto found = clients_.find(reply.client);
  if (found == clients_.end()) return;
  found->second.has_offended = true;
  context_.note(Seen::offender_detached);
  if (found->second.listener != nullptr) found->second.listener->detached(reply.rule);
}

void EngineProcess::take(const engine::ClientReleased& reply) {
  const auto found = clients_.find(reply.client);
  if (found == clients_.end()) throw Violation("the engine releases a client that it does not have");
  --clients_of_group_[found->second.group];
  clients_.erase(found);
}

// ---- The data loop ----

bool EngineProcess::is_due() const {
  const auto due = shard_->next_due_ns();
  return due != 0 && due <= context_.now_ns;
}

bool EngineProcess::wants_turn() {
  if (is_stopped()) return false;
  return !asleep_ || is_due() || !commands_.empty() || network_.has_news() || workers_.has_news() ||
         bells_.has_news() || stream_sockets_.has_news();
}

// As DataLoop does it.
void EngineProcess::turn() {
  if (!asleep_ && !busy_ && shard_->prepare_sleep()) {
    asleep_ = true;
    return;  // whatever there is wakes it, in its next turn
  }
  asleep_ = false;
  shard_->set_time(context_.now_ns);
  note_settings();
  busy_ = network_.tell(shard_->multiplexer());
  busy_ = stream_sockets_.tell(shard_->streams()) || busy_;
  busy_ = bells_.tell(*shard_) || busy_;
  busy_ = !commands_.empty() || busy_;
  for (auto& command : std::exchange(commands_, {})) {
    context_.engine_acts([&] { shard_->execute(std::move(command)); });
  }
  busy_ = workers_.tell(shard_->multiplexer()) || busy_;
  context_.engine_acts([&] { busy_ = shard_->work() || busy_; });
  take_replies();
  observe_leases();
}

bool EngineProcess::step() {
  if (context_.random.below(2) == 0) return workers_.step() || bells_.step();
  return bells_.step() || workers_.step();
}

std::array<std::uint64_t, 4> EngineProcess::counted() {
  std::array<std::uint64_t, 4> counts{};
  for (const auto& upstream : shard_->multiplexer().upstreams()) {
    for (const auto& group : upstream->groups_counters) {
      counts[static_cast<std::size_t>(shm::Outcome::answered)] += group.answered;
      for (const auto count : group.not_sent) counts[static_cast<std::size_t>(shm::Outcome::not_sent)] += count;
      for (const auto count : group.maybe_sent) counts[static_cast<std::size_t>(shm::Outcome::maybe_sent)] += count;
    }
  }
  return counts;
}

}  // namespace tlsmux::simulation
