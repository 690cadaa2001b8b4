#include "tests/host/own_messages.hpp"

#include <chrono>

#include "shm/assert.hpp"
#include "tests/host/iso8583_request.hpp"

namespace tlsmux::host {
namespace {

constexpr std::uint32_t kTraceNumberMax = 999'999;

struct Words {
  std::string_view type, response_type, code;
};

Words words_of(OwnMessageKind kind) {
  switch (kind) {
    case OwnMessageKind::echo_test: return {"0800", "0810", "301"};
    case OwnMessageKind::key_exchange: return {"0800", "0810", "101"};
    case OwnMessageKind::advice: return {"0820", "0830", "201"};  // cut-over
  }
  return {};
}

}  // namespace

std::string OwnMessages::next() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::uint32_t trace_number = shared_.own_trace_numbers++ % kTraceNumberMax + 1;
  const auto words = words_of(kind_);
  std::string request = build_network_management(words.code, trace_number, now, words.type);
  const auto message = parse(request);
  TMX_ASSERT(message.has_value());
  open_.insert_or_assign(std::string(message->field(11)), std::string(words.response_type) + std::string(words.code));
  ++shared_.totals.unsolicited;
  return request;
}

void OwnMessages::take_response(const Message& response) {
  auto& totals = shared_.totals;
  ++totals.responses;
  const auto asked = open_.find(response.field(11));
  if (asked == open_.end() || asked->second != std::string(response.type) + std::string(response.field(70))) {
    ++totals.responses_unmatched;
    return;
  }
  open_.erase(asked);
  ++(response.field(39) == "00" ? totals.unsolicited_answered : totals.unsolicited_refused);
}

}  // namespace tlsmux::host
