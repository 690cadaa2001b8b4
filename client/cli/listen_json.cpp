#include <nlohmann/json.hpp>

#include "client/cli/hex.hpp"
#include "client/cli/listen_report.hpp"

namespace tlsmux::client::cli {

std::string notice_json(const Completion& notice, bool hex) {
  nlohmann::ordered_json object{{"kind", kind_name(notice.kind())}};
  if (notice.kind() != TMX_UNSOLICITED) object["tag"] = notice.tag();
  if (notice.kind() == TMX_ORPHAN) {
    object["outcome"] = tmx_outcome_name(notice.outcome());
    object["reason"] = tmx_reason_name(notice.reason());
    object["request_bytes"] = notice.request().size();
    if (hex) object["request_hex"] = to_hex(notice.request());
  }
  object["message_bytes"] = notice.answer().size();
  if (hex) object["message_hex"] = to_hex(notice.answer());
  return object.dump() + "\n";
}

}  // namespace tlsmux::client::cli
