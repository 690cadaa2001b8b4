// What a shard does about streams.

#include <algorithm>
#include <cerrno>

#include "engine/shard/shard.hpp"

namespace tlsmux::engine {

void Shard::run(OpenStream&& command) {
  const auto refuse = [&](int error, std::string text) {
    replies_.emplace_back(
        StreamOpened{.asker = command.asker, .error = error, .error_text = std::move(text), .number = command.number});
  };
  const auto& upstreams = config_.upstreams;
  const auto upstream = std::ranges::find(upstreams, command.upstream, &config::UpstreamSettings::name);
  if (upstream == upstreams.end() || upstream->name.empty()) return refuse(ENOENT, "there is no upstream of that name");
  const auto index = static_cast<std::uint32_t>(upstream - upstreams.begin());
  if (!multiplexer_.serves(index)) return refuse(EAGAIN, "the configuration is being changed; try again");
  const auto group = group_of_stream(command, index);
  if (!group) return refuse(EACCES, "no group that the process is a member of may use this upstream");
  if (stage_ != Stage::running) return refuse(EAGAIN, "the engine is stopping");
  streams::NewStream stream{.number = command.number,
                            .upstream = index,
                            .group = *group,
                            .pid = command.pid,
                            .uid = command.uid,
                            .wait_ms = command.wait_ms,
                            .alpn = std::move(command.alpn),
                            .socket = std::move(command.socket),
                            .tells_hang_up = command.tells_hang_up,
                            .believes_half_close = command.asker != 0};  // by tmx_stream_shutdown
  if (auto why = streams_.why_full(stream)) {
    streams_.turn_away(stream, *why);
    refuse(EAGAIN, std::move(*why));
    std::get<StreamOpened>(replies_.back()).is_logged = true;
    return;
  }
  streams_.open(std::move(stream));
  replies_.emplace_back(StreamOpened{.asker = command.asker, .number = command.number});
}

// The upstream's first of which the process is a member.
std::optional<std::uint32_t> Shard::group_of_stream(const OpenStream& command, std::uint32_t upstream) const {
  for (const auto& name : config_.upstreams[upstream].groups) {
    const auto group = std::ranges::find(config_.groups, name, &config::GroupSettings::name);
    const auto index = static_cast<std::uint32_t>(group - config_.groups.begin());
    const bool is_member = std::ranges::find(command.groups, index) != command.groups.end();
    if (is_member && board_.upstream_row(index, upstream)) return index;
  }
  return std::nullopt;
}

// `groups`: by index, those that may use the upstream from now on.
void Shard::end_streams_by(const ApplyConfig::Upstream& changed, const std::vector<bool>& groups) {
  switch (changed.kind) {
    case ApplyConfig::Kind::added: return;
    case ApplyConfig::Kind::removed: return streams_.leave_upstream(changed.index, shm::Reason::upstream_removed);
    case ApplyConfig::Kind::restarted: streams_.leave_upstream(changed.index, shm::Reason::upstream_draining); break;
    case ApplyConfig::Kind::changed: break;
  }
  for (std::uint32_t group = 0; group < groups.size(); ++group) {
    if (!groups[group]) streams_.shut_out(changed.index, group);
  }
}

}  // namespace tlsmux::engine
