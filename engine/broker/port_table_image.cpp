#include "engine/broker/port_table_image.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <vector>

#include "config/limits.hpp"
#include "engine/broker/broker_protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/function_ref.hpp"
#include "shm/geometry.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"

namespace tlsmux::engine::broker {
namespace {

// As many as an engine makes: see engine/ports/port_rows.hpp.
constexpr std::uint32_t kRowsMax = 2 * config::kPortsPerGroupMax;

struct alignas(shm::kPageBytes) Page {
  std::array<std::byte, shm::kPageBytes> bytes{};
};
using Pages = std::vector<Page>;

Pages pages_for(std::uint64_t bytes) { return Pages((bytes + shm::kPageBytes - 1) / shm::kPageBytes); }

std::span<std::byte> bytes_of(Pages& pages, std::uint64_t bytes) {
  return std::as_writable_bytes(std::span(pages)).first(bytes);
}

std::unexpected<shm::SystemError> no_group_part(std::string_view why) {
  return std::unexpected(shm::SystemError{.code = EPROTO, .message = std::string(why)});
}

std::expected<std::uint64_t, shm::SystemError> size_of(int file) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return std::unexpected(shm::last_error("looking at a group's tables"));
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes == 0 || bytes > kGroupBytesMax) return no_group_part("no group's part has this size");
  return bytes;
}

std::expected<void, shm::SystemError> read_whole(int file, std::span<std::byte> to) {
  for (std::size_t at = 0; at < to.size();) {
    const auto size = ::pread(file, to.data() + at, to.size() - at, static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(shm::last_error("reading a group's tables"));
    if (size == 0) return no_group_part("a group's part has become shorter");
    at += static_cast<std::size_t>(size);
  }
  return {};
}

// Of a static port the configuration tells the label.
bool tells_label(const shm::PortRow& row) {
  return row.port != 0 && row.label.front() != '\0' && (row.flags & shm::kPortStatic) == 0;
}

// Calls `take` with a row for each port of which there is something to tell, kRowsMax at the most.
void visit_rows(const shm::GroupView& view, PortTableContents contents,
                shm::FunctionRef<void(const shm::PortRow&)> take) {
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < view.ports().size() && taken < kRowsMax; ++i) {
    shm::PortRow row{};
    if (!shm::read_row(view.ports()[i], row) || row.port == 0) continue;
    if (contents == PortTableContents::all) {
      take(row);
    } else if (tells_label(row)) {
      shm::PortRow label{};
      label.port = row.port;
      label.protocol = row.protocol;
      label.service = row.service;
      label.label = row.label;
      take(label);
    } else {
      continue;
    }
    ++taken;
  }
}

}  // namespace

std::size_t port_table_image_bytes_max() { return shm::GroupTables{.ports = kRowsMax}.total_bytes(); }

std::expected<std::string, shm::SystemError> make_port_table_image(int file, std::string_view group,
                                                                   PortTableContents contents) {
  const auto bytes = size_of(file);
  if (!bytes) return std::unexpected(bytes.error());
  auto copy = pages_for(*bytes);
  const auto memory = bytes_of(copy, *bytes);
  if (auto done = read_whole(file, memory); !done) return std::unexpected(done.error());
  const auto view = shm::GroupView::open(memory);
  if (!view) return std::unexpected(view.error());
  if (shm::text_of(view->header().group) != group) return no_group_part("it is another group's part");

  shm::GroupTables tables;
  visit_rows(*view, contents, [&](const shm::PortRow&) { ++tables.ports; });
  if (tables.ports == 0) return std::string();
  auto image = pages_for(tables.total_bytes());
  const auto part = shm::GroupPart::format(bytes_of(image, tables.total_bytes()), tables, {.group = group});
  std::size_t next = 0;
  visit_rows(*view, contents, [&](const shm::PortRow& row) { shm::write_row(part.ports()[next++], row); });
  return std::string(reinterpret_cast<const char*>(image.data()), tables.total_bytes());
}

}  // namespace tlsmux::engine::broker
