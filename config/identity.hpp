#pragma once

// Users and Unix groups by name or number, and who is a member of a group. The one rule, used everywhere: a
// process is a member if its real uid is one of the group's users, or its real or a supplementary gid one of
// its Unix groups. Looking up asks the machine's account database and may block (LDAP and the like): not for
// data loops.

#include <sys/types.h>

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;  // primary
};

// Digits alone are taken as the number itself, whether or not the database knows it. Errors are in words.
std::expected<uid_t, std::string> resolve_user(std::string_view name_or_uid);
std::expected<gid_t, std::string> resolve_unix_group(std::string_view name_or_gid);

// For becoming that user, hence it must be in the database.
std::expected<Account, std::string> resolve_account(std::string_view name_or_uid);

struct Membership {
  std::vector<uid_t> users;
  std::vector<gid_t> groups;

  // `uid` is the process's real uid; `gids` its real gid and its supplementary ones. Root is no exception.
  [[nodiscard]] bool is_member(uid_t uid, std::span<const gid_t> gids) const;
};

// `pointer` is the group's place in the configuration, e.g. /groups/0. All that cannot be resolved is
// reported.
std::expected<Membership, ConfigErrors> resolve_membership(const GroupSettings& group, std::string_view pointer);

}  // namespace tlsmux::config
