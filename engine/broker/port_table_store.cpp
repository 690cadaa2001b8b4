#include "engine/broker/port_table_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <expected>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "ports/enforcement/enforcement_place.hpp"
#include "shm/fnv_hash.hpp"
#include "shm/system/machine_boot.hpp"
#include "shm/system/private_file.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::SystemError;

// Three lines, then the image.
constexpr std::string_view kTitle = "tlsmux port tables, version 1\n";
constexpr std::string_view kBootWord = "boot ";
constexpr std::string_view kSumWord = "sum ";
constexpr std::string_view kEnding = ".tables";
constexpr std::size_t kHeadingBytesMax = 256;

std::unexpected<SystemError> damaged(std::string_view why) {
  return std::unexpected(SystemError{.code = EBADMSG, .message = std::string(why)});
}

// The rest of the line that begins so.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view word) {
  const auto end = text.find('\n');
  if (!text.starts_with(word) || end == std::string_view::npos) return std::nullopt;
  const auto line = text.substr(word.size(), end - word.size());
  text.remove_prefix(end + 1);
  return line;
}

struct Kept {
  std::string_view boot;
  std::string_view image;
};

std::expected<Kept, SystemError> parse(std::string_view text) {
  if (!text.starts_with(kTitle)) return damaged("it is of another version of tlsmux, or no such file at all");
  text.remove_prefix(kTitle.size());
  const auto boot = take_line(text, kBootWord);
  const auto sum = boot ? take_line(text, kSumWord) : std::nullopt;
  if (!sum || *sum != shm::fnv_text(text)) return damaged("it is damaged");
  return Kept{.boot = *boot, .image = text};
}

std::expected<shm::UniqueFd, SystemError> image_in(std::string_view text, const std::string& group) {
  const auto boot = shm::machine_boot_id();
  if (!boot) return std::unexpected(boot.error());
  const auto kept = parse(text);
  if (!kept) return std::unexpected(kept.error());
  auto whole = shm::make_sealed_text(kept->image);
  if (!whole) return whole;
  // Also of this boot: so that it is known to be one.
  const auto contents = kept->boot == *boot ? PortTableContents::all : PortTableContents::labels;
  const auto image = make_port_table_image(whole->get(), group, contents);
  if (!image) return std::unexpected(image.error());
  if (image->empty()) return shm::UniqueFd();
  return shm::make_sealed_text(*image);
}

std::expected<void, SystemError> write(const std::string& path, const std::string& image) {
  const auto boot = shm::machine_boot_id();
  if (!boot) return std::unexpected(boot.error());
  std::string text(kTitle);
  text.append(kBootWord).append(*boot).append("\n");
  text.append(kSumWord).append(shm::fnv_text(image)).append("\n");
  return shm::replace_file(path, text + image);
}

std::expected<void, SystemError> remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return std::unexpected(shm::last_error("removing " + path));
}

}  // namespace

PortTableStore::PortTableStore(std::string state_folder, const std::string& control_socket, Log& log)
    : folder_(std::move(state_folder)), start_(ports::instance_name(control_socket) + "."), log_(log) {}

std::string PortTableStore::path_of(const std::string& group) const {
  return folder_ + "/" + start_ + group + std::string(kEnding);
}

shm::UniqueFd PortTableStore::load(const std::string& group) const {
  const auto path = path_of(group);
  const auto text = shm::read_private_file(path, kHeadingBytesMax + port_table_image_bytes_max());
  if (text && !*text) return {};
  auto image = text ? image_in(**text, group) : std::unexpected(text.error());
  if (image) return *std::move(image);
  log_.warning("port_tables_ignored", {{"group", group},
                                       {"file", path},
                                       {"why", image.error().message},
                                       {"means", "who holds its ports is known by their sockets only"}});
  return {};
}

void PortTableStore::keep(const std::string& group, int file, PortTableContents contents) const {
  const auto path = path_of(group);
  const auto image = make_port_table_image(file, group, contents);
  const auto done = !image ? std::unexpected(image.error()) : image->empty() ? remove(path) : write(path, *image);
  if (done) return;
  // More than labels would be wrong soon, of an engine that serves. Labels that were kept before are better than nothing.
  if (contents == PortTableContents::labels) {
    [[maybe_unused]] const auto gone = remove(path);
  }
  log_.error("port_tables_not_kept",
             {{"group", group},
              {"file", path},
              {"why", done.error().message},
              {"means", "a tlsmuxd that is started later knows who holds its ports by their sockets only"}});
}

void PortTableStore::remove_others(const std::vector<config::GroupSettings>& groups) const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const auto name = entry.path().filename().string();
    if (!name.starts_with(start_) || !name.ends_with(kEnding) || name.size() < start_.size() + kEnding.size()) continue;
    const auto group = name.substr(start_.size(), name.size() - start_.size() - kEnding.size());
    if (std::ranges::find(groups, group, &config::GroupSettings::name) != groups.end()) continue;
    const auto done = remove(entry.path().string());
    if (!done) {
      log_.warning("port_tables_not_removed", {{"file", entry.path().string()}, {"why", done.error().message}});
    }
  }
}

}  // namespace tlsmux::engine::broker
