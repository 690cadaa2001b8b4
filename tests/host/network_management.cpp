#include "tests/host/network_management.hpp"

namespace tlsmux::host {
namespace {

constexpr std::string_view kSignOn = "001";
constexpr std::string_view kSignOff = "002";
constexpr std::string_view kEchoTest = "301";
constexpr std::string_view kAccepted = "00";

}  // namespace

NetworkManagement::Verdict NetworkManagement::take(const Message& request, std::uint64_t now_ns) {
  const auto code = is_network_management(request.type) ? request.field(70) : std::string_view{};
  if (code == kSignOn) return sign_on();
  if (behaviour_.sign_on.rule != SignOnRule::none && !signed_on()) return without_sign_on();
  if (code == kEchoTest) return echo_test(now_ns);
  if (code == kSignOff) {
    ++shared_.totals.sign_offs;
    ++sign_offs_;
    signed_on() = false;
  }
  return {.response_code = std::string(kAccepted)};
}

bool& NetworkManagement::signed_on() {
  return behaviour_.sign_on.rule == SignOnRule::host ? shared_.signed_on : signed_on_here_;
}

NetworkManagement::Verdict NetworkManagement::sign_on() {
  const auto& rules = behaviour_.sign_on;
  auto& totals = shared_.totals;
  ++totals.sign_ons;
  ++sign_ons_;
  const bool accepts =
      rules.response_code == kAccepted || (rules.refusals_max > 0 && totals.sign_ons_refused >= rules.refusals_max);
  if (accepts) {
    signed_on() = true;
    return {.response_code = std::string(kAccepted)};
  }
  ++totals.sign_ons_refused;
  if (rules.response_code.empty()) return {};
  return {.response_code = rules.response_code};
}

NetworkManagement::Verdict NetworkManagement::echo_test(std::uint64_t now_ns) {
  ++shared_.totals.echo_tests;
  const std::uint64_t interval_ns = behaviour_.echo_interval_min_ms * 1'000'000;
  const bool too_soon = echoed_ns_ && now_ns - *echoed_ns_ < interval_ns;
  echoed_ns_ = now_ns;
  if (!too_soon) return {.response_code = std::string(kAccepted)};
  ++shared_.totals.echo_tests_too_soon;
  return {.close = true};
}

NetworkManagement::Verdict NetworkManagement::without_sign_on() {
  ++shared_.totals.without_sign_on;
  return {.close = behaviour_.sign_on.on_missing == OnMissingSignOn::close};
}

}  // namespace tlsmux::host
