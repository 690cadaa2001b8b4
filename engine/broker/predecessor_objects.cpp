#include "engine/broker/predecessor_objects.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/broker/broker_protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/layout.hpp"
#include "shm/segment.hpp"
#include "shm/system/owner.hpp"

namespace tlsmux::engine::broker {
namespace {

// Read and not mapped, as its owner could make the file shorter meanwhile.
bool names_group(int fd, std::string_view group) {
  constexpr auto kBytes = sizeof(shm::GroupHeader);
  std::array<std::byte, kBytes> bytes{};
  if (::pread(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return false;
  std::uint64_t magic = 0;
  shm::Name name{};
  std::memcpy(&magic, bytes.data() + offsetof(shm::GroupHeader, magic), sizeof magic);
  std::memcpy(&name, bytes.data() + offsetof(shm::GroupHeader, group), sizeof name);
  return magic == shm::kGroupMagic && shm::text_of(name) == group;
}

// 0: nobody knows.
std::uint64_t size_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

shm::UniqueFd open_leftover(const std::string& group, uid_t engine_uid) {
  const auto path = "/dev/shm/" + shm::group_object_name(group);
  shm::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) return {};
  const bool is_ours = shm::is_root_or_own(status.st_uid) || status.st_uid == engine_uid;
  const bool is_private = (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  const bool fits = status.st_size > 0 && static_cast<std::uint64_t>(status.st_size) <= kGroupBytesMax;
  if (!S_ISREG(status.st_mode) || !is_ours || !is_private || !fits || !names_group(fd.get(), group)) return {};
  return fd;
}

}  // namespace

int PredecessorObjects::find(const std::string& group) {
  keep_leftover(group);
  return objects_[group].predecessor.get();
}

void PredecessorObjects::keep_leftover(const std::string& group) {
  const auto [at, is_new] = objects_.try_emplace(group);
  if (!is_new) return;
  auto& predecessor = at->second.predecessor;
  predecessor = open_leftover(group, engine_uid_);
  if (predecessor || store_ == nullptr) return;
  predecessor = store_->load(group);
  at->second.is_kept = static_cast<bool>(predecessor);
}

void PredecessorObjects::made(const std::string& group, int descriptor) {
  auto& objects = objects_[group];
  objects.present.reset(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  objects.present_bytes = size_of(descriptor);
}

std::vector<PredecessorObjects::Shortened> PredecessorObjects::shortened() const {
  std::vector<Shortened> found;
  for (const auto& [group, objects] : objects_) {
    if (!objects.present) continue;
    const auto bytes = size_of(objects.present.get());
    if (bytes < objects.present_bytes) {
      found.push_back({.group = group, .bytes = bytes, .bytes_made = objects.present_bytes});
    }
  }
  return found;
}

void PredecessorObjects::engine_serves() {
  has_served_ = true;
  const bool is_first = !std::exchange(has_ever_served_, true);
  for (auto& [group, objects] : objects_) {
    // From now on a file gets older: if this tlsmuxd is not stopped but killed with the machine, labels is all that holds.
    if (is_first && objects.predecessor && store_ != nullptr) {
      store_->keep(group, objects.predecessor.get(), PortTableContents::labels);
    }
    objects.predecessor.reset();
    objects.is_kept = false;
  }
}

void PredecessorObjects::engine_died() {
  for (auto& [group, objects] : objects_) {
    // One that died before it served may have taken over nothing yet.
    if (has_served_ && objects.present) {
      objects.predecessor = std::move(objects.present);
      objects.is_kept = false;
    }
    objects.present.reset();
  }
  has_served_ = false;
}

void PredecessorObjects::forget_others(const std::vector<config::GroupSettings>& groups) {
  std::erase_if(objects_, [&](const auto& each) {
    return std::ranges::find(groups, each.first, &config::GroupSettings::name) == groups.end();
  });
  if (store_ != nullptr) store_->remove_others(groups);
}

void PredecessorObjects::keep_all(const std::vector<config::GroupSettings>& groups) {
  if (store_ == nullptr) return;
  for (const auto& group : groups) {
    keep_leftover(group.name);
    const auto& objects = objects_[group.name];
    if (objects.predecessor && !objects.is_kept) {
      store_->keep(group.name, objects.predecessor.get(), PortTableContents::all);
    }
  }
}

}  // namespace tlsmux::engine::broker
