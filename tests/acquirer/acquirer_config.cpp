#include "tests/acquirer/acquirer_config.hpp"

#include "tests/system/engine_config.hpp"

namespace tlsmux::test {

config::Config acquirer_config(const TemporaryFolder& folder, const std::vector<std::uint16_t>& ports) {
  auto config = engine_config(folder, ports);
  config.groups[0].memory.wipe_slots = true;  // notices and orphans: nothing is wiped that anybody still needs
  auto& upstream = config.upstreams[0];
  upstream.correlation.kind = config::CorrelationKind::iso8583;
  upstream.correlation.iso8583.spec = "1987_ascii";
  upstream.correlation.iso8583.key_fields = {41, 11};
  upstream.correlation.iso8583.key_rules = {{.mti = "080", .processing_code = {}, .fields = {11}}};
  return config;
}

config::MessageSettings network_message(const std::string& code) {
  return {.mti = "0800",
          .fields = {{7, "{date_time}"}, {11, "{trace_number}"}, {70, code}},
          .expect = {{39, "00"}, {70, code}}};
}

void set_sign_on(config::UpstreamSettings& upstream, config::SignOnScope scope) {
  upstream.sign_on = {.scope = scope, .messages = {network_message("001")}};
  upstream.sign_off = {.messages = {network_message("002")}};
}

void set_echo_test(config::UpstreamSettings& upstream, std::uint32_t idle_ms, std::uint32_t interval_min_ms) {
  upstream.heartbeat.idle_ms = idle_ms;
  upstream.heartbeat.interval_min_ms = interval_min_ms;
  upstream.heartbeat.message = network_message("301");
}

}  // namespace tlsmux::test
