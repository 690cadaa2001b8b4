#pragma once

// One of the demo's two hosts: tlsmux-host, which can be stopped and started again on its port.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/demo/interrupt.hpp"
#include "tests/demo/process.hpp"

namespace tlsmux::demo {

// How long a host thinks about a request, at least and at most.
inline constexpr std::uint32_t kHostDelayMsMin = 4;
inline constexpr std::uint32_t kHostDelayMsMax = 24;

class PaymentHost {
 public:
  // `interrupt` must outlive it. Returns once it listens. Failures, here and later, throw std::runtime_error.
  PaymentHost(const Interrupt& interrupt, std::string folder, char letter);

  [[nodiscard]] char letter() const { return letter_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const Process& process() const { return *process_; }

  // SIGTERM: it says goodbye, writes its report and ends.
  void stop();
  void start_again();
  // Ended, though nobody stopped it.
  [[nodiscard]] bool has_died() { return process_->exit_code().has_value(); }

  // What it wrote down of each message before it answered.
  [[nodiscard]] std::string record_file() const { return file("record"); }
  [[nodiscard]] std::uint64_t record_bytes() const;
  // One for each time it was stopped.
  [[nodiscard]] const std::vector<std::string>& report_files() const { return report_files_; }

 private:
  void start(std::uint16_t port);
  [[nodiscard]] std::string file(const std::string& kind) const;

  const Interrupt& interrupt_;
  std::string folder_;
  char letter_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
  std::vector<std::string> report_files_;
};

}  // namespace tlsmux::demo
