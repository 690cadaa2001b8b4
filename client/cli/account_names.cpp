#include "client/cli/account_names.hpp"

#include <grp.h>
#include <pwd.h>

#include <vector>

namespace tlsmux::client::cli {
namespace {

constexpr std::size_t kEntryBytes = 65'536;

}  // namespace

std::string user_name(std::uint32_t uid) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->pw_name;
}

std::string unix_group_name(std::uint32_t gid) {
  std::vector<char> buffer(kEntryBytes);
  group entry{};
  group* found = nullptr;
  if (::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->gr_name;
}

}  // namespace tlsmux::client::cli
