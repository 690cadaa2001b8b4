#include "tests/acquirer/status_json.hpp"

#include <doctest/doctest.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace tlsmux::test {
namespace {

std::string run_status(const config::Config& config, std::size_t group, const std::string& options) {
  const auto command = std::string(TLSMUX_PROGRAM_FOLDER "/tlsmux status") + options + " --group " +
                       config.groups[group].name + " --control-socket " + config.engine.control_socket;
  FILE* const output = ::popen(command.c_str(), "re");
  REQUIRE(output != nullptr);
  std::string text;
  std::array<char, 4096> part{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(part.data(), 1, part.size(), output);
    text.append(part.data(), got);
  }
  CHECK(::pclose(output) == 0);
  return text;
}

EndpointStatus endpoint_of(const nlohmann::json& json) {
  return {.address = json.at("address"),
          .sessions = json.at("sessions"),
          .is_out = json.at("is_out"),
          .failures = json.at("failures"),
          .last_error_reason = json.at("last_error_reason")};
}

SessionStatus session_of(const nlohmann::json& json) {
  return {.state = json.at("state"),
          .endpoint = json.at("endpoint"),
          .requests = json.at("requests"),
          .heartbeats_missed = json.at("heartbeats_missed")};
}

UpstreamStatus upstream_of(const nlohmann::json& json) {
  UpstreamStatus status{.sessions_ready = json.at("sessions_ready"),
                        .sessions_wanted = json.at("sessions_wanted"),
                        .handshakes_resumed = json.at("handshakes_resumed"),
                        .answered = json.at("answered"),
                        .not_sent = json.at("not_sent"),
                        .maybe_sent = json.at("maybe_sent"),
                        .replies_sent = json.at("replies_sent"),
                        .late = json.at("late"),
                        .unsolicited = json.at("unsolicited"),
                        .orphans_held = json.at("orphans_held"),
                        .orphans_waiting = json.at("orphans_waiting"),
                        .late_dropped = json.at("late_dropped"),
                        .last_error_reason = json.at("last_error_reason"),
                        .last_error = json.at("last_error"),
                        .endpoints = {},
                        .sessions = {}};
  for (const auto& endpoint : json.at("endpoints")) status.endpoints.push_back(endpoint_of(endpoint));
  for (const auto& session : json.at("sessions")) status.sessions.push_back(session_of(session));
  return status;
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t total = 0;
  for (const auto& [reason, count] : counts) total += count;
  return total;
}

}  // namespace

std::uint64_t UpstreamStatus::not_sent_in_all() const { return sum(not_sent); }
std::uint64_t UpstreamStatus::maybe_sent_in_all() const { return sum(maybe_sent); }

std::size_t UpstreamStatus::sessions_at(const std::string& endpoint) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      sessions, [&](const SessionStatus& one) { return one.state == "ready" && one.endpoint == endpoint; }));
}

UpstreamStatus acquirer_status(const config::Config& config, std::size_t group) {
  const auto json = nlohmann::json::parse(run_status(config, group, " --json"));
  for (const auto& upstream : json.at("groups").at(0).at("upstreams")) {
    if (upstream.at("name") == "acquirer") return upstream_of(upstream);
  }
  FAIL("the status says nothing of the upstream");
  return {};
}

void check_status_text(const config::Config& config, const std::vector<std::string>& words) {
  const auto text = run_status(config, 0, "");
  if (std::getenv("TLSMUX_SHOW_STATUS") != nullptr) std::printf("%s\n", text.c_str());
  for (const auto& word : words) CHECK_MESSAGE(text.contains(word), "no \"", word, "\" in:\n", text);
}

}  // namespace tlsmux::test
