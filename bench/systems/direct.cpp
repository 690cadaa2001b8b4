#include "bench/systems/direct.hpp"

#include <utility>

namespace tlsmux::bench {
namespace {

class Direct : public System {
 public:
  explicit Direct(std::string program) : program_(std::move(program)) {}

  void start(const Ground& ground, const Demand& demand) override {
    target_ = ground.host_address;
    if (demand.resumption) session_file_ = ground.folder + "/" + demand.name + ".session";
  }

  [[nodiscard]] ClientCommand client(std::uint32_t /*number*/) const override {
    return {.program = program_, .target = target_, .session_file = session_file_, .environment = {}};
  }

 private:
  std::string program_;
  std::string target_;
  std::string session_file_;
};

}  // namespace

std::unique_ptr<System> make_direct_openssl() { return std::make_unique<Direct>("tlsmux-bench-openssl"); }
std::unique_ptr<System> make_direct_mbedtls() { return std::make_unique<Direct>("tlsmux-bench-mbedtls"); }

}  // namespace tlsmux::bench
