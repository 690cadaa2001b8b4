#include "engine/control/control_server.hpp"

#include <sched.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "config/plan_json.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/refresh/shard_orders.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::control {
namespace {

shm::UniqueFd open_signals() {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGTERM);
  ::sigaddset(&wanted, SIGHUP);
  return shm::UniqueFd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

template <typename Use>
void for_each_line(std::string_view text, const Use& use) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.empty()) use(line);
  }
}

void log_warnings(Log& log, std::string_view lines) {
  for_each_line(lines, [&](std::string_view line) { log.warning("config_warning", {{"warning", line}}); });
}

// Line by line, so that it is found again.
void log_plan(Log& log, const RefreshPlan& plan) {
  for (const auto& change : plan.changes) {
    if (change.live) {
      if (plan.is_refused()) continue;
      log.info("config_change", {{"what", change.words}, {"takes_effect", config::effect_in_words(change.effect)}});
    } else {
      log.warning("config_change_not_live", {{"what", change.words}, {"reason", change.why_not}});
    }
  }
  for_each_line(plan.errors, [&](std::string_view line) { log.error("config_error", {{"error", line}}); });
  log_warnings(log, plan.warnings);
}

const char* advice_for_trace_numbers(int error) {
  switch (error) {
    case EBUSY: return "an /engine/state_directory of its own, or no other tlsmuxd with an upstream of this name";
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR: return "/engine/state_directory to be a folder that tlsmuxd can write to";
    case ENOSPC:
    case EDQUOT: return "room on the disk of /engine/state_directory";
    default: return "what the error says to be mended; see /engine/state_directory";
  }
}

}  // namespace

ControlServer::ControlServer(ControlSettings settings, std::vector<ShardMailboxes> shards, Log& log)
    : settings_(std::move(settings)), shards_(std::move(shards)), log_(log), clients_(settings_, shards_, poll_, log) {
  TMX_ASSERT(!shards_.empty());
}

std::expected<void, shm::SystemError> ControlServer::open() {
  auto poll = EventPoll::create();
  if (!poll) return std::unexpected(poll.error());
  poll_ = std::move(*poll);
  signals_ = open_signals();
  if (!signals_) return std::unexpected(shm::last_error("making a signalfd"));

  struct Watched {
    int fd;
    EventLabel label;
    std::uint32_t events;
  };
  std::vector<Watched> wanted{{settings_.listener.get(), {.source = Source::listener}, EPOLLIN},
                              {signals_.get(), {.source = Source::signals}, EPOLLIN},
                              {clients_.memory_fault_descriptor(), {.source = Source::memory_fault}, EPOLLIN}};
  // Answers of the broker are read elsewhere; here only its end counts.
  if (settings_.broker_socket >= 0) {
    wanted.push_back({settings_.broker_socket, {.source = Source::broker}, EPOLLRDHUP});
  }
  if (settings_.ports != nullptr && settings_.ports->descriptor() >= 0) {
    wanted.push_back({settings_.ports->descriptor(), {.source = Source::ports}, EPOLLIN});
  }
  if (settings_.wrapper != nullptr) {
    wanted.push_back({settings_.wrapper->descriptor(), {.source = Source::wrapper}, EPOLLIN});
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    wanted.push_back({shards_[i].replies->descriptor(), {.source = Source::shard, .id = i}, EPOLLIN});
  }
  for (const auto& [fd, label, events] : wanted) {
    if (auto added = poll_.add(fd, label, events); !added) return added;
  }
  return {};
}

std::uint32_t ControlServer::run() {
  while (!draining_ || shards_draining_ != 0) {
    wait();
    for (const auto& order : clients_.take_refresh_orders()) start_refresh(order);
    clients_.expire(Lobby::Clock::now());
    clients_.log_left_out(Lobby::Clock::now());
    accept_again_in_time();
    warn_of_expiry_in_time();
    if (settings_.ports != nullptr) settings_.ports->run_timers();
    clients_.detach_port_offenders();
  }
  hear_the_last();
  clients_.log_left_out(Lobby::Clock::time_point::max());
  return requests_left_;
}

