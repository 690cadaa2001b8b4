#include "engine/shard/shard.hpp"

#include <algorithm>
#include <cerrno>

#include "config/leases.hpp"
#include "shm/assert.hpp"
#include "shm/client_part.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint32_t kIdleTurnsUntilCool = 64;

// So many takes empty the largest ring, once.
constexpr std::uint32_t kTakesMax = config::kSlotsPerChannelMax / Intake::kRequestsPerTakeMax;

constexpr std::uint32_t kChannelFlags =
    shm::kLateAnswers | shm::kSubscribeLate | shm::kSubscribeUnsolicited | shm::kSubscribeOrphans;

}  // namespace

Shard::Shard(const config::Config& config, ShardSeams seams, std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
             StatusBoard board, std::uint64_t seed, std::uint32_t shard,
             const std::vector<std::vector<std::uint16_t>>& source_ports)
    : number_(shard),
      config_(config),
      bells_(&seams.bells),
      clients_(shard),
      orphans_(config_),
      outlet_(clients_, orphans_),
      notices_(config_, clients_, outlet_, orphans_, seams.events),
      streams_(config_, multiplexer_, seams.stream_sockets, seams.events),
      callers_(outlet_, streams_),
      multiplexer_(config_, {seams.network, seams.workers, callers_, notices_, seams.events, trace_numbers_, streams_},
                   std::move(tls_clients), seed),
      upstream_drains_(multiplexer_),
      trace_numbers_(config_),
      intake_(config_, multiplexer_, notices_, trace_numbers_),
      board_(std::move(board)) {
  for (std::size_t i = 0; i < source_ports.size(); ++i) multiplexer_.set_source_ports(i, source_ports[i]);
}

void Shard::set_time(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  multiplexer_.set_time(now_ns);
  notices_.set_time(now_ns);
  trace_numbers_.set_time(now_ns);
  streams_.set_time(now_ns);
}

void Shard::start() {
  multiplexer_.start();
  board_.set_state(shm::EngineState::running);
}

// ---- Commands ----

void Shard::execute(ShardCommand command) {
  std::visit([this](auto&& one) { run(std::forward<decltype(one)>(one)); }, std::move(command));
}

void Shard::run(AdmitClient&& command) {
  auto& client = clients_.admit(std::move(command));
  board_.add_client(client, now_ns_);
  client.watched = true;
  bells_->watch(client.index, client.doorbell.get());
  heat(client);
}

void Shard::run(OpenChannel&& command) {
  auto* client = clients_.find(command.client);
  if (client == nullptr || client->stage != ClientStage::served) {
    if (!command.is_told) {
      replies_.emplace_back(ChannelOpened{.client = command.client, .error = ESTALE, .error_text = "not attached"});
    }
    return;
  }
  auto reply = open_channel(*client, command);
  if (!command.is_told) {
    replies_.emplace_back(std::move(reply));
  } else if (reply.error != 0) {
    outlet_.report(client->index, "the engine took back a channel that it had opened");
  }
}

ChannelOpened Shard::open_channel(Client& client, OpenChannel& command) {
  const auto refuse = [&](int error, std::string text) {
    return ChannelOpened{.client = client.id, .error = error, .error_text = std::move(text)};
  };
  const auto& upstreams = config_.upstreams;
  const auto upstream = std::ranges::find(upstreams, command.upstream, &config::UpstreamSettings::name);
  if (upstream == upstreams.end() || upstream->name.empty()) return refuse(ENOENT, "there is no upstream of that name");
  const auto upstream_index = static_cast<std::uint32_t>(upstream - upstreams.begin());
  // Its name was given to another upstream a moment ago, and the control thread does not know yet.
  if (!multiplexer_.serves(upstream_index)) return refuse(EAGAIN, "the configuration is being changed; try again");
  const auto row = board_.upstream_row(client.group, upstream_index);
  if (!row) return refuse(EACCES, "the group may not use this upstream");
  if (config::leases_sessions(*upstream)) {
    return refuse(EINVAL, "the upstream takes no requests, since its sessions are leased; use tmx_stream_open");
  }
  if ((command.flags & ~kChannelFlags) != 0) return refuse(EINVAL, "a channel flag that this engine does not know");
  const auto subscriber_group = notices_.subscriber_group(upstream_index);
  if ((command.flags & shm::kSubscribeUnsolicited) != 0 && client.group != subscriber_group) {
    return refuse(EACCES, "what this upstream sends unasked goes to group " + config_.groups[*subscriber_group].name +
                              " (its subscriber_group)");
  }
  // It has attached before a refresh gave its group larger slots.
  if (client.geometry.slot_bytes < upstream->framing.message_bytes_max) {
    return refuse(EMSGSIZE, "the upstream's messages have up to " +
                                std::to_string(upstream->framing.message_bytes_max) + " bytes, the client's slots " +
                                std::to_string(client.geometry.slot_bytes) +
                                ", as its group had them when it attached: attach anew");
  }
  TMX_ASSERT(command.channel < client.channels.size());
  auto& channel = client.channels[command.channel];
  TMX_ASSERT(!channel.is_open && !channel.waking);
  if (!command.is_told) shm::reset_channel(client.memory->bytes(), client.geometry, command.channel);
  clients_.renew_channel(client, command.channel);
  channel.is_open = true;
  channel.upstream = upstream_index;
  channel.wake = std::move(command.wake);
  channel.serial = ++last_serial_;
  channel.flags = command.flags;
  notices_.opened(client, command.channel);
  client.changed = true;
  client.backlog |= std::uint64_t{1} << command.channel;  // its ready bit may have been taken before
  heat(client);
  return {.client = client.id,
          .error = 0,
          .error_text = {},
          .channel = command.channel,
          .upstream_row = *row,
          .shard = number_,
          .message_bytes_max = upstream->framing.message_bytes_max,
          .timeout_ms = upstream->timeouts.request_ms};
}

