#include <nlohmann/json.hpp>

#include "client/cli/hex.hpp"
#include "client/cli/send_report.hpp"

namespace tlsmux::client::cli {

std::string send_json(const SendReport& report) {
  nlohmann::ordered_json json{{"outcome", tmx_outcome_name(report.outcome)},
                              {"reason", tmx_reason_name(report.reason)},
                              {"reason_text", tmx_reason_text(report.reason)},
                              {"last_error", report.last_error},
                              {"milliseconds", report.milliseconds}};
  if (report.reason == TMX_REASON_UNPARSABLE) {
    json["error_field"] = report.error_field;
    json["error_offset"] = report.error_offset;
  }
  if (report.outcome == TMX_ANSWERED) json["answer_hex"] = to_hex(report.answer);
  // The engine's words may hold bytes that are no UTF-8.
  return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace tlsmux::client::cli
