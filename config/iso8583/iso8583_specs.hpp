#pragma once

// Brings the field specifications that upstreams name into their settings.

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// The text of the file at a path; else why not, in words that can follow the path, such as "cannot be read: ...".
using ReadFile = std::function<std::expected<std::string, std::string>(const std::string& path)>;

// The paths among the upstreams' `correlation.iso8583.spec`, each once.
std::vector<std::string> spec_paths(const Config& config);

// Sets Iso8583Settings::fields wherever `spec` names a specification; upstreams with the same one share it. What cannot
// be found, read or understood is an error at the setting's pointer.
ConfigErrors load_iso8583_specs(Config& config, const ReadFile& read_file);

}  // namespace tlsmux::config