void Shard::run(CloseChannel&& command) {
  auto* client = clients_.find(command.client);
  ChannelClosed reply{.client = command.client};
  if (client == nullptr || command.channel >= client->channels.size() || !client->channels[command.channel].is_open) {
    reply.error = EINVAL;
    reply.error_text = "no such channel is open";
    replies_.emplace_back(std::move(reply));
    return;
  }
  if (client->stage == ClientStage::served) take_all_of(*client);  // notices that were dealt with, too
  auto& channel = client->channels[command.channel];
  // Notices do not count: a client that closes has no use for them.
  if (channel.in_flight > 0 || channel.has_outcomes) {
    reply.error = EBUSY;
    reply.error_text = "the channel has requests in flight";
  } else {
    notices_.closed(*client, command.channel);
    trace_numbers_.leave(channel.upstream, channel.trace_lease);
    channel.is_open = false;
    client->changed = true;
    channel.is_closing = channel.waking;
    if (channel.is_closing) return;  // the number is free when the last write to its descriptor is done
    channel.wake.reset();
  }
  replies_.emplace_back(std::move(reply));
}

void Shard::run(DismissClient&& command) {
  auto* client = clients_.find(command.client);
  if (client == nullptr) {
    replies_.emplace_back(ClientReleased{.client = command.client});
    return;
  }
  client->dismissed = true;
  if (client->stage == ClientStage::served) take_all_of(*client);
  if (client->stage == ClientStage::served) count_open(*client);
  if (client->stage == ClientStage::leaving) {
    leaving_.push_back(client->index);
  } else if (command.died) {
    inherit_from(*client);
  } else {
    part_with(*client);
  }
}

void Shard::run(DrainUpstream&& command) { upstream_drains_.drain(command, now_ns_, replies_); }

void Shard::run(ResumeUpstream&& command) { upstream_drains_.resume(command, replies_); }

void Shard::run(ApplyConfig&& command) {
  for (const auto group : command.groups_removed) {
    notices_.remove_group(group);
    board_.remove_group(group);
    multiplexer_.remove_group(group);
  }
  config_ = *command.config;
  multiplexer_.set_groups(config_.groups.size());
  notices_.apply_settings();
  for (auto& group : command.groups_added) board_.add_group(config_, std::move(group));
  for (auto& changed : command.upstreams) apply(command.config, changed);
  if (command.is_answered) replies_.emplace_back(ConfigApplied{});
}

void Shard::apply(const std::shared_ptr<const config::Config>& config, ApplyConfig::Upstream& changed) {
  const auto index = changed.index;
  // Shares ownership with the whole, of which it is a part.
  const std::shared_ptr<const config::UpstreamSettings> settings(config, &config->upstreams[index]);
  std::vector<bool> groups(config->groups.size());
  if (changed.kind != ApplyConfig::Kind::removed) {
    for (std::size_t i = 0; i < groups.size(); ++i) {
      groups[i] = std::ranges::find(settings->groups, config->groups[i].name) != settings->groups.end();
    }
    board_.set_groups(index, groups);
  }
  if (changed.kind != ApplyConfig::Kind::added && !multiplexer_.serves(index)) return;
  end_streams_by(changed, groups);
  const bool is_there = changed.kind != ApplyConfig::Kind::added;
  if (changed.source_ports && is_there) multiplexer_.set_source_ports(index, *changed.source_ports);
  switch (changed.kind) {
    case ApplyConfig::Kind::removed: return multiplexer_.remove_upstream(index);
    case ApplyConfig::Kind::added:
      trace_numbers_.add_upstream(settings->trace_numbers);
      multiplexer_.add_upstream(settings, std::move(changed.tls_client),
                                changed.source_ports.value_or(std::vector<std::uint16_t>{}));
      break;
    case ApplyConfig::Kind::restarted:
      multiplexer_.restart_upstream(index, settings, std::move(changed.tls_client));
      break;
    case ApplyConfig::Kind::changed:
      multiplexer_.change_upstream(index, settings, std::move(changed.tls_client), changed.replace_sessions);
      break;
  }
  groups.flip();
  multiplexer_.shut_out_groups(index, std::move(groups));
}

