#include "config/config_bundle.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "config/changers.hpp"
#include "config/check/config_check.hpp"
#include "config/iso8583/iso8583_spec_json.hpp"
#include "config/limits.hpp"
#include "config/text_file.hpp"

namespace tlsmux::config {
namespace {

constexpr std::string_view kMagic = "TMXCONF1";
constexpr std::size_t kLengthBytes = 4;
constexpr std::string_view kConfigFile = "configuration file";

std::expected<std::string, std::string> read_spec(const std::string& path) {
  return read_trusted_text_file(path, kIso8583SpecFileBytesMax, "field specification", kDecideFields);
}

void append(std::string& bytes, std::uint32_t number) {
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
}

void append(std::string& bytes, std::string_view text) {
  append(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
}

// Takes numbers and texts off the front of a run of bytes, and turns bad for good when it is too short.
class BundleReader {
 public:
  explicit BundleReader(std::string_view bytes) : rest_(bytes) {}

  std::uint32_t number() {
    std::uint32_t value = 0;
    const std::string_view bytes = take(kLengthBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return value;
  }
  std::string text() { return std::string(take(number())); }

  std::string_view take(std::size_t count) {
    good_ = good_ && count <= rest_.size();
    if (!good_) return {};
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

// A file has one fate: a path, and either a text or an error.
bool is_sound(const BundledFile& file) {
  return file.path.starts_with('/') && file.path.size() <= kPathBytesMax &&
         file.text.size() <= kIso8583SpecFileBytesMax && (file.error.empty() || file.text.empty());
}

}  // namespace

std::expected<ConfigBundle, ConfigErrors> make_bundle(std::string text, const ReadFile& read_file) {
  ConfigBundle bundle{.text = std::move(text), .files = {}};
  const auto partial = parse_partially(bundle.text);
  if (!partial) return bundle;
  for (const std::string& path : spec_paths(partial->config)) {
    auto file = read_file(path);
    bundle.files.push_back({.path = path,
                            .text = file ? std::move(*file) : std::string{},
                            .error = file ? std::string{} : std::move(file.error())});
  }
  if (serialise(bundle).size() > kConfigBundleBytesMax) {
    return std::unexpected(
        ConfigErrors{{.pointer = "",
                      .message = "is larger, with the specifications that it names, than " +
                                 std::to_string(kConfigBundleBytesMax) + " bytes; let upstreams share some"}});
  }
  return bundle;
}

namespace {

std::expected<ConfigBundle, ConfigErrors> bundle_of(std::expected<std::string, std::string> text) {
  if (!text) return std::unexpected(ConfigErrors{{.pointer = "", .message = std::move(text.error())}});
  return make_bundle(std::move(*text), read_spec);
}

}  // namespace

std::expected<ConfigBundle, ConfigErrors> read_bundle(const std::string& path) {
  return bundle_of(read_text_file(path, kConfigFileBytesMax, kConfigFile));
}

std::expected<ConfigBundle, ConfigErrors> read_trusted_bundle(const std::string& path) {
  return bundle_of(read_trusted_text_file(path, kConfigFileBytesMax, kConfigFile, kDecideAll));
}

std::expected<PartialConfig, ConfigErrors> examine_bundle(const ConfigBundle& bundle) {
  auto partial = parse_partially(bundle.text);
  if (!partial) return partial;
  const auto add = [&partial](ConfigErrors errors) {
    std::ranges::move(std::move(errors), std::back_inserter(partial->errors));
  };
  add(load_iso8583_specs(partial->config,
                         [&bundle](const std::string& path) -> std::expected<std::string, std::string> {
                           const auto file = std::ranges::find(bundle.files, path, &BundledFile::path);
                           if (file == bundle.files.end())
                             return std::unexpected(std::string("is not part of what was read; read it again"));
                           if (!file->error.empty()) return std::unexpected(file->error);
                           return file->text;
                         }));
  add(check(partial->config, partial->errors));
  return partial;
}

std::expected<Config, ConfigErrors> load_bundle(const ConfigBundle& bundle) {
  auto partial = examine_bundle(bundle);
  if (!partial) return std::unexpected(std::move(partial.error()));
  if (!partial->errors.empty()) return std::unexpected(std::move(partial->errors));
  return std::move(partial->config);
}

std::string serialise(const ConfigBundle& bundle) {
  std::string bytes(kMagic);
  append(bytes, bundle.text);
  append(bytes, static_cast<std::uint32_t>(bundle.files.size()));
  for (const BundledFile& file : bundle.files) {
    append(bytes, file.path);
    append(bytes, file.text);
    append(bytes, file.error);
  }
  return bytes;
}

std::expected<ConfigBundle, std::string> parse_bundle(std::string_view bytes) {
  if (bytes.size() > kConfigBundleBytesMax) return std::unexpected(std::string("larger than a configuration may be"));
  BundleReader reader(bytes);
  if (reader.take(kMagic.size()) != kMagic) return std::unexpected(std::string("not a configuration of this version"));
  ConfigBundle bundle{.text = reader.text(), .files = {}};
  const std::uint32_t count = reader.number();
  if (count > kUpstreamsMax) return std::unexpected(std::string("more files than there can be upstreams"));
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    BundledFile file{.path = reader.text(), .text = reader.text(), .error = reader.text()};
    const bool known = std::ranges::find(bundle.files, file.path, &BundledFile::path) != bundle.files.end();
    if (reader.good() && (known || !is_sound(file))) {
      return std::unexpected("file " + std::to_string(i) + " stands there twice or breaks a limit");
    }
    bundle.files.push_back(std::move(file));
  }
  if (!reader.good()) return std::unexpected(std::string("ends too early"));
  if (bundle.text.size() > kConfigFileBytesMax) return std::unexpected(std::string("its text is too long"));
  if (!reader.at_end()) return std::unexpected(std::string("longer than its parts"));
  return bundle;
}

}  // namespace tlsmux::config
