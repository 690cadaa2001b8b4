// What the settings refer to on this machine.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/check/check_start.hpp"
#include "config/config_file.hpp"
#include "config/pem_words.hpp"
#include "tests/config/config_text.hpp"
#include "tests/support/pem_text.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::config::test {

using tlsmux::test::kPemText;
using tlsmux::test::TemporaryFolder;

namespace {

// Acts as nobody while it lives, if the test runs as root.
class WithoutRoot {
 public:
  WithoutRoot() : uid_(geteuid()) {
    if (uid_ == 0) REQUIRE(seteuid(65534) == 0);
  }
  ~WithoutRoot() {
    if (uid_ == 0) CHECK(seteuid(uid_) == 0);
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;

 private:
  uid_t uid_;
};

struct Files {
  std::string ca_file{};
  std::string ca_directory{};
  std::string certificate_file{};
  std::string key_file{};
};

Config with_files(const Files& files) {
  Config config = parsed(good_json());
  TlsSettings& tls = config.upstreams[0].tls;
  tls.ca_file = files.ca_file;
  tls.ca_directory = files.ca_directory;
  tls.certificate_file = files.certificate_file;
  tls.key_file = files.key_file;
  return config;
}

TEST_CASE("config.files that exist and are private are good") {
  const TemporaryFolder folder;
  const std::string file = folder.add("file.pem", kPemText);
  Config config =
      with_files({.ca_file = file, .ca_directory = folder.path(), .certificate_file = file, .key_file = file});
  config.engine.log.file = folder.path() + "/log";
  config.engine.state_directory = folder.path();
  config.engine.user = "root";
  CHECK(in_words(check_files(config)).empty());
}

TEST_CASE("config.files that are missing, empty or no files are errors") {
  const TemporaryFolder folder;
  const std::string missing = folder.path() + "/missing.pem";
  const std::string empty = folder.add("empty.pem", "");
  const std::string no_folder = folder.path() + "/none";
  std::filesystem::create_directory(folder.path() + "/bare");
  Config config = with_files({.ca_file = missing,
                              .ca_directory = folder.path() + "/bare",
                              .certificate_file = empty,
                              .key_file = folder.path()});
  config.engine.log.file = no_folder + "/log";
  config.engine.state_directory = no_folder;
  CHECK(in_words(check_files(config)) == "FILE: /engine/state_directory: there is no folder \"" + no_folder +
                                             "\"; make it, or give another one\n"
                                             "FILE: /engine/log/file: the folder \"" +
                                             no_folder +
                                             "\" does not exist; make it, or log elsewhere\n"
                                             "FILE: /upstreams/0/tls/ca_file: \"" +
                                             missing +
                                             "\" cannot be read: No such file or directory\n"
                                             "FILE: /upstreams/0/tls/ca_directory: \"" +
                                             folder.path() +
                                             "/bare\" holds no file; it must hold CA certificates as PEM files\n"
                                             "FILE: /upstreams/0/tls/certificate_file: \"" +
                                             empty +
                                             "\" is empty; it must hold PEM text\n"
                                             "FILE: /upstreams/0/tls/key_file: \"" +
                                             folder.path() +
                                             "\" is no file; give the path of a file that holds PEM text\n");
}

TEST_CASE("config.files that hold something else are errors") {
  const TemporaryFolder folder;
  const std::string key = folder.add("key.pem", "-----BEGIN PRIVATE KEY-----\n");
  const std::string certificate = folder.add("certificate.pem", kPemText);
  Config config = with_files({.ca_file = key, .certificate_file = key, .key_file = key});
  config.upstreams[0].tls.crl_file = certificate;
  CHECK(in_words(check_files(config)) ==
        "FILE: /upstreams/0/tls/ca_file: \"" + key +
            "\" holds no CA certificate in PEM form (BEGIN CERTIFICATE)\n"
            "FILE: /upstreams/0/tls/certificate_file: \"" +
            key +
            "\" holds no certificate in PEM form (BEGIN CERTIFICATE)\n"
            "FILE: /upstreams/0/tls/crl_file: \"" +
            certificate +
            "\" holds no revocation list in PEM form (BEGIN X509 CRL); one in DER form is converted by `openssl crl "
            "-inform DER`\n");
  config = with_files({.ca_file = folder.add("large.pem", std::string(kPemFileBytesMax + 1, ' '))});
  const ConfigErrors errors = check_files(config);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message.ends_with("large.pem\" is larger than 8388608 bytes; is this a PEM file?"));
}

TEST_CASE("config.a private key that others may use is an error") {
  const TemporaryFolder folder;
  const std::string key = folder.add("key.pem", kPemText);
  const Config config = with_files({.certificate_file = key, .key_file = key});
  for (const mode_t mode : {0644U, 0640U, 0604U, 0620U, 0601U}) {
    REQUIRE(chmod(key.c_str(), mode) == 0);
    const ConfigErrors errors = check_files(config);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].pointer == "/upstreams/0/tls/key_file");
    CHECK(errors[0].message.ends_with("type: chmod 600 " + key));
  }
  CHECK(check_files(config)[0].message.contains("has mode 0601,"));
  for (const mode_t mode : {0600U, 0400U}) {
    REQUIRE(chmod(key.c_str(), mode) == 0);
    CHECK(in_words(check_files(config)).empty());
  }
}