void Shard::run(GrantTraceNumbers&& command) {
  if (command.reservation.chunk.count > 0) {
    trace_numbers_.add(command.upstream, command.reservation);
  } else {
    trace_numbers_.fail(command.upstream);
  }
}

// ---- Waking and sleeping ----

void Shard::heat(Client& client) {
  client.idle_turns = 0;
  if (client.is_hot || client.stage != ClientStage::served) return;
  client.is_hot = true;
  shm::disarm(client.words->engine_armed);
  hot_.push_back(&client);
}

// From now on the client rings, unless it has published in the meantime.
void Shard::cool(std::size_t hot_index) {
  auto& client = *hot_[hot_index];
  shm::arm(client.words->engine_armed);
  if (Intake::has_more(client)) {
    shm::disarm(client.words->engine_armed);
    return;
  }
  client.is_hot = false;
  hot_[hot_index] = hot_.back();
  hot_.pop_back();
}

void Shard::rung(std::uint32_t client_index) {
  auto* client = clients_.at(client_index);
  if (client != nullptr) heat(*client);
}

bool Shard::has_news() const {
  return std::ranges::any_of(hot_, [](const Client* client) { return Intake::has_more(*client); });
}

bool Shard::prepare_sleep() {
  for (std::size_t i = hot_.size(); i > 0; --i) cool(i - 1);
  return hot_.empty();
}

void Shard::publish() {
  outlet_.publish([this](std::uint32_t channel_ref) { ring(channel_ref); });
}

void Shard::ring(std::uint32_t channel_ref) {
  auto& channel = clients_.channel_of(channel_ref);
  if (std::exchange(channel.waking, true)) {
    channel.wake_again = true;
  } else {
    bells_->wake(channel_ref, channel.wake.get());
  }
}

void Shard::woken(std::uint32_t channel_ref) {
  auto& client = clients_.client_of(channel_ref);
  auto& channel = clients_.channel_of(channel_ref);
  channel.waking = false;
  if (client.stage == ClientStage::leaving) {
    leaving_.push_back(client.index);
  } else if (!channel.is_open) {
    channel.wake.reset();
    if (std::exchange(channel.is_closing, false)) replies_.emplace_back(ChannelClosed{.client = client.id});
  } else if (std::exchange(channel.wake_again, false)) {
    ring(channel_ref);
  }
}

// ---- Work ----

// All that it has published, as far as that is a ring's worth. An offence is reported.
void Shard::take_all_of(Client& client) {
  for (std::uint32_t i = 0; i < kTakesMax && Intake::has_more(client); ++i) {
    const auto taken = intake_.take(client);
    if (taken) continue;
    outlet_.report(client.index, taken.error());
    return;
  }
}

bool Shard::take_requests() {
  bool any = false;
  for (std::size_t i = 0; i < hot_.size(); ++i) {
    auto& client = *hot_[i];
    const auto taken = intake_.take(client);
    if (!taken) {
      outlet_.report(client.index, taken.error());
    } else if (*taken) {
      any = true;
      client.idle_turns = 0;
    } else {
      ++client.idle_turns;
    }
  }
  for (std::size_t i = hot_.size(); i > 0; --i) {
    if (hot_[i - 1]->idle_turns >= kIdleTurnsUntilCool) cool(i - 1);
  }
  return any;
}

bool Shard::work() {
  const bool any = take_requests();
  upstream_drains_.end_overdue(now_ns_);
  multiplexer_.tick();
  streams_.tend();
  multiplexer_.flush();
  upstream_drains_.answer(now_ns_, replies_);
  if (stage_ != Stage::running) drain_further();
  end_partings();
  notices_.work();
  serve_trace_numbers();
  const bool any_asked = streams_.tend();
  board_.publish_errors(multiplexer_, notices_, streams_);
  publish();
  handle_offences();
  for (const auto index : std::exchange(leaving_, {})) {
    if (auto* client = clients_.at(index); client != nullptr) release_if_done(*client);
  }
  board_due_ns_ = board_.publish(multiplexer_, clients_, notices_, streams_, now_ns_);
  return any || any_asked;
}

void Shard::serve_trace_numbers() {
  trace_numbers_.work(multiplexer_.requests());
  for (const auto channel_ref : trace_numbers_.take_granted()) outlet_.touch(channel_ref);
  for (const auto& [upstream, need] : trace_numbers_.take_needs()) {
    replies_.emplace_back(NeedTraceNumbers{.upstream = upstream, .need = need});
  }
}

std::uint64_t Shard::next_due_ns() const {
  const bool ends = stage_ != Stage::running && stage_ != Stage::stopped;
  std::uint64_t earliest = 0;
  const auto parting_ends_ns = parting_.empty() ? 0 : parting_.front().ends_ns;
  for (const auto due :
       {multiplexer_.next_due_ns(), notices_.next_due_ns(), trace_numbers_.next_due_ns(), streams_.next_due_ns(),
        upstream_drains_.next_due_ns(), parting_ends_ns, board_due_ns_, ends ? stage_ends_ns_ : 0}) {
    if (due != 0 && (earliest == 0 || due < earliest)) earliest = due;
  }
  return earliest;
}

}  // namespace tlsmux::engine
