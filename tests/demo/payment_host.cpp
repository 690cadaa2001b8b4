#include "tests/demo/payment_host.hpp"

#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "tests/host/host_process.hpp"

namespace tlsmux::demo {
namespace {

// Of the first line after `offset`, "listening 127.0.0.1:PORT"; 0 if it is not there yet.
std::uint16_t announced_port(const std::string& log, std::size_t offset) {
  const auto end = log.find('\n', offset);
  const auto colon = log.rfind(':', end);
  if (end == std::string::npos || colon == std::string::npos || colon < offset) return 0;
  std::uint16_t port = 0;
  std::from_chars(log.data() + colon + 1, log.data() + end, port);
  return port;
}

}  // namespace

PaymentHost::PaymentHost(const Interrupt& interrupt, std::string folder, char letter)
    : interrupt_(interrupt), folder_(std::move(folder)), letter_(letter) {
  start(0);
}

std::string PaymentHost::file(const std::string& kind) const { return folder_ + "/host-" + letter_ + "." + kind; }

void PaymentHost::start(std::uint16_t port) {
  const auto log = file("log");
  std::error_code none;
  const auto before = std::filesystem::exists(log, none) ? std::filesystem::file_size(log) : 0;
  report_files_.push_back(file("report." + std::to_string(report_files_.size() + 1)));
  process_ = std::make_unique<Process>(
      Launch{.program = program_folder() + "/tlsmux-host",
             .arguments = {"--listen", "127.0.0.1:" + std::to_string(port), "--certificate",
                           host::certificate_file("server.pem"), "--key", host::certificate_file("server.key"),
                           "--delay-us", std::to_string(kHostDelayMsMin * 1000), "--jitter-us",
                           std::to_string((kHostDelayMsMax - kHostDelayMsMin) * 1000), "--out-of-order", "--record",
                           record_file(), "--report", report_files_.back()},
             .log_file = log});
  interrupt_.wait_until([&] { return has_died() || announced_port(process_->log(), before) != 0; },
                        std::string("host ") + letter_ + " does not start");
  port_ = announced_port(process_->log(), before);
  if (port_ == 0) throw std::runtime_error(std::string("host ") + letter_ + " cannot start");
}

void PaymentHost::stop() {
  process_->send_signal(SIGTERM);
  interrupt_.wait_until([&] { return has_died(); }, std::string("host ") + letter_ + " does not end");
  if (process_->exit_code() != 0) throw std::runtime_error(std::string("host ") + letter_ + " ended badly");
}

void PaymentHost::start_again() { start(port_); }

std::uint64_t PaymentHost::record_bytes() const {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(record_file(), error);
  return error ? 0 : bytes;
}

}  // namespace tlsmux::demo
