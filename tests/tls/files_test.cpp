// From the files that the settings name, through the broker, to a session.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "config/check/check_files.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/broker/broker_requests.hpp"
#include "engine/broker/file_access.hpp"
#include "engine/check_tls.hpp"
#include "engine/log/log.hpp"
#include "engine/refresh/tls_files.hpp"
#include "shm/system/seqpacket.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::read_tls_files;
using engine::broker::BrokerClient;
using engine::broker::FileKind;

constexpr const char* kAllow = engine::broker::kAllowKeyLogVariable;

// Answers requests as a broker does, on a thread.
class AnsweringBroker {
 public:
  AnsweringBroker(const config::Config& config, bool key_log_allowed)
      : log_(config::LogLevel::info, log_pipe_.take_writing_end(), engine::Log::Mode::synchronous),
        scope_{.config = config,
               .log = log_,
               .engine_uid = ::geteuid(),
               .engine_gid = ::getegid(),
               .key_log_allowed = key_log_allowed} {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours_ = shm::UniqueFd(ends[0]);
    theirs_ = shm::UniqueFd(ends[1]);
    thread_ = std::jthread([this] { serve(); });
  }
  ~AnsweringBroker() { ::shutdown(theirs_.get(), SHUT_RDWR); }

  [[nodiscard]] BrokerClient client() const { return BrokerClient(theirs_.get()); }
  LogPipe& log() { return log_pipe_; }

 private:
  void serve() {
    engine::broker::BrokerRequests requests(scope_);
    while (true) {
      const auto packet = shm::receive_packet(ours_.get());
      if (!packet || packet->bytes.empty()) return;
      const auto answer = requests.answer(*packet);
      std::vector<int> descriptors;
      for (const auto& fd : answer.descriptors) descriptors.push_back(fd.get());
      const auto sent = shm::send_packet(ours_.get(), std::as_bytes(std::span(&answer.reply, 1)), descriptors);
      if (!sent) return;
    }
  }

  LogPipe log_pipe_;
  engine::Log log_;
  engine::broker::RequestScope scope_;
  shm::UniqueFd ours_;
  shm::UniqueFd theirs_;
  std::jthread thread_;
};

config::Config with_upstream(const config::TlsSettings& tls) {
  config::Config config;
  config.upstreams.resize(1);
  config.upstreams[0].name = "acquirer";
  config.upstreams[0].tls = tls;
  return config;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

config::TlsSettings all_files(const TemporaryFolder& folder) {
  config::TlsSettings tls;
  tls.ca_file = folder.add("ca.pem", authority().pem());
  tls.crl_file = folder.add("crl.pem", authority().revocation_list_pem());
  tls.certificate_file = folder.add("client.pem", host_identity().certificate_pem());
  tls.key_file = folder.add("client.key", host_identity().encrypted_key_pem());
  tls.passphrase_file = folder.add("client.pass", std::string(kPassphrase) + "\n");
  tls.key_log_file = folder.path() + "/keys.log";
  tls.pins = {host_identity().pin()};
  return tls;
}

TEST_CASE("tls.files all come through the broker and make a session, whose secrets are in the key log") {
  const TemporaryFolder folder;
  const auto tls = all_files(folder);
  const auto config = with_upstream(tls);
  CHECK(config::check_files(config, {}).empty());
  AnsweringBroker broker(config, true);
  auto broker_client = broker.client();
  OpenSslHost host(host_identity(), {.version_max = TLS1_2_VERSION, .client_authority = &authority()});
  for (int i = 0; i < 2; ++i) {  // the second time the key log is there already
    const auto material = read_tls_files(broker_client, tls, {});
    if (!material) FAIL(material.error().message);
    CHECK(material->crl_pem.name == tls.crl_file);
    const auto client = make_client(tls, *material);
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(mode_of(tls.key_log_file) == 0600);
    CHECK(text_of(tls.key_log_file) == host.key_log());
    CHECK(config::check_files(config, {}).empty());
    const auto warning = broker.log().wait_for("event=key_log_is_on");
    CHECK(warning.contains("level=warning"));
    CHECK(value_in(warning, "file") == tls.key_log_file);
    CHECK(warning.contains("CAN DECRYPT"));
  }
}

TEST_CASE("tls.files are parsed by the check of tlsmuxd as by an engine, which opens no key log for it") {
  const TemporaryFolder folder;
  auto tls = all_files(folder);
  std::filesystem::create_directory(folder.path("authorities"));
  tls.ca_directory = folder.path("authorities");
  REQUIRE(::rename(tls.ca_file.c_str(), folder.path("authorities/ca.pem").c_str()) == 0);
  tls.ca_file.clear();
  CHECK(engine::check_tls(with_upstream(tls)).errors.empty());
  CHECK(::access(tls.key_log_file.c_str(), F_OK) != 0);

  tls.key_file = folder.add("other.key", host_identity(KeyKind::rsa).key_pem());
  tls.passphrase_file.clear();
  auto errors = engine::check_tls(with_upstream(tls)).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].pointer == "/upstreams/0/tls");
  CHECK(errors[0].message ==
        "\"" + tls.key_file + "\" is not the key of the certificate in \"" + tls.certificate_file + "\"");
  tls.key_file = folder.path("none.key");
  errors = engine::check_tls(with_upstream(tls)).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "opening " + tls.key_file + ": No such file or directory");
}

