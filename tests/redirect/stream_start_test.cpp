// The first bytes, and the refusal.

#include <cstring>

#include <doctest/doctest.h>

#include "engine/wrapper/stream_start.hpp"

using namespace tlsmux;
using engine::wrapper::alpn_of;

TEST_CASE("wrapper.what a program offers is read from its start record") {
  shm::StreamStart start;
  CHECK(alpn_of(start) == "");
  const std::string two("\2h2\10http/1.1", 12);
  two.copy(start.alpn.data(), start.alpn.size());
  CHECK(alpn_of(start) == two);
  // A length that leads out of the record.
  start.alpn.fill('\x7e');
  CHECK(alpn_of(start) == std::nullopt);
  // One that leads exactly to its end.
  start.alpn.fill(0);
  start.alpn[0] = static_cast<char>(255);
  std::memset(start.alpn.data() + 1, 'a', 255);
  CHECK(alpn_of(start) == std::string(start.alpn.data(), 256));
}

TEST_CASE("wrapper.a refusal is one record") {
  const auto record = engine::wrapper::refused_record(shm::Reason::not_permitted, std::string(500, 'x'));
  shm::StreamRecordHeader header;
  shm::StreamLost body;
  REQUIRE(record.size() == sizeof header + sizeof body);
  std::memcpy(&header, record.data(), sizeof header);
  std::memcpy(&body, record.data() + sizeof header, sizeof body);
  CHECK(shm::type_of(header) == shm::StreamRecordType::refused);
  CHECK(shm::bytes_of(header) == sizeof body);
  CHECK(body.reason == static_cast<std::uint32_t>(shm::Reason::not_permitted));
  CHECK(body.text.back() == '\0');
  CHECK(body.text.front() == 'x');
}
