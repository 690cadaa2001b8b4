// The C ABI: attaching, opening, closing.

#include <sched.h>

#include <cstring>
#include <string>

#include "client/c_boundary.hpp"
#include "client/environment.hpp"
#include "client/handles.hpp"
#include "tlsmux/tlsmux.h"

namespace {

using namespace tlsmux::client;
namespace config = tlsmux::config;
using tlsmux::shm::SystemError;

constexpr std::uint32_t kTimeoutMsDefault = 5000;
constexpr std::uint32_t kSpinUsDefault = 20;
constexpr int kProcessorsToSpin = 4;
constexpr std::uint32_t kLookUs = 100;
constexpr int kProcessorsToLook = 2;

// That this process may run on. More than a set holds: many.
int processors() {
  cpu_set_t all;
  CPU_ZERO(&all);
  return ::sched_getaffinity(0, sizeof all, &all) == 0 ? CPU_COUNT(&all) : CPU_SETSIZE;
}

struct Patience {
  std::uint32_t spin_us = 0;
  std::uint32_t look_us = 0;
};

Patience patience(std::uint32_t spin_us) {
  if (spin_us == TMX_SPIN_NEVER) return {};
  const int count = processors();
  if (spin_us == 0 && count >= kProcessorsToSpin) spin_us = kSpinUsDefault;
  return {.spin_us = spin_us, .look_us = count >= kProcessorsToLook ? kLookUs : 0};
}

std::expected<ClientOptions, SystemError> client_options(const tmx_attach_options* given) {
  tmx_attach_options options;
  const auto invalid = [](const char* what) { return std::unexpected(SystemError{.code = EINVAL, .message = what}); };
  if (!read_options(given, options)) return invalid("struct_bytes does not fit tmx_attach_options");
  if ((options.flags & ~std::uint32_t{TMX_NO_REATTACH}) != 0) return invalid("flags has bits that are not known");
  if (options.timeout_ms > config::kTimeoutMsMax) return invalid("timeout_ms is over 24 hours");
  if (options.channels > config::kChannelsPerClientMax) return invalid("channels is over 64");
  auto group = or_environment(options.group, "TLSMUX_GROUP", "");
  if (group.empty()) return invalid("no group: give one, or set TLSMUX_GROUP");
  if (group.size() > config::kNameBytesMax) return invalid("the group's name is too long");
  const auto [spin_us, look_us] = patience(options.spin_us);
  return ClientOptions{
      .group = std::move(group),
      .control_socket = or_environment(options.control_socket, "TLSMUX_CONTROL_SOCKET", kControlSocketDefault),
      .channels = options.channels,
      .timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : kTimeoutMsDefault,
      .spin_us = spin_us,
      .look_us = look_us,
      .reattach = (options.flags & TMX_NO_REATTACH) == 0};
}

bool is_sound(const tmx_channel_options& options) {
  constexpr std::uint32_t kKnown =
      TMX_LATE_ANSWERS | TMX_SUBSCRIBE_LATE | TMX_SUBSCRIBE_UNSOLICITED | TMX_SUBSCRIBE_ORPHANS;
  return (options.flags & ~kKnown) == 0 && options.notices <= config::kSlotsPerChannelMax &&
         std::ranges::all_of(options.reserved, [](std::uint32_t word) { return word == 0; });
}

int attach(const tmx_attach_options* given, tmx_client** client) {
  if (client == nullptr) return -EINVAL;
  *client = nullptr;
  auto options = client_options(given);
  auto attached = options ? Client::attach(std::move(*options))
                          : std::expected<std::shared_ptr<Client>, SystemError>(std::unexpected(options.error()));
  if (!attached) {
    if (given != nullptr && given->struct_bytes >= sizeof *given) {
      copy_text(attached.error().message, given->error_text, given->error_text_bytes);
    }
    return -attached.error().code;
  }
  *client = std::make_unique<tmx_client>(std::move(*attached)).release();
  return 0;
}

}  // namespace

int tmx_attach(const tmx_attach_options* options, tmx_client** client) {
  return undisturbed([&] { return attach(options, client); });
}

int tmx_detach(tmx_client* client) {
  if (client == nullptr) return 0;
  return undisturbed([&] {
    if (!client->client->in_child() && client->client->has_channels()) return -EBUSY;
    const std::unique_ptr<tmx_client> ended(client);
    return 0;
  });
}

int tmx_client_last_error(tmx_client* client, char* buffer, size_t buffer_bytes) {
  if (client == nullptr) return -EINVAL;
  if (client->client->in_child()) return -ECHILD;
  return without_exceptions([&] { return copy_text(client->client->last_error(), buffer, buffer_bytes); });
}

int tmx_channel_open(tmx_client* client, const char* upstream, tmx_channel** channel) {
  return tmx_channel_open_with(client, upstream, nullptr, channel);
}

int tmx_channel_open_with(tmx_client* client, const char* upstream, const tmx_channel_options* given,
                          tmx_channel** channel) {
  if (client == nullptr || upstream == nullptr || channel == nullptr) return -EINVAL;
  *channel = nullptr;
  if (client->client->in_child()) return -ECHILD;
  const std::string_view name = upstream;
  if (name.empty() || name.size() > config::kNameBytesMax) return -EINVAL;
  tmx_channel_options options;
  if (!read_options(given, options) || !is_sound(options)) return -EINVAL;
  return undisturbed([&] {
    auto opened = Channel::open(client->client, name, {.flags = options.flags, .notices = options.notices});
    if (!opened) return -opened.error();
    *channel = std::make_unique<tmx_channel>(std::move(*opened)).release();
    return 0;
  });
}

int tmx_channel_close(tmx_channel* channel) {
  if (channel == nullptr) return 0;
  if (!channel->channel->client().in_child() && !channel->channel->is_idle()) return -EBUSY;
  return tmx_channel_discard(channel);
}

int tmx_channel_discard(tmx_channel* channel) {
  return undisturbed([&] {
    const std::unique_ptr<tmx_channel> ended(channel);
    return 0;
  });
}
