#include "client/cli/send.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <expected>
#include <memory>
#include <vector>

#include "client/cli/hex.hpp"
#include "client/cli/library.hpp"
#include "client/cli/send_report.hpp"
#include "client/cli/table.hpp"
#include "config/limits.hpp"

namespace tlsmux::client::cli {
namespace {

using Bytes = std::vector<std::byte>;
using Clock = std::chrono::steady_clock;

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};

std::expected<Bytes, Failure> read_file(const std::string& path) {
  const bool standard_input = path.empty() || path == "-";
  if (path.empty() && ::isatty(STDIN_FILENO) != 0) {
    return std::unexpected(Failure{kExitUsage, "no message: give --hex or --file, or pipe it in"});
  }
  const std::unique_ptr<std::FILE, CloseFile> file(standard_input ? stdin : std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return std::unexpected(Failure{kExitUsage, path + ": " + std::strerror(errno)});
  Bytes bytes(config::kSlotBytesMax + 1);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (std::ferror(file.get()) != 0) return std::unexpected(Failure{kExitUsage, path + ": " + std::strerror(errno)});
  return bytes;
}

std::expected<Bytes, Failure> read_message(const SendOptions& options) {
  std::expected<Bytes, Failure> message;
  if (options.hex.empty()) {
    message = read_file(options.file);
  } else if (auto bytes = from_hex(options.hex)) {
    message = std::move(*bytes);
  } else {
    return std::unexpected(Failure{kExitUsage, "--hex: not pairs of hexadecimal digits"});
  }
  if (message && message->empty()) return std::unexpected(Failure{kExitUsage, "the message is empty"});
  if (message && message->size() > config::kSlotBytesMax) {
    return std::unexpected(Failure{kExitUsage, "the message is longer than any upstream allows"});
  }
  return message;
}

void print_answer(std::span<const std::byte> answer, const SendOptions& options) {
  if (options.hex_output) {
    std::puts(to_hex(answer).c_str());
  } else if (::isatty(STDOUT_FILENO) != 0) {
    std::fputs(hex_dump(answer).c_str(), stdout);
  } else {
    std::fwrite(answer.data(), 1, answer.size(), stdout);
  }
}

// No session could be had, which the upstream's last error explains.
bool is_about_sessions(tmx_reason reason) {
  switch (reason) {
    case TMX_REASON_NO_SESSION:
    case TMX_REASON_NAME_NOT_RESOLVED:
    case TMX_REASON_CONNECT_REFUSED:
    case TMX_REASON_CONNECT_TIMEOUT:
    case TMX_REASON_CONNECT_FAILED:
    case TMX_REASON_HANDSHAKE_TIMEOUT:
    case TMX_REASON_HANDSHAKE_FAILED:
    case TMX_REASON_CERTIFICATE_UNTRUSTED:
    case TMX_REASON_CERTIFICATE_EXPIRED:
    case TMX_REASON_CERTIFICATE_WRONG_NAME:
    case TMX_REASON_CERTIFICATE_MISSING:
    case TMX_REASON_CERTIFICATE_REVOKED:
    case TMX_REASON_CERTIFICATE_REJECTED_BY_HOST:
    case TMX_REASON_CERTIFICATE_PIN_MISMATCH:
    case TMX_REASON_NO_COMMON_SUITE:
    case TMX_REASON_NO_COMMON_VERSION:
    case TMX_REASON_SIGN_ON_REFUSED:
    case TMX_REASON_SIGN_ON_TIMEOUT: return true;
    default: return false;
  }
}

std::expected<int, Failure> send(const SendOptions& options) {
  const auto message = read_message(options);
  if (!message) return std::unexpected(message.error());
  auto client = attach(options.group, options.control_socket);
  if (!client) return std::unexpected(client.error());
  auto channel = client->open(options.upstream.c_str());
  if (!channel) {
    return std::unexpected(
        failure_of("opening a channel to " + escaped(options.upstream), channel.error(), client->last_error()));
  }
  Bytes response(config::kSlotBytesMax);
  const auto start = Clock::now();
  const auto result = channel->call(*message, response, std::chrono::milliseconds(options.timeout_ms));
  const std::chrono::duration<double, std::milli> took = Clock::now() - start;
  if (!result) return std::unexpected(failure_of("not sent", result.error(), {}));

  SendReport report{.outcome = result->outcome,
                    .reason = result->reason,
                    .last_error = {},
                    .error_offset = result->error_offset,
                    .error_field = result->error_field,
                    .milliseconds = took.count(),
                    .answer = std::span(response).first(result->length)};
  if (report.outcome == TMX_NOT_SENT && is_about_sessions(report.reason))
    report.last_error = channel->upstream_last_error();
  if (options.json) {
    std::fputs(send_json(report).c_str(), stdout);
  } else {
    if (report.outcome == TMX_ANSWERED) print_answer(report.answer, options);
    std::fflush(stdout);
    std::fputs(send_text(report).c_str(), stderr);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return std::unexpected(Failure{kExitFailed, std::string("writing the answer: ") + std::strerror(errno)});
  }
  if (report.outcome == TMX_ANSWERED) return kExitDone;
  return report.outcome == TMX_NOT_SENT ? kExitNotSent : kExitMaybeSent;
}

}  // namespace

std::string send_text(const SendReport& report) {
  std::array<char, 64> numbers{};
  if (report.outcome == TMX_ANSWERED) {
    std::snprintf(numbers.data(), numbers.size(), "ANSWERED %zu bytes in %.1f ms\n", report.answer.size(),
                  report.milliseconds);
    return numbers.data();
  }
  std::snprintf(numbers.data(), numbers.size(), " (after %.1f ms)\n", report.milliseconds);
  std::string text = tmx_outcome_name(report.outcome);
  text += std::string(" ") + tmx_reason_name(report.reason) + ": " + tmx_reason_text(report.reason);
  if (report.reason == TMX_REASON_UNPARSABLE) {
    text += "; field " + std::to_string(report.error_field) + ", at byte " + std::to_string(report.error_offset);
  }
  if (!report.last_error.empty()) text += "; the upstream's last error: " + escaped(report.last_error);
  return text + numbers.data();
}

int run_send(const SendOptions& options) {
  const auto sent = send(options);
  if (sent) return *sent;
  std::fprintf(stderr, "tlsmux send: %s\n", sent.error().text.c_str());
  return sent.error().exit_code;
}

}  // namespace tlsmux::client::cli