TEST_CASE("tls.files with a certificate of ours or a list that has expired are a warning of the check, and no error") {
  const TemporaryFolder folder;
  auto tls = all_files(folder);
  CHECK(engine::check_tls(with_upstream(tls)).warnings.empty());
  const auto expired = authority().issue({.starts_s = -200'000, .ends_s = -100'000});
  tls.certificate_file = folder.add("expired.pem", expired.certificate_pem());
  tls.key_file = folder.add("expired.key", expired.key_pem());
  tls.passphrase_file.clear();
  tls.crl_file = folder.add("old.pem", authority().revocation_list_pem({.starts_s = -200'000, .ends_s = -100'000}));
  const auto found = engine::check_tls(with_upstream(tls));
  CHECK(found.errors.empty());
  REQUIRE(found.warnings.size() == 2);
  CHECK(found.warnings[0].pointer == "/upstreams/0/tls/certificate_file");
  CHECK(found.warnings[0].message.starts_with("\"" + tls.certificate_file + "\" expired on 20"));
  CHECK(found.warnings[1].pointer == "/upstreams/0/tls/crl_file");
}

TEST_CASE("tls.files of a key log are not opened unless the environment allows it") {
  const TemporaryFolder folder;
  auto config = with_upstream({});
  config.upstreams[0].tls.key_log_file = folder.path() + "/keys.log";
  AnsweringBroker broker(config, false);
  auto client = broker.client();
  const auto material = read_tls_files(client, config.upstreams[0].tls, {});
  REQUIRE_FALSE(material);
  CHECK(material.error().code == EPERM);
  CHECK(
      material.error().message.contains("key_log_file of upstream acquirer is set, but TLSMUX_ALLOW_KEY_LOG=1 is not"));
  CHECK(::access(config.upstreams[0].tls.key_log_file.c_str(), F_OK) != 0);
}

// Whether a broker with `value` in its environment opens the key log for its engine.
bool opens_key_log(const char* value) {
  const TemporaryFolder folder;
  auto config = broker_config(folder);
  config.upstreams.resize(1);
  config.upstreams[0].name = "acquirer";
  config.upstreams[0].tls.key_log_file = folder.path() + "/keys.log";
  const auto try_it = [](const config::Config&, const engine::EngineResources& resources) {
    BrokerClient client(resources.broker_socket.get());
    return client.open_file(FileKind::key_log_file, {}) ? engine::kExitClean : engine::kExitCannotStart;
  };
  const auto prepare = [value] { return value != nullptr ? ::setenv(kAllow, value, 1) == 0 : ::unsetenv(kAllow) == 0; };
  BrokerProcess broker(config, try_it, prepare);
  const bool opened = broker.wait() == engine::kExitClean;
  CHECK(opened == (::access(config.upstreams[0].tls.key_log_file.c_str(), F_OK) == 0));
  CHECK(opened == broker.log().rest().contains("event=key_log_is_on"));
  return opened;
}

TEST_CASE("tls.files of a key log are allowed by TLSMUX_ALLOW_KEY_LOG=1 only") {
  CHECK(opens_key_log("1"));
  for (const char* value : {static_cast<const char*>(nullptr), "", "0", "yes", "11"}) CHECK_FALSE(opens_key_log(value));
}

TEST_CASE("tls.files that hold secrets are refused where others may read them") {
  const TemporaryFolder folder;
  const auto tls = all_files(folder);
  const auto config = with_upstream(tls);
  AnsweringBroker broker(config, true);
  auto client = broker.client();
  REQUIRE(read_tls_files(client, tls, {}));
  for (const std::string& path : {tls.key_file, tls.passphrase_file, tls.key_log_file}) {
    CAPTURE(path);
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    const auto material = read_tls_files(client, tls, {});
    REQUIRE_FALSE(material);
    CHECK(material.error().code == EACCES);
    CHECK(material.error().message.contains("\"" + path + "\" has mode 0"));
    const auto errors = config::check_files(config, {});
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].message.contains("has mode 0640"));
    CHECK(errors[0].message.ends_with("chmod 600 " + path));
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
  }
  if (::geteuid() != 0) return;
  for (const std::string& path : {tls.key_file, tls.passphrase_file, tls.key_log_file}) {
    REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
    const auto material = read_tls_files(client, tls, {});
    REQUIRE_FALSE(material);
    CHECK(material.error().message.contains(", which is neither root nor the engine's user; type: chown root " + path));
    REQUIRE(::chown(path.c_str(), 0, 0) == 0);
  }
}