TEST_CASE("config.a private key of somebody else is an error") {
  if (geteuid() != 0) {
    tlsmux::test::skip("it gives a file away");
    return;
  }
  const TemporaryFolder folder;
  const std::string key = folder.add("key.pem", kPemText);
  Config config = with_files({.certificate_file = key, .key_file = key});
  CHECK(check_files(config).empty());
  REQUIRE(chown(key.c_str(), 65534, 65534) == 0);
  const ConfigErrors errors = check_files(config);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].pointer == "/upstreams/0/tls/key_file");
  CHECK(errors[0].message == "\"" + key +
                                 "\" belongs to uid 65534, which is neither root nor the engine's user; type: chown "
                                 "root " +
                                 key);
  config.engine.user = "nobody";
  CHECK(check_files(config).empty());
}

TEST_CASE("config.a file or folder that decides what is trusted, and that others may change, is an error") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("authorities"));
  std::filesystem::create_directory(folder.path("state"));
  const std::string ca_file = folder.add("ca.pem", kPemText);
  const std::string entry = folder.add("authorities/a.pem", kPemText);
  Config config = with_files({.ca_file = ca_file, .ca_directory = folder.path("authorities")});
  config.engine.state_directory = folder.path("state");
  config.upstreams[0].tls.crl_file = folder.add("crl.pem", std::string(kPemRevocationLists.mark));
  const std::vector<std::pair<std::string, std::string>> places = {
      {ca_file, "/upstreams/0/tls/ca_file"},
      {folder.path("authorities"), "/upstreams/0/tls/ca_directory"},
      {entry, "/upstreams/0/tls/ca_directory"},
      {config.upstreams[0].tls.crl_file, "/upstreams/0/tls/crl_file"},
      {config.engine.state_directory, "/engine/state_directory"}};
  const auto check_error = [&](const std::string& pointer, const std::string& start, const std::string& advice) {
    const ConfigErrors errors = check_files(config);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].pointer == pointer);
    CHECK_MESSAGE(errors[0].message.starts_with(start), errors[0].message);
    CHECK_MESSAGE(errors[0].message.ends_with(advice), errors[0].message);
  };
  for (const auto& [path, pointer] : places) {
    for (const mode_t mode : {0720U, 0702U, 0777U}) {
      REQUIRE(chmod(path.c_str(), mode) == 0);
      check_error(pointer, "\"" + path + "\" has mode 07", "; type: chmod go-w " + path);
    }
    REQUIRE(chmod(path.c_str(), 0755) == 0);
    CHECK(in_words(check_files(config)).empty());
    if (geteuid() != 0) continue;
    REQUIRE(chown(path.c_str(), 65534, 65534) == 0);
    check_error(pointer,
                "\"" + path + "\" belongs to uid 65534, which is neither root nor who starts tlsmuxd, and may ",
                "; type: chown root " + path);
    REQUIRE(chown(path.c_str(), 0, 0) == 0);
  }
  REQUIRE(chmod(config.engine.state_directory.c_str(), 01777) == 0);  // as /tmp, which nobody should be told to close
  check_error("/engine/state_directory", "\"" + config.engine.state_directory + "\" has mode 0777, so that others may ",
              "; give a folder of its own");
}

TEST_CASE("config.what a link leads to is judged, and not the link") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("authorities"));
  const std::string real = folder.add("real.pem", kPemText);
  std::filesystem::create_symlink(real, folder.path("authorities/0a1b2c3d.0"));
  std::filesystem::create_symlink("nowhere", folder.path("authorities/dangling"));
  const Config config =
      with_files({.ca_file = folder.path("authorities/0a1b2c3d.0"), .ca_directory = folder.path("authorities")});
  CHECK(in_words(check_files(config)).empty());
  REQUIRE(chmod(real.c_str(), 0666) == 0);
  CHECK(check_files(config).size() == 2);
}

TEST_CASE("config.a file that this user may not read is an error") {
  const TemporaryFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  const std::string file = folder.add("ca.pem", kPemText);
  REQUIRE(chmod(file.c_str(), 0) == 0);
  const WithoutRoot without_root;
  const ConfigErrors errors = check_files(with_files({.ca_file = file}));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "\"" + file + "\" cannot be read: Permission denied (for uid " +
                                 std::to_string(geteuid()) + "; check as the user who starts tlsmuxd)");
}

