#pragma once

// Programs that know nothing of tlsmux, a host on loopback, and a real engine whose rules lead them to it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/wrapper/script_run.hpp"

namespace tlsmux::test {

// $HOST, $PORT and $AUTHORITY stand for where to connect to and for a file of whom to trust.
struct Program {
  std::vector<std::string> command;
  std::string input{};
  // What must be equal of its output, if that is not all of it.
  std::function<std::string(const std::string&)> constant_part = {};
};

// A file of the folder "clients".
std::string client(const std::string& name);
// `command`, with such a file and the three of above.
Program client_program(const std::string& command, const std::string& name);

// True, and it is said, if there is no such file, which a package of Debian's would bring.
bool skip_without(const std::string& file, const std::string& package);

// In either case the host is 127.0.0.1; who is led there by name calls it "localhost".
enum class RuleKind : std::uint8_t { by_address, by_name };
inline constexpr RuleKind kRuleKinds[] = {RuleKind::by_address, RuleKind::by_name};

class ProgramScene {
 public:
  using Change = std::function<void(config::UpstreamSettings&)>;
  // The engine has its sessions to `port`, and no rule yet.
  ProgramScene(std::uint16_t port, const Change& change);
  ~ProgramScene();

  // From now on.
  void share(RuleKind kind);
  // As Debian has it. It must succeed, and say something.
  [[nodiscard]] ScriptRun run_unshared(const Program& program) const;
  // Under libtlsmux_ssl.so, in its mode "auto".
  [[nodiscard]] ScriptRun run_shared(const Program& program) const;
  // The same, and what it says and how it ends must be the same as it was unshared.
  void check_same(const Program& program, const ScriptRun& unshared) const;

  EngineProcess& engine() { return *engine_; }
  // That the engine has made so far.
  std::size_t sessions() { return engine_->log().count("event=session_ready"); }

 private:
  [[nodiscard]] ScriptRun run(const Program& program, const std::vector<std::string>& environment) const;

  TemporaryFolder folder_;
  Gate gate_;
  config::Config config_;
  RuleKind kind_ = RuleKind::by_address;
  std::unique_ptr<EngineProcess> engine_;
};

}  // namespace tlsmux::test