TEST_CASE("tls.files that decide who is trusted are refused where others may change them") {
  const TemporaryFolder folder;
  auto tls = all_files(folder);
  tls.ca_directory = folder.path("authorities");
  std::filesystem::create_directory(tls.ca_directory);
  const auto entry = folder.add("authorities/b.pem", authority().pem());
  const auto config = with_upstream(tls);
  AnsweringBroker broker(config, true);
  auto client = broker.client();
  const auto check_refused = [&](const std::string& words) {
    const auto material = read_tls_files(client, tls, {});
    REQUIRE_FALSE(material);
    CHECK(material.error().code == EACCES);
    CHECK_MESSAGE(material.error().message.contains(words), material.error().message);
  };
  for (const std::string& path : {tls.ca_file, tls.crl_file, tls.ca_directory, entry}) {
    CAPTURE(path);
    for (const mode_t mode : {0720U, 0702U}) {
      REQUIRE(::chmod(path.c_str(), mode) == 0);
      check_refused("; type: chmod go-w " + path);
    }
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    CHECK(read_tls_files(client, tls, {}));
    if (::geteuid() != 0) continue;
    REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
    check_refused("\"" + path +
                  "\" belongs to uid 65534, which is neither root nor who starts tlsmuxd, and may decide ");
    REQUIRE(::chown(path.c_str(), 0, 0) == 0);
  }
}

TEST_CASE("hostile.files in the place of a key log are not appended to") {
  using engine::broker::open_secret_log;
  const TemporaryFolder folder;
  const auto victim = folder.add("victim", "text");
  const auto at = [&](const std::string& name) { return folder.path() + "/" + name; };
  REQUIRE(::symlink(victim.c_str(), at("symbolic").c_str()) == 0);
  REQUIRE(::symlink(at("nowhere").c_str(), at("dangling").c_str()) == 0);
  REQUIRE(::mkfifo(at("fifo").c_str(), 0600) == 0);
  REQUIRE(::mkdir(at("directory").c_str(), 0700) == 0);
  const auto linked = folder.add("linked", "text");
  REQUIRE(::link(linked.c_str(), at("hard").c_str()) == 0);
  for (const std::string name : {"symbolic", "dangling", "fifo", "directory", "hard"}) {
    CAPTURE(name);
    CHECK_FALSE(open_secret_log(at(name), ::geteuid()));
  }
  CHECK(::access(at("nowhere").c_str(), F_OK) != 0);
  CHECK(text_of(victim) == "text");
  CHECK(text_of(linked) == "text");

  const ::mode_t before = ::umask(0);
  const auto opened = open_secret_log(at("new"), ::geteuid());
  ::umask(before);
  REQUIRE(opened);
  CHECK(mode_of(at("new")) == 0600);
  CHECK((::fcntl(opened->get(), F_GETFL) & O_APPEND) != 0);
}

TEST_CASE("tls.files that are missing or empty are found before the daemon starts") {
  const TemporaryFolder folder;
  config::TlsSettings tls;
  tls.passphrase_file = folder.add("empty", "");
  tls.crl_file = folder.path() + "/missing.pem";
  tls.key_log_file = folder.path() + "/none/keys.log";
  const auto errors = config::check_files(with_upstream(tls), {});
  REQUIRE(errors.size() == 3);
  CHECK(errors[0].pointer == "/upstreams/0/tls/passphrase_file");
  CHECK(errors[0].message.contains("is empty; it must hold the passphrase in its first line"));
  CHECK(errors[1].pointer == "/upstreams/0/tls/crl_file");
  CHECK(errors[1].message.contains("No such file"));
  CHECK(errors[2].pointer == "/upstreams/0/tls/key_log_file");
  CHECK(errors[2].message.contains("the folder \"" + folder.path() + "/none\" does not exist"));

  tls = {};
  tls.key_log_file = folder.path();
  const auto folder_error = config::check_files(with_upstream(tls), {});
  REQUIRE(folder_error.size() == 1);
  CHECK(folder_error[0].message.contains("is no file"));
}

}  // namespace
}  // namespace tlsmux::test
