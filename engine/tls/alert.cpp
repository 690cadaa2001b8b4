#include "engine/tls/alert.hpp"

#include <algorithm>
#include <array>

namespace tlsmux::engine::tls {
namespace {

struct AlertName {
  std::uint8_t value;
  const char* name;
};

constexpr auto kNames = std::to_array<AlertName>({
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {22, "record_overflow"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
});

}  // namespace

std::string alert_text(Alert alert) {
  const auto value = static_cast<std::uint8_t>(alert);
  const auto* found = std::ranges::find(kNames, value, &AlertName::value);
  return "alert " + (found != kNames.end() ? std::string(found->name) : std::to_string(value));
}

bool is_about_certificate(Alert alert) {
  switch (alert) {
    case Alert::bad_certificate:
    case Alert::unsupported_certificate:
    case Alert::certificate_revoked:
    case Alert::certificate_expired:
    case Alert::certificate_unknown:
    case Alert::unknown_ca:
    case Alert::certificate_required: return true;
    default: return false;
  }
}

}  // namespace tlsmux::engine::tls
