#include "config/iso8583/iso8583_specs.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "config/iso8583/iso8583_spec_json.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr auto kBuiltIn = std::to_array<std::string_view>({"1987_ascii", "1987_binary", "1993_ascii"});

bool is_path(std::string_view spec) { return spec.starts_with('/'); }

std::expected<std::string, std::string> text_of(const std::string& spec, const ReadFile& read_file) {
  if (is_path(spec)) {
    auto text = read_file(spec);
    if (!text) return std::unexpected(in_quotes(spec) + " " + text.error());
    return text;
  }
  if (const auto text = built_in_iso8583_spec(spec)) return std::string(*text);
  const auto near = nearest(spec, kBuiltIn);
  const std::string question = near ? "did you mean " + in_quotes(*near) + "? " : "";
  return std::unexpected("no specification is named " + in_quotes(spec) + "; " + question + "Give " + one_of(kBuiltIn) +
                         ", or the absolute path of a file");
}

using LoadedSpec = std::expected<std::shared_ptr<const Iso8583Spec>, std::string>;

LoadedSpec load_spec(const std::string& spec, const ReadFile& read_file) {
  const auto text = text_of(spec, read_file);
  if (!text) return std::unexpected(text.error());
  auto fields = parse_iso8583_spec(*text);
  if (!fields) return std::unexpected(in_quotes(spec) + " is no specification: " + std::move(fields.error()));
  return std::make_shared<const Iso8583Spec>(std::move(*fields));
}

}  // namespace

std::vector<std::string> spec_paths(const Config& config) {
  std::vector<std::string> paths;
  for (const UpstreamSettings& upstream : config.upstreams) {
    const std::string& spec = upstream.correlation.iso8583.spec;
    if (is_path(spec) && std::ranges::find(paths, spec) == paths.end()) paths.push_back(spec);
  }
  return paths;
}

ConfigErrors load_iso8583_specs(Config& config, const ReadFile& read_file) {
  ConfigErrors errors;
  std::map<std::string, LoadedSpec> loaded;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    Iso8583Settings& iso8583 = config.upstreams[i].correlation.iso8583;
    if (iso8583.spec.empty()) continue;
    auto found = loaded.find(iso8583.spec);
    if (found == loaded.end()) found = loaded.emplace(iso8583.spec, load_spec(iso8583.spec, read_file)).first;
    if (found->second) {
      iso8583.fields = *found->second;
    } else {
      const std::string correlation = pointer_to(pointer_to("/upstreams", i), "correlation");
      errors.push_back(
          {.pointer = pointer_to(pointer_to(correlation, "iso8583"), "spec"), .message = found->second.error()});
    }
  }
  return errors;
}

}  // namespace tlsmux::config
