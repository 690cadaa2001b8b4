#pragma once

// A configuration with the files that are part of it (field specifications), as texts: what one process reads from the
// disk and another one, which may not, turns into settings. Certificates and keys are no part of it.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"
#include "config/config_json.hpp"
#include "config/iso8583/iso8583_specs.hpp"

namespace tlsmux::config {

struct BundledFile {
  std::string path;
  std::string text;
  std::string error;  // why there is no text, as ReadFile words it; empty: there is

  bool operator==(const BundledFile&) const = default;
};

struct ConfigBundle {
  std::string text;  // of the configuration file
  std::vector<BundledFile> files;

  bool operator==(const ConfigBundle&) const = default;
};

// The configuration file at `path` and what it names. Fails only where that file itself cannot be read; errors in it,
// and files that cannot be read, are for load_bundle to report. Blocks on the file system.
std::expected<ConfigBundle, ConfigErrors> read_bundle(const std::string& path);

// The same for who acts by it: it fails, too, where `path` is no regular file, or others than root and the user that calls this may
// change it.
std::expected<ConfigBundle, ConfigErrors> read_trusted_bundle(const std::string& path);

// The same for a text that is there already. Fails where all of it is larger than kConfigBundleBytesMax.
std::expected<ConfigBundle, ConfigErrors> make_bundle(std::string text, const ReadFile& read_file);

// The settings, parsed and checked, with the specifications in their places; or every error. Blocks on nothing.
std::expected<Config, ConfigErrors> load_bundle(const ConfigBundle& bundle);

// The same for those who go on checking in spite of errors. Fails only where the text is not JSON.
std::expected<PartialConfig, ConfigErrors> examine_bundle(const ConfigBundle& bundle);

// One run of bytes: the magic, then, with a length of four bytes (little endian) before each, the configuration's text
// and for each file path, text and error; before the first file stands their number.
std::string serialise(const ConfigBundle& bundle);

// Exactly what serialise() makes; any other bytes are an error in words.
std::expected<ConfigBundle, std::string> parse_bundle(std::string_view bytes);

}  // namespace tlsmux::config
