#include "config/identity.hpp"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <optional>
#include <system_error>
#include <utility>

#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::size_t kEntryBytesMax = 16U << 20;  // a Unix group's entry lists all its members

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The highest number is not an id: system calls take it for "no change".
std::optional<std::uint32_t> read_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id == 0xffff'ffff) return std::nullopt;
  return id;
}

std::string no_such(std::string_view what, std::string_view text) {
  return "this machine has no " + std::string(what) + " " + in_quotes(text) + "; give one that exists, or add it";
}

// Calls one of the reentrant look-up functions of <pwd.h> and <grp.h> with a buffer that grows until its
// answer fits, and hands the entry, which points into the buffer, to `convert`. `what` is for the error.
template <class Entry, class Lookup, class Convert>
auto look_up(std::string_view what, std::string_view text, const Lookup& lookup, const Convert& convert)
    -> std::expected<decltype(convert(std::declval<const Entry&>())), std::string> {
  for (std::size_t bytes = 4096; bytes <= kEntryBytesMax; bytes *= 4) {
    std::vector<char> buffer(bytes);
    Entry entry{};
    Entry* found = nullptr;
    int error = 0;
    do {
      error = lookup(&entry, buffer.data(), buffer.size(), &found);
    } while (error == EINTR);
    if (error == ERANGE) continue;
    if (found != nullptr) return convert(entry);
    // What "not found" looks like differs from one database to the next; see getpwnam_r(3).
    if (error == 0 || error == ENOENT || error == ESRCH) return std::unexpected(no_such(what, text));
    return std::unexpected("the " + std::string(what) + " " + in_quotes(text) +
                           " cannot be looked up: " + std::generic_category().message(error));
  }
  return std::unexpected("the entry of the " + std::string(what) + " " + in_quotes(text) + " is too large");
}

Account account_of(const passwd& entry) { return {.name = entry.pw_name, .uid = entry.pw_uid, .gid = entry.pw_gid}; }

// Digits to a uid or gid.
std::expected<std::uint32_t, std::string> number_to_id(std::string_view what, std::string_view digits) {
  if (const auto id = read_id(digits)) return *id;
  return std::unexpected("must be a " + std::string(what) + " between 0 and 4294967294, is " + in_quotes(digits));
}

}  // namespace

std::expected<Account, std::string> resolve_account(std::string_view name_or_uid) {
  if (!is_number(name_or_uid)) {
    const std::string name(name_or_uid);
    return look_up<passwd>(
        "user", name,
        [&name](passwd* entry, char* buffer, std::size_t bytes, passwd** found) {
          return getpwnam_r(name.c_str(), entry, buffer, bytes, found);
        },
        account_of);
  }
  const auto uid = number_to_id("uid", name_or_uid);
  if (!uid) return std::unexpected(uid.error());
  return look_up<passwd>(
      "user with uid", name_or_uid,
      [uid](passwd* entry, char* buffer, std::size_t bytes, passwd** found) {
        return getpwuid_r(*uid, entry, buffer, bytes, found);
      },
      account_of);
}

std::expected<uid_t, std::string> resolve_user(std::string_view name_or_uid) {
  if (is_number(name_or_uid)) return number_to_id("uid", name_or_uid);
  const auto account = resolve_account(name_or_uid);
  if (!account) return std::unexpected(account.error());
  return account->uid;
}

std::expected<gid_t, std::string> resolve_unix_group(std::string_view name_or_gid) {
  if (is_number(name_or_gid)) return number_to_id("gid", name_or_gid);
  const std::string name(name_or_gid);
  return look_up<group>(
      "Unix group", name,
      [&name](group* entry, char* buffer, std::size_t bytes, group** found) {
        return getgrnam_r(name.c_str(), entry, buffer, bytes, found);
      },
      [](const group& entry) { return entry.gr_gid; });
}

bool Membership::is_member(uid_t uid, std::span<const gid_t> gids) const {
  return std::ranges::find(users, uid) != users.end() || std::ranges::find_first_of(gids, groups) != gids.end();
}

std::expected<Membership, ConfigErrors> resolve_membership(const GroupSettings& group, std::string_view pointer) {
  Membership membership;
  ConfigErrors errors;
  const auto resolve_all = [&](std::string_view key, const std::vector<std::string>& texts, auto& ids,
                               const auto& resolve) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (auto id = resolve(texts[i])) {
        ids.push_back(*id);
      } else {
        errors.push_back({.pointer = pointer_to(pointer_to(pointer, key), i), .message = std::move(id.error())});
      }
    }
  };
  resolve_all("users", group.users, membership.users, resolve_user);
  resolve_all("unix_groups", group.unix_groups, membership.groups, resolve_unix_group);
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return membership;
}

}  // namespace tlsmux::config