TEST_CASE("config.users and Unix groups that do not exist are errors") {
  const TemporaryFolder folder;
  Config config = with_files({.ca_file = folder.add("ca.pem", kPemText)});
  config.engine.user = "4294967295";
  config.groups[0].users = {"root", "no-such-user-here", "99999999999"};
  config.groups[1].unix_groups = {"no-such-group-here"};
  CHECK(in_words(check_files(config)) ==
        "FILE: /engine/user: must be a uid between 0 and 4294967294, is \"4294967295\"\n"
        "FILE: /groups/0/users/1: this machine has no user \"no-such-user-here\"; give one that exists, or "
        "add it\n"
        "FILE: /groups/0/users/2: must be a uid between 0 and 4294967294, is \"99999999999\"\n"
        "FILE: /groups/1/unix_groups/0: this machine has no Unix group \"no-such-group-here\"; give one that "
        "exists, "
        "or add it\n");
}

}  // namespace

TEST_CASE("config.control socket's folder is made by tlsmuxd, but not the one above") {
  const TemporaryFolder folder;
  Config config;
  config.engine.control_socket = folder.path() + "/a/control.sock";
  CHECK(check_files(config).empty());
  config.engine.control_socket = folder.path() + "/a/b/control.sock";
  CHECK(in_words(check_files(config)) == "FILE: /engine/control_socket: the folder \"" + folder.path() +
                                             "/a/b\" does not exist, nor does the one that it would be in; make it\n");
  config.engine.control_socket = folder.add("file", "x") + "/control.sock";
  CHECK(in_words(check_files(config)) == "FILE: /engine/control_socket: \"" + folder.path() + "/file\" is no folder\n");
}

TEST_CASE("config.control socket's folder is nobody's who could put a socket of their own there") {
  const TemporaryFolder folder;
  Config config;
  config.engine.control_socket = folder.path() + "/control.sock";
  const auto set_mode = [&](mode_t mode) { REQUIRE(chmod(folder.path().c_str(), mode) == 0); };
  for (const mode_t mode : {0770U, 0702U}) {
    set_mode(mode);
    const auto errors = check_files(config);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].pointer == "/engine/control_socket");
    CHECK(errors[0].message.ends_with(
        "so that others may put a socket of their own where applications attach; type: chmod go-w " + folder.path()));
  }
  set_mode(01777);
  CHECK(check_files(config).empty());
  if (geteuid() != 0) {
    tlsmux::test::skip("the rest gives the folder to another user");
    return;
  }
  REQUIRE(chown(folder.path().c_str(), 65534, 65534) == 0);
  CHECK(in_words(check_files(config)).contains("belongs to uid 65534"));
  REQUIRE(chown(folder.path().c_str(), 0, 0) == 0);
}

TEST_CASE(
    "config.folders that tlsmuxd could not write to are told to who may start it, and to all others that they may "
    "not") {
  const TemporaryFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  std::filesystem::create_directory(folder.path("closed"));
  REQUIRE(chmod(folder.path("closed").c_str(), 0555) == 0);
  Config config;
  config.engine.control_socket = folder.path("closed/run/control.sock");
  config.engine.log.file = folder.path("closed/log");
  if (geteuid() == 0) CHECK(find_start_problems(config).empty());
  const WithoutRoot without_root;
  const auto why = "\"" + folder.path("closed") + "\" cannot be written to: Permission denied (for uid " +
                   std::to_string(geteuid()) + ", should it start tlsmuxd)\n";
  const auto words = "FILE: /engine/control_socket: " + why + "FILE: /engine/log/file: " + why;
  CHECK(in_words(find_start_problems(config)) == words);
  config.engine.user = std::to_string(geteuid());
  CHECK(in_words(find_start_problems(config)) == words);
  config.engine.user = "root";
  CHECK(in_words(find_start_problems(config)) ==
        "FILE: /engine/user: is \"root\": only root and that user can start tlsmuxd with it, not uid " +
            std::to_string(geteuid()) + ", which has checked this\n");
  config.engine.user.clear();
  config.engine.log.file = "/dev/null";
  config.engine.control_socket = "/tmp/control.sock";
  CHECK(find_start_problems(config).empty());
}

TEST_CASE("config.log that is a FIFO or a folder is an error, and standard output is none") {
  const TemporaryFolder folder;
  Config config;
  config.engine.log.file = folder.path() + "/log";
  REQUIRE(::mkfifo(config.engine.log.file.c_str(), 0600) == 0);
  CHECK(in_words(check_files(config)) == "FILE: /engine/log/file: \"" + config.engine.log.file +
                                             "\" is no file; give the path of a file, or leave it out to log to "
                                             "standard error\n");
  config.engine.log.file = folder.path();
  CHECK(check_files(config).size() == 1);
  for (const auto* path : {"/dev/stdout", "/dev/null", "/proc/self/fd/2"}) {
    config.engine.log.file = path;
    CHECK(check_files(config).empty());
  }
}

}  // namespace tlsmux::config::test
