#include "tests/demo/stage.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/demo/audit.hpp"
#include "tests/demo/purchase.hpp"
#include "tests/demo/text_format.hpp"

namespace tlsmux::demo {
namespace {

constexpr std::size_t kLogLines = 12;

std::vector<std::string> last_lines(const std::string& path, std::size_t count) {
  std::ifstream file(path);
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
    if (lines.size() > count) lines.pop_front();
  }
  return {lines.begin(), lines.end()};
}

std::string host_name(const PaymentHost& host) {
  return std::string("host ") + host.letter() + " on 127.0.0.1:" + std::to_string(host.port());
}

}  // namespace

Stage::Stage(const Interrupt& interrupt, const Options& options)
    : interrupt_(interrupt), options_(options), path_(temporary_.path("")) {
  if (path_.ends_with('/')) path_.pop_back();
}

void Stage::set_up(Screen& screen) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // so that residue() sees an engine that outlives its broker
  if (screen.is_live()) screen.show({"  set up  making certificates ..."});
  static_cast<void>(host::certificate_file("ca.pem"));
  screen.say("  set up  certificates of a throw-away authority");
  for (const char letter : {'A', 'B'}) hosts_.emplace_back(interrupt_, path_, letter);
  screen.say("  set up  " + host_name(host_a()) + ", " + host_name(host_b()));
  engine_ = std::make_unique<Engine>(interrupt_, path_, std::vector{host_a().port(), host_b().port()});
  const auto engine = engine_->await_sessions();
  screen.say("  set up  tlsmuxd " + std::to_string(engine_->broker().pid()) + " with its engine " +
             std::to_string(engine.pid) + ": " + std::to_string(engine.sessions_ready) + " TLS sessions ready");
}

void Stage::attach_authorizers() {
  for (unsigned number = 0; number < kAuthorizers; ++number) {
    const auto file = path_ + "/authorizer-" + std::to_string(number + 1);
    auto ledger = Ledger::create(file + ".ledger", options_.messages);
    authorizers_.emplace_back(
        number, std::move(ledger),
        Launch{.program = program_folder() + "/demo-authorizer",
               .arguments = {"--control-socket", engine_->control_socket(), "--group", engine_->group(), "--upstream",
                             kUpstream, "--ledger", file + ".ledger", "--number", std::to_string(number), "--requests",
                             std::to_string(options_.messages), "--seconds", decimal(options_.seconds, 3)},
               .log_file = file + ".log"});
  }
  for (auto& authorizer : authorizers_) {
    interrupt_.wait_until([&] { return look_after_processes() || authorizer.ledger.header().attached == 1; },
                          name_of(authorizer.number) + " does not attach");
  }
}

void Stage::start_authorizers() {
  for (const auto& authorizer : authorizers_) authorizer.process.tell_to_start();
}

bool Stage::look_after_processes() {
  for (auto& host : hosts_) {
    if (host.has_died()) throw std::runtime_error(std::string("host ") + host.letter() + " has died");
  }
  if (engine_->has_died()) throw std::runtime_error("tlsmuxd has died");
  bool all_done = true;
  for (auto& authorizer : authorizers_) {
    const auto exit_code = authorizer.process.exit_code();
    if (!exit_code) {
      all_done = false;
    } else if (*exit_code != 0 && !authorizer.killed) {
      throw std::runtime_error(name_of(authorizer.number) + " ended with exit code " + std::to_string(*exit_code));
    }
  }
  return all_done;
}

void Stage::stop() {
  engine_->stop();
  for (auto& host : hosts_) host.stop();
}

std::vector<std::string> Stage::residue() const {
  std::vector<std::string> found;
  siginfo_t child{};
  if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0) {
    found.push_back("a process" + (child.si_pid > 0 ? " " + std::to_string(child.si_pid) : std::string()));
  }
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const auto name = entry.path().string();
    if (name.find(engine_->group()) != std::string::npos) found.push_back("shared memory " + name);
  }
  if (std::filesystem::exists(engine_->control_socket())) found.push_back("the control socket");
  return found;
}

std::vector<std::string> Stage::last_log_lines() const {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    if (entry.path().extension() != ".log") continue;
    const auto last = last_lines(entry.path().string(), kLogLines);
    if (last.empty()) continue;
    lines.push_back("--- " + entry.path().filename().string());
    lines.insert(lines.end(), last.begin(), last.end());
  }
  return lines;
}

}  // namespace tlsmux::demo
