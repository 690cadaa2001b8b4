#include "shm/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

#include "shm/assert.hpp"
#include "shm/geometry.hpp"
#include "shm/system/shared_names.hpp"

namespace tlsmux::shm {
namespace {

namespace bi = boost::interprocess;

// What mapped_region asks of a thing that can be mapped.
struct Mappable {
  int fd;
  [[nodiscard]] bi::mapping_handle_t get_mapping_handle() const { return {.handle = fd, .is_xsi = false}; }
};

SystemError boost_error(const bi::interprocess_exception& failure, std::string_view doing_what) {
  const int code = failure.get_native_error();
  return {.code = code, .message = std::string(doing_what) + ": " + std::strerror(code)};
}

// Every page now, so that a full /dev/shm is an error here and not a SIGBUS later.
std::expected<void, SystemError> allocate(int fd, std::uint64_t bytes, std::string_view what) {
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0 || ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0) {
    return std::unexpected(last_error("allocating " + std::to_string(bytes) + " bytes for " + std::string(what)));
  }
  return {};
}

SystemError with_advice(SystemError error) {
  if (error.code == ENOSPC) {
    error.message +=
        "; make /dev/shm larger: size= in its mount options, --shm-size of Docker and Podman (which give 64 MB), an "
        "emptyDir of medium Memory in Kubernetes";
  }
  return error;
}

// Removes what is left there.
struct RemovedName {
  const std::string& name;
  ~RemovedName() { remove_shared_name(name); }
};

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

constexpr std::uint64_t kEnteredBytesMax = 64 << 10;  // a microsecond for each page: more would keep others waiting

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kAllSeals = kSizeSeals | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

}  // namespace

struct Mapping::Region {
  bi::mapped_region region;
};

Mapping::Mapping() = default;
Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

std::expected<Mapping, SystemError> Mapping::map(int fd, std::uint64_t bytes, Access access, void* at) {
  const auto mode = access == Access::read_only ? bi::read_only : bi::read_write;
  const bi::map_options_t options = at != nullptr ? MAP_FIXED : bi::default_map_options;
  try {
    Mapping mapping;
    mapping.region_ = std::make_unique<Region>(bi::mapped_region(Mappable{fd}, mode, 0, bytes, at, options));
    // Messages lie there. Where it fails, the core dump is larger.
    static_cast<void>(::madvise(mapping.region_->region.get_address(), bytes, MADV_DONTDUMP));
    return mapping;
  } catch (const bi::interprocess_exception& failure) {
    return std::unexpected(boost_error(failure, "mapping " + std::to_string(bytes) + " bytes of shared memory"));
  }
}

std::span<std::byte> Mapping::bytes() const {
  if (region_ == nullptr) return {};
  return {static_cast<std::byte*>(region_->region.get_address()), region_->region.get_size()};
}

void Mapping::enter_pages() const {
  const auto memory = bytes();
  if (memory.size() <= kEnteredBytesMax) ::madvise(memory.data(), memory.size(), MADV_POPULATE_WRITE);
}

std::string group_object_name(std::string_view group) { return "tlsmux." + std::string(group); }

std::expected<UniqueFd, SystemError> create_group_object(std::string_view group, std::uint64_t bytes) {
  const auto name = group_object_name(group);
  const auto path = path_of_shared(name);
  const auto aside = unforeseen_name();
  const RemovedName cleanup{aside};
  try {
    bi::shared_memory_object::remove(name.c_str());  // its memory may be needed
    const bi::shared_memory_object object(bi::create_only, aside.c_str(), bi::read_write, bi::permissions(0640));
    UniqueFd fd(::fcntl(object.get_mapping_handle().handle, F_DUPFD_CLOEXEC, 0));
    if (!fd) return std::unexpected(last_error("duplicating the descriptor of " + path));
    // The umask may have taken bits away.
    if (::fchmod(fd.get(), 0640) != 0) return std::unexpected(last_error("setting the mode of " + path));
    if (auto done = allocate(fd.get(), bytes, path); !done) return std::unexpected(with_advice(done.error()));
    if (auto moved = move_to_shared_name(aside, name); !moved) return std::unexpected(moved.error());
    return fd;
  } catch (const bi::interprocess_exception& failure) {
    return std::unexpected(boost_error(failure, "creating " + path));
  }
}

std::expected<UniqueFd, SystemError> open_group_object(std::string_view group) {
  const auto path = path_of_shared(group_object_name(group));
  // Anybody may have put something of that name there: opening a FIFO waits, unless told not to.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return std::unexpected(last_error("opening " + path));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(last_error("looking at " + path));
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(
        SystemError{.code = EINVAL, .message = path + " is no shared memory: whoever put it there should remove it"});
  }
  return fd;
}

void remove_group_object(std::string_view group) { bi::shared_memory_object::remove(group_object_name(group).c_str()); }

std::expected<UniqueFd, SystemError> create_client_memory(std::uint64_t bytes) {
  UniqueFd fd(::memfd_create("tlsmux-client", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return std::unexpected(last_error("making a memfd"));
  if (auto done = allocate(fd.get(), bytes, "a client"); !done) return std::unexpected(done.error());
  if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) return std::unexpected(last_error("sealing a memfd's size"));
  return fd;
}

std::expected<void, SystemError> seal_client_memory(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    return std::unexpected(last_error("sealing a client's memory"));
  }
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if ((seals & kAllSeals) != kAllSeals) {
    return std::unexpected(SystemError{.code = EPERM, .message = "a client's memory did not take its seals"});
  }
  return {};
}

std::expected<std::uint64_t, SystemError> check_client_memory(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals) {
    return std::unexpected(SystemError{.code = EPERM, .message = "the memory offered by the engine is not sealed"});
  }
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(last_error("asking the size of the client memory"));
  return static_cast<std::uint64_t>(status.st_size);
}

std::expected<AttachedSegment, SystemError> AttachedSegment::map(int group_fd, std::uint64_t group_bytes, int client_fd,
                                                                 std::uint64_t client_bytes) {
  if (group_bytes == 0 || group_bytes % kPageBytes != 0) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the group's part is not a number of pages"});
  }
  const auto bytes = group_bytes + client_bytes;
  void* base = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return std::unexpected(last_error("reserving address space for the segment"));
  auto* const client_base = static_cast<std::byte*>(base) + group_bytes;

  // Each mapping replaces its part of the reservation and from then on owns it.
  auto group = Mapping::map(group_fd, group_bytes, Access::read_only, base);
  if (!group) {
    ::munmap(base, bytes);
    return std::unexpected(group.error());
  }
  auto client = Mapping::map(client_fd, client_bytes, Access::read_write, client_base);
  if (!client) {
    ::munmap(client_base, client_bytes);
    return std::unexpected(client.error());
  }
  if (::madvise(base, bytes, MADV_DONTFORK) != 0) {
    return std::unexpected(last_error("keeping the segment from being inherited by fork"));
  }
  AttachedSegment segment;
  segment.group_ = std::move(*group);
  segment.client_ = std::move(*client);
  return segment;
}

}  // namespace tlsmux::shm
