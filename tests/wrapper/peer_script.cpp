#include "tests/wrapper/peer_script.hpp"

#include <unistd.h>

#include <array>
#include <stdexcept>

namespace tlsmux::test {
namespace {

std::string receive_all(PeerEnd& peer, std::size_t bytes) {
  std::string all(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const auto got = peer.receive(all.data() + done, bytes - done);
    if (got == 0) break;
    done += got;
  }
  all.resize(done);
  return all;
}

void receive_until(PeerEnd& peer, std::string_view end) {
  std::string all;
  char letter = 0;
  while (!all.ends_with(end) && peer.receive(&letter, 1) > 0) all += letter;
}

std::string sum_of(std::string_view data) {
  unsigned long sum = 0;
  for (const char letter : data) sum = sum * 31 + static_cast<unsigned char>(letter);
  return "sum " + std::to_string(sum);
}

}  // namespace

void wait_at(int gate) {
  char letter = 0;
  while (::read(gate, &letter, 1) < 0) {
  }
}

std::string pattern(std::size_t bytes) {
  std::string all(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) all[i] = static_cast<char>('a' + i % 26);
  return all;
}

std::string play(PeerEnd& peer, const std::vector<std::string>& script, int gate) {
  std::string received;
  for (const auto& line : script) {
    const auto space = line.find(' ');
    const auto what = line.substr(0, space);
    const auto value = space == std::string::npos ? std::string() : line.substr(space + 1);
    const auto number = [&] { return static_cast<std::size_t>(std::stoul(value)); };
    if (what == "send") {
      peer.send(value);
    } else if (what == "fill") {
      peer.send(pattern(number()));
    } else if (what == "expect") {
      received += receive_all(peer, number());
    } else if (what == "until") {
      receive_until(peer, value);
    } else if (what == "echo") {
      peer.send(receive_all(peer, number()));
    } else if (what == "sum") {
      peer.send(sum_of(receive_all(peer, number())));
    } else if (what == "notify") {
      peer.send_close_notify();
    } else if (what == "reset") {
      peer.reset();
    } else if (what == "drop") {
      peer.drop();
    } else if (what == "vanish") {
      peer.vanish();
    } else if (what == "gate") {
      wait_at(gate);
    } else if (what == "end") {
      std::array<char, 4096> rest{};
      while (peer.receive(rest.data(), rest.size()) > 0) {
      }
    } else {
      throw std::logic_error("no such step of a peer: " + line);
    }
  }
  return received;
}

}  // namespace tlsmux::test
