#pragma once

// The desk for programs under libtlsmux_ssl, with rules. One for all inputs, since it has a thread.

#include <fcntl.h>

#include <utility>

#include "engine/wrapper/wrapper_desk.hpp"
#include "tests/fuzz/choices.hpp"

namespace tlsmux::fuzz {

class WrapperHall {
 public:
  WrapperHall() { begin(); }

  [[nodiscard]] engine::wrapper::WrapperDesk& desk() { return desk_; }

  // As it was in the beginning.
  void begin() {
    config_ = make_config();
    desk_.open();
  }

  static shm::MatchPeerRequest make_match(Choices& choices) {
    const auto how = choices.next();
    shm::MatchPeerRequest request;
    request.peer = address(how);
    shm::set_text(request.group, (how & 4) != 0 ? "group" : "");
    const auto name = choices.take((how & 8) != 0 ? 0 : how >> 4U);
    std::ranges::copy(name, request.server_name.begin());
    constexpr std::string_view kDomain = ".bank.example";
    if ((how & 16) != 0) std::ranges::copy(kDomain, request.server_name.begin() + std::ssize(name));
    return request;
  }

  static shm::AnnounceStreamRequest make_announcement(Choices& choices) {
    const auto how = choices.next();
    shm::AnnounceStreamRequest request;
    request.local = address(choices.next());
    request.original = address(how);
    request.socket_inode = choices.next();
    shm::set_text(request.group, (how & 4) != 0 ? "group" : "");
    shm::set_text(request.upstream, (how & 8) != 0 ? "acquirer0" : "acquirer1");
    return request;
  }

 private:
  static shm::PeerAddress address(std::uint8_t how) {
    const auto last = static_cast<std::uint8_t>(how % 2 == 0 ? 1 : 9);
    return {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last},
            .port = static_cast<std::uint16_t>(how / 2 % 2 == 0 ? 443 : 444)};
  }

  static config::Config make_config() {
    config::Config config;
    config.upstreams.resize(2);
    config.upstreams[0].name = "acquirer0";
    config.upstreams[0].groups = {"group"};
    config.upstreams[1].name = "acquirer1";
    config.upstreams[1].groups = {"others"};
    config.ssl_wrapper.rules = {
        {.address = "192.0.2.1", .name = {}, .port = 443, .upstream = "acquirer0"},
        {.address = "192.0.2.8/29", .name = {}, .port = 443, .upstream = "acquirer1"},
        {.address = {}, .name = "*.bank.example", .port = 443, .upstream = "acquirer0", .create = true}};
    return config;
  }

  std::expected<void, std::string> add(const config::UpstreamSettings& made) {
    if (made.name.size() % 2 != 0) return std::unexpected("there is no room");
    auto next = config_;
    next.upstreams.push_back(made);
    config_ = std::exchange(next, {});
    return {};
  }

  config::Config config_;
  engine::Log log_{config::LogLevel::debug, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                   engine::Log::Mode::synchronous};
  engine::wrapper::WrapperDesk desk_{
      [this]() -> const config::Config& { return config_; },
      [this](const config::UpstreamSettings& made, std::string_view) { return add(made); }, log_};
};

}  // namespace tlsmux::fuzz
