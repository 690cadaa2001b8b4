// Users, Unix groups, and the rule of membership.
#include <doctest/doctest.h>

#include <vector>

#include "config/identity.hpp"

namespace tlsmux::config {
namespace {

TEST_CASE("config.users and Unix groups resolve by name and by number") {
  CHECK(resolve_user("root") == 0U);
  CHECK(resolve_user("0") == 0U);
  CHECK(resolve_user("4294967294") == 4294967294U);  // known or not
  CHECK(resolve_unix_group("root") == 0U);
  CHECK(resolve_unix_group("12345678") == 12345678U);
  CHECK(!resolve_user("4294967295"));
  CHECK(!resolve_user("no-such-user-here"));
  CHECK(!resolve_user(""));
  CHECK(!resolve_unix_group("-1"));
  CHECK(!resolve_unix_group("no-such-group-here"));
}

TEST_CASE("config.an account must be in the database, by name or number") {
  for (const char* const root : {"root", "0"}) {
    const auto account = resolve_account(root);
    REQUIRE(account.has_value());
    CHECK(account->name == "root");
    CHECK(account->uid == 0);
    CHECK(account->gid == 0);
  }
  const auto nobody = resolve_account("4294967294");
  REQUIRE(!nobody.has_value());
  CHECK(nobody.error() == "this machine has no user with uid \"4294967294\"; give one that exists, or add it");
}

TEST_CASE("config.a member is who has a listed uid or any listed gid") {
  const Membership membership{.users = {1000, 1001}, .groups = {500}};
  const auto is_member = [&membership](uid_t uid, const std::vector<gid_t>& gids) {
    return membership.is_member(uid, gids);
  };
  CHECK(is_member(1000, {}));
  CHECK(is_member(1001, {7}));
  CHECK(is_member(7, {500}));
  CHECK(is_member(7, {1, 2, 500}));
  CHECK(!is_member(7, {1, 2}));
  CHECK(!is_member(500, {1000}));  // a uid is no gid
  CHECK(!is_member(0, {0}));       // root is no exception
  CHECK(!Membership{}.is_member(0, {}));
}

TEST_CASE("config.a group's membership resolves whole or tells all that does not") {
  const GroupSettings good{.name = "G", .users = {"root", "1000"}, .unix_groups = {"root"}, .memory = {}};
  const auto membership = resolve_membership(good, "/groups/0");
  REQUIRE(membership.has_value());
  CHECK(membership->users == std::vector<uid_t>{0, 1000});
  CHECK(membership->groups == std::vector<gid_t>{0});
  const GroupSettings bad{.name = "G", .users = {"no-such-a", "root"}, .unix_groups = {"no-such-b"}, .memory = {}};
  const auto failed = resolve_membership(bad, "/groups/4");
  REQUIRE(!failed.has_value());
  REQUIRE(failed.error().size() == 2);
  CHECK(failed.error()[0].pointer == "/groups/4/users/0");
  CHECK(failed.error()[1].pointer == "/groups/4/unix_groups/0");
}

}  // namespace
}  // namespace tlsmux::config
