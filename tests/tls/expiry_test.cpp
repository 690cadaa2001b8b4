#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/tls/expiry.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::expiry_warning;
using engine::tls::find_expiring;
using engine::tls::TlsMaterial;

constexpr long kDayS = 24 * 60 * 60;

TlsMaterial with_certificate(std::string pem) {
  TlsMaterial material;
  material.certificate_pem = {.name = "client.pem", .pem = std::move(pem)};
  return material;
}

TlsMaterial with_lists(std::string pem) {
  TlsMaterial material;
  material.crl_pem = {.name = "crl.pem", .pem = std::move(pem)};
  return material;
}

// In so many days and a half: off each border, as the clock goes on meanwhile.
std::string warning_in(const TlsMaterial& material, long days) {
  std::string all;
  for (const auto& expiring : find_expiring(material)) {
    all += expiry_warning(expiring, std::time(nullptr) + days * kDayS + kDayS / 2);
  }
  return all;
}

}  // namespace

TEST_CASE("tls.expiry of a certificate of ours is warned of before and after its time") {
  const auto material =
      with_certificate(authority().issue({.starts_s = -kDayS, .ends_s = 200 * kDayS}).certificate_pem());
  CHECK(warning_in(material, 0).empty());
  CHECK(warning_in(material, 169).empty());
  for (const auto& [days, words] :
       {std::pair(171, "less than 29 days away"), {198, "less than 2 days away"}, {199, "less than 1 day away"}}) {
    const auto warning = warning_in(material, days);
    CHECK_MESSAGE(warning.starts_with("\"client.pem\" expires on 20"), warning);
    CHECK_MESSAGE(warning.contains(words), warning);
    CHECK_MESSAGE(warning.ends_with(": have it renewed"), warning);
  }
  CHECK(warning_in(material, 201).starts_with("\"client.pem\" expired on 20"));
  CHECK(warning_in(material, -2).starts_with("\"client.pem\" is not valid before 20"));
}

TEST_CASE("tls.expiry of a certificate that is renewed often is warned of in the last quarter of its time") {
  const auto material =
      with_certificate(authority().issue({.starts_s = -2 * kDayS, .ends_s = 6 * kDayS}).certificate_pem());
  CHECK(warning_in(material, 3).empty());
  CHECK(warning_in(material, 4).contains("less than 2 days away"));
}

TEST_CASE("tls.expiry counts for each certificate of our chain") {
  const auto ours = authority().issue({.starts_s = -kDayS, .ends_s = 200 * kDayS});
  const auto above = authority().issue({.common_name = "issuing", .starts_s = -kDayS, .ends_s = 100 * kDayS});
  const auto material = with_certificate(ours.certificate_pem() + above.certificate_pem());
  const auto found = find_expiring(material);
  REQUIRE(found.size() == 2);
  CHECK(found[0].setting() == "certificate_file");
  CHECK(found[1].name == "\"CN=issuing\" in \"client.pem\"");
  CHECK(warning_in(material, 101).starts_with("\"CN=issuing\" in \"client.pem\" expired on 20"));
}

TEST_CASE("tls.expiry of a revocation list is warned of, since no host is trusted by one that has expired") {
  const auto material = with_lists(authority().revocation_list_pem({.starts_s = -kDayS, .ends_s = 30 * kDayS}));
  CHECK(warning_in(material, 27).empty());
  const auto soon = warning_in(material, 28);
  CHECK_MESSAGE(soon.starts_with("the list of CA \"CN=tlsmux test authority\" in \"crl.pem\" expires on 20"), soon);
  CHECK_MESSAGE(soon.ends_with("less than 2 days away: fetch a newer one and run tlsmux refresh"), soon);
  const auto late = warning_in(material, 31);
  CHECK_MESSAGE(late.ends_with(": no host with a certificate of that CA is trusted in a new session"), late);
  CHECK(find_expiring(material)[0].setting() == "crl_file");
}

TEST_CASE("tls.expiry of a daily revocation list is warned of in its last hours only") {
  const auto material = with_lists(authority().revocation_list_pem({.starts_s = -60, .ends_s = kDayS}));
  CHECK(warning_in(material, 0).empty());
  CHECK(warning_in(material, 1).contains("expired on 20"));
}

TEST_CASE("tls.expiry is of each list in the file, and of nothing that cannot be read") {
  const Authority other("another authority");
  CHECK(find_expiring(with_lists(authority().revocation_list_pem() + other.revocation_list_pem())).size() == 2);
  CHECK(find_expiring(with_lists("hello")).empty());
  CHECK(find_expiring(with_certificate("hello")).empty());
  CHECK(find_expiring({}).empty());
}

}  // namespace tlsmux::test
