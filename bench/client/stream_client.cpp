// A program with a stream of the engine's, by libtlsmux.

#include <stdexcept>
#include <string>

#include "bench/client/stream_link.hpp"
#include "tlsmux/stream.h"

namespace {

using namespace tlsmux::bench;

class EngineStream {
 public:
  explicit EngineStream(const ClientArguments& arguments) {
    char words[256] = "";
    tmx_stream_options options{};
    options.struct_bytes = sizeof options;
    options.error_text = words;
    options.error_text_bytes = sizeof words;
    if (tmx_stream_open(arguments.target.c_str(), &options, &stream_) != 0) {
      throw std::runtime_error(std::string("opening a stream: ") + words);
    }
  }
  ~EngineStream() { tmx_stream_close(stream_); }
  EngineStream(const EngineStream&) = delete;
  EngineStream& operator=(const EngineStream&) = delete;

  bool write(std::span<const std::byte> bytes) {
    return tmx_stream_write(stream_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }

  std::size_t read(std::span<std::byte> bytes) {
    const auto received = tmx_stream_read(stream_, bytes.data(), bytes.size());
    return received > 0 ? static_cast<std::size_t>(received) : 0;
  }

 private:
  tmx_stream* stream_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) { return client_main<StreamLink<EngineStream>>(argc, argv); }