// What clients have said before the end, such as that a port is given back, the next engine is to know by the tables.
void ControlServer::hear_the_last() {
  constexpr int kMessagesMax = 256;  // of a client
  for (int i = 0; i < kMessagesMax; ++i) {
    bool is_quiet = true;
    for (const auto event : poll_.wait(0)) {
      if (event.source != Source::socket) continue;
      on_event(event);
      is_quiet = false;
    }
    if (is_quiet) return;
  }
}

void ControlServer::wait() {
  constexpr int kChoresAfterMs = 1;
  const bool looks = clients_.expects_message(Lobby::Clock::now());
  if (!looks) clients_.do_what_has_waited();
  const bool has_chores = !looks && clients_.has_chores();
  const auto deadline_ms = milliseconds_to_deadline();
  if (looks) ::sched_yield();  // the client may be waiting for this very processor
  const auto events = poll_.wait(looks ? 0 : has_chores && deadline_ms != 0 ? kChoresAfterMs : deadline_ms);
  for (const auto event : events) on_event(event);
  if (has_chores && events.empty()) clients_.do_chores();
}

void ControlServer::on_event(EventLabel event) {
  switch (event.source) {
    case Source::listener: return on_listener();
    case Source::signals: return on_signal();
    case Source::broker: return on_broker_end();
    case Source::memory_fault: return clients_.on_memory_fault();
    case Source::ports: return settings_.ports->on_events();
    case Source::wrapper: return clients_.start_redirected_streams();
    case Source::shard: return on_shard(event.id);
    case Source::socket: return clients_.on_socket(event.id);
    case Source::process: return clients_.on_process_end(event.id);
  }
}

// Also the broker's way to stop an engine that it may not signal: it has said so itself, then.
void ControlServer::on_broker_end() {
  poll_.remove(settings_.broker_socket);
  log_.error("broker_lost",
             {{"reason", "the broker is dead, or may not signal this engine and lets go of it to stop it"},
              {"means",
               "THIS ENGINE ENDS ONCE OPEN REQUESTS HAVE, AND NOBODY STARTS ANOTHER: no service for any "
               "group until tlsmuxd runs again"},
              {"needs", "tlsmuxd to be started again, unless it was told to stop"}});
  start_draining("the broker is dead");
}

// One at a time: what clients ask comes in between, also in a flood of connections.
void ControlServer::on_listener() {
  if (!settings_.listener) return;
  shm::UniqueFd socket(::accept4(settings_.listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) {
    clients_.arrive(std::move(socket));
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
    on_no_descriptors(errno);
  }
}

// The newest that is no client yet goes: if there is none, the one that waits to be accepted; if that fails, it waits.
void ControlServer::on_no_descriptors(int error) {
  if (const auto unlogged = exhausted_.pass(Throttle::Clock::now())) {
    log_.error("descriptors_exhausted",
               {{"error", std::strerror(error)},
                {"needed", settings_.descriptors_needed},
                {"needs",
                 "a limit of open files of that many: LimitNOFILE= of the systemd unit, --ulimit nofile= of the "
                 "container, or ulimit -Hn"},
                {"unlogged", *unlogged}});
  }
  if (clients_.shed_newest()) return;
  {
    const Unlingering guard(clients_.linger_limit());
    if (spare_.turn_away(settings_.listener.get())) return;
  }
  poll_.change(settings_.listener.get(), {.source = Source::listener}, 0);
  accepts_again_ = Lobby::Clock::now() + SpareDescriptor::kPause;
}

void ControlServer::accept_again_in_time() {
  if (!accepts_again_ || Lobby::Clock::now() < *accepts_again_) return;
  accepts_again_.reset();
  spare_.renew();
  if (settings_.listener) poll_.change(settings_.listener.get(), {.source = Source::listener}, EPOLLIN);
}

// Again and again, as an engine may run for longer than a certificate is valid.
void ControlServer::warn_of_expiry_in_time() {
  const auto now = Lobby::Clock::now();
  if (settings_.refresher == nullptr || now < expiry_due_) return;
  expiry_due_ = now + settings_.expiry_interval;
  log_warnings(log_, settings_.refresher->expiry_warnings());
}

void ControlServer::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) {
      log_.info("refresh_ordered", {{"signal", "SIGHUP"}});
      start_refresh({});
    } else {
      start_draining("SIGTERM");
    }
  }
}

