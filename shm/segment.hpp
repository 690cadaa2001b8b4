#pragma once

// Creates and maps the two parts of the segment. The only file that uses Boost.Interprocess.
//
// A group's part is a POSIX shared-memory object that the engine alone writes. A client's part is a memfd whose size
// is sealed at once and which is closed to new writable mappings as soon as the client has mapped it, so that nothing
// a client does can shrink or punch memory that the engine touches.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {

enum class Access : std::uint8_t { read_only, read_write };

// One mapped range, left out of core dumps; unmapped with the object. Moving it does not move the memory.
class Mapping {
 public:
  Mapping();
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  // Maps the first `bytes` of `fd`, which may be closed afterwards. With `at`, exactly there, replacing what was there.
  static std::expected<Mapping, SystemError> map(int fd, std::uint64_t bytes, Access access, void* at = nullptr);

  [[nodiscard]] std::span<std::byte> bytes() const;

  // Of writable memory that is not large: enters all of its pages into the page table now, so that their first use need not.
  // Where the kernel cannot (before Linux 5.14), that is when they come.
  void enter_pages() const;

 private:
  struct Region;
  std::unique_ptr<Region> region_;
};

// "/tlsmux.GROUP" without the slash, as the functions below and /dev/shm name it.
std::string group_object_name(std::string_view group);

// Makes a new object of this size, readable and writable by its owner and readable by its Unix group (mode 0640),
// with every page allocated. An object of that name is replaced: whoever has it mapped keeps the old one. So is what else is there, where
// this process may remove that (shm/system/shared_names.hpp).
std::expected<UniqueFd, SystemError> create_group_object(std::string_view group, std::uint64_t bytes);
std::expected<UniqueFd, SystemError> open_group_object(std::string_view group);  // for reading
void remove_group_object(std::string_view group);                                // no error if there is none

// A memfd of this size, with every page allocated and SHRINK and GROW sealed.
std::expected<UniqueFd, SystemError> create_client_memory(std::uint64_t bytes);
// Once the client has mapped it: no new writable mapping, no hole, no further seal. Verifies what it did.
std::expected<void, SystemError> seal_client_memory(int fd);
// The size of what was received; an error if the seals are not those of create_client_memory.
std::expected<std::uint64_t, SystemError> check_client_memory(int fd);

// What a client maps: the group's part read-only and, right behind it, its own part. Neither is inherited by fork.
class AttachedSegment {
 public:
  static std::expected<AttachedSegment, SystemError> map(int group_fd, std::uint64_t group_bytes, int client_fd,
                                                         std::uint64_t client_bytes);

  [[nodiscard]] std::span<const std::byte> group() const { return group_.bytes(); }
  [[nodiscard]] std::span<std::byte> client() const { return client_.bytes(); }

 private:
  Mapping group_;
  Mapping client_;
};

}  // namespace tlsmux::shm
