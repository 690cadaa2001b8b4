// Any bytes as a configuration, and as a bundle: settings that pass every check, or errors that are printable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/check/config_check.hpp"
#include "config/config_bundle.hpp"
#include "config/config_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  auto partial = tlsmux::config::parse_partially(text);
  const auto errors = partial ? std::move(partial->errors) : std::move(partial.error());
  for (const auto& error : errors) {
    for (const char character : error.pointer + error.message) {
      if (static_cast<unsigned char>(character) < 0x20) std::abort();
    }
  }
  if (partial) (void)tlsmux::config::check(partial->config, errors);
  if (const auto bundle = tlsmux::config::parse_bundle(text)) (void)tlsmux::config::load_bundle(*bundle);
  return 0;
}