void ControlServer::on_shard(std::uint64_t shard) {
  for (auto& reply : shards_[shard].replies->take()) {
    if (const auto* drained = std::get_if<Drained>(&reply)) {
      TMX_ASSERT(shards_draining_ > 0);
      --shards_draining_;
      requests_left_ += drained->requests_left;
    } else if (const auto* need = std::get_if<NeedTraceNumbers>(&reply)) {
      on_need(shard, *need);
    } else if (std::holds_alternative<ConfigApplied>(reply)) {
      TMX_ASSERT(refresh_ && refresh_->shards_left > 0);
      if (--refresh_->shards_left == 0) finish_refresh();
    } else {
      clients_.on_reply(static_cast<std::uint32_t>(shard), reply);
    }
  }
}

void ControlServer::on_need(std::uint64_t shard, const NeedTraceNumbers& need) {
  GrantTraceNumbers grant{.upstream = need.upstream, .reservation = {}};
  if (settings_.reserve_trace_numbers) {
    if (const auto reserved = settings_.reserve_trace_numbers(need.upstream, need.need)) {
      grant.reservation = *reserved;
    } else {
      log_.error("trace_numbers_not_reserved", {{"upstream_index", need.upstream},
                                                {"error", reserved.error().message},
                                                {"needs", advice_for_trace_numbers(reserved.error().code)}});
    }
  }
  shards_[shard].commands->post(grant);
}

void ControlServer::start_draining(std::string_view reason) {
  if (std::exchange(draining_, true)) return;
  log_.info("draining", {{"reason", reason}, {"timeout_ms", settings_.drain_timeout_ms}});
  if (settings_.listener) poll_.remove(settings_.listener.get());
  settings_.listener.reset();  // the broker's own copy keeps what waits in the backlog
  clients_.start_draining();
  shards_draining_ = shards_.size();
  for (const auto& shard : shards_) shard.commands->post(Drain{.timeout_ms = settings_.drain_timeout_ms});
}

// ---- Another configuration ----

void ControlServer::start_refresh(const ClientRegistry::RefreshOrder& order) {
  const auto refuse = [&](int error, const char* why) {
    log_.warning("refresh_refused", {{"reason", why}});
    clients_.refresh_failed(order.asker, {.error = error, .text = why});
  };
  if (settings_.refresher == nullptr) return refuse(ENOTSUP, "this engine has no configuration file to read again");
  if (refresh_) return refuse(EAGAIN, "another refresh is under way; try again");
  if (draining_) return refuse(EAGAIN, "the engine is stopping");
  refresh_.emplace(order, settings_.refresher->prepare(order.dry_run), std::size_t{0});
  auto& plan = refresh_->plan;
  if (!order.dry_run) log_plan(log_, plan);
  if (plan.is_refused()) return answer_refresh(shm::RefreshResult::refused);
  if (order.dry_run) return answer_refresh(shm::RefreshResult::planned);
  if (!plan.order) return answer_refresh(shm::RefreshResult::applied);  // it is so already
  if (settings_.ports != nullptr) refresh_ports(plan);
  refresh_->shards_left = shards_.size();
  clients_.change_begins();
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    shards_[i].commands->post(part_for_shard(*plan.order, i, static_cast<std::uint32_t>(shards_.size())));
  }
}

