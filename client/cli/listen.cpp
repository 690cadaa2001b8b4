#include "client/cli/listen.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <expected>

#include "client/cli/hex.hpp"
#include "client/cli/library.hpp"
#include "client/cli/listen_report.hpp"
#include "client/cli/table.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr std::chrono::hours kWait(1);

std::uint32_t flags_of(const ListenOptions& options) {
  std::uint32_t flags = 0;
  if (options.late) flags |= TMX_SUBSCRIBE_LATE;
  if (options.unsolicited) flags |= TMX_SUBSCRIBE_UNSOLICITED;
  if (options.orphans) flags |= TMX_SUBSCRIBE_ORPHANS;
  return flags;
}

std::expected<void, Failure> listen(const ListenOptions& options) {
  if (flags_of(options) == 0) {
    return std::unexpected(Failure{kExitUsage, "nothing to listen for: give --late, --unsolicited or --orphans"});
  }
  auto client = attach(options.group, options.control_socket);
  if (!client) return std::unexpected(client.error());
  auto channel = client->open(options.upstream.c_str(), flags_of(options));
  if (!channel && channel.error().code == -EINVAL) {
    return std::unexpected(Failure{
        kExitFailed, "the group's memory/slots_per_channel leaves no room for notices: raise it in the configuration"});
  }
  if (!channel) {
    return std::unexpected(
        failure_of("opening a channel to " + escaped(options.upstream), channel.error(), client->last_error()));
  }
  if (options.hex) {
    std::fputs("tlsmux listen: WARNING: --hex shows PAYLOAD, card data included: mind who sees and keeps it\n", stderr);
  }
  for (std::uint64_t printed = 0; options.count == 0 || printed < options.count;) {
    std::array<Completion, 1> notice;
    const auto got = channel->poll(notice, kWait);
    if (!got) return std::unexpected(failure_of("listening", got.error(), client->last_error()));
    if (got->empty()) continue;
    const auto line = options.json ? notice_json(notice[0], options.hex) : notice_text(notice[0], options.hex);
    // Printed before it is released: else nobody would have it.
    if (std::fputs(line.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
      return std::unexpected(Failure{kExitFailed, std::string("writing a notice: ") + std::strerror(errno)});
    }
    ++printed;
  }
  return {};
}

}  // namespace

const char* kind_name(tmx_kind kind) {
  switch (kind) {
    case TMX_LATE: return "late";
    case TMX_UNSOLICITED: return "unsolicited";
    case TMX_ORPHAN: return "orphan";
    default: return "unknown";
  }
}

std::string notice_text(const Completion& notice, bool hex) {
  std::string text = kind_name(notice.kind());
  if (notice.kind() != TMX_UNSOLICITED) text += " tag " + std::to_string(notice.tag());
  if (notice.kind() == TMX_ORPHAN) {
    text += std::string(" ") + tmx_outcome_name(notice.outcome());
    if (notice.reason() != TMX_REASON_NONE) text += std::string(" ") + tmx_reason_name(notice.reason());
    text += ", request " + std::to_string(notice.request().size()) + " bytes";
    if (hex) text += " " + to_hex(notice.request());
  }
  text += ", message " + std::to_string(notice.answer().size()) + " bytes";
  if (hex && !notice.answer().empty()) text += " " + to_hex(notice.answer());
  return text + "\n";
}

int run_listen(const ListenOptions& options) {
  const auto listened = listen(options);
  if (listened) return kExitDone;
  std::fprintf(stderr, "tlsmux listen: %s\n", listened.error().text.c_str());
  return listened.error().exit_code;
}

}  // namespace tlsmux::client::cli
