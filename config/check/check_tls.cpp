#include "config/check/check_tls.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/tls_names.hpp"
#include "config/wording.hpp"
#include "config/words.hpp"

namespace tlsmux::config {
namespace {

void check_trust(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  const std::string verify_peer = pointer_to(pointer, "verify_peer");
  if (tls.verify_peer && tls.ca_file.empty() && tls.ca_directory.empty()) {
    findings.add(pointer_to(pointer, "ca_file"),
                 "is missing: to verify the host, give ca_file or ca_directory (on Debian, the public CAs are "
                 "\"/etc/ssl/certs/ca-certificates.crt\"); or set verify_peer to false and trust anyone",
                 {pointer_to(pointer, "ca_directory"), verify_peer});
  }
  if (!tls.verify_peer && !tls.crl_file.empty()) {
    findings.add(pointer_to(pointer, "crl_file"),
                 "means nothing where verify_peer is false, since nothing is known of who issued a certificate then; "
                 "remove it, or verify the host",
                 {verify_peer});
  }
}

void check_own_certificate(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  const std::string certificate_file = pointer_to(pointer, "certificate_file");
  const std::string key_file = pointer_to(pointer, "key_file");
  if (!tls.certificate_file.empty() && tls.key_file.empty()) {
    findings.add(key_file, "is missing: certificate_file needs its private key", {certificate_file});
  }
  if (!tls.key_file.empty() && tls.certificate_file.empty()) {
    findings.add(certificate_file, "is missing: key_file needs its certificate", {key_file});
  }
  if (!tls.passphrase_file.empty() && tls.key_file.empty() && tls.certificate_file.empty()) {
    findings.add(pointer_to(pointer, "passphrase_file"), "there is no key_file that it could be for; remove it",
                 {key_file, certificate_file});
  }
}

// Calls `problem_of` with each text that is not there already.
template <typename ProblemOf>
void check_each(const std::vector<std::string>& texts, const std::string& pointer, Findings& findings,
                const ProblemOf& problem_of) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string entry = pointer_to(pointer, i);
    if (std::ranges::count(std::span(texts).first(i), texts[i]) > 0) {
      findings.add(entry, in_quotes(texts[i]) + " stands in this list already; remove it");
    } else {
      findings.add_problem(entry, problem_of(texts[i]));
    }
  }
}

Problem name_problem(const std::string& name, std::string_view kind, std::span<const std::string_view> supported) {
  if (std::ranges::find(supported, name) != supported.end()) return std::nullopt;
  const auto near = nearest(name, supported);
  const std::string question = near ? "did you mean " + in_quotes(*near) + "? " : "";
  return in_quotes(name) + " is no " + std::string(kind) + " that is supported; " + question + "give " +
         one_of(supported);
}

// A version that is allowed but has no suite would fail with every host that chooses it.
void check_suites_of_versions(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  if (tls.suites.empty() || tls.version_min > tls.version_max) return;
  std::vector<TlsVersion> versions;
  for (const std::string& suite : tls.suites) {
    const auto version = version_of_suite(suite);
    if (!version) return;  // reported there, and may be the one meant
    versions.push_back(*version);
  }
  const std::string suites = pointer_to(pointer, "suites");
  const std::string version_min = pointer_to(pointer, "version_min");
  const std::string version_max = pointer_to(pointer, "version_max");
  for (const TlsVersion version : {TlsVersion::tls_1_2, TlsVersion::tls_1_3}) {
    if (version < tls.version_min || version > tls.version_max) continue;
    if (std::ranges::find(versions, version) != versions.end()) continue;
    const auto* example = std::ranges::find(kSuiteNames, version, &SuiteName::version);
    const std::string word(word_of(version));
    const std::string other_way = tls.version_min == tls.version_max ? "allow the version of those that are listed"
                                  : version == TlsVersion::tls_1_2   ? "set version_min to \"1.3\""
                                                                     : "set version_max to \"1.2\"";
    findings.add(suites,
                 "holds no suite for TLS " + word + ", which version_min and version_max allow; add one, such as " +
                     in_quotes(example->name) + ", or " + other_way,
                 {version_min, version_max});
  }
}

void check_versions(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  if (tls.version_min <= tls.version_max) return;
  findings.add(pointer_to(pointer, "version_min"),
               "is " + in_quotes(word_of(tls.version_min)) + ", higher than version_max, which is " +
                   in_quotes(word_of(tls.version_max)),
               {pointer_to(pointer, "version_max")});
}

}  // namespace

void check_tls(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  check_trust(tls, pointer, findings);
  check_own_certificate(tls, pointer, findings);
  const auto no_more = [](const std::string&) { return Problem(); };
  check_each(tls.pins, pointer_to(pointer, "pins"), findings, no_more);
  check_each(tls.alpn, pointer_to(pointer, "alpn"), findings, no_more);
  check_each(tls.suites, pointer_to(pointer, "suites"), findings,
             [names = suite_names()](const std::string& name) { return name_problem(name, "suite", names); });
  check_each(tls.groups, pointer_to(pointer, "groups"), findings,
             [](const std::string& name) { return name_problem(name, "key exchange group", kGroupNames); });
  check_versions(tls, pointer, findings);
  check_suites_of_versions(tls, pointer, findings);
}

}  // namespace tlsmux::config
