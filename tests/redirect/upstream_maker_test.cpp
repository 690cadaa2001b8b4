// Upstreams made for names that programs ask for: what is made, what is not, and what the log says of it.
#include "engine/wrapper/upstream_maker.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "config/made_upstreams.hpp"
#include "shm/system/unique_fd.hpp"

using namespace tlsmux;
using engine::wrapper::UpstreamMaker;

namespace {

struct Workshop {
  config::Config config;
  shm::UniqueFd lines{::memfd_create("log", MFD_CLOEXEC)};
  engine::Log log{config::LogLevel::info, shm::UniqueFd(::dup(lines.get())), engine::Log::Mode::synchronous};
  std::vector<std::string> asked{};  // models, and what was to be made from them
  std::string why_not{};
  UpstreamMaker maker{[this]() -> const config::Config& { return config; },
                      [this](const config::UpstreamSettings& made, std::string_view model) -> decltype(auto) {
                        return add(made, model);
                      },
                      log};

  Workshop() {
    for (const auto* const name : {"web", "other"}) {
      auto& model = config.upstreams.emplace_back();
      model.name = name;
      model.groups = {"ATMS"};
    }
    config.ssl_wrapper.rules = {
        {.address = {}, .name = "*.bank.example", .port = 443, .upstream = "web", .create = true},
        {.address = {}, .name = "*.shop.example", .port = 444, .upstream = "other", .create = true}};
    config.ssl_wrapper.created_max = 2;
  }

  std::expected<void, std::string> add(const config::UpstreamSettings& made, std::string_view model) {
    asked.push_back(std::string(model) + " " + made.name);
    if (!why_not.empty()) return std::unexpected(why_not);
    auto next = config;
    next.upstreams.push_back(made);
    config = std::exchange(next, {});
    return {};
  }

  std::optional<std::string> find_or_make(std::size_t rule, std::string_view name) {
    return maker.find_or_make(config.ssl_wrapper.rules[rule], name, 1, 2);
  }

  [[nodiscard]] std::size_t logged(std::string_view text) const {
    struct stat status{};
    REQUIRE(::fstat(lines.get(), &status) == 0);
    std::string all(static_cast<std::size_t>(status.st_size), '\0');
    REQUIRE(::pread(lines.get(), all.data(), all.size(), 0) == status.st_size);
    std::size_t count = 0;
    for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
    return count;
  }
};

}  // namespace

TEST_CASE("wrapper.one upstream is made for each name and port") {
  Workshop workshop;
  CHECK(workshop.find_or_make(0, "a.bank.example") == "a.bank.example:443");
  CHECK(workshop.find_or_make(0, "A.Bank.Example.") == "a.bank.example:443");
  CHECK(workshop.find_or_make(1, "a.shop.example") == "a.shop.example:444");
  CHECK(workshop.find_or_make(0, "a.bank.example") == "a.bank.example:443");
  CHECK(workshop.asked == std::vector<std::string>{"web a.bank.example:443", "other a.shop.example:444"});
  CHECK(workshop.logged("upstream_made") == 2);
  CHECK(workshop.logged("upstream_not_made") == 0);
}

TEST_CASE("wrapper.no more upstreams are made than created_max says, and the log says so once") {
  Workshop workshop;
  REQUIRE(workshop.find_or_make(0, "a.bank.example"));
  REQUIRE(workshop.find_or_make(0, "b.bank.example"));
  for (int i = 0; i < 3; ++i) {
    CHECK(!workshop.find_or_make(0, "c.bank.example"));
    CHECK(!workshop.find_or_make(1, "c.shop.example"));
  }
  CHECK(workshop.find_or_make(0, "a.bank.example"));  // those that there are go on
  CHECK(workshop.asked.size() == 2);
  CHECK(workshop.logged("upstream_not_made") == 1);
  CHECK(workshop.logged("created_max") == 1);

  workshop.config.ssl_wrapper.created_max = 3;
  CHECK(workshop.find_or_make(0, "c.bank.example"));
  workshop.maker.config_changed();
  CHECK(!workshop.find_or_make(0, "d.bank.example"));
  CHECK(workshop.logged("upstream_not_made") == 2);
}

TEST_CASE("wrapper.nothing is made for what is no host name") {
  Workshop workshop;
  for (const auto* const name : {"/etc/x.bank.example", "a b.bank.example", "\x1b[2J.bank.example", "..bank.example"}) {
    CHECK(!workshop.find_or_make(0, name));
  }
  CHECK(!workshop.find_or_make(0, std::string(60, 'a') + ".bank.example"));
  CHECK(workshop.asked.empty());
  CHECK(workshop.logged("upstream_not_made") == 1);
  CHECK(workshop.logged("\x1b") == 0);
  workshop.maker.config_changed();
  CHECK(!workshop.find_or_make(0, std::string(60, 'a') + ".bank.example"));
  CHECK(workshop.logged("too long for the name of an upstream") == 1);
}

TEST_CASE("wrapper.a model that cannot be used is not tried again until the configuration changes") {
  Workshop workshop;
  workshop.why_not = "/etc/ca.pem: no such file";
  CHECK(!workshop.find_or_make(0, "a.bank.example"));
  CHECK(!workshop.find_or_make(0, "b.bank.example"));
  CHECK(workshop.asked.size() == 1);
  CHECK(workshop.logged("/etc/ca.pem: no such file") == 1);
  workshop.why_not.clear();
  CHECK(workshop.find_or_make(1, "a.shop.example"));  // another model
  CHECK(!workshop.find_or_make(0, "a.bank.example"));
  workshop.maker.config_changed();
  CHECK(workshop.find_or_make(0, "a.bank.example"));
}