void ControlServer::finish_refresh() {
  TMX_ASSERT(refresh_ && refresh_->plan.groups.size() == settings_.groups.size());
  auto& plan = refresh_->plan;
  for (std::size_t i = 0; i < settings_.groups.size(); ++i) {
    auto& group = settings_.groups[i];
    if (plan.groups[i]) {
      group.membership = std::move(plan.groups[i]->membership);
      group.memory = plan.groups[i]->memory;
    } else if (!std::exchange(group.is_removed, true)) {
      group.object.reset();
      group.lock.reset();
    }
  }
  std::ranges::move(plan.groups_added, std::back_inserter(settings_.groups));
  settings_.drain_timeout_ms = plan.drain_timeout_ms;
  if (plan.order->config) settings_.descriptors_needed = broker::descriptors_needed(*plan.order->config);
  settings_.idle_strategy = plan.idle_strategy;
  clients_.change_ends();
  clients_.groups_changed();
  settings_.refresher->adopt();
  if (settings_.wrapper != nullptr) settings_.wrapper->open();
  clients_.match_what_waits();
  // The broker has put what enforces them in place by now.
  if (settings_.ports != nullptr) settings_.ports->look_at_enforcement();
  answer_refresh(shm::RefreshResult::applied);
}

// Before the shards, which get the ports that their connections are made from with the order.
void ControlServer::refresh_ports(RefreshPlan& plan) {
  auto& ports = *settings_.ports;
  const auto& config = *plan.order->config;
  for (std::uint32_t i = 0; i < settings_.groups.size(); ++i) {
    if (plan.groups[i]) {
      ports.change_group(i, config.groups[i], plan.groups[i]->membership);
    } else if (!settings_.groups[i].is_removed) {
      ports.remove_group(i);
    }
  }
  for (std::size_t i = 0; i < plan.groups_added.size(); ++i) {
    const auto& added = plan.order->groups_added[i];
    ports.add_group(config.groups[settings_.groups.size() + i],
                    {.membership = plan.groups_added[i].membership, .part = added.part, .memory = added.memory});
  }
  ports.set_sweep_ms(config.engine.port_sweep_ms);
  for (auto& change : plan.order->upstreams) {
    const auto& upstream = config.upstreams[change.index];
    const bool has_none = change.kind == ApplyConfig::Kind::removed || upstream.tcp.source_ports.empty();
    if (has_none) ports.drop_source_ports(change.index);
    change.source_ports = has_none ? std::vector<std::uint16_t>{} : ports.source_ports(change.index, upstream);
  }
}

void ControlServer::answer_refresh(shm::RefreshResult result) {
  const auto done = std::exchange(refresh_, std::nullopt);
  const auto& changes = done->plan.changes;
  if (!done->order.dry_run) {
    if (result == shm::RefreshResult::refused) {
      log_.warning("refresh_refused", {{"reason", "errors, or changes that need a restart: see above"}});
    } else {
      log_.info("refreshed", {{"changes", changes.size()}});
    }
  }
  const bool is_applied = result == shm::RefreshResult::applied;
  std::string text = done->plan.errors.empty() ? config::plan_text(changes) : done->plan.errors;
  for_each_line(done->plan.warnings, [&](std::string_view line) { text.append("warning: ").append(line) += '\n'; });
  if (done->order.json) text = config::refresh_json(changes, is_applied, done->plan.errors, done->plan.warnings);
  clients_.refreshed(done->order.asker,
                     {.header = {},
                      .result = result,
                      .changes = static_cast<std::uint32_t>(changes.size()),
                      .text_bytes = text.size()},
                     text);
}

int ControlServer::milliseconds_to_deadline() const {
  auto next = clients_.next_deadline();
  if (accepts_again_) next = next ? std::min(*next, *accepts_again_) : *accepts_again_;
  const auto ports_ns = settings_.ports == nullptr ? 0 : settings_.ports->next_deadline_ns();
  if (ports_ns != 0) {
    const Lobby::Clock::time_point ports_next{std::chrono::nanoseconds(ports_ns)};
    next = next ? std::min(*next, ports_next) : ports_next;
  }
  if (settings_.refresher != nullptr) next = next ? std::min(*next, expiry_due_) : expiry_due_;
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Lobby::Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace tlsmux::engine::control
